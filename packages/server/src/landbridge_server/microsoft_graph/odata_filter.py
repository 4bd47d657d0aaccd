"""``$filter``: the part of OData 4.01's expressions (section 5.1.1) that a directory is asked with.

    filter     = and ("or" and)*
    and        = not ("and" not)*
    not        = "not" not | term
    term       = "(" filter ")" | "startswith" "(" path "," text ")"
               | path "/any" "(" name ":" name "eq" text ")"
               | path ("eq" | "ne") value | path "in" "(" value ("," value)* ")"
    value      = text | "true" | "false" | "null"

Words and operators go in any casing. What a property means is not decided here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from landbridge_server.microsoft_graph.errors import GraphError

LENGTH_LIMIT = 8192
DEPTH_LIMIT = 24
TERM_LIMIT = 64

Value = str | bool | None


@dataclass(frozen=True)
class Compare:
    """A property has one of these values; ``path`` is in lower case."""

    path: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class StartsWith:
    """The text of a property begins so."""

    path: str
    value: str


@dataclass(frozen=True)
class AnyEquals:
    """One of the texts of a property is this one."""

    path: str
    value: str


@dataclass(frozen=True)
class And:
    """Both hold."""

    left: Filter
    right: Filter


@dataclass(frozen=True)
class Or:
    """One of the two holds, or both."""

    left: Filter
    right: Filter


@dataclass(frozen=True)
class Negation:
    """It does not hold."""

    inner: Filter


Filter = Compare | StartsWith | AnyEquals | And | Or | Negation

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>[A-Za-z_][A-Za-z0-9_/]*)|(?P<mark>[(),:]))")
_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}


def parse(text: str) -> Filter:
    """Read a filter.

    Raises:
        GraphError: BadRequest; it is none, or too long or too deep.
    """
    if len(text) > LENGTH_LIMIT:
        raise _wrong(f"it is longer than {LENGTH_LIMIT} characters")
    parser = _Parser(_tokens(text))
    found = parser.either(0)
    parser.expect("")
    return found


def _wrong(reason: str) -> GraphError:
    return GraphError("BadRequest", f"Invalid filter clause: {reason}.")


@dataclass(frozen=True)
class _Token:
    kind: str  # text | word | mark | end
    value: str
    at: int


def _tokens(text: str) -> list[_Token]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _wrong(f"syntax error at position {at} in '{text[:200]}'")
        found.append(_Token(match.lastgroup, match.group(match.lastgroup), match.start(match.lastgroup)))
        at = match.end()
    return [*found, _Token("end", "", len(text))]


class _Parser:
    """Recursive descent; ``depth`` counts parentheses and negations, ``terms`` what is compared."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.next = 0
        self.terms = 0

    def peek(self) -> str:
        """Return the next word or mark in lower case; a text never equals one."""
        token = self.tokens[self.next]
        return token.value.lower() if token.kind != "text" else "'"

    def take(self) -> _Token:
        token = self.tokens[self.next]
        self.next += token.kind != "end"
        return token

    def fail(self, wanted: str) -> GraphError:
        token = self.tokens[self.next]
        found = f"'{token.value[:50]}'" if token.kind != "end" else "the end"
        return _wrong(f"{wanted} was expected at position {token.at}, not {found}")

    def expect(self, word: str) -> None:
        if self.peek() != word:
            raise self.fail(f"'{word}'" if word else "the end")
        self.take()

    def either(self, depth: int) -> Filter:
        found = self.both(depth)
        while self.peek() == "or":
            self.take()
            found = Or(found, self.both(depth))
        return found

    def both(self, depth: int) -> Filter:
        found = self.unary(depth)
        while self.peek() == "and":
            self.take()
            found = And(found, self.unary(depth))
        return found

    def unary(self, depth: int) -> Filter:
        if depth > DEPTH_LIMIT:
            raise _wrong(f"it is nested deeper than {DEPTH_LIMIT} levels")
        if self.peek() == "not":
            self.take()
            return Negation(self.unary(depth + 1))
        if self.peek() == "(":
            self.take()
            found = self.either(depth + 1)
            self.expect(")")
            return found
        self.terms += 1
        if self.terms > TERM_LIMIT:
            raise _wrong(f"it has more than {TERM_LIMIT} terms")
        return self.term()

    def term(self) -> Filter:
        path = self.word("a property").lower()
        if path == "startswith" and self.peek() == "(":
            self.take()
            path = self.word("a property").lower()
            self.expect(",")
            value = self.text()
            self.expect(")")
            return StartsWith(path, value)
        if path.endswith("/any") and self.peek() == "(":
            return AnyEquals(path.removesuffix("/any"), self.lambda_value())
        operator = self.word("'eq', 'ne' or 'in'").lower()
        if operator == "in":
            return self.one_of(path)
        if operator not in ("eq", "ne"):
            raise GraphError(
                "Request_UnsupportedQuery",
                f"Unsupported Query: the operator '{operator[:20]}' is not offered.",
            )
        compare = Compare(path, (self.value(),))
        return compare if operator == "eq" else Negation(compare)

    def one_of(self, path: str) -> Filter:
        self.expect("(")
        values = [self.value()]
        while self.peek() == ",":
            self.take()
            values.append(self.value())
            self.terms += 1
            if self.terms > TERM_LIMIT:
                raise _wrong(f"it has more than {TERM_LIMIT} terms")
        self.expect(")")
        return Compare(path, tuple(values))

    def lambda_value(self) -> str:
        self.expect("(")
        name = self.word("a name").lower()
        self.expect(":")
        if self.word("a name").lower() != name:
            raise _wrong(f"only '{name} eq' and a text can stand behind '{name}:'")
        self.expect("eq")
        value = self.text()
        self.expect(")")
        return value

    def word(self, wanted: str) -> str:
        if self.tokens[self.next].kind != "word":
            raise self.fail(wanted)
        return self.take().value

    def text(self) -> str:
        if self.tokens[self.next].kind != "text":
            raise self.fail("a text in ' '")
        return self.take().value[1:-1].replace("''", "'")

    def value(self) -> Value:
        if self.tokens[self.next].kind == "text":
            return self.text()
        word = self.peek()
        if word not in _CONSTANTS:
            raise self.fail("a value")
        self.take()
        return _CONSTANTS[word]
