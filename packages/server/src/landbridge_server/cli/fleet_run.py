"""A run over many machines, from the first PUT until nothing of it runs any more.

One thread decides, the ``Workers`` send. What runs on a machine is asked after seldom enough
that the requests per second depend on how many run at once, not on how many machines there are.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from landbridge_server.cli import fleet_commands as commands
from landbridge_server.cli import fleet_machines
from landbridge_server.cli.arguments import CommandError
from landbridge_server.cli.arm_connections import Calls, Refused, Workers
from landbridge_server.cli.fleet_commands import Machine, Result
from landbridge_server.cli.waves import Rules, Waves

GRACE = 120.0
"""Seconds after a command's own time limit until its machine is given up."""
CANCEL_GRACE = 30.0
"""Seconds that machines have to end what was canceled."""
FIRST_LOOK, LONGEST_LOOK = 0.25, 5.0
REMOVALS = 2
"""Times the rate of beginnings: a removal is half the work of a run."""
AWAY_LOOK, AWAY_LOOKS_PER_SECOND = 5.0, 20.0
_TICK = 0.25
CONNECTED = "Connected"


@dataclass(frozen=True)
class Plan:
    """What a run is about.

    ``waits``: machines that are not connected are waited for, not left out. ``rate``: so many
    machines begin in a second, evenly, so that a control plane has time for others in between.
    """

    name: str
    machines: tuple[Machine, ...]
    rules: Rules
    properties: Mapping[str, Any]
    waits: bool = False
    rate: float = 10.0

    @property
    def seconds(self) -> int:
        """The command's own time limit."""
        return int(self.properties["timeoutInSeconds"])


class Screen(Protocol):
    """Who is told how it goes."""

    def progress(self, waves: Waves) -> None:
        """Take how it stands; called often."""

    def say(self, text: str) -> None:
        """Take something that happened once."""

    def clear(self) -> None:
        """Take away what is shown of the progress."""


class Follower(Protocol):
    """Who shows what machines print while they do."""

    def look(self, machine: Machine, *, is_last: bool) -> None:
        """Fetch and show what is new; called from any thread, for one machine by one at a time."""


