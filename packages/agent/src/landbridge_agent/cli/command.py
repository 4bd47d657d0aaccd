"""What a command is: its words for the help, its flags, and the function that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from landbridge_agent.cli.flags import COMMON, Flag, Values, table
from landbridge_agent.cli.output import Output
from landbridge_agent.paths import Paths


class Call(NamedTuple):
    """One call of a command: what was given, and the world that it may touch."""

    values: Values
    paths: Paths
    environment: Mapping[str, str]
    clock: Callable[[], float]
    out: Output


class Command(NamedTuple):
    """A command. ``run`` returns the exit code or raises ``AgentError``.

    ``needs_root``: it changes the machine's state, which is root's unless relocated.
    """

    name: str
    summary: str
    synopsis: str
    flags: tuple[Flag, ...]
    run: Callable[[Call], int]
    needs_root: bool = False
    syntax: str = ""

    @property
    def all_flags(self) -> tuple[Flag, ...]:
        """The command's flags and the common ones."""
        return (*self.flags, *COMMON)

    def help(self) -> str:
        """Return the help in the original's layout."""
        syntax = self.syntax or f"azcmagent {self.name} [flags]"
        parts = [
            self.summary,
            "Synopsis:\n" + self.synopsis.strip(),
            f"Syntax:\n  {syntax}",
            "Options:\n" + table(self.all_flags, self.name),
        ]
        return "\n\n".join(parts)
