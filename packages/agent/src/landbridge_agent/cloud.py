"""Where this machine's cloud is, whom it trusts there, and the names that it announces."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import NamedTuple

from landbridge_agent.codes import AgentError
from landbridge_agent.dial import Dialer, Proxy, ProxyRefused, Unreachable, Untrusted, split_https, trust
from landbridge_agent.https import Client, Requests
from landbridge_agent.machine import AgentConfig, Machine
from landbridge_agent.version import AGENT_VERSION

METADATA = "/metadata/endpoints?api-version=2022-09-01"


class Cloud(NamedTuple):
    """The control plane's URL without a final ``/``, and its CA file; empty: the system's store.

    ``own_ca``: the file was named on the command line, so the machine keeps a copy.
    """

    endpoint: str
    ca_file: str
    own_ca: bool = False


class Metadata(NamedTuple):
    """What a cloud announces about itself; URLs without a final ``/``, the audience verbatim.

    ``server_time`` is its clock (unix seconds), if it told.
    """

    name: str
    resource_manager: str
    login: str
    audience: str
    portal: str
    adfs: bool
    server_time: float | None


def choose(machine: Machine, url: str, ca_file: str, config: AgentConfig | None = None) -> Cloud:
    """Return the cloud to use: the command line's, the connected one, or the installer's.

    Raises:
        AgentError: AZCM0075 none is known, AZCM0023 not an https URL, AZCM0026 no CA file.
    """
    known = [Cloud(config.endpoint, config.caFile)] if config is not None else []
    installed = machine.cloud_file()
    if installed is not None:
        known.append(Cloud(installed.endpoint, installed.ca_file))
    endpoint = (url or (known[0].endpoint if known else "")).rstrip("/")
    if not endpoint:
        raise AgentError(75, f"No cloud is configured: {machine.paths.cloud} does not exist.")
    _check_url(endpoint)
    if ca_file:
        if not Path(ca_file).is_file():
            raise AgentError(26, f"The CA file {ca_file} does not exist.", "Check --ca-file.")
        return Cloud(endpoint, str(Path(ca_file).absolute()), True)
    same = [one.ca_file for one in known if one.endpoint.rstrip("/") == endpoint]
    return Cloud(endpoint, same[0] if same else "")


def _check_url(endpoint: str) -> None:
    remedy = "Pass the URL of your control plane, such as https://cloud.example:9443, or leave --cloud out."
    try:
        parts = split_https(endpoint)
    except ValueError:
        raise AgentError(23, f"--cloud '{endpoint}' is not an https:// URL.", remedy) from None
    if parts.scheme != "https" or parts.path.strip("/") or parts.query:
        raise AgentError(23, f"--cloud '{endpoint}' must be https://HOST[:PORT] and nothing more.", remedy)


def client_for(cloud: Cloud, proxy: Proxy) -> Client:
    """Return a client that trusts what the cloud's CA file says.

    Raises:
        AgentError: AZCM0026, the file cannot be used.
    """
    client = Client(Dialer(trusted(cloud.ca_file), proxy), f"azcmagent/{AGENT_VERSION}")
    client.know(_services(cloud.endpoint, cloud.endpoint))
    return client


def _services(resource_manager: str, login: str) -> dict[str, list[str]]:
    """Return the names of this cloud for the words that ``proxy.bypass`` takes."""
    manager, signing_in = (str(split_https(url).hostname) for url in (resource_manager, login))
    return {"arm": [manager], "arc": [manager], "aad": [signing_in]}


def trusted(ca_file: str) -> ssl.SSLContext:
    """Return a context that trusts what a CA file says, or the system's store.

    Raises:
        AgentError: AZCM0026, the file cannot be used.
    """
    try:
        return trust(ca_file)
    except Untrusted as error:
        raise unreachable(error) from error


def unreachable(error: Unreachable) -> AgentError:
    """Return AZCM0026 with the remedy that fits."""
    if isinstance(error, Untrusted):
        return AgentError(
            26,
            str(error),
            "Pass the cloud's CA with --ca-file FILE (its operator gets it with 'landbridge ca export').",
        )
    if isinstance(error, ProxyRefused):
        return AgentError(26, str(error), error.remedy)
    return AgentError(26, str(error), "Check --cloud, the network and HTTPS_PROXY, then try again.")


async def metadata(client: Requests, cloud: Cloud) -> Metadata:
    """Ask a cloud for its names.

    Raises:
        AgentError: AZCM0026, unreachable or not a cloud.
    """
    try:
        answer = await client.request("GET", cloud.endpoint + METADATA)
    except Unreachable as error:
        raise unreachable(error) from error
    body = answer.json()
    authentication = body.get("authentication")
    audiences = authentication.get("audiences") if isinstance(authentication, dict) else None
    if not isinstance(authentication, dict) or not isinstance(audiences, list) or not audiences:
        raise AgentError(
            26,
            f"{cloud.endpoint} does not answer as a control plane: {answer.reason}.",
            "Check --cloud: it must be the URL of the resource manager.",
        )
    login = str(authentication.get("loginEndpoint", "")).rstrip("/")
    if isinstance(client, Client):
        with contextlib.suppress(ValueError):  # names that are none are refused where they are dialled
            client.know(_services(cloud.endpoint, login))
    return Metadata(
        name=str(body.get("name", "")),
        resource_manager=(answer.text("resourceManager") or cloud.endpoint).rstrip("/"),
        login=login,
        audience=str(audiences[0]),
        portal=answer.text("portal").rstrip("/"),
        adfs=login.lower().endswith("/adfs"),
        server_time=answer.server_time(),
    )
