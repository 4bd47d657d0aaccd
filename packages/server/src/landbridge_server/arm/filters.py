"""``$filter`` as clients of ARM use it: comparisons of names with texts, joined by ``and``.

    expression = term *( " and " term )
    term       = name ( "eq" / "ne" ) text
               / "substringof(" text "," name ")"
               / function "(" [ text ] ")"
    text       = "'" *( not-a-quote / "''" ) "'"

Words and names ignore case. What a name means, and which are allowed, is the list's business.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from landbridge_wire.errors import ArmError

LENGTH_LIMIT = 4096


class Term(NamedTuple):
    """One condition. ``operator``: eq, ne, substringof, or a function's name with ``value``."""

    name: str
    operator: str
    value: str


_TEXT = r"'((?:[^']|'')*)'"
_PATH = r"([A-Za-z][A-Za-z0-9_/.]*)"
_COMPARISON = re.compile(rf"\s*{_PATH}\s+(eq|ne)\s+{_TEXT}", re.IGNORECASE)
_SUBSTRING = re.compile(rf"\s*substringof\(\s*{_TEXT}\s*,\s*{_PATH}\s*\)", re.IGNORECASE)
_FUNCTION = re.compile(rf"\s*([A-Za-z]+)\(\s*(?:{_TEXT})?\s*\)")
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)


def refuse(text: str, why: str) -> ArmError:
    """Return the refusal of a filter."""
    return ArmError(
        "InvalidFilterInQueryString", f"Invalid $filter '{text[:200]}' specified in the query string. {why}"
    )


def parse(unverified: str) -> list[Term]:
    """Return the terms of a filter; an empty one has none.

    Raises:
        ArmError: InvalidFilterInQueryString.
    """
    if not unverified.strip():
        return []
    if len(unverified) > LENGTH_LIMIT:
        raise refuse(unverified, f"It is longer than {LENGTH_LIMIT} characters.")
    terms: list[Term] = []
    position = 0
    while True:
        term, position = _term(unverified, position)
        terms.append(term)
        if not unverified[position:].strip():
            return terms
        joint = _AND.match(unverified, position)
        if joint is None:
            raise refuse(unverified, "Conditions are joined by 'and'.")
        position = joint.end()


def _term(text: str, position: int) -> tuple[Term, int]:
    if match := _COMPARISON.match(text, position):
        return Term(match[1].lower(), match[2].lower(), match[3].replace("''", "'")), match.end()
    if match := _SUBSTRING.match(text, position):
        return Term(match[2].lower(), "substringof", match[1].replace("''", "'")), match.end()
    if match := _FUNCTION.match(text, position):
        return Term("", match[1].lower(), (match[2] or "").replace("''", "'")), match.end()
    raise refuse(text, "A condition is: name eq 'text'.")
