"""Linux: users and modes, ``flock``, a Unix socket, signals, ``/proc`` and ``/sys``."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import grp
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from landbridge_agent import folders
from landbridge_agent.daemon import socket_owner
from landbridge_agent.local_socket import short_path
from landbridge_agent.paths import Paths, paths_from
from landbridge_agent.platform import Answered, Group, NotSupported

if TYPE_CHECKING:
    from landbridge_agent.daemon.socket_owner import Owner
    from landbridge_agent.facts.dmi import Dmi
    from landbridge_agent.facts.os_release import OsRelease
    from landbridge_agent.facts.report import Sources

GROUP = "himds"
MACHINE_ID = ("etc/machine-id", "var/lib/dbus/machine-id")


class Held:
    """A lock file that is held open."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def close(self) -> None:
        """Let others have it."""
        os.close(self._handle)


class UnixDoor:
    """A Unix socket, 0600 in a 0700 folder: the kernel says who may ask."""

    def __init__(self, path: Path, listening: socket.socket) -> None:
        self._path, self._socket = path, listening

    async def serve(
        self, answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Answered], limit: int
    ) -> asyncio.Server:
        """Hand each connection to ``answer``."""
        return await asyncio.start_unix_server(answer, sock=self._socket, limit=limit)

    def admits(self, message: Mapping[str, object]) -> bool:
        """Whoever could connect may ask."""
        return True

    def close(self) -> None:
        """Remove the socket's name."""
        with contextlib.suppress(OSError):
            self._path.unlink()


