"""The machine's tokens by audience: kept in memory, renewed early, given while the cloud is away.

A token is renewed once half of its life is over: behind the back of whoever asks, so that a cloud
that is slow or away is felt by nobody before the token has ended. Of the same audience one
request is under way at a time, and all who wait get its outcome. What is fetched is bounded: each
costs a signature by a process of its own. A refusal is remembered for a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from landbridge_agent.daemon.control_plane import Granted, Refused
from landbridge_agent.dial import Unreachable

MOST = 64
"""Audiences that are kept; beyond, the one that was fetched first is forgotten."""

BURST = 30
REFILL_SECONDS = 2.0
"""Fetches that may follow one another at once, and how long one more takes to be allowed."""

REFUSED_SECONDS = 10.0
RETRY_SECONDS = 30.0
"""How long a refusal is repeated from memory, and how often a renewal is tried while a token is good."""


class TooMany(Exception):
    """Too many new tokens are asked for; ``seconds`` is when to come back."""

    def __init__(self, seconds: float) -> None:
        super().__init__("too many new tokens")
        self.seconds = seconds


class Held(NamedTuple):
    """A token: when it was got and when it ends, on the monotonic clock and as unix time."""

    token: str
    begins: float
    ends: float
    got_at: float
    ends_at: float


class Tokens:
    """The tokens of one identity. ``fetch`` gets one; ``monotonic`` measures, ``clock`` tells the time."""

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[Granted]],
        monotonic: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._under_way: dict[str, asyncio.Task[Held]] = {}
        self._refused: dict[str, tuple[float, Refused]] = {}
        self._tried: dict[str, float] = {}
        self._allowance, self._counted = float(BURST), monotonic()

    async def get(self, audience: str, *, bypass_cache: bool = False) -> tuple[Held, bool]:
        """Return a token, and whether it was held already.

        Raises:
            Refused: the cloud said no. Unreachable: it cannot be reached, and none is held.
            TooMany: too many were fetched lately.
        """
        now = self._monotonic()
        held = self._held.get(audience)
        # Of a machine that slept only the wall clock knows; of one whose clock was set back, only the other.
        good = held is not None and now < held.ends and self._clock() < held.ends_at
        if held is None or not good or bypass_cache:
            return await self._new(audience), False
        tried = self._tried.get(audience, float("-inf"))
        if now > (held.begins + held.ends) / 2 and now - tried > RETRY_SECONDS:
            self._tried[audience] = now
            self._renew_behind(audience)
        return held, True

    def close(self) -> None:
        """Forget everything, and stop what is under way."""
        for task in self._under_way.values():
            task.cancel()
        self._held.clear()

    async def _new(self, audience: str) -> Held:
        until, refusal = self._refused.get(audience, (float("-inf"), None))
        if refusal is not None and self._monotonic() < until:
            raise Refused(refusal.status, refusal.reason, refusal.code)
        # Who waits may leave: that must not end it for the others.
        return await asyncio.shield(self._task(audience))

    def _task(self, audience: str) -> asyncio.Task[Held]:
        task = self._under_way.get(audience)
        if task is None:
            self._spend()
            task = asyncio.get_running_loop().create_task(self._fetched(audience))
            self._under_way[audience] = task
            task.add_done_callback(lambda done: self._over(audience, done))
        return task

    def _over(self, audience: str, task: asyncio.Task[Held]) -> None:
        if self._under_way.get(audience) is task:
            del self._under_way[audience]
        if not task.cancelled():
            task.exception()  # whoever waited has seen it; perhaps nobody waited

    def _renew_behind(self, audience: str) -> None:
        try:
            self._task(audience)
        except TooMany:
            pass

    async def _fetched(self, audience: str) -> Held:
        try:
            granted = await self._fetch(audience)
        except Refused as error:
            self._remember_refusal(audience, error)
            raise
        now, time = self._monotonic(), self._clock()
        held = Held(granted.token, now, now + granted.seconds, time, time + granted.seconds)
        self._held.pop(audience, None)
        while len(self._held) >= MOST:
            del self._held[next(iter(self._held))]
        self._held[audience] = held
        self._refused.pop(audience, None)
        self._tried.pop(audience, None)
        return held

    def _remember_refusal(self, audience: str, error: Refused) -> None:
        if error.status >= 500:
            return  # a passing fault
        while len(self._refused) >= MOST:
            del self._refused[next(iter(self._refused))]
        self._refused[audience] = (self._monotonic() + REFUSED_SECONDS, error)

    def _spend(self) -> None:
        """Take one from the allowance.

        Raises:
            TooMany: there is none left.
        """
        now = self._monotonic()
        self._allowance = min(float(BURST), self._allowance + (now - self._counted) / REFILL_SECONDS)
        self._counted = now
        if self._allowance < 1:
            raise TooMany((1 - self._allowance) * REFILL_SECONDS)
        self._allowance -= 1


def passing(error: Exception) -> bool:
    """Whether an error may be over in a moment: then a client is told to try again."""
    return isinstance(error, Unreachable | TooMany) or (isinstance(error, Refused) and error.status >= 500)
