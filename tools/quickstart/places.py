"""Where everything lies, and what a later run must find again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """The files of one quickstart. ``root`` is also the control plane's own data folder."""

    clone: Path
    root: Path

    @property
    def programs(self) -> Path:
        """Where the clone's programs are."""
        return self.clone / ".venv/bin"

    @property
    def agent(self) -> Path:
        """The tree of the agent, which on a real machine is ``/``."""
        return self.root / "agent"

    @property
    def sshd(self) -> Path:
        """Keys and configuration of an sshd of our own, and the login key for it."""
        return self.root / "sshd"

    @property
    def login_key(self) -> Path:
        """The private key that an sshd of our own lets in."""
        return self.sshd / "login_key"

    @property
    def ssh_config(self) -> Path:
        """The OpenSSH configuration that leads through the relay."""
        return self.root / "ssh" / "config"

    @property
    def ca_bundle(self) -> Path:
        """The public authorities and ours in one file, for clients that take only one."""
        return self.root / "ca-bundle.pem"

    @property
    def client_secret(self) -> Path:
        """The secret of the administrator's service principal alone, for ``az login -p @FILE``."""
        return self.root / "client-secret"

    @property
    def settings(self) -> Path:
        """What a later run must find again."""
        return self.root / "quickstart.json"

    def log(self, name: str) -> Path:
        """The log of a program that runs in the background."""
        return self.root / "log" / f"{name}.log"


@dataclass
class Settings:
    """The choices of the first run. ``ssh_port`` is 0 until an sshd was chosen."""

    port: int = 0
    ssh_port: int = 0
    own_sshd: bool = False


def load_settings(path: Path) -> Settings:
    """Return the settings of an earlier run, or empty ones."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return Settings()
    return Settings(**content)


def save_settings(path: Path, settings: Settings) -> None:
    """Write the settings, whole or not at all."""
    write_private(path, json.dumps(asdict(settings), indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
    beside.replace(path)
