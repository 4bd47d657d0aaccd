"""The real programs as processes, each in a folder of its own: what the end-to-end tests drive."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quickstart.cloud import Admin, read_admin
from quickstart.places import Places, Settings, write_private
from quickstart.ports import find_free
from quickstart.programs import Child, Children, wait_until
from quickstart.sshd import ensure_sshd, user_name

CLONE = Path(__file__).resolve().parents[3]
PROGRAMS = CLONE / ".venv/bin"
GROUP = "servers"
MACHINES = "Microsoft.HybridCompute/machines"
START_SECONDS = 60.0

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("LANDBRIDGE_", "AZURE_"))},
    "NO_PROXY": "localhost,127.0.0.1",
    "no_proxy": "localhost,127.0.0.1",
}


def short_folder() -> Path:
    """Return a new folder with a path short enough for the agent's socket."""
    return Path(tempfile.mkdtemp(prefix="lb-"))


class Answer:
    """What ARM answered."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body


class ControlPlane:
    """A ``landbridge up`` of its own; it can be killed and started again on the same port."""

    def __init__(self, folder: Path, *more: str, port: int = 0) -> None:
        self.data = folder
        self.port = port or find_free()
        self.more = more
        self._children = Children()
        self.child = self.start()
        self.admin: Admin = read_admin(folder / "admin.json")
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(self.admin.ca_file))),
        )
        self._token = ""

    @property
    def subscription(self) -> str:
        return f"/subscriptions/{self.admin.subscription}"

    @property
    def password(self) -> str:
        return str(json.loads((self.data / "admin.json").read_text())["password"])

    def start(self, more: dict[str, str] | None = None) -> Child:
        """Start it and wait until it is ready; ``more`` joins its environment."""
        argv = [PROGRAMS / "landbridge", "up", "--data", self.data, "--listen", f"127.0.0.1:{self.port}"]
        argv += self.more
        log = self.data / f"up-{len(list(self.data.glob('up-*.log')))}.log"
        self.child = self._children.start("landbridge", argv, log, {**ENVIRONMENT, **(more or {})})

        def ready() -> bool | None:
            lines = self.child.said().splitlines()
            return True if any(line.startswith("ready https://") for line in lines) else None

        wait_until("landbridge to be ready", ready, self._children, START_SECONDS)
        return self.child

    def kill(self) -> None:
        """End it as a power cut would, and forget it."""
        self.child.process.send_signal(signal.SIGKILL)
        self.child.process.wait()
        self._children = Children()

    def stop(self) -> None:
        self._children.stop()

    def landbridge(self, *words: str) -> str:
        """Run a verb of ``landbridge`` on this control plane's data and return its stdout."""
        argv = [PROGRAMS / "landbridge", *words, "--data", self.data]
        return subprocess.run(argv, env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True).stdout

    def arm(
        self, method: str, path: str, body: object = None, version: str = "2022-09-01", token: str = ""
    ) -> Answer:
        """Call ARM as the administrator, or with another token."""
        if not self._token:
            self._token = self.token(self.admin.client_id, self.admin.client_secret)
        request = urllib.request.Request(f"{self.admin.url}{path}?api-version={version}", method=method)
        request.add_header("Authorization", f"Bearer {token or self._token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        return self._answer(request)

    def machine(self, name: str) -> Answer:
        """GET a machine of the group that the tests share."""
        path = f"{self.subscription}/resourceGroups/{GROUP}/providers/{MACHINES}/{name}"
        return self.arm("GET", path, version="2024-07-10")

    def prepare(self) -> None:
        """Make the group that the tests share, and register what SSH needs."""
        assert (
            self.arm("PUT", f"{self.subscription}/resourceGroups/{GROUP}", {"location": "local"}).status < 300
        )
        provider = f"{self.subscription}/providers/Microsoft.HybridConnectivity"
        assert self.arm("POST", f"{provider}/register").status == 200

        def registered() -> bool | None:
            return self.arm("GET", provider).body["registrationState"] == "Registered" or None

        wait_until("Microsoft.HybridConnectivity", registered, self._children, 15)

    def token(self, client_id: str, secret: str) -> str:
        """Sign in as a service principal and return its access token."""
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": f"{self.admin.url}/.default",
        }
        url = f"{self.admin.url}/{self.admin.tenant}/oauth2/v2.0/token"
        request = urllib.request.Request(url, data=urllib.parse.urlencode(form).encode(), method="POST")
        answer = self._answer(request)
        assert answer.status == 200, answer.body
        return str(answer.body["access_token"])

    def _answer(self, request: urllib.request.Request) -> Answer:
        try:
            with self.opener.open(request, timeout=30) as reply:
                text = reply.read()
                return Answer(reply.status, json.loads(text) if text else None)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
                return Answer(error.code, json.loads(text) if text else None)


