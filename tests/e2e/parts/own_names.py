"""A control plane on port 443 under names of its own, which only its clients' /etc/hosts knows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from running import ENVIRONMENT, ControlPlane

WORDS = ("management", "adminmanagement", "login", "adfs", "graph", "portal", "relay")
PARTS = Path(__file__).parent


def unavailable() -> str:
    """Return why this cannot be done here, or nothing."""
    if os.geteuid() != 0:
        return "Port 443 and a mount namespace need root."
    done = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    return "" if done.returncode == 0 else "A mount namespace cannot be made here."


class NamedCloud:
    """The control plane, and how to run programs that see its names."""

    def __init__(self, folder: Path, address: str, domain: str, *more: str) -> None:
        self.folder = folder
        self.domain = domain
        self.hosts = folder / "hosts"
        names = " ".join(f"{word}.{domain}" for word in WORDS)
        self.hosts.write_text(f"127.0.0.1 localhost\n{address} {names}\n")
        self.plane = ControlPlane(
            folder / "data", "--listen", f"{address}:443", "--domain", domain, *more, port=443
        )

    @property
    def inside(self) -> tuple[str, ...]:
        """Words that run a program with these names."""
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return ("unshare", "-m", "sh", "-c", script, str(self.hosts))

    @property
    def visit(self) -> tuple[str | Path, ...]:
        """Words that visit a page as its administrator: a URL follows, then perhaps a user code."""
        return (
            sys.executable,
            PARTS / "web_page.py",
            self.plane.admin.ca_file,
            self.plane.data / "admin.json",
        )

    def browser(self, deny: bool = False) -> Path:
        """Return a program for ``BROWSER``: Python waits for it, so the visit goes on behind it."""
        path = self.folder / ("browser-deny" if deny else "browser")
        words = " ".join(f"'{word}'" for word in self.visit)
        more = "'' deny" if deny else ""
        path.write_text(f"#!/bin/sh\n{words} \"$1\" {more} >>'{self.folder}/browser.log' 2>&1 </dev/null &\n")
        path.chmod(0o700)
        return path

    def enter(self, url: str, code: str) -> str:
        """Visit the page for user codes; return what the last page says."""
        done = subprocess.run(
            [*self.inside, *self.visit, url, code],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