class Linux:
    """This system. What each method promises stands at ``platform.System``."""

    name = "linux"

    def paths(self, environment: Mapping[str, str]) -> Paths:
        """``/var/opt/azcmagent`` and the like, or the same tree elsewhere."""
        return paths_from(environment)

    def is_administrator(self) -> bool:
        """Root."""
        return os.geteuid() == 0

    def user(self) -> str:
        """The user's number."""
        return str(os.getuid())

    # -- files --------------------------------------------------------------------------------

    def token_group(self) -> Group:
        """``himds``, where the system has it."""
        try:
            return grp.getgrnam(GROUP).gr_gid
        except KeyError:
            return None

    def private_folder(self, folder: Path, paths: Paths, group: Group = None) -> None:
        """Mode 0700, or 0750 where a group may look into it, if it is ours to say so."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
            made = True
        except FileExistsError:  # also when another of our programs makes it at this moment
            made = False
        with folders.opened(folder) as handle:
            if made and os.geteuid() == 0:
                above = folder.parent.stat()
                os.fchown(handle, above.st_uid, above.st_gid)
            found, mode = os.fstat(handle), 0o700 if group is None else 0o750
            if found.st_mode & 0o077 & ~mode and folder != paths.root:
                os.fchmod(handle, found.st_mode & mode)
            if isinstance(group, int):
                _share(handle, found, group)

    def write(self, path: Path, content: bytes) -> None:
        """A new file is renamed over the old one; it belongs to whom its folder belongs to."""
        temporary = f".{path.name}.{os.getpid()}.new"
        with folders.opened(path.parent) as folder:
            _unlink(temporary, folder)  # what a killed process of the same id has left
            # Always a new file: one that lies there may be somebody else's, under a second name.
            handle = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder
            )
            try:
                with os.fdopen(handle, "wb") as file:
                    _give_to_owner(handle, folder)
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                _unlink(temporary, folder)
                raise
            os.fsync(folder)

    def remove(self, path: Path) -> None:
        """Remove a name, and have the folder know it."""
        try:
            with folders.opened(path.parent) as folder:
                os.unlink(path.name, dir_fd=folder)
                os.fsync(folder)
        except FileNotFoundError:
            return

    def append(self, path: Path, content: bytes) -> None:
        """Root appends where the daemon's user may have put a link to another file."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with folders.opened(path.parent) as folder:
            handle = os.open(path.name, flags, 0o600, dir_fd=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(content)

    def challenge(self, path: Path, content: bytes, group: Group) -> None:
        """Mode 0440, of the daemon's user and the group; 0400 where it cannot be given to it."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), 0o440 if _give(file.fileno(), group) else 0o400)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise

    def lock(self, path: Path, wait: bool) -> Held:
        """``flock(2)``."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BaseException:
            os.close(handle)
            raise
        return Held(handle)

    # -- processes ----------------------------------------------------------------------------

    def listen(self, path: Path) -> UnixDoor:
        """A Unix socket, 0600; a stale one is replaced."""
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                with short_path(path) as name:
                    server.bind(name)
            finally:
                os.umask(before)
            server.listen(16)
            server.setblocking(False)
        except OSError:
            server.close()
            raise
        return UnixDoor(path, server)

    def knock(self, path: Path, seconds: float) -> tuple[socket.socket, dict[str, str]]:
        """Connect; nothing has to be proven in words."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.settimeout(seconds)
            with short_path(path) as name:
                client.connect(name)
        except OSError:
            client.close()
            raise
        return client, {}

    def socket_owner(self, peer: tuple[str, int], local: tuple[str, int], deadline: float) -> Owner | None:
        """The kernel tells."""
        return socket_owner.socket_of(peer, local, deadline)

    def when_stopped(self, stop: Callable[[], object]) -> None:
        """SIGTERM and SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)

    def as_service(self, run: Callable[[], int]) -> int:
        """In the foreground: systemd or the init script does the rest."""
        return run()

    def manage_service(self, verb: str) -> int:
        """The package has done that."""
        raise NotSupported(
            f"The package and 'service himds' manage the service here; there is no 'himdsd {verb}'."
        )

    # -- the machine --------------------------------------------------------------------------

    def machine_id(self, paths: Paths) -> bytes:
        """``/etc/machine-id``; an agent with a folder of its own may have one there."""
        roots = (paths.root, paths.root.__class__("/")) if paths.relocated else (paths.root,)
        for root in roots:
            for place in MACHINE_ID:
                with contextlib.suppress(OSError):
                    text = (root / place).read_bytes()[:256].strip()
                    if text:
                        return text
        return b""

    def os_release(self) -> OsRelease:
        """``/etc/os-release``."""
        from landbridge_agent.facts import os_release

        return os_release.read()

    def hardware(self) -> Dmi:
        """``/sys/class/dmi/id``."""
        from landbridge_agent.facts import dmi

        return dmi.read()

    def gather(self, hardware: Dmi, ports: Sequence[int]) -> Sources:
        """``/proc``, ``/sys`` and the programs that know."""
        from landbridge_agent.facts import linux

        return linux.gather(hardware, ports)


def _unlink(name: str, folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _give_to_owner(handle: int, folder: int) -> None:
    """Let a file that root writes belong to whom its folder belongs to: the daemon reads it, too."""
    if os.geteuid() == 0:
        owner = os.fstat(folder)
        os.fchown(handle, owner.st_uid, owner.st_gid)


def _share(folder: int, found: os.stat_result, group: int) -> None:
    """Let a group look into a folder; where we are neither root nor a member, it stays our own."""
    if found.st_gid == group and found.st_mode & 0o777 == 0o750:
        return
    try:
        os.fchown(folder, -1, group)
    except PermissionError:
        os.fchmod(folder, 0o700)
    else:
        os.fchmod(folder, 0o750)


def _give(handle: int, group: Group) -> bool:
    """Give a file to the group; say whether its group may read it."""
    if not isinstance(group, int):
        return True  # it is our own user's group: root's, with the agent in its usual place
    try:
        os.fchown(handle, -1, group)
    except PermissionError as error:
        if error.errno not in (errno.EPERM, errno.EACCES):
            raise
        return False  # neither root nor a member: our group may be anybody's
    return True
