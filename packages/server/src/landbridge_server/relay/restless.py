"""Listeners whose control channels end as soon as they begin, and begin again at once.

A library without any back-off (hyco-ws) dials again in the very moment in which its channel was
closed, some hundred times a second. From the second brief stay in a row on, its next channel has
to wait for its 101. Only who has shown a Listen token ever has a channel: no stranger slows a machine.
"""

from __future__ import annotations

REMEMBERED = 1024
"""Paths beyond which those that have calmed down are forgotten."""


class Restless:
    """The paths whose last stays were shorter than ``brief`` seconds; times are those of the event loop."""

    def __init__(self, brief: float, hold: float) -> None:
        """Let a path be restless until ``hold`` seconds after its last brief stay."""
        self._brief = brief
        self._hold = hold
        self._stays: dict[str, tuple[int, float]] = {}  # path -> brief stays in a row, the last's end

    def left(self, path: str, began: float, now: float) -> None:
        """Note that a channel of ``path`` ends that had begun at ``began``."""
        if now - began >= self._brief:
            self._stays.pop(path, None)
            return
        if len(self._stays) >= REMEMBERED:
            self._stays = {one: stay for one, stay in self._stays.items() if now - stay[1] < self._hold}
        stays, _ = self._stays.get(path, (0, now))
        self._stays[path] = stays + 1, now

    def hasty(self, path: str, now: float) -> bool:
        """Say whether the next channel of ``path`` should wait."""
        stays, ended = self._stays.get(path, (0, 0.0))
        if stays and now - ended >= max(self._hold, self._brief):
            del self._stays[path]  # it was away for a while
            return False
        return stays > 1
