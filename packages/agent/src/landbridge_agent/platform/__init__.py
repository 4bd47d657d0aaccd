"""The one interface to the operating system: what Linux and Windows do differently, and nothing else.

``here()`` is the system that this process runs on. Each system is a class in a module of its own that
is imported only there, so that the daemon on Linux does not carry Windows with it. Both import
everywhere: what belongs to one system alone (``msvcrt``, ``winreg``, the Windows API) comes in by an
argument, so that tests choose. ``docs/windows.md`` says what of Windows was never run.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from landbridge_agent.paths import Paths

if TYPE_CHECKING:
    import asyncio
    import socket

    from landbridge_agent.daemon.socket_owner import Owner
    from landbridge_agent.facts.dmi import Dmi
    from landbridge_agent.facts.os_release import OsRelease
    from landbridge_agent.facts.report import Sources

Answered = Coroutine[Any, Any, None]
Group = int | str | None


class NotSupported(Exception):
    """This agent has no part for this operating system; the text says so and what there is."""


class Lock(Protocol):
    """A held lock; it also ends with the process."""

    def close(self) -> None:
        """Let others have it."""


class Door(Protocol):
    """The daemon's end of the local socket."""

    async def serve(
        self, answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Answered], limit: int
    ) -> asyncio.Server:
        """Hand each connection to ``answer``."""

    def admits(self, message: Mapping[str, object]) -> bool:
        """Say whether whoever sent this may ask."""

    def close(self) -> None:
        """Take away what showed the way here."""


class System(Protocol):
    """An operating system. Everything here may block, but not for long."""

    name: str
    """``linux`` or ``windows``, as ``osType`` has it."""

    def paths(self, environment: Mapping[str, str]) -> Paths:
        """Return where the agent keeps its files."""

    def is_administrator(self) -> bool:
        """Say whether this process may change the machine: root, or an elevated administrator."""

    def user(self) -> str:
        """Return who runs this process, for the log."""

    # -- files --------------------------------------------------------------------------------

    def token_group(self) -> Group:
        """Return the group whose members may have the machine's tokens; None where there is none."""

    def private_folder(self, folder: Path, paths: Paths, group: Group = None) -> None:
        """Make a folder for the agent and administrators alone; a ``group`` may look into it.

        Raises:
            OSError: it cannot be made, or not be closed to others.
        """

    def write(self, path: Path, content: bytes) -> None:
        """Replace a file in a private folder: whole or not at all, and on the disk when this returns.

        Raises:
            OSError: it cannot be written; what was there is there still.
        """

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there.

        Raises:
            OSError: it cannot be removed.
        """

    def append(self, path: Path, content: bytes) -> None:
        """Add to a file in a private folder, which is made if need be; links are not followed.

        Raises:
            OSError: it cannot be written.
        """

    def challenge(self, path: Path, content: bytes, group: Group) -> None:
        """Write a new file that the agent and a group can read.

        Raises:
            OSError: it cannot be written; nothing is left of it.
        """

    def lock(self, path: Path, wait: bool) -> Lock:
        """Take a lock that one process at a time can have.

        Raises:
            BlockingIOError: another has it, and we do not wait. OSError: the file cannot be opened.
        """

    # -- processes ----------------------------------------------------------------------------

    def listen(self, path: Path) -> Door:
        """Open the daemon's local socket, which only the agent's user and administrators reach.

        Raises:
            OSError: it cannot be opened.
        """

    def knock(self, path: Path, seconds: float) -> tuple[socket.socket, dict[str, str]]:
        """Connect to the daemon; return the socket, and what every message must carry.

        Raises:
            OSError: nobody listens, or this user may not ask.
        """

    def socket_owner(self, peer: tuple[str, int], local: tuple[str, int], deadline: float) -> Owner | None:
        """Return whose a loopback socket is; None where that is not known."""

    def when_stopped(self, stop: Callable[[], object]) -> None:
        """Have ``stop`` called in the running loop when this process is asked to end."""

    def as_service(self, run: Callable[[], int]) -> int:
        """Run the daemon as this system's services are run; return its exit code."""

    def manage_service(self, verb: str) -> int:
        """``install`` or ``remove`` the service by hand; return an exit code.

        Raises:
            NotSupported: a package does that here. OSError: it failed; the text says how.
        """

    # -- the machine --------------------------------------------------------------------------

    def machine_id(self, paths: Paths) -> bytes:
        """Return what tells this computer from others; empty where there is nothing."""

    def os_release(self) -> OsRelease:
        """Return what the operating system calls itself."""

    def hardware(self) -> Dmi:
        """Return what this user may see of the hardware's maker and serial."""

    def gather(self, hardware: Dmi, ports: Sequence[int]) -> Sources:
        """Return all facts; ``ports`` are those whose SSH host keys are asked for. May take seconds."""


def choose(name: str = sys.platform) -> System:
    """Return a system by the name that ``sys.platform`` has for it.

    Raises:
        NotSupported: there is none.
    """
    if name == "linux":
        from landbridge_agent.platform.posix import Linux

        return Linux()
    if name == "win32":
        from landbridge_agent.platform.windows import Windows

        return Windows()
    raise NotSupported(
        f"This agent runs on Linux; its Windows part was never run, and for '{name}' there is none. "
        "Run the control plane's clients here, and the agent on a Linux machine."
    )


@functools.cache
def here() -> System:
    """Return the system of this process.

    Raises:
        NotSupported: there is none.
    """
    return choose()
