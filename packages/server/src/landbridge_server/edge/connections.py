"""How many connections may be open, and who gives way when there are too many.

A connection is *unproven* until it was upgraded by the relay, which has seen a token by then.
Unproven ones are bounded on their own, so that a flood of strangers takes neither the memory
nor the descriptors that the control channels of machines need. When there is no room:

1. the oldest unproven connection on which nothing is being answered gives way: one that idles,
   is slow, or has not ended its TLS handshake. Who is quick gets through while a flood lasts;
   one that gives way is told so where HTTP is spoken on it already, else it just ends;
2. if all are being answered, the newcomer gets a 503 with ``Retry-After``;
3. beyond ``SLACK`` of those, and when the process has no descriptor left, a newcomer is closed.

Descriptors are counted where they are opened and closed: in ``accept`` and ``close`` of the
sockets themselves, because a TLS handshake that fails never reaches any protocol.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

logger = logging.getLogger("landbridge")

SLACK = 64
"""Newcomers beyond the bound that are let in to be told that there is no room."""

LOOKED_AT = 64
"""How many of the oldest connections are looked at for one that may give way."""

TOLD_EVERY = 60.0
"""Seconds between two lines of the log about the same shortage."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True)
class Room:
    """How many connections may be open in this process, and how many of them unproven."""

    connections: int = 8192
    unproven: int = 4096


class Guest(Protocol):
    """What speaks HTTP on an unproven connection."""

    def busy(self) -> bool:
        """Say whether an answer is being made, which the peer waits for."""
        ...

    def give_way(self) -> None:
        """End the connection; tell the peer to come again where that can be said."""
        ...


class Connections:
    """The connections of all listeners of a process that share this object."""

    def __init__(self, room: Room, now: Callable[[], float]) -> None:
        """Allow what ``room`` says; ``now`` goes forward only, in seconds."""
        self.room = room
        self.refused = 0
        self._now = now
        self._open: dict[int, _Counted] = {}
        self._unproven: OrderedDict[int, Guest | None] = OrderedDict()
        self._told = -TOLD_EVERY
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def unproven(self) -> int:
        """How many of them were not upgraded by the relay."""
        return len(self._unproven)

    def close(self) -> None:
        """Give back the spare descriptor; the connections are their listeners' affair."""
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def listening(self, bound: socket.socket) -> socket.socket:
        """Return ``bound`` as a socket whose connections are counted here."""
        return _Listening(bound, self)

    # -- what protocols say of their connections

    def arrived(self, transport: Any, guest: Guest) -> bool:
        """Take note of who speaks on a connection; say no when there is no room for it."""
        number = _descriptor(transport)
        if number not in self._unproven:
            return True  # not ours, or closed meanwhile
        self._unproven[number] = guest
        return self._has_room() or self._make_room(number) or self._refuse()

    def proven(self, transport: Any) -> None:
        """Note that the relay has upgraded a connection."""
        self._unproven.pop(_descriptor(transport), None)

    # -- what the sockets say

    def _accepted(self, accepted: _Counted) -> None:
        number = accepted.number
        self._open[number] = accepted
        self._unproven.pop(number, None)  # a descriptor may be reused: it is the youngest now
        self._unproven[number] = None

    def _closed(self, gone: _Counted) -> None:
        if self._open.get(gone.number) is gone:
            del self._open[gone.number]
            self._unproven.pop(gone.number, None)

    def _has_room(self) -> bool:
        return len(self._open) <= self.room.connections and len(self._unproven) <= self.room.unproven

    def _admit(self, newcomer: _Counted) -> bool:
        """Count a new connection; say no if it must be closed at once."""
        self._accepted(newcomer)
        if self._has_room() or self._make_room(newcomer.number):
            return True
        beyond = max(len(self._open) - self.room.connections, len(self._unproven) - self.room.unproven)
        return beyond <= SLACK or self._refuse()

    def _make_room(self, newcomer: int) -> bool:
        """End the oldest unproven connection that may give way; say whether there is one."""
        for number, guest in islice(self._unproven.items(), LOOKED_AT):
            if number != newcomer and (guest is None or not guest.busy()):
                break
        else:
            return False
        self._tell("those that wait longest give way to new ones")
        del self._unproven[number]
        if guest is None:
            self._open[number].end()
        else:
            guest.give_way()
        return True

    def _refuse(self) -> bool:
        self.refused += 1
        self._tell("new connections are refused")
        return False

    def _tell(self, what: str) -> None:
        now = self._now()
        if now - self._told >= TOLD_EVERY:
            self._told = now
            fields = {"open": len(self._open), "unproven": len(self._unproven), "refused": self.refused}
            logger.warning("too many connections: %s", what, extra={"fields": fields})

    def _without_descriptors(self, listening: socket.socket) -> None:
        """Close the connection that waits to be accepted, with the descriptor that was kept for this.

        Left where it is, it would wake the loop again and again.
        """
        self._refuse()
        self.close()
        with suppress(OSError):
            accepted, _ = socket.socket.accept(listening)
            accepted.close()
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


class _Counted(socket.socket):
    """A connection that says when its descriptor is given back."""

    __slots__ = ("number", "owner")

    def __init__(self, owner: Connections, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.owner = owner
        self.number = self.fileno()

    def close(self) -> None:
        self.owner._closed(self)
        super().close()

    def end(self) -> None:
        """End the connection without a word; whoever reads from it finds out and closes it."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)


class _Listening(socket.socket):
    """A listening socket whose connections are counted, and bounded."""

    __slots__ = ("owner",)

    def __init__(self, bound: socket.socket, owner: Connections) -> None:
        super().__init__(bound.family, bound.type, bound.proto, fileno=bound.detach())
        self.owner = owner

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            ConnectionAbortedError: there was no room for it; ask again.
            BlockingIOError: nobody waits.
        """
        try:
            accepted, address = super().accept()
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self.owner._without_descriptors(self)
            raise BlockingIOError from error
        counted = _Counted(self.owner, accepted)
        # asyncio does so only where the protocol is spelled out: a keystroke must not wait for an ACK.
        counted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.owner._admit(counted):
            counted.close()
            raise ConnectionAbortedError
        return counted, address


def _descriptor(transport: Any) -> int:
    found = transport.get_extra_info("socket")
    return found.fileno() if found is not None else -1
