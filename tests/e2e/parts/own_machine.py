"""A machine of its own on this computer: its own loopback network, /var/opt, /opt and /etc files.

There the agent has its true places: ``/var/opt/azcmagent``, 127.0.0.1:40342 and [::1]:40342. The
one address that leads out is the control plane's. Needs root; ``unavailable`` says if it cannot be.

To sign in as the machine with ``az`` (2.91; 2.66 does not know connected machines)::

    machine = OwnMachine(named.plane, address=("127.0.0.77", 443), hosts=named.hosts)
    machine.connect()  # and starts himdsd
    machine.allow()  # Reader of the subscription
    az = Az("2.91", folder, named.plane.admin.ca_file, machine.inside)
    az.environment |= IDENTITY
    az("login", "--identity")  # account show: systemAssignedIdentity, servicePrincipal
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from quickstart.places import write_private
from quickstart.programs import Children, wait_until
from running import ENVIRONMENT, GROUP, MACHINES, PROGRAMS, ControlPlane, short_folder

INSIDE = Path(__file__).with_name("own_machine_inside.py")
ROLES = "Microsoft.Authorization/roleAssignments"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
IDENTITY = {
    "IDENTITY_ENDPOINT": "http://localhost:40342/metadata/identity/oauth2/token",
    "IMDS_ENDPOINT": "http://localhost:40342",
}
"""What the agent's installation sets for every program of a machine."""

HIMDS_GROUP = 4242


def unavailable() -> str:
    """Return why this cannot be done here, or nothing."""
    if os.geteuid() != 0:
        return "A network namespace and the agent's true places need root."
    done = subprocess.run(["unshare", "-nm", "true"], capture_output=True)
    return "" if done.returncode == 0 else "A network namespace cannot be made here."


class OwnMachine:
    """The machine, and how to run programs on it.

    ``address`` is where the control plane listens, inside and outside alike; ``hosts`` is the
    machine's /etc/hosts where names lead there. With ``group`` it has the group ``himds``.
    """

    def __init__(
        self,
        plane: ControlPlane,
        name: str = "own",
        address: tuple[str, int] | None = None,
        hosts: Path | None = None,
        group: bool = True,
    ) -> None:
        self.plane = plane
        self.name = name
        self.folder = short_folder()
        self._children = Children()
        etc = self.folder / "etc"
        etc.mkdir()
        (etc / "hosts").write_text(hosts.read_text() if hosts else "127.0.0.1 localhost\n::1 localhost\n")
        lines = [one for one in Path("/etc/group").read_text().splitlines() if not one.startswith("himds:")]
        if group:
            lines.append(f"himds:x:{HIMDS_GROUP}:")
        (etc / "group").write_text("\n".join(lines) + "\n")
        host, port = address or ("127.0.0.1", plane.port)
        wire = self.folder / "wire"
        self._start("outside", [sys.executable, INSIDE, "outside", wire, host, str(port)])
        words = ["unshare", "-nm", sys.executable, INSIDE, "inside", wire, host, str(port), etc]
        self._holder = self._start("inside", words).process.pid

    def _start(self, what: str, argv: list[Any], environment: dict[str, str] | None = None) -> Any:
        child = self._children.start(what, argv, self.folder / f"{what}.log", environment or ENVIRONMENT)
        if what != "himdsd":
            wait_until(what, lambda: "ready" in child.said() or None, self._children, 20)
        return child

    @property
    def inside(self) -> tuple[str, ...]:
        """Words that run a program on the machine."""
        return ("nsenter", "-t", str(self._holder), "-n", "-m", "--")

    @property
    def resource_id(self) -> str:
        return f"{self.plane.subscription}/resourceGroups/{GROUP}/providers/{MACHINES}/{self.name}"

    def run(self, *words: str | Path, environment: dict[str, str] | None = None) -> Any:
        """Run a program on the machine to its end."""
        return subprocess.run(
            [*self.inside, *words],
            env=environment or ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    def azcmagent(self, *words: str | Path) -> Any:
        """Run ``azcmagent`` on the machine."""
        return self.run(PROGRAMS / "azcmagent", *words)

    def start_daemon(self) -> Any:
        """Start ``himdsd`` and wait until it serves tokens."""
        self.daemon = self._start("himdsd", [*self.inside, PROGRAMS / "himdsd"])
        wait_until(
            "the metadata service",
            lambda: "are served at" in self.daemon.said() or None,
            self._children,
            30,
        )
        return self.daemon

    def connect(self) -> Any:
        """Connect the machine, start its agent, and return the resource."""
        admin = self.plane.admin
        content = {
            "service-principal-id": admin.client_id,
            "service-principal-secret": admin.client_secret,
            "tenant-id": admin.tenant,
        }
        write_private(self.folder / "credentials.json", json.dumps(content))
        done = self.azcmagent(
            *("connect", "--config", self.folder / "credentials.json"),
            *("--cloud", admin.url, "--ca-file", admin.ca_file, "--subscription-id", admin.subscription),
            *("--resource-group", GROUP, "--location", "local", "--resource-name", self.name),
        )
        assert done.returncode == 0, done.stdout
        self.start_daemon()
        return self.resource()

    def arm(self, method: str, path: str, version: str, body: object = None) -> Any:
        """Call ARM as the administrator, from the machine: the names that it knows may be its own."""
        admin = self.plane.data / "admin.json"
        done = self.run(sys.executable, INSIDE, "arm", admin, method, path, version, json.dumps(body))
        assert done.returncode == 0, done.stdout
        return json.loads(done.stdout)

    def resource(self) -> Any:
        """Return the machine as ARM shows it."""
        return self.arm("GET", self.resource_id, "2024-07-10")

    def allow(self, role: str = READER, scope: str = "") -> None:
        """Give the machine's identity a role; at the subscription unless told otherwise."""
        where = scope or self.plane.subscription
        definitions = f"{self.plane.subscription}/providers/Microsoft.Authorization/roleDefinitions"
        properties = {
            "roleDefinitionId": f"{definitions}/{role}",
            "principalId": self.resource()["identity"]["principalId"],
            "principalType": "ServicePrincipal",
        }
        self.arm("PUT", f"{where}/providers/{ROLES}/{uuid.uuid4()}", "2022-04-01", {"properties": properties})

    def stop(self) -> None:
        """End everything on the machine."""
        self._children.stop()
        subprocess.run(["rm", "-rf", self.folder], check=True)
