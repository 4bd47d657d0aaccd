"""Guesses that come from one network address are slowed; nobody is refused for their address alone.

After ``FREE`` failures within ``SECONDS`` the attempts of an address are checked one after the
other, each after a pause that grows to ``LONGEST``. A right password is still right: whoever shares
the address with a guesser, behind one reverse proxy or one NAT, waits and gets in. Who has signed
in from there before (``Familiar``) does not even wait. Only ``TOGETHER`` attempts of an address may
be under way at once, so that one cannot keep everybody else from being checked.

Each node counts for itself, in memory: what bounds guesses at one name for all nodes and over
restarts is ``attempts``. No address is special, not even loopback. See docs/adr/0009.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from landbridge_server.identity.errors import refuse
from landbridge_server.store import sign_in_limits
from landbridge_server.store.database import Connection
from landbridge_server.store.sign_in_limits import Window

logger = logging.getLogger("landbridge")

FREE = 20
SECONDS = 300.0
SHORTEST = 0.25
LONGEST = 2.0
TOGETHER = 32
KNOWN = 10_000
"""Addresses that are remembered at a time."""

FAMILIAR_SECONDS = 30 * 24 * 3600.0
"""How long an address stays familiar to a user after a sign-in from there."""


def network_of(address: str) -> str:
    """Return what counts as one address: all of IPv4, the /64 of IPv6, which is one customer's."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed.packed[:8] + bytes(8), 64)))
    return str(parsed)


class _Address:
    """What is known of one address."""

    __slots__ = ("failures", "inside", "started", "turn")

    def __init__(self, now: float) -> None:
        self.started = now
        self.failures = 0
        self.inside = 0
        self.turn = asyncio.Lock()


class AddressBackoff:
    """Slows the attempts of addresses from which many failed. Belongs to one event loop."""

    def __init__(
        self, clock: Callable[[], float], pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Count within windows of ``clock``; ``pause`` waits for some seconds."""
        self.pause = pause
        self._clock = clock
        self._known: OrderedDict[str, _Address] = OrderedDict()

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Wait until an attempt of ``address`` may be checked, and check it inside.

        Raises:
            OAuthError: 90033, too many attempts of this address are under way.
        """
        known = self._of(network_of(address))
        if known.inside >= TOGETHER:
            seconds = 5 + int(TOGETHER * self._pause_of(known))
            raise refuse(
                90033,
                reason=f"Too many people sign in from your address at once. Try again in {seconds} seconds.",
                retry_after=seconds,
            )
        known.inside += 1
        try:
            if self._pause_of(known):
                async with known.turn:
                    await self.pause(self._pause_of(known))
                    yield
            else:
                yield
        finally:
            known.inside -= 1

    def failed(self, address: str) -> None:
        """Count a wrong name, password or code."""
        network = network_of(address)
        known = self._of(network)
        known.failures += 1
        if known.failures == FREE + 1:
            fields = {"address": network or "unknown", "failures": known.failures}
            logger.warning("sign-ins from an address are slowed", extra={"fields": fields})

    def suspicious(self, address: str) -> bool:
        """Say whether an attempt of ``address`` has failed lately."""
        known = self._known.get(network_of(address))
        return known is not None and known.failures > 0 and not self._over(known)

    def _of(self, network: str) -> _Address:
        known = self._known.get(network)
        if known is None:
            if len(self._known) >= KNOWN:
                self._forget()
            known = self._known[network] = _Address(self._clock())
        elif self._over(known):
            known.started, known.failures = self._clock(), 0
        self._known.move_to_end(network)
        return known

    def _over(self, known: _Address) -> bool:
        return not 0 <= self._clock() - known.started < SECONDS

    def _forget(self) -> None:
        """Make room: what is over goes, and else the one that came least recently."""
        over = [name for name, one in self._known.items() if self._over(one) and not one.inside]
        for name in over:
            del self._known[name]
        if not over:
            self._known.popitem(last=False)

    @staticmethod
    def _pause_of(known: _Address) -> float:
        """Return the seconds before a check: twice as long after each further ``FREE`` failures."""
        steps = (known.failures - 1) // FREE if known.failures > FREE else 0
        return min(LONGEST, SHORTEST * 2.0 ** (steps - 1)) if steps else 0.0


class Familiar:
    """From which addresses a user has signed in: kept in the store, as hashes."""

    KIND = "familiar"

    def __init__(self, clock: Callable[[], float]) -> None:
        """Remember for ``FAMILIAR_SECONDS`` of ``clock``."""
        self._clock = clock

    def knows(self, connection: Connection, user_name: str, address: str) -> bool:
        """Say whether the user has signed in from this address lately."""
        found = sign_in_limits.window(connection, self.KIND, at(user_name, address))
        return found is not None and self._clock() < found.started_at + FAMILIAR_SECONDS

    def note(self, connection: Connection, user_name: str, address: str) -> None:
        """Remember that the user has just signed in from this address."""
        now = self._clock()
        name = at(user_name, address)
        sign_in_limits.put_window(connection, self.KIND, name, Window(now, 1), now + FAMILIAR_SECONDS)


def at(user_name: str, address: str) -> str:
    """Return the name under which a user's attempts from one address are counted."""
    return f"{user_name}\0{network_of(address)}"
