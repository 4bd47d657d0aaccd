"""The ssh that is run: its arguments, what it trusts, and the proxy that it runs."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from azure.cli.core.azclierror import InvalidArgumentValueError, ValidationError

PROXY = Path(__file__).with_name("sshproxy.py")
HOST_KEYS = "sshHostKeys:"
"""The property of a machine under which its agent reports the host keys of each port."""


def port_of(text: str | None) -> int:
    """Return the port that was given, or 22.

    Raises:
        CLIError: it is none.
    """
    if text is None:
        return 22
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise InvalidArgumentValueError(f"--port {text} is not a port between 1 and 65535.")
    return int(text)


def ssh_program(folder: str | None) -> str:
    """Return the path of ssh.

    Raises:
        CLIError: there is none.
    """
    found = shutil.which("ssh", path=folder) if folder else shutil.which("ssh")
    if found is None:
        where = f"in {folder}" if folder else "on the PATH"
        raise ValidationError(f"There is no ssh {where}: install OpenSSH.")
    return found


def ca_file() -> str:
    """Return the file whose roots az trusts: the proxy trusts the same."""
    import certifi

    return os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where()  # noqa: TID251 - as az reads it


def relay_text(relay: Any) -> str:
    """Return relay information as sshProxy reads it."""
    return base64.b64encode(json.dumps({"relay": relay}).encode()).decode()


def proxy_command(port: int, file: Path | None = None) -> str:
    """Return the ProxyCommand: az's own Python with the proxy of this extension."""
    words = f'"{sys.executable}" -ISE "{PROXY}" -p {port}'
    return words + (f' -r "{file}"' if file else "")


def known_hosts(found: Any, port: int) -> str:
    """Return the host keys that the machine's agent reported, as lines of known_hosts; empty if none."""
    reported = found.get("properties", {}).get("detectedProperties") or {}
    alias = host_key_alias(found)
    return "".join(f"{alias} {line}\n" for line in str(reported.get(f"{HOST_KEYS}{port}", "")).splitlines())


def host_key_alias(found: Any) -> str:
    """Return the name under which a machine's host keys are known."""
    return str(found["id"]).lower()


def host_key_options(found: Any, file: Path | None) -> list[tuple[str, str]]:
    """Return the options that have ssh believe the reported host keys and no others.

    Without any, ssh asks as it always does, and remembers under the machine's id.
    """
    alias = [("HostKeyAlias", host_key_alias(found))]
    if file is None:
        return alias
    strict = [("UserKnownHostsFile", f'"{file}"'), ("StrictHostKeyChecking", "yes"), ("UpdateHostKeys", "no")]
    return alias + strict


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def run(argv: list[str], environment: dict[str, str]) -> None:
    """Become ssh; where a process cannot, run it and end with its exit code. Does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execve(argv[0], argv, environment)  # noqa: S606 - this is the whole purpose
    import subprocess

    sys.exit(subprocess.call(argv, env=environment))
