"""What an implementation sees of one item of work: the item, its folder, and how to run programs.

An implementation (``run_command.py``, ``extensions/queue.py``) is a function ``carry_out(task) ->
Outcome`` in a worker process of its own. It says what it observes, and runs programs only by
``Task.run``, which bounds them and ends all of them when the item is cancelled.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from landbridge_agent.paths import Paths
from landbridge_agent.work import entry, processes
from landbridge_agent.work.processes import Ended, Limits
from landbridge_agent.work.run_as import Account, account
from landbridge_wire.work_api import WorkItem


class Outcome(NamedTuple):
    """How an item ended. An ``error_code`` (ARM's) says that it failed; the text says why."""

    properties: dict[str, Any]
    error_code: str = ""
    error_message: str = ""

    @property
    def failed(self) -> bool:
        """Whether the item failed."""
        return bool(self.error_code)


class Task:
    """One item of work in its worker.

    ``folder`` is the entry's own (0700); what lies there goes when the item has ended. ``settings``
    is the local configuration, read when the worker began. ``environment`` is what programs get
    besides what ``run`` is given: ``PATH``, proxies and no secrets of the agent.
    """

    def __init__(
        self,
        item: WorkItem,
        paths: Paths,
        folder: Path,
        settings: Mapping[str, object],
        limits: Limits,
        environment: Mapping[str, str],
        clock: Callable[[], float],
    ) -> None:
        self.item, self.paths, self.folder = item, paths, folder
        self.settings, self.limits, self.clock = settings, limits, clock
        self.environment = dict(environment)
        self._observed = ""

    @property
    def is_canceled(self) -> bool:
        """Whether somebody wants the item ended: ``run`` ends by itself then."""
        return entry.canceled(self.folder) is not None

    @property
    def why_canceled(self) -> str:
        """Who wants the item ended; empty while nobody does."""
        return entry.canceled(self.folder) or ""

    def observe(self, properties: Mapping[str, Any]) -> None:
        """Say what is seen now; ``extd`` reports the newest. What did not change is not written again.

        What cannot be written, as on a full disk, is not told: that is no reason to end what runs.
        """
        text = json.dumps(properties, sort_keys=True)
        if text != self._observed:
            with contextlib.suppress(OSError):
                entry.write(self.folder / entry.OBSERVED, text.encode())
                self._observed = text

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        seconds: float,
        stdout: Path,
        stderr: Path,
        user: str = "",
        leave_running: bool = False,
        tick: Callable[[processes.Captured], None] | None = None,
        limits: Limits | None = None,
    ) -> Ended:
        """Run a program to its end and return how that was; what it printed is in the two files.

        The files are made anew (0600) and hold at most ``limits.output_bytes`` each: the rest is
        counted and thrown away, and the file's end says so. ``seconds`` bounds the time. When the
        program has ended, what it left running is killed, unless ``leave_running``. ``tick`` is
        called about each second with what was captured so far. ``user`` names an account.

        Raises:
            NoSuchAccount: there is no such user, or this agent may not become it.
            OSError: the program or its folder does not exist, or a file cannot be written.
        """
        who: Account | None = account(user) if user else None
        return processes.run(
            argv,
            env={**self.environment, **(who.environment if who else {}), **env},
            cwd=cwd,
            seconds=seconds,
            stdout=stdout,
            stderr=stderr,
            work_id=self.item.id,
            limits=limits or self.limits,
            account=who,
            leave_running=leave_running,
            is_canceled=lambda: self.is_canceled,
            tick=tick,
        )
