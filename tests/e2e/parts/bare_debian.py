"""A Debian of its own over this one: what is written there never reaches this computer.

Its root is an overlay in memory, its processes are its own and end with it; it has this
computer's network, so that apt-get works. Needs root; ``unavailable`` says if it cannot be.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from running import short_folder

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LEFT_OUT = ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "PATH", "VIRTUAL_ENV", "PYTHONPATH")

MAKE = """
set -e
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --bind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount -t tmpfs tmpfs "$1/root/tmp"
rm -rf "$1/root/var/opt/azcmagent" "$1/root/etc/opt/azcmagent"
echo ready
exec chroot "$1/root" sh -c 'while :; do sleep 3600 & wait $!; done'  # as process 1 it buries the others
"""


def unavailable() -> str:
    """Return why this cannot be done here, or nothing."""
    if os.geteuid() != 0:
        return "A root of its own needs root."
    if not shutil.which("apt-get") or not shutil.which("start-stop-daemon"):
        return "This is no Debian."
    folder = short_folder()
    script = MAKE.replace("exec chroot", "exit 0; exec chroot")
    done = subprocess.run(["unshare", "-mpf", "sh", "-c", script, "sh", folder], capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)
    return "" if done.stdout == b"ready\n" else f"An overlay cannot be mounted here: {done.stderr!r}"


class BareDebian:
    """The system, and how to run programs in it."""

    def __init__(self) -> None:
        self.folder = short_folder()
        words = ["unshare", "-mpf", "--kill-child", "sh", "-c", MAKE, "sh", str(self.folder)]
        self._holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        pid = self._holder.pid
        self._inside = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        self.environment = {name: text for name, text in os.environ.items() if name not in LEFT_OUT}
        self.environment["PATH"] = PATH

    def run(self, *words: str, stdin: str = "", more: dict[str, str] | None = None) -> Any:
        """Run a program to its end; stdout and stderr come back together."""
        return subprocess.run(
            ["nsenter", "-t", self._inside, "-m", "-p", "-r", "-w", "--", *words],
            env={**self.environment, **(more or {})},
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )

    def sh(self, script: str) -> Any:
        """Run a line of shell."""
        return self.run("sh", "-c", script)

    def write(self, path: str, content: str) -> None:
        """Write a file there, for root alone."""
        done = self.run("sh", "-c", f"umask 077; cat > {path}", stdin=content)
        assert done.returncode == 0, done.stdout

    def stop(self) -> None:
        """End everything that runs there, and forget it."""
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)
