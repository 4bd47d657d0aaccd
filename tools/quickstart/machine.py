"""This machine: the agent, and the way to it over the relay."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quickstart.cloud import Admin
from quickstart.places import Places, Settings, write_private
from quickstart.programs import Children, Failed, run, wait_until
from quickstart.sshd import user_name

GROUP = "quickstart"
CONNECT_SECONDS = 120.0
PRESENCE_SECONDS = 60.0
LONGEST_NAME = 54

LOGIN_KEY = """\
Host {machine}
    IdentityFile "{key}"
    IdentitiesOnly yes
"""


def machine_name() -> str:
    """Return this host's name as a resource may be called."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname().partition(".")[0])
    return name[:LONGEST_NAME].strip("-_") or "machine"


class Machine:
    """The agent's commands, with its state in a folder of its own."""

    def __init__(self, places: Places, environment: Mapping[str, str]) -> None:
        self._places = places
        self._environment = {**environment, "LANDBRIDGE_AGENT_ROOT": str(places.agent)}

    def start_daemon(self, children: Children) -> None:
        """Start ``himdsd`` and ``extd`` as ordinary processes."""
        self._places.agent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("himdsd", "extd"):
            program = self._places.programs / name
            children.start(name, [program], self._places.log(name), self._environment)

    def allow_port(self, port: int) -> None:
        """Let the relay reach this port of loopback."""
        self._agent("config", "set", "incomingconnections.ports", str(port))

    def show(self) -> dict[str, Any]:
        """Return what the agent says about itself."""
        content: dict[str, Any] = json.loads(self._agent("show", "-j"))
        return content

    def connect(self, admin: Admin) -> bool:
        """Connect to the cloud; return False where that was done in an earlier run.

        Raises:
            Failed: the agent could not connect, or is connected to another cloud.
        """
        shown = self.show()
        if shown.get("resourceName"):
            if shown.get("subscriptionId") != admin.subscription:
                raise Failed(
                    f"The agent in {self._places.agent} belongs to another cloud. "
                    f"Remove {self._places.root} to begin anew."
                )
            return False
        # The secret goes by file: a command line can be read by everybody on the machine.
        secrets = self._places.root / "connect.json"
        write_private(
            secrets,
            json.dumps(
                {
                    "service-principal-id": admin.client_id,
                    "service-principal-secret": admin.client_secret,
                    "tenant-id": admin.tenant,
                    "subscription-id": admin.subscription,
                }
            ),
        )
        try:
            self._agent(
                "connect",
                *("--cloud", admin.url, "--ca-file", str(admin.ca_file), "--config", str(secrets)),
                *("--resource-group", GROUP, "--location", "local", "--resource-name", machine_name()),
                seconds=CONNECT_SECONDS,
            )
        finally:
            secrets.unlink()
        return True

    def wait_connected(self, children: Children) -> None:
        """Wait until the agent says that the cloud hears it."""

        def connected() -> bool | None:
            return True if self.show().get("status") == "Connected" else None

        wait_until("the machine to be Connected", connected, children, PRESENCE_SECONDS)

    def write_ssh_config(self, settings: Settings, children: Children) -> None:
        """Write the OpenSSH configuration, once the agent has reported sshd's host keys."""
        refusals: list[str] = []
        argv: list[str | Path] = [self._places.programs / "landbridge", "ssh-config"]
        argv += ["--data", self._places.root]
        argv += ["--resource-group", GROUP, "--name", self.name, "--port", str(settings.ssh_port)]

        def printed() -> str | None:
            try:
                return run([*argv, "--user", user_name()], self._environment)
            except Failed as error:
                refusals[:] = [str(error)]
                return None

        try:
            text = wait_until("landbridge ssh-config", printed, children, PRESENCE_SECONDS)
        except Failed as error:
            raise Failed("\n".join([str(error), *refusals])) from error
        if settings.own_sshd:
            text += LOGIN_KEY.format(machine=self.name, key=self._places.login_key)
        write_private(self._places.ssh_config, text)

    def log_in(self) -> None:
        """Log in once over the relay, as a person would.

        Raises:
            Failed: ssh did not get through, or something else answered.
        """
        argv = ["ssh", "-F", str(self._places.ssh_config), "-o", "BatchMode=yes", self.name]
        said = run([*argv, "echo", "ok"], self._environment)
        if said.strip() != "ok":
            raise Failed(f"ssh came through, but 'echo ok' said:\n{said}")

    @property
    def name(self) -> str:
        """The name of the machine's resource; it stays what it was when it was connected."""
        return str(self.show()["resourceName"])

    def _agent(self, *words: str, seconds: float = 60.0) -> str:
        return run([self._places.programs / "azcmagent", *words], self._environment, seconds)
