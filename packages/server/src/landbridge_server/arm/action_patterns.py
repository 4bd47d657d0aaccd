"""Which actions a list of patterns means: ``Namespace/type/verb`` with ``*`` for any part of it.

``*`` matches anything, ``/`` and nothing included; case does not count. Users write patterns, and
every request of those who hold a role is compared with them: a comparison takes time in
proportion to the texts, whatever is in them, which regular expressions do not promise.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property


class Patterns:
    """Some patterns, ready to be compared with. Prepared when they are first asked."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Take the patterns as they were written."""
        self.texts = tuple(texts)

    @cached_property
    def _exact(self) -> dict[str, str]:
        return {one.lower(): one for one in self.texts if "*" not in one}

    @cached_property
    def _globs(self) -> tuple[tuple[str, str, tuple[str, ...], str], ...]:
        found = []
        for one in self.texts:
            first, *middle, last = one.lower().split("*") if "*" in one else ("", "")
            if "*" in one:
                found.append((one, first, tuple(part for part in middle if part), last))
        return tuple(found)

    def match(self, action: str) -> str | None:
        """Return the first pattern, as it was written, that a lower-case action matches; None: none does.

        One without ``*`` goes before those with it.
        """
        exact = self._exact.get(action)
        if exact is not None:
            return exact
        length = len(action)
        for written, first, middle, last in self._globs:
            end = length - len(last)
            if len(first) <= end and action.startswith(first) and action.endswith(last):
                at = len(first)
                for part in middle:  # the leftmost place is as good as any: what follows has most room
                    at = action.find(part, at, end)
                    if at < 0:
                        break
                    at += len(part)
                else:
                    return written
        return None
