"""The way from nothing to a login over the relay, step by step."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from quickstart.cloud import Admin, Cloud, read_admin
from quickstart.machine import GROUP, Machine
from quickstart.places import Places, Settings, load_settings, save_settings, write_private
from quickstart.ports import LOOPBACK, find_free, is_free
from quickstart.programs import Children, Failed, wait_until
from quickstart.sshd import ensure_sshd
from quickstart.steps import step

START_SECONDS = 60.0
CONNECTIVITY = "Microsoft.HybridConnectivity"


class Journey:
    """One run. What it started is in ``children``, also when a step fails."""

    def __init__(
        self, places: Places, environment: Mapping[str, str], children: Children, preferred_port: int
    ) -> None:
        self.places = places
        self.children = children
        # No proxy stands between this machine and itself, whatever the environment says.
        local = ",".join(filter(None, ["localhost,127.0.0.1", environment.get("NO_PROXY", "")]))
        self.environment = {**environment, "NO_PROXY": local, "no_proxy": local}
        self.settings = load_settings(places.settings)
        self.machine = Machine(places, self.environment)
        self.already_connected = False
        self._preferred_port = preferred_port

    def travel(self) -> Admin:
        """Take every step; return where the cloud is.

        Raises:
            StepFailed: a step failed.
        """
        with step("start the control plane"):
            admin = self._start_control_plane()
        with step("make a resource group and register " + CONNECTIVITY):
            self._prepare_cloud(admin)
        with step("make sure of an sshd on loopback"):
            ensure_sshd(self.places, self.settings, self.children, self.environment)
            save_settings(self.places.settings, self.settings)
        with step("start the agent"):
            self.machine.start_daemon(self.children)
            self.machine.allow_port(self.settings.ssh_port)
        with step("connect this machine"):
            self.already_connected = not self.machine.connect(admin)
        with step("wait until it is Connected"):
            self.machine.wait_connected(self.children)
        with step("write an OpenSSH configuration"):
            self.machine.write_ssh_config(self.settings, self.children)
        with step("log in over the relay"):
            self.machine.log_in()
        return admin

    def _start_control_plane(self) -> Admin:
        port = self._choose_port(self.settings)
        argv: list[str | Path] = [self.places.programs / "landbridge", "up", "--data", self.places.root]
        child = self.children.start(
            "landbridge",
            [*argv, "--listen", f"{LOOPBACK}:{port}"],
            self.places.log("landbridge"),
            self.environment,
        )

        def ready() -> bool | None:
            return (
                True if any(line.startswith("ready https://") for line in child.said().splitlines()) else None
            )

        wait_until("its line 'ready https://...'", ready, self.children, START_SECONDS)
        admin = read_admin(self.places.root / "admin.json")
        self.settings.port = urlsplit(admin.url).port or port
        save_settings(self.places.settings, self.settings)
        self._write_for_az(admin)
        return admin

    def _choose_port(self, settings: Settings) -> int:
        if not settings.port:
            return find_free(self._preferred_port)
        if not is_free(settings.port):
            raise Failed(
                f"Another program listens on port {settings.port}, where this cloud was made. "
                f"End it, or remove {self.places.root} to begin anew on another port."
            )
        return settings.port

    def _prepare_cloud(self, admin: Admin) -> None:
        cloud = Cloud(admin)
        cloud.sign_in()
        cloud.make_group(GROUP)
        cloud.register_provider(CONNECTIVITY)
        wait_until(
            f"{CONNECTIVITY} to be registered",
            lambda: cloud.provider_ready(CONNECTIVITY),
            self.children,
            START_SECONDS,
        )

    def _write_for_az(self, admin: Admin) -> None:
        public = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
        known = Path(public).read_text() if Path(public).exists() else ""
        write_private(self.places.ca_bundle, known + "\n" + admin.ca_file.read_text())
        write_private(self.places.client_secret, admin.client_secret)
