"""Shows what machines print while they print it: ``landbridge run --follow``."""

from __future__ import annotations

import threading
from collections.abc import Callable

from landbridge_server.cli import fleet_commands as commands
from landbridge_server.cli.arm_connections import Calls, Refused
from landbridge_server.cli.fleet_commands import Machine

STREAMS = ("output", "error")
PART = 256 * 1024


class Follower:
    """Remembers how far each stream of each machine was shown; whole lines only, but for the last."""

    def __init__(self, calls: Calls, run: str, show: Callable[[str, str], None]) -> None:
        """Take the run's name, and who shows lines: the machine's name, and one or more lines."""
        self._calls, self._run, self._show = calls, run, show
        self._offsets: dict[tuple[str, str], int] = {}
        self._rests: dict[tuple[str, str], str] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._one = threading.Lock()

    def look(self, machine: Machine, *, is_last: bool) -> None:
        """Fetch and show what is new; ``is_last``: nothing will follow.

        What was removed meanwhile, or may not be read, is passed over: its end says so.
        """
        with self._one:
            own = self._locks.setdefault(machine.key, threading.Lock())
        with own:
            for stream in STREAMS:
                try:
                    self._read(machine, stream, is_last)
                except Refused as error:
                    if error.status == 0:
                        raise

    def _read(self, machine: Machine, stream: str, is_last: bool) -> None:
        at = (machine.key, stream)
        path = commands.path_of(machine.id, self._run, "readOutput")
        text = self._rests.get(at, "")
        while True:
            offset = self._offsets.get(at, 0)
            asked = {"stream": stream, "offset": offset, "count": PART}
            part = self._calls.call("POST", path, asked)
            text += str(part.get("content") or "")
            self._offsets[at] = int(part.get("nextOffset", offset))
            if self._offsets[at] <= offset or len(text) < PART:
                break
            text = self._show_lines(machine.name, text, is_last=False)
        self._rests[at] = self._show_lines(machine.name, text, is_last)

    def _show_lines(self, name: str, text: str, is_last: bool) -> str:
        """Show the whole lines and return what is left of the last one."""
        end = len(text) if is_last else text.rfind("\n") + 1
        if end:
            with self._one:
                self._show(name, text[:end])
        return text[end:]
