"""The machine as resources see it: its files, its accounts, and its own programs."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from landbridge_agent.guest.files import FileRefused, Files
from landbridge_agent.work.tree import WORK_ID

PROGRAM_SECONDS = 300.0
INSTALL_SECONDS = 1800.0
TAIL = 4096
"""How much of what a program says is looked at: the end, in bytes."""

OWN_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
}


class Ran(NamedTuple):
    """How a program ended (negative: by a signal), and the end of what it said."""

    code: int
    out: str
    err: str

    @property
    def why(self) -> str:
        """What it said last, on one line, for a reason."""
        lines = (self.err or self.out).strip().splitlines()
        return lines[-1].strip()[:300] if lines else f"it ended with {self.code}"


class NoProgram(Exception):
    """A program is not installed, or did not end in time."""


class System:
    """What there is to configure below ``root``.

    ``relocated``: the root is not the machine's, so nothing of the machine itself is changed.
    ``scripts``: whether this machine's administrator lets scripts of configurations run.
    """

    def __init__(
        self,
        root: Path,
        *,
        relocated: bool,
        scripts: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.root, self.relocated, self.scripts = root, relocated, scripts
        self.files = Files(root)
        self.environment = {**(environment or {}), **OWN_ENVIRONMENT}

    def run(
        self,
        argv: Sequence[str],
        *,
        seconds: float = PROGRAM_SECONDS,
        more: Mapping[str, str] | None = None,
        given: str = "",
        to_stay: bool = False,
    ) -> Ran:
        """Run a program to its end; ``given`` is its standard input, which is where secrets go.

        ``to_stay``: what it leaves running is to go on, without the bounds of an evaluation.

        Raises:
            NoProgram: it is not there, or took too long.
        """
        environment = {**self.environment, **(more or {})}
        if to_stay:
            environment.pop(WORK_ID, None)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                code = _call(list(argv), given, environment, seconds, out, err, to_stay=to_stay)
            except FileNotFoundError:
                raise NoProgram(f"{argv[0]} is not installed on this machine.") from None
            except subprocess.TimeoutExpired:
                raise NoProgram(f"{argv[0]} did not end within {seconds:g} seconds.") from None
            except OSError as error:
                raise NoProgram(f"{argv[0]} cannot be run: {error.strerror or error}.") from error
            return Ran(code, _tail(out), _tail(err))

    def rows(self, path: str) -> list[list[str]]:
        """Return the lines of a table such as /etc/passwd, split at ``:``; none where there is no file.

        Raises:
            FileRefused: it cannot be read.
        """
        if self.files.look(path) is None:
            return []
        lines = self.files.read(path).decode("utf-8", "surrogateescape").splitlines()
        return [line.split(":") for line in lines if line and not line.startswith("#")]

    def number_of(self, table: str, name: str) -> int:
        """Return the number of a user (``passwd``) or group (``group``), which may be given as one.

        Raises:
            FileRefused: there is none of that name.
        """
        if name.isdecimal():
            return int(name)
        for row in self.rows(f"/etc/{table}"):
            if row[0] == name and len(row) > 2 and row[2].isdecimal():
                return int(row[2])
        word = {"passwd": "user", "group": "group"}[table]
        raise FileRefused(f"There is no {word} '{name}' on this machine.")

    def name_of(self, table: str, number: int) -> str:
        """Return the name of a user or group; its number where it has none."""
        for row in self.rows(f"/etc/{table}"):
            if len(row) > 2 and row[2] == str(number):
                return row[0]
        return str(number)


def _call(
    argv: list[str],
    given: str,
    environment: Mapping[str, str],
    seconds: float,
    out: IO[bytes],
    err: IO[bytes],
    *,
    to_stay: bool,
) -> int:
    """Run it in a session of its own, which ends with it if its time is over."""
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=err,
        cwd="/",
        env=environment,
        start_new_session=True,
        preexec_fn=_unbound if to_stay else None,
    ) as process:
        try:
            process.communicate(given.encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode


def _unbound() -> None:
    """Take the bounds of an evaluation off this process, as far as it may; for the child."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, 2)
    file.seek(max(0, size - TAIL))
    return file.read().decode("utf-8", "replace")
