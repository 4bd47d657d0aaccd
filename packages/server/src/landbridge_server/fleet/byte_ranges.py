"""Which part of a representation a request wants: ``Range`` and ``If-Range`` (RFC 9110, 13.1.5 and 14).

One range of bytes is served; a request for several gets the whole, as 14.2 allows. Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_RANGE = re.compile(r"bytes[ \t]*=[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))[ \t]*", re.IGNORECASE)


class Part(NamedTuple):
    """Bytes ``first`` up to but not including ``end``."""

    first: int
    end: int


class Unsatisfiable(ValueError):
    """The range begins behind the end (416)."""


def wanted(range_field: str, if_range: str, etag: str, size: int) -> Part | None:
    """Return the part that is wanted; None: the whole.

    ``if_range`` counts only if it is the strong ``etag``, compared strongly; a date never is, as
    nothing here has one. A ``Range`` that cannot be read is ignored, as 14.2 has it.

    Raises:
        Unsatisfiable: it begins behind the end, or wants the last 0 bytes.
    """
    if not range_field or (if_range and if_range.strip() != etag):
        return None
    found = _RANGE.fullmatch(range_field.strip())
    if found is None:
        return None
    if found[3] is not None:
        count = int(found[3])
        if count == 0 or size == 0:
            raise Unsatisfiable
        return Part(max(0, size - count), size)
    first = int(found[1])
    if found[2] and int(found[2]) < first:
        return None  # invalid, not unsatisfiable (14.1.1)
    if first >= size:
        raise Unsatisfiable
    return Part(first, min(size, int(found[2]) + 1) if found[2] else size)
