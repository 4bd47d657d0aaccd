"""``azcmagent logs``: everything that whoever helps needs to see, in one archive; no secrets.

Keys, certificates and challenge files are never read; a proxy's password is masked.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.flags import Flag
from landbridge_agent.codes import AgentError
from landbridge_agent.logline import timestamp
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.paths import Paths
from landbridge_agent.redaction import without_credentials
from landbridge_agent.version import AGENT_VERSION

NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""Windows has no such flag, and would otherwise change line ends."""

JOURNAL_SECONDS = 20
JOURNAL_LINES = "5000"
MAX_LOG = 64 * 1024 * 1024
"""Of a larger file the last bytes are taken."""


def run(call: Call) -> int:
    """Write the archive and print where it is."""
    stamp = timestamp(call.clock()).replace(":", "").replace("-", "").replace("T", "-").rstrip("Z")
    name = call.values.text("output") or f"azcmagent-{stamp}-{socket.gethostname()}.zip"
    target = Path(name).absolute()
    if call.values.arguments:
        raise AgentError(23, f"Unexpected argument '{call.values.arguments[0]}'.")
    if target.is_dir():
        raise AgentError(23, f"--output {target} is a folder; name a file.")
    call.out.info("Collecting logs...")
    try:
        listed = _write(call, target)
    except OSError as error:
        raise AgentError(106, f"{target} cannot be written: {error.strerror or error}.") from error
    if call.out.json:
        call.out.object({"file": str(target), "contents": listed})
    else:
        call.out.print(f"Logs were written to {target}")
    return 0


def _write(call: Call, target: Path) -> list[str]:
    """Write the archive for its owner alone; nothing half-written stays."""
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NOFOLLOW, 0o600)
    try:
        with (
            os.fdopen(handle, "wb") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive,
        ):
            for name, content in _contents(call):
                archive.writestr(name, content)
            return archive.namelist()
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _contents(call: Call) -> Iterator[tuple[str, bytes]]:
    full = call.values.on("full")
    for path in log_files(call.paths, full):
        content = _tail(path)
        if content is not None:
            yield str(path.relative_to(call.paths.root)), content
    yield "agent.json", _as_json({"agentVersion": AGENT_VERSION, "collectedAt": timestamp(call.clock())})
    yield from _state(call)
    if not call.paths.relocated:
        journal = _journal()
        if journal:
            yield "journal.txt", journal


def _state(call: Call) -> Iterator[tuple[str, bytes]]:
    """What the machine is and allows; of a damaged file, why it cannot be read."""
    machine = Machine(call.paths)
    try:
        config = machine.config()
        settings = machine.local_settings()
    except StateError as error:
        yield "state-error.txt", f"{error}\n".encode()
        return
    if config is not None:
        yield "agentconfig.json", _as_json(config._asdict())
    yield "localconfig.json", _as_json({name: _masked(value) for name, value in settings.items()})


def _masked(value: object) -> object:
    return without_credentials(value) if isinstance(value, str) else value


def log_files(paths: Paths, full: bool) -> list[Path]:
    """Return the logs of all components: the newest of each, or every one."""
    below = paths.guest_configuration
    folders = [paths.logs, *(below / name for name in ("arc_policy_logs", "ext_mgr_logs", "extension_logs"))]
    found = [path for folder in folders if folder.is_dir() for path in sorted(folder.rglob("*"))]
    found = [path for path in found if path.is_file() and not path.is_symlink()]
    if full:
        return found
    newest: dict[tuple[Path, str], Path] = {}
    for path in sorted(found, key=lambda one: one.stat().st_mtime):
        newest[path.parent, path.name.split(".log")[0]] = path
    return sorted(newest.values())


def _tail(path: Path) -> bytes | None:
    try:
        handle = os.open(path, os.O_RDONLY | NOFOLLOW)  # a link may have been put there since
        with os.fdopen(handle, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MAX_LOG))
            return file.read(MAX_LOG)
    except OSError:
        return None


def _journal() -> bytes:
    command = ["journalctl", "--no-pager", "-o", "short-iso", "-n", JOURNAL_LINES]
    command += ["-u", "himdsd.service", "-u", "extd.service"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=JOURNAL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout


def _as_json(value: Mapping[str, object]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


COMMAND = Command(
    name="logs",
    summary="Collect the logs of the agent in one archive",
    synopsis="""
Collects the logs of the agent, its configuration and, where there is one, the journal of its
service in a .zip file in the current folder. No keys, tokens or passwords are in it.

  azcmagent logs
  azcmagent logs --full --output "/tmp/azcmagent-logs.zip"
""",
    flags=(
        Flag("full", "f", "All logs, not only the most recent of each part", switch=True),
        Flag("output", "o", "The file to write. Defaults to azcmagent-TIME-HOST.zip in this folder"),
    ),
    run=run,
    needs_root=True,
)
