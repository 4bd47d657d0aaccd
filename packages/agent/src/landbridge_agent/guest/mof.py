"""MOF (DMTF DSP0004), the subset that compiled DSC configurations are written in.

``instance of CLASS as $alias { Name = value; ... };`` with strings, numbers, true, false, NULL,
aliases, and arrays of these; comments; ``#pragma`` lines, which say nothing here. Qualifiers, class
declarations and embedded instances are refused. Names are compared without regard to case.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, NoReturn

MAX_BYTES = 4 * 1024 * 1024
"""The largest document that is read."""

MAX_INSTANCES = 2000
LEAST, MOST = -(2**63), 2**64 - 1
"""The whole numbers of MOF: those of sint64 and uint64."""


class MofError(Exception):
    """A document cannot be read; ``line`` and ``column`` count from 1, columns in characters."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {reason}")
        self.reason, self.line, self.column = reason, line, column


class Alias(NamedTuple):
    """A value that names another instance; ``name`` is without the ``$``."""

    name: str


Simple = str | bool | int | float | Alias | None
Value = Simple | list[Simple]


class Instance(NamedTuple):
    """One instance, with the line on which it begins. ``alias`` is empty where it has none."""

    type: str
    alias: str
    values: dict[str, Value]
    line: int = 1


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKENS = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>//[^\n]*|/\*.*?\*/)
    | (?P<pragma>\#[^\n]*)
    | (?P<string>"(?:[^"\\]++|\\.)*+")
    | (?P<number>[+-]?(?:0[xX][0-9A-Fa-f]+|\d*\.?\d+(?:[eE][+-]?\d+)?)(?![\w.]))
    | (?P<alias>\$[^\W\d]\w*)
    | (?P<word>[^\W\d]\w*)
    | (?P<mark>[{}=;,])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:[xX]([0-9A-Fa-f]{1,4})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def decode(content: bytes) -> str:
    """Return a document's text: UTF-16 with a byte order mark, as DSC writes it, or UTF-8.

    Raises:
        MofError: it is too large, or neither.
    """
    if len(content) > MAX_BYTES:
        raise MofError(f"the document is larger than {MAX_BYTES} bytes", 1, 1)
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MofError(
            f"the document is not {'UTF-16' if wide else 'UTF-8'}: {error.reason}", line, 1
        ) from None


