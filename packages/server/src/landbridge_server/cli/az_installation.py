"""Where an installed ``az`` keeps what decides whom it trusts: its Python's certifi, its settings.

Nothing here asks the network: ``az --version`` would.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from landbridge_server.ca.keyring import write_atomically
from landbridge_server.cli.arguments import CommandError

RECORD = "landbridge-trust.json"
SETTING = re.compile(r"^[ \t]*instance_discovery[ \t]*[=:].*$", re.MULTILINE | re.IGNORECASE)
CORE = re.compile(r"^\[core\][ \t]*$", re.MULTILINE)


def _interpreter(az: Path) -> Path | None:
    """Return the Python of an ``az`` script: its ``#!`` line, a path in it, or one beside it."""
    text = az.read_bytes()[:4096].decode(errors="replace")
    first = text.partition("\n")[0]
    named = [first[2:].strip().split(" ")[0]] if first.startswith("#!") else []
    named += re.findall(r"(/[\w./+-]*/python3?(?:\.\d+)?)\b", text)
    named += [str(az.parent / "python3"), "/opt/az/bin/python3"]
    for candidate in named:
        if "python" in Path(candidate).name and os.access(candidate, os.X_OK) and _has_az(candidate):
            return Path(candidate)
    return None


def _has_az(python: str) -> bool:
    code = "import importlib.util as u, sys; sys.exit(u.find_spec('azure.cli') is None)"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def find_python(given: Path | None) -> Path:
    """Return az's own Python: the given one, else that of the ``az`` on the PATH.

    Raises:
        CommandError: there is no az, or its Python cannot be told.
    """
    if given is not None:
        if not os.access(given, os.X_OK) or not given.is_file():
            raise CommandError(f"{given} is not a program. Give az's own Python: --python PATH.")
        return given
    found = shutil.which("az")
    if found is None:
        raise CommandError("There is no 'az' on the PATH. Install it, or give its Python: --python PATH.")
    python = _interpreter(Path(found).resolve())
    if python is None:
        raise CommandError(
            f"The Python of {found} was not found. 'az --version' says its location: --python PATH."
        )
    return python


def certifi_file(python: Path) -> Path:
    """Return the bundle that this Python's ``requests`` trusts.

    Raises:
        CommandError: this Python has no certifi, or cannot be started.
    """
    try:
        done = subprocess.run(
            [python, "-c", "import certifi; print(certifi.where())"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise CommandError(f"{python} cannot be started: {error}") from error
    path = Path(done.stdout.strip())
    if done.returncode or not path.is_file():
        raise CommandError(f"{python} has no certifi, so it is not az's Python. Give that: --python PATH.")
    return path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file again, whole or not at all; it keeps its mode and owner.

    Raises:
        CommandError: it cannot be written.
    """
    try:
        before = path.stat()
        temporary = path.with_name(path.name + ".landbridge")
        temporary.write_bytes(content)
        temporary.chmod(before.st_mode & 0o7777)
        if os.geteuid() == 0:
            os.chown(temporary, before.st_uid, before.st_gid)
        temporary.replace(path)
    except OSError as error:
        raise CommandError(
            f"{path} cannot be written ({error.strerror}). Run this as whoever installed az, or with sudo."
        ) from error


@dataclass(frozen=True)
class Settings:
    """``core.instance_discovery`` in the settings of one person's az."""

    folder: Path

    @property
    def file(self) -> Path:
        """The file that ``az config`` writes."""
        return self.folder / "config"

    def switch_off(self) -> bool:
        """Set ``core.instance_discovery=false``, remembering how the file was; say whether it changed.

        Raises:
            CommandError: the folder cannot be written.
        """
        try:
            before = self.file.read_bytes().decode() if self.file.exists() else None
            after = _with_setting(before or "")
            if after == before:
                return False
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self.folder / RECORD, json.dumps({"before": before, "after": after}).encode())
            write_atomically(self.file, after.encode())
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"The settings of az in {self.folder} cannot be changed: {error}") from error
        return True

    def restore(self) -> bool:
        """Undo ``switch_off``: byte for byte, or that one setting if others changed since.

        Raises:
            CommandError: the folder cannot be written.
        """
        record = self.folder / RECORD
        try:
            if not record.exists():
                return False
            saved = json.loads(record.read_text())
            now = self.file.read_bytes().decode() if self.file.exists() else None
            if now is not None:
                self._put_back(now, saved["before"], saved["after"])
            record.unlink()
        except (OSError, ValueError, KeyError) as error:
            raise CommandError(f"The settings of az in {self.folder} cannot be restored: {error}") from error
        return True

    def _put_back(self, now: str, before: str | None, after: str) -> None:
        if now == after and before is None:
            self.file.unlink()
        elif now == after:
            write_atomically(self.file, (before or "").encode())
        else:
            old = SETTING.search(before or "")
            text = (
                SETTING.sub(old[0], now)
                if old
                else re.sub(SETTING.pattern + r"\n?", "", now, flags=re.M | re.I)
            )
            write_atomically(self.file, text.encode())


def _with_setting(text: str) -> str:
    """Return az's settings with discovery at the public cloud switched off; the rest keeps every byte."""
    line = "instance_discovery = false"
    if re.search(r"^\s*instance_discovery\s*[=:]\s*false\s*$", text, re.MULTILINE | re.IGNORECASE):
        return text
    if SETTING.search(text):
        return SETTING.sub(line, text)
    core = CORE.search(text)
    if core:
        return text[: core.end()] + "\n" + line + text[core.end() :]
    gap = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{gap}[core]\n{line}\n"
