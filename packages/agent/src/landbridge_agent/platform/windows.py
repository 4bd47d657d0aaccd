"""Windows: rights by ``icacls``, ``msvcrt`` locks, a loopback socket with a key, the service manager.

Written against Microsoft's documentation and tested by what it would do; never run on Windows
(docs/windows.md). What only Windows has comes in by ``modules`` and ``run``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landbridge_agent.paths import Paths
from landbridge_agent.platform import Group, windows_facts, windows_names, windows_service
from landbridge_agent.platform.windows_socket import KeyedDoor, listen, way_in

if TYPE_CHECKING:
    import socket

    from landbridge_agent.daemon.socket_owner import Owner
    from landbridge_agent.facts.dmi import Dmi
    from landbridge_agent.facts.os_release import OsRelease
    from landbridge_agent.facts.report import Sources

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
REPARSE_POINT = 0x400
"""FILE_ATTRIBUTE_REPARSE_POINT: a link, a junction or a mount."""

COMMAND_SECONDS = 60.0
REPLACE_TRIES, REPLACE_SECONDS = 20, 0.05
"""A file that somebody reads at the moment cannot be replaced: it is tried again."""

LOCK_SECONDS = 0.05


class Held:
    """A locked byte of an open file."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def close(self) -> None:
        """Let others have it."""
        os.close(self._handle)