def parse(text: str) -> list[Instance]:
    """Return the instances of a document in their order.

    Raises:
        MofError: and nothing else, whatever the text.
    """
    return list(_Parser(text).instances())


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._scan()
        self._next = next(self._tokens)

    def _fail(self, reason: str, at: int) -> NoReturn:
        line = self._text.count("\n", 0, at) + 1
        raise MofError(reason, line, at - self._text.rfind("\n", 0, at))

    def _scan(self) -> Iterator[_Token]:
        at, end = 0, len(self._text)
        while at < end:
            found = _TOKENS.match(self._text, at)
            if found is None or found.lastgroup is None:
                self._fail(self._unreadable(at), at)
            if found.lastgroup not in ("space", "comment", "pragma"):
                yield _Token(found.lastgroup, found.group(), at)
            at = found.end()
        yield _Token("end", "the end", end)

    def _unreadable(self, at: int) -> str:
        if self._text[at] == '"':
            return "this string does not end"
        if self._text.startswith("/*", at):
            return "this comment does not end"
        return f"{self._text[at]!r} is not expected here"

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = next(self._tokens)
        return token

    def _expect(self, kind: str, text: str, what: str) -> _Token:
        token = self._take()
        if token.kind != kind or (text and token.text.lower() != text):
            self._fail(f"{what} is expected, not {_shown(token)}", token.at)
        return token

    def instances(self) -> Iterator[Instance]:
        count = 0
        while self._next.kind != "end":
            count += 1
            if count > MAX_INSTANCES:
                self._fail(f"there are more than {MAX_INSTANCES} instances", self._next.at)
            yield self._instance()

    def _instance(self) -> Instance:
        first = self._expect("word", "instance", "'instance of'")
        self._expect("word", "of", "'of'")
        name = self._expect("word", "", "the name of a class").text
        alias = ""
        if self._next.kind == "word" and self._next.text.lower() == "as":
            self._take()
            alias = self._expect("alias", "", "an alias such as $ref").text[1:]
        self._expect("mark", "{", "'{'")
        values = self._members()
        self._expect("mark", ";", "';' after '}'")
        return Instance(name, alias, values, self._text.count("\n", 0, first.at) + 1)

    def _members(self) -> dict[str, Value]:
        values: dict[str, Value] = {}
        seen: set[str] = set()
        while not self._at("}"):
            name = self._expect("word", "", "the name of a property, or '}',")
            if name.text.lower() in seen:
                self._fail(f"{name.text} is given twice", name.at)
            seen.add(name.text.lower())
            self._expect("mark", "=", f"'=' after {name.text}")
            values[name.text] = self._list() if self._at("{") else self._simple()
            self._expect("mark", ";", f"';' after the value of {name.text}")
        self._take()
        return values

    def _at(self, mark: str) -> bool:
        return self._next.kind == "mark" and self._next.text == mark

    def _list(self) -> list[Simple]:
        self._take()
        found: list[Simple] = []
        while not self._at("}"):
            found.append(self._simple())
            if not self._at("}"):
                self._expect("mark", ",", "',' or '}'")
        self._take()
        return found

    def _simple(self) -> Simple:
        token = self._take()
        if token.kind == "string":
            parts = [self._string(token)]
            while self._next.kind == "string":  # DSP0004: strings side by side are one
                parts.append(self._string(self._take()))
            return "".join(parts)
        if token.kind == "number":
            return self._number(token)
        if token.kind == "alias":
            return Alias(token.text[1:])
        if token.kind == "word" and token.text.lower() in _WORDS:
            return _WORDS[token.text.lower()]
        self._fail(f"a value is expected, not {_shown(token)}", token.at)

    def _number(self, token: _Token) -> int | float:
        text = token.text.lower()
        if "x" in text:
            value: int | float = int(text, 16) if len(text) <= 20 else MOST + 1
        elif text.lstrip("+-").isdecimal() and text.isascii():
            value = int(text) if len(text) <= 21 else MOST + 1
        elif text.isascii():
            value = float(text)
        else:
            self._fail("numbers are written with the digits 0 to 9", token.at)
        if isinstance(value, int) and not LEAST <= value <= MOST:
            self._fail("the number does not fit into 64 bits", token.at)
        if value in (float("inf"), float("-inf")):
            self._fail("the number is too large", token.at)
        return value

    def _string(self, token: _Token) -> str:
        def plain(found: re.Match[str]) -> str:
            code, letter = found.groups()
            if code is None and letter not in _ESCAPED:
                self._fail(f"\\{letter} is not an escape", token.at + 1 + found.start())
            one = _ESCAPED[letter] if code is None else chr(int(code, 16))
            if "\ud800" <= one <= "\udfff":
                self._fail("a surrogate is not a character", token.at + 1 + found.start())
            return one

        return _ESCAPE.sub(plain, token.text[1:-1])


def _shown(token: _Token) -> str:
    return token.text if token.kind == "end" else repr(token.text[:40])


# -- writing -------------------------------------------------------------------------------------


def write(instances: Iterable[Instance]) -> str:
    """Return a document that ``parse`` reads as these instances. Names are taken as they are."""
    return "".join(_written(one) for one in instances)


def _written(instance: Instance) -> str:
    alias = f" as ${instance.alias}" if instance.alias else ""
    rows = [f"  {name} = {_value(value)};\n" for name, value in instance.values.items()]
    return f"instance of {instance.type}{alias}\n{{\n{''.join(rows)}}};\n\n"


def _value(value: Value) -> str:
    if isinstance(value, list):
        return "{" + ", ".join(_value(one) for one in value) + "}"
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, Alias):
        return f"${value.name}"
    if isinstance(value, str):
        return '"' + "".join(_character(one) for one in value) + '"'
    return repr(value)


_WRITTEN = {plain: f"\\{letter}" for letter, plain in _ESCAPED.items() if letter != "'"}


def _character(one: str) -> str:
    if one in _WRITTEN:
        return _WRITTEN[one]
    return one if one.isprintable() else f"\\x{ord(one):04X}" if ord(one) < 0x10000 else one
