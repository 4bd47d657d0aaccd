"""``azcmagent upgrade``: the agent's package of this machine's cloud, if it is another version.

Which cloud that is says ``/etc/opt/azcmagent``, which only root writes. The list of packages and
their digests come over the same verified connection as everything else; what was downloaded is
installed only if its digest is the listed one. Nothing but the Debian package is upgraded: who
installed the agent otherwise upgrades it that way.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.flags import Flag
from landbridge_agent.cli.proxy import proxy_of
from landbridge_agent.cli.refusals import no_arguments
from landbridge_agent.cloud import choose, client_for, unreachable
from landbridge_agent.codes import AgentError
from landbridge_agent.dial import Unreachable
from landbridge_agent.https import Requests
from landbridge_agent.machine import Machine
from landbridge_agent.version import AGENT_VERSION

LIST = "/agent/packages.json"
APT_SECONDS = 900
APT = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends")


class Offer(NamedTuple):
    """A Debian package that a cloud has: which version, where, and its SHA-256 (hex)."""

    version: str
    name: str
    url: str
    sha256: str


def run(call: Call) -> int:
    """Upgrade this agent; 0 when it is the version that was asked for."""
    no_arguments(call.values)
    machine = Machine(call.paths)
    config = machine.config()
    if config is not None and call.values.text("cloud"):
        raise AgentError(23, "--cloud is for machines that are not connected.", "Leave --cloud out.")
    # What root installs must not come from where the daemon's user says, whose folder that is:
    # the installation's own file names the cloud. An agent of one's own has only the folder.
    trusted = config if call.paths.relocated else None
    cloud = choose(machine, call.values.text("cloud"), call.values.text("ca-file"), trusted)
    client = client_for(cloud, proxy_of(machine, call.environment))
    offer = asyncio.run(_offer(client, cloud.endpoint))
    wanted = call.values.text("version")
    if wanted and not f"{offer.version}.".startswith(f"{wanted}."):
        raise AgentError(147, f"This cloud has version {offer.version} of the agent, not {wanted}.")
    if offer.version == AGENT_VERSION:
        return _done(call, f"The agent is up to date: {AGENT_VERSION}.")
    if call.paths.relocated or not _is_packaged():
        detail = f"Version {offer.version} is there, but this agent was not installed by its Debian package."
        raise AgentError(3, detail, "Upgrade it the way it was installed.")
    call.out.info(f"Upgrading the agent from {AGENT_VERSION} to {offer.version}...")
    content = asyncio.run(_download(client, offer))
    _install(offer, content)
    return _done(call, f"The agent was upgraded to {offer.version}.")


def _done(call: Call, text: str) -> int:
    if call.out.json:
        call.out.object({"status": "success", "message": text})
    else:
        call.out.info(text)
    return 0


async def _offer(client: Requests, endpoint: str) -> Offer:
    try:
        answer = await client.request("GET", endpoint + LIST)
    except Unreachable as error:
        raise unreachable(error) from error
    version, listed = answer.text("version"), answer.json().get("packages")
    rows = listed if isinstance(listed, list) else []
    debs = [row for row in rows if isinstance(row, dict) and str(row.get("name", "")).endswith(".deb")]
    if not answer.ok or not version or not debs:
        raise AgentError(147, f"{endpoint} has no package of the agent: {answer.reason}.")
    name, url, digest = (_text(debs[0], member) for member in ("name", "url", "sha256"))
    return Offer(version, name, url, digest)


def _text(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


async def _download(client: Requests, offer: Offer) -> bytes:
    try:
        answer = await client.request("GET", offer.url)
    except (Unreachable, ValueError) as error:
        raise AgentError(146, f"{offer.url} could not be downloaded: {error}") from error
    digest = hashlib.sha256(answer.body).hexdigest()
    if not answer.ok or not hmac.compare_digest(digest.encode(), offer.sha256.encode()):
        raise AgentError(146, f"What came from {offer.url} is not the package that is listed.")
    return answer.body


def _is_packaged() -> bool:
    try:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Status}", "azcmagent"], capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return done.stdout == "install ok installed"


def _install(offer: Offer, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(offer.name).name
        file.write_bytes(content)
        Path(folder).chmod(0o755)
        try:
            done = subprocess.run(
                [*APT, str(file)], capture_output=True, text=True, timeout=APT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AgentError(143, f"apt-get could not be run: {error}.") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise AgentError(143, f"apt-get could not install the package: {lines[-1] if lines else ''}")


COMMAND = Command(
    name="upgrade",
    summary="Upgrade this agent to the version that its cloud has",
    synopsis="""
Installs the package of the agent that the cloud of this machine has, if it is another version.
The machine stays connected.

  azcmagent upgrade
  azcmagent upgrade --version 1.63
""",
    flags=(
        Flag("version", "", "Refuse unless the cloud has the agent in this version"),
        Flag("cloud", "", "URL of the control plane, while the machine is not connected"),
        Flag("ca-file", "", "File with the CA of the control plane (PEM)"),
        Flag("background", "", "Accepted; nothing is ever asked", switch=True),
    ),
    run=run,
    needs_root=True,
)