def _run(command: Sequence[str]) -> tuple[int, str]:
    """Run a program without a window; return its exit code and what it said."""
    try:
        done = subprocess.run(
            list(command), capture_output=True, timeout=COMMAND_SECONDS, check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1, f"{command[0]} took longer than {COMMAND_SECONDS:g} seconds"
    return done.returncode, (done.stderr or done.stdout).decode("utf-8", "replace").strip()


class Windows:
    """This system. What each method promises stands at ``platform.System``."""

    name = "windows"

    def __init__(
        self,
        modules: Callable[[str], Any] = import_module,
        run: Callable[[Sequence[str]], tuple[int, str]] = _run,
    ) -> None:
        self._modules, self._run = modules, run
        self._closed: set[Path] = set()

    def paths(self, environment: Mapping[str, str]) -> Paths:
        """Below ``ProgramData``, or the same tree elsewhere."""
        return windows_names.paths(environment)

    def is_administrator(self) -> bool:
        """Elevated, or SYSTEM."""
        return bool(self._modules("ctypes").windll.shell32.IsUserAnAdmin())

    def user(self) -> str:
        """The user's name."""
        return str(self._modules("getpass").getuser())

    # -- files --------------------------------------------------------------------------------

    def token_group(self) -> Group:
        """The original's group; whether the system has it shows when it is given rights."""
        return windows_names.TOKEN_GROUP

    def private_folder(self, folder: Path, paths: Paths, group: Group = None) -> None:
        """Close the folder, once for each process; an agent of one's own keeps its folder's rights."""
        folder.mkdir(parents=True, exist_ok=True)
        _no_link(folder)
        if paths.relocated or folder in self._closed:
            return
        for command in windows_names.close_folder(str(folder)):
            self._must(command)
        if isinstance(group, str):  # without such a group the tokens are the administrators' alone
            self._run(windows_names.share_folder(str(folder), group, inherited=folder == paths.tokens))
        self._closed.add(folder)

    def _must(self, command: Sequence[str]) -> None:
        code, said = self._run(command)
        if code:
            raise OSError(errno.EACCES, f"'{' '.join(command)}' failed ({code}): {said[:300]}")

    def write(self, path: Path, content: bytes) -> None:
        """A new file, which inherits the folder's rights, takes the old one's place."""
        _no_link(path.parent)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
        temporary.unlink(missing_ok=True)  # what a killed process of the same id has left
        try:
            with os.fdopen(os.open(temporary, NEW | BINARY, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _insist(lambda: os.replace(temporary, path))
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        _insist(lambda: path.unlink(missing_ok=True))

    def append(self, path: Path, content: bytes) -> None:
        """Add to a file that is no link."""
        _no_link(path.parent)
        if path.exists():
            _no_link(path)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | BINARY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)

    def challenge(self, path: Path, content: bytes, group: Group) -> None:
        """A new file, which inherits who may read it from the folder ``Tokens``."""
        handle = os.open(path, NEW | BINARY, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise

    def lock(self, path: Path, wait: bool) -> Held:
        """``_locking`` of the first byte; it gives up after ten seconds, so we ask again ourselves."""
        msvcrt = self._modules("msvcrt")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o600)
        while True:
            try:
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            except OSError as error:
                if not wait:
                    os.close(handle)
                    raise BlockingIOError(errno.EWOULDBLOCK, "another process has the lock") from error
                time.sleep(LOCK_SECONDS)
            else:
                return Held(handle)

    # -- processes ----------------------------------------------------------------------------

    def listen(self, path: Path) -> KeyedDoor:
        """A loopback port; the file at ``path`` says which, and holds the key that must be told."""
        return listen(path, self.write, self.remove)

    def knock(self, path: Path, seconds: float) -> tuple[socket.socket, dict[str, str]]:
        """Read the file, which only the agent and administrators can, and connect."""
        return way_in(path, seconds)

    def socket_owner(self, peer: tuple[str, int], local: tuple[str, int], deadline: float) -> Owner | None:
        """Not asked: the audit says that the program is unknown."""
        return None

    def when_stopped(self, stop: Callable[[], object]) -> None:
        """The service manager's stop, or Ctrl-C and Ctrl-Break in a console."""
        windows_service.when_stopped(stop)

    def as_service(self, run: Callable[[], int]) -> int:
        """Run as the service ``himds``, or in the foreground where nobody started us as a service."""
        return windows_service.dispatch(self._modules("ctypes"), windows_names.SERVICE, run)

    def manage_service(self, verb: str) -> int:
        """Make or remove the service by ``sc.exe``."""
        if verb == "install":
            where = self.paths(os.environ)  # noqa: TID251 - the drive is the installation's
            where.state.mkdir(parents=True, exist_ok=True)
            for command in windows_names.close_folder(str(where.state), deep=True):
                self._must(command)
            daemon = subprocess.list2cmdline([sys.executable, "-I", "-m", "landbridge_agent.daemon.main"])
            group, *rest = windows_names.install_service(daemon)
            self._run(group)  # it fails where the group is there
            for command in rest:
                self._must(command)
            return 0
        stop, delete = windows_names.remove_service()
        self._run(stop)  # it fails where it is stopped
        self._must(delete)
        return 0

    # -- the machine --------------------------------------------------------------------------

    def machine_id(self, paths: Paths) -> bytes:
        """``MachineGuid`` of the registry; an agent with a folder of its own may have ``machine-id``."""
        if paths.relocated:
            with contextlib.suppress(OSError):
                return (paths.root / "machine-id").read_bytes()[:256].strip()
        return windows_facts.machine_guid(self._modules("winreg")).encode()

    def os_release(self) -> OsRelease:
        """``ProductName`` and ``CurrentBuild`` of the registry."""
        return windows_facts.release(self._modules("winreg"))

    def hardware(self) -> Dmi:
        """What the registry has of the firmware; serial number and UUID are not asked for."""
        return windows_facts.hardware(self._modules("winreg"))

    def gather(self, hardware: Dmi, ports: Sequence[int]) -> Sources:
        """What the registry and the memory's status say; disks and networks are left out."""
        return windows_facts.gather(self._modules("winreg"), self._modules("ctypes"), hardware, ports)


def _no_link(path: Path) -> None:
    """Refuse a junction or link, by which somebody leads an administrator elsewhere."""
    found = os.lstat(path)
    if path.is_symlink() or getattr(found, "st_file_attributes", 0) & REPARSE_POINT:
        raise OSError(errno.ELOOP, "it is a link or junction, which the agent does not follow", str(path))


def _insist(act: Callable[[], object]) -> None:
    for left in range(REPLACE_TRIES - 1, -1, -1):
        try:
            act()
        except PermissionError:
            if not left:
                raise
            time.sleep(REPLACE_SECONDS)
        else:
            return