class FleetRun:
    """The run. Belongs to one thread, but for ``interrupt``."""

    def __init__(
        self,
        calls: Calls,
        workers: Workers,
        plan: Plan,
        screen: Screen,
        monotonic: Callable[[], float],
        follower: Follower | None = None,
    ) -> None:
        """Take the plan; nothing is sent yet."""
        self.calls, self.workers, self.plan, self.screen = calls, workers, plan, screen
        self.monotonic, self.follower = monotonic, follower
        self.machines = {one.key: one for one in plan.machines}
        absent = {one.key for one in plan.machines if one.status != CONNECTED}
        skipped = set() if plan.waits else absent
        self.results = {key: Result(commands.SKIPPED, message=self._why(key)) for key in skipped}
        self.waves = Waves([key for key in self.machines if key not in skipped], plan.rules, absent - skipped)
        self.interrupted = False
        self._canceled = False
        self._until: dict[str, float] = {}
        self._waits: dict[str, float] = {}
        self._due: list[tuple[float, int, str]] = []
        self._count = 0
        self._turn: dict[str, int] = {}
        self._next = 0.0

    def _why(self, key: str) -> str:
        return f"The machine is {self.machines[key].status or 'not connected'}."

    def interrupt(self) -> None:
        """Let nothing begin any more and cancel what runs; from any thread or signal handler."""
        self.interrupted = True

    def take_up(self, found: Mapping[str, Result]) -> None:
        """Go on with what an earlier process began: run commands of this name, by key of their machine."""
        begun = {key: commands.judged(one) for key, one in found.items() if key in self.machines}
        if any(key in self.results for key in begun):
            kept = [key for key in self.machines if key not in self.results or key in begun]
            away = {key for key in kept if self.machines[key].status != CONNECTED}
            self.waves = Waves(kept, self.plan.rules, away)
            self.results = {key: one for key, one in self.results.items() if key not in begun}
        ended = {key: one for key, one in begun.items() if one.is_end}
        self.waves.take_up(
            [key for key in begun if key not in ended],
            [(key, one.state == commands.SUCCEEDED) for key, one in ended.items()],
        )
        self.results |= ended
        for key in self.waves.running:
            self._waits[key] = FIRST_LOOK
            self._until[key] = self.monotonic() + self.plan.seconds + GRACE
            self._schedule(key, 0.0)

    def go(self) -> dict[str, Result]:
        """Run until it is over and return what became of every machine, by key.

        Raises:
            CommandError: the cloud cannot be reached any more; what runs on machines goes on.
        """
        for index, key in enumerate(sorted(self.waves.away)):
            self._schedule(key, min(AWAY_LOOK, index / AWAY_LOOKS_PER_SECOND))
        while not self.waves.is_over:
            if self.interrupted and not self._canceled:
                self._cancel()
            self._begin_what_may()
            self._look_at_what_is_due()
            if self.workers.take(self._pause()):
                while self.workers.take(0):
                    pass
            self.screen.progress(self.waves)
        for key in self.machines:
            self.results.setdefault(key, Result(commands.NOT_STARTED, message=self.waves.stopped))
        return {key: self.results[key] for key in self.machines}

    def _begin_what_may(self) -> None:
        if self.monotonic() < self._next:
            return
        begun = self.waves.start(1)
        for key in begun:
            self._next = self.monotonic() + 1 / self.plan.rate
            self._begin(key)

    # -- one machine

    def _begin(self, key: str) -> None:
        machine = self.machines[key]
        self._waits[key] = FIRST_LOOK
        self._until[key] = self.monotonic() + self.plan.seconds + GRACE
        body = {"location": machine.location, "properties": self.plan.properties}
        put = partial(self.calls.call, "PUT", commands.path_of(machine.id, self.plan.name), body)
        self.workers.ask(put, partial(self._begun, key), partial(self._refused, key))

    def _begun(self, key: str, document: Mapping[str, Any]) -> None:
        if self._canceled:
            self._cancel_one(key)
        self._schedule(key, FIRST_LOOK)

    def _look(self, key: str) -> dict[str, Any]:
        machine = self.machines[key]
        seen = self.calls.call("GET", commands.path_of(machine.id, self.plan.name))
        if self.follower is not None:
            self.follower.look(machine, is_last=commands.read(seen).is_end)
        return seen

    def _seen(self, key: str, document: Mapping[str, Any]) -> None:
        if key not in self.waves.running:
            return  # two looks were under way
        result = commands.judged(commands.read(document))
        if result.is_end:
            self._end(key, result)
        elif self.monotonic() > self._until[key]:
            why = f"No result after {self.plan.seconds} s and some more; it was last seen {result.state}."
            self._end(key, Result(commands.NO_ANSWER, output=result.output, error=result.error, message=why))
        else:
            self._waits[key] = min(LONGEST_LOOK, self._waits[key] * 1.5)
            self._schedule(key, self._waits[key])

    def _refused(self, key: str, error: CommandError) -> None:
        if not isinstance(error, Refused) or error.status == 0:
            raise error
        self._end(key, Result(commands.REFUSED, message=str(error)))

    def _lost(self, key: str, error: CommandError) -> None:
        if not isinstance(error, Refused) or error.status == 0:
            raise error
        if key not in self.waves.running:
            return
        gone = error.status == 404
        why = "Somebody removed the run command, or its machine." if gone else str(error)
        self._end(key, Result(commands.NO_ANSWER, message=why))

    def _end(self, key: str, result: Result) -> None:
        self.results[key] = result
        before = self.waves.stopped
        self.waves.end(key, succeeded=result.state == commands.SUCCEEDED)
        if self.waves.stopped and not before:
            self.screen.say(f"Stopped: {self.waves.stopped}. What runs already is waited for.")

    # -- those that are away, and the order of things

    def _came(self, key: str, machine: Machine | None) -> None:
        if machine is None or machine.status == CONNECTED:
            self.waves.is_here(key)  # one that is gone is refused when it begins
        else:
            self._schedule(key, max(AWAY_LOOK, len(self.waves.away) / AWAY_LOOKS_PER_SECOND))

    def _schedule(self, key: str, seconds: float) -> None:
        self._count += 1
        self._turn[key] = self._count
        heapq.heappush(self._due, (self.monotonic() + seconds, self._count, key))

    def _look_at_what_is_due(self) -> None:
        now = self.monotonic()
        while self._due and self._due[0][0] <= now:
            _, turn, key = heapq.heappop(self._due)
            if turn != self._turn[key]:
                continue  # it was put off or hastened since
            if key in self.waves.running:
                self.workers.ask(partial(self._look, key), partial(self._seen, key), partial(self._lost, key))
            elif key in self.waves.away and not self.waves.stopped:
                current = partial(fleet_machines.current, self.calls, self.machines[key])
                self.workers.ask(current, partial(self._came, key), partial(self._unseen, key))

    def _unseen(self, key: str, error: CommandError) -> None:
        if not isinstance(error, Refused) or error.status == 0:
            raise error
        self._schedule(key, AWAY_LOOK)

    def _pause(self) -> float:
        now = self.monotonic()
        until = [now + _TICK] + [one[0] for one in self._due[:1]]
        if self._next > now:
            until.append(self._next)
        return max(0.0, min(until) - now)

    # -- the end before the end

    def _cancel(self) -> None:
        self._canceled = True
        self.waves.stop("interrupted")
        running = self.waves.running
        self.screen.say(f"Canceling what runs on {len(running)} machines. Ctrl-C again leaves it running.")
        for key in running:
            self._cancel_one(key)

    def _cancel_one(self, key: str) -> None:
        self._until[key] = self.monotonic() + CANCEL_GRACE
        self._waits[key] = FIRST_LOOK
        path = commands.path_of(self.machines[key].id, self.plan.name, "cancel")
        self.workers.ask(partial(self.calls.call, "POST", path), _nothing, _nothing)
        self._schedule(key, FIRST_LOOK)

    def remove(self) -> list[str]:
        """Remove the run's resources from every machine that it asked; return why some are left.

        Machines that have not ended are made to: what is removed does not run on.
        """
        left: list[str] = []

        def refused(error: CommandError) -> None:
            if not isinstance(error, Refused) or error.status != 404:
                left.append(str(error))

        for key, result in self.results.items():
            if result.state not in (commands.SKIPPED, commands.NOT_STARTED, commands.REFUSED):
                path = commands.path_of(self.machines[key].id, self.plan.name)
                self.workers.ask(partial(self.calls.call, "DELETE", path), _nothing, refused)
                until = self.monotonic() + 1 / (self.plan.rate * REMOVALS)
                while (left_over := until - self.monotonic()) > 0:
                    self.workers.take(left_over)
        while self.workers.open:
            self.workers.take(_TICK)
        return left


def _nothing(_: object) -> None:
    """What a cancellation has come to is seen at the next look."""