class Agent:
    """An agent with a tree of its own: ``azcmagent`` by call, ``himdsd`` in the background."""

    def __init__(self, cloud: ControlPlane, name: str) -> None:
        self.cloud = cloud
        self.name = name
        self.root = short_folder()
        self.environment = {**ENVIRONMENT, "LANDBRIDGE_AGENT_ROOT": str(self.root)}
        self._children = Children()
        self.daemon: Child | None = None

    def run(self, *words: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run ``azcmagent``."""
        argv = [PROGRAMS / "azcmagent", *words]
        return subprocess.run(
            argv,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )

    def credentials(self, client_id: str = "", secret: str = "") -> Path:
        """Write a ``--config`` file: the administrator's service principal, or another."""
        admin = self.cloud.admin
        path = self.root / "credentials.json"
        content = {
            "service-principal-id": client_id or admin.client_id,
            "service-principal-secret": secret or admin.client_secret,
            "tenant-id": admin.tenant,
        }
        write_private(path, json.dumps(content))
        return path

    def connect(self, *more: str | Path, config: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Connect with the flags that the tests share; ``more`` comes last."""
        admin = self.cloud.admin
        return self.run(
            *("connect", "--config", config or self.credentials()),
            *("--cloud", admin.url, "--ca-file", admin.ca_file, "--subscription-id", admin.subscription),
            *("--resource-group", GROUP, "--location", "local", "--resource-name", self.name),
            *more,
        )

    def show(self) -> dict[str, Any]:
        done = self.run("show", "-j")
        assert done.returncode == 0, done.stdout
        content: dict[str, Any] = json.loads(done.stdout)
        return content

    def start_daemon(self) -> Child:
        log = self.root / f"daemon-{len(list(self.root.glob('daemon-*.log')))}.log"
        self.daemon = self._children.start("himdsd", [PROGRAMS / "himdsd"], log, self.environment)
        return self.daemon

    def kill_daemon(self) -> None:
        """End himdsd as a power cut would, and forget it."""
        assert self.daemon is not None
        self.daemon.process.send_signal(signal.SIGKILL)
        self.daemon.process.wait()
        self._children = Children()

    def wait_connected(self, seconds: float = 60) -> None:
        """Wait until both sides say Connected."""

        def connected() -> bool | None:
            if self.show()["status"] != "Connected":
                return None
            return self.cloud.machine(self.name).body["properties"]["status"] == "Connected" or None

        wait_until(f"{self.name} to be Connected", connected, self._children, seconds)

    def stop(self) -> None:
        self._children.stop()
        shutil.rmtree(self.root)


class Sshd:
    """A real sshd on loopback, with a login key for it."""

    def __init__(self) -> None:
        self.places = Places(CLONE, short_folder())
        self._children = Children()
        settings = Settings(own_sshd=True)
        ensure_sshd(self.places, settings, self._children, ENVIRONMENT)
        self.port = settings.ssh_port
        self.key = self.places.login_key

    def stop(self) -> None:
        self._children.stop()
        shutil.rmtree(self.places.root)


class Connection:
    """A machine reached over the relay: what ``landbridge ssh-config`` printed, and our login key."""

    def __init__(self, agent: Agent, sshd: Sshd) -> None:
        self.agent = agent
        self.sshd = sshd
        self.host = agent.name
        text = self._ssh_config()
        self.config = agent.root / "ssh_config"
        self.config.write_text(f'{text}Host *\n    IdentityFile "{sshd.key}"\n    IdentitiesOnly yes\n')

    def _ssh_config(self) -> str:
        words = ["ssh-config", "--resource-group", GROUP, "--name", self.host]
        words += ["--port", str(self.sshd.port), "--user", user_name()]

        def printed() -> str | None:
            try:
                return self.agent.cloud.landbridge(*words)
            except subprocess.CalledProcessError:
                return None  # the agent has not reported sshd's host keys yet

        return wait_until("landbridge ssh-config", printed, Children(), 30)

    @property
    def ssh_command(self) -> list[str]:
        return ["ssh", "-F", str(self.config), "-o", "BatchMode=yes"]

    def ssh(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run_client([*self.ssh_command, self.host, *words])


def run_client(argv: Sequence[str | Path], seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a client program and return what it said."""
    return subprocess.run(
        argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
    )


def kill_and_wait(process: subprocess.Popen[bytes]) -> None:
    """End a client that a test has left running."""
    if process.poll() is None:
        process.kill()
    process.wait()
