"""What all operations on extensions share: the task, the records, where packages come from, and the lock.

One operation at a time works on a machine's extensions; ``azcmagent`` and the worker take turns.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from landbridge_agent.extensions import built_in, files, machine_key, packages
from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.extensions.handler_folder import HandlerFolder
from landbridge_agent.extensions.machine_key import MachineCertificate
from landbridge_agent.extensions.names import Handler, fits, version_key
from landbridge_agent.extensions.packages import Source
from landbridge_agent.extensions.records import Record, Records
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.work.task import Task
from landbridge_wire.work_api import ExtensionPackage

LOCK = ".lock"
LOOK_SECONDS = 0.2


class Busy(Exception):
    """Another operation works on this machine's extensions."""


@dataclass
class Context:
    """One operation's surroundings. ``pause`` waits between tries (seconds)."""

    task: Task
    source: Source
    pause: Callable[[float], None] = time.sleep
    first_status_seconds: float = 5.0
    """How long a handler that ended well is waited for to say anything at all."""
    idle_seconds: float = 300.0
    """How long a handler may say 'transitioning' when nothing that it started runs any more."""
    records: Records = field(init=False)

    def __post_init__(self) -> None:
        self.records = Records(self.task.paths.extensions)

    @property
    def now(self) -> float:
        """The time (unix seconds)."""
        return self.task.clock()

    def certificate(self) -> MachineCertificate:
        """Return the certificate for protected settings.

        Raises:
            OSError: it cannot be made.
        """
        return machine_key.obtain(self.task.paths.extensions, self.now)

    def folder(self, handler: Handler) -> HandlerFolder:
        """Return the folder of a handler, whether it exists or not.

        The built-in handler's is renewed: the interpreter that it names may have moved.
        """
        folder = HandlerFolder(self.task.paths, handler)
        if handler.key == built_in.CUSTOM_SCRIPT.key and folder.exists:
            built_in.write(folder.path, sys.executable)
        return folder

    @property
    def owner(self) -> str:
        """Who this machine is in the cloud: what it did for an earlier identity was done for another."""
        try:
            config = Machine(self.task.paths).config()
        except StateError:
            return ""
        return config.principalId if config is not None else ""

    def say(self, record: Record, what: str, outcome: str) -> None:
        """Note an event in the history of a record."""
        self.records.note(record, what, outcome, self.now)

    def choose(self, wanted: Handler, least: str, installed: Handler | None) -> Choice:
        """Return which version to have: the best there is, or what is here where nothing better is.

        ``least`` is the lowest version that will do, ``installed`` one that is here and will do.

        Raises:
            ExtensionFailed: there is none.
        """
        own = built_in.CUSTOM_SCRIPT
        if wanted.key == own.key and fits(own.version, wanted.version) and _reaches(own.version, least):
            return Choice(own, None)
        good = installed
        try:
            package = packages.find(self.source, wanted, self.pause)
            if not _reaches(package.version, least):
                raise ExtensionFailed(
                    f"ExtensionNotFound: this cloud has {wanted.full_name} {package.version}, not {least}."
                )
        except ExtensionFailed:
            if good is None or not _reaches(good.version, least):
                raise
            return Choice(good, None)
        found = Handler(package.publisher, package.type, package.version)
        if good is not None and version_key(good.version) >= version_key(found.version):
            return Choice(good, None)
        return Choice(found, package)

    def unpack(self, choice: Choice) -> HandlerFolder:
        """Have the chosen handler's folder; nothing is run.

        Raises:
            ExtensionFailed: its package cannot be had or is not one.
        """
        folder = self.folder(choice.handler)
        if choice.handler == built_in.CUSTOM_SCRIPT:
            built_in.write(folder.path, sys.executable)
        elif not folder.exists:
            package = choice.package or packages.find(self.source, choice.handler, self.pause)
            packages.install(self.source, package, folder.path, self.now, self.pause)
        return folder

    @contextlib.contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Hold the lock; what a killed operation left half made is gone when this begins.

        Raises:
            Busy: another operation held it for that many seconds.
        """
        folder = self.task.paths.extensions
        with locked(folder, seconds):
            files.sweep(folder)
            files.sweep(folder / ".records")
            yield


@dataclass(frozen=True)
class Choice:
    """A handler in one version, and the package to get it from, where it is not here yet."""

    handler: Handler
    package: ExtensionPackage | None


def _reaches(version: str, least: str) -> bool:
    return fits(version, least) or version_key(version) >= version_key(least)


@contextlib.contextmanager
def locked(folder: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of a folder of extensions.

    Raises:
        Busy: somebody else held it for that many seconds.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    handle = os.open(folder / LOCK, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Busy("Another operation works on this machine's extensions.") from None
                time.sleep(LOOK_SECONDS)
        yield
    finally:
        os.close(handle)
