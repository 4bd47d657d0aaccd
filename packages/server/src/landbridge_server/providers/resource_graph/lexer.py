"""From the text of a query to its words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from landbridge_wire.errors import ArmError

LENGTH_LIMIT = 32 * 1024

_WORDS = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<text>@?'(?:[^'\\\n]|\\.)*'|@?"(?:[^"\\\n]|\\.)*")
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<name>!?[A-Za-z_][A-Za-z0-9_]*~?)
    |(?P<sign>==|!=|=~|!~|<=|>=|[|,()\[\].<>=])""",
    re.VERBOSE,
)
_ESCAPES = re.compile(r"\\(.)")
_CONTROL = {"n": "\n", "t": "\t", "r": "\r"}
END = "<EOF>"


@dataclass(frozen=True)
class Word:
    """One word. ``kind``: text, number, name, sign or end; ``at`` is its place in the query."""

    kind: str
    text: str
    at: int

    @property
    def lower(self) -> str:
        """A name or a sign as it is compared; empty for texts and numbers, which mean themselves."""
        return self.text.lower() if self.kind in ("name", "sign", "end") else ""


def refuse(query: str, at: int, message: str, token: str = "") -> ArmError:
    """Return InvalidQuery as the real service shapes it, with the place: lines count from 1."""
    line = query.count("\n", 0, at) + 1
    column = at - (query.rfind("\n", 0, at) + 1)
    place = {"line": line, "characterPositionInLine": column, "token": token[:100]}
    return ArmError(
        "BadRequest",
        f"The query is invalid at line {line}, position {column}: {message}",
        details=(
            ArmError(
                "InvalidQuery",
                "Query is invalid. Please refer to the documentation for the Azure Resource Graph service "
                "and fix the error before retrying.",
            ),
            ArmError("ParserFailure", message, extra=place),
        ),
        cause="service",
    )


def words(query: str) -> list[Word]:
    """Return the words of a query, the last one an end.

    Raises:
        ArmError: it is too long, or holds something that is no word.
    """
    if len(query) > LENGTH_LIMIT:
        raise refuse(query, LENGTH_LIMIT, f"a query has at most {LENGTH_LIMIT} characters.")
    found: list[Word] = []
    at = 0
    while at < len(query):
        match = _WORDS.match(query, at)
        if match is None:
            raise refuse(query, at, f"'{query[at]}' was not expected.", query[at])
        kind = match.lastgroup or ""
        if kind != "space":
            text = match[0]
            found.append(Word(kind, _plain(text) if kind == "text" else text, at))
        at = match.end()
    found.append(Word("end", END, len(query)))
    return found


def _plain(text: str) -> str:
    if text.startswith("@"):
        return text[2:-1]
    return _ESCAPES.sub(lambda one: _CONTROL.get(one[1], one[1]), text[1:-1])
