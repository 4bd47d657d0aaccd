"""Answers that are kept exactly as long as they are right: until something is committed.

An embedded store has one process that serves, and now and then a command line beside it.
Commits of this process count a generation up at once; those of another process are seen by
SQLite's ``data_version``, looked at no more than every ``LOOK_SECONDS``. Where nodes share a
store there is no such cheap sign: nothing is kept, and everything is asked for again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

LOOK_SECONDS = 0.01
"""How long a commit by another process may stay unseen; each look costs some microseconds."""


class Generation:
    """Counts the states of an embedded store. ``look`` returns SQLite's ``data_version``.

    Belongs to the thread that reads; ``grow`` may be called from any.
    """

    def __init__(self, look: Callable[[], int]) -> None:
        """Begin; ``look`` is not called before the first question."""
        self._look = look
        self._commits = 0
        self._version = 0
        self._due = 0.0

    def grow(self) -> None:
        """Note a commit of this process, before anybody is told of it."""
        self._commits += 1

    def current(self) -> int:
        """Return a number that is another one after every commit that this process may have seen."""
        now = time.monotonic()
        if now >= self._due:
            version = self._look()
            if version != self._version:
                self._version = version
                self._commits += 1
            self._due = now + LOOK_SECONDS
        return self._commits


class Counted(Protocol):
    """What a memory needs of a store."""

    def generation(self) -> int | None:
        """Return the number of its present state; None if it has none."""


class Remembered(Generic[K, V]):
    """Up to ``most`` answers of one kind. Failures are not kept."""

    def __init__(self, store: Counted, most: int = 4096) -> None:
        """Begin empty."""
        self._store = store
        self._most = most
        self._generation: int | None = None
        self._kept: dict[K, V] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the answer for ``key``, made anew if something was committed since it was made.

        ``make`` must depend on ``key`` and on the store alone.
        """
        generation = self._store.generation()
        if generation is None:
            return make()
        if generation != self._generation:
            self._kept.clear()
            self._generation = generation
        elif key in self._kept:
            return self._kept[key]
        made = make()
        # ``make`` may have asked here too, and so have seen a newer state than it began with.
        if self._generation == generation:
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[key] = made
        return made
