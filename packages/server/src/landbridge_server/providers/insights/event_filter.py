"""The ``$filter`` of the activity log, as the document of 2015-04-01 and its clients write it.

    filter = term *( " and " term )
    term   = name ( "eq" / "ge" / "gt" / "le" / "lt" ) ( text / word )

Texts are in quotes; clients also write times and names without. A filter names at least when
the span of time begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from landbridge_wire.errors import ArmError

LENGTH_LIMIT = 4096
FOREVER = datetime.max.replace(tzinfo=UTC).timestamp()
NAMES = {
    "resourcegroupname": "group",
    "resourceuri": "resource",
    "resourceid": "resource",
    "resourceprovider": "provider",
    "correlationid": "correlation",
    "caller": "caller",
    "status": "status",
}
_TERM = re.compile(
    r"\s*([A-Za-z]+)\s+(eq|ge|gt|le|lt)\s+(?:'((?:[^']|'')*)'|([^\s']+))", re.IGNORECASE | re.ASCII
)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)


@dataclass
class EventFilter:
    """What a filter asks for; texts in lower case, empty where it does not restrict."""

    start: float
    end: float
    group: str = ""
    resource: str = ""
    provider: str = ""
    correlation: str = ""
    caller: str = ""
    status: str = ""


EVERYTHING = EventFilter(0.0, FOREVER)
"""What the tenant's log shows without a filter; a subscription's needs one."""


def refuse(why: str) -> ArmError:
    """Return the refusal of a filter."""
    return ArmError(
        "BadRequest",
        f"The $filter of the activity log cannot be used: {why} It begins with "
        "eventTimestamp ge '<time>', then optionally eventTimestamp le '<time>' and one of "
        "resourceGroupName, resourceUri, resourceProvider, correlationId, caller and status with eq.",
        cause="service",
    )


def parse(unverified: str) -> EventFilter:
    """Return what a filter asks for.

    Raises:
        ArmError: it cannot be understood, or has no beginning of the span.
    """
    if len(unverified) > LENGTH_LIMIT:
        raise refuse(f"it is longer than {LENGTH_LIMIT} characters.")
    times: dict[str, float] = {}
    texts: dict[str, str] = {}
    for name, operator, value in _terms(unverified):
        if name == "eventtimestamp" and operator != "eq":
            side = "start" if operator in ("ge", "gt") else "end"
            times[side] = _time(value)
        elif name in NAMES and operator == "eq":
            texts[NAMES[name]] = value.lower()
        elif name not in ("eventchannels", "levels"):  # what portals add; everything here is in them
            raise refuse(f"'{name}' with '{operator}' is not one of its conditions.")
    if "start" not in times:
        raise refuse("the time at which it begins is missing.")
    return EventFilter(times["start"], times.get("end", FOREVER), **texts)


def _terms(text: str) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    position = 0
    while True:
        term = _TERM.match(text, position)
        if term is None:
            raise refuse("a condition was expected.")
        quoted, word = term[3], term[4]
        value = quoted.replace("''", "'") if quoted is not None else word
        found.append((term[1].lower(), term[2].lower(), value))
        if not text[term.end() :].strip():
            return found
        joint = _AND.match(text, term.end())
        if joint is None:
            raise refuse("conditions are joined by 'and'.")
        position = joint.end()


def _time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise refuse(f"'{text[:50]}' is not a time.") from error
