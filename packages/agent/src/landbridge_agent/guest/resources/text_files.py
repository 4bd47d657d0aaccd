"""``nxFileLine`` and ``nxFileContentReplace``: lines and patterns in a text file that is there.

Patterns are Python's regular expressions, which those of .NET mostly are. What is not UTF-8 in a
file stays as it is. A line is there if a whole line, without the blanks around it, is that line: one
that is commented out is not.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from landbridge_agent.guest import files
from landbridge_agent.guest.resources.resource import (
    ENSURE,
    FLAG,
    TEXT,
    BadProperty,
    CannotApply,
    Found,
    Kind,
    Reason,
    Resource,
)

APPEND, AFTER, BEFORE = "Append", "AfterLinePatternMatch", "BeforeLinePatternMatch"
MOST_NAMED = 10
"""How many places one reason names."""


class _TextFile(Resource):
    """A resource about a text file: ``_changed`` returns what it should hold."""

    def test(self) -> Found:
        """Compare, as the base class says."""
        path = self.text("FilePath")
        found = self.system.files.look(path)
        state: dict[str, Any] = {"FilePath": path}
        if found is None:
            return Found([self.reason("FileNotFound", f"The file {path} does not exist.")], state)
        text = self._text()
        reasons, lines = self._reasons(text)
        if found.is_public and reasons:
            state["Lines"] = [line[:200] for line in lines[:MOST_NAMED]]
        return Found(reasons, state)

    def set(self) -> None:
        """Make it so, as the base class says."""
        path = self.text("FilePath")
        found = self.system.files.look(path)
        if found is None:
            raise CannotApply(f"The file {path} does not exist: have an nxFile make it first.")
        if found.kind != files.FILE:
            raise CannotApply(f"{path} is a {found.kind}, not a file.")
        text = self._text()
        changed = self._changed(text)
        if changed != text:
            content = changed.encode("utf-8", "surrogateescape")
            self.system.files.write(path, content, found.mode, found.uid, found.gid)

    def _text(self) -> str:
        return self.system.files.read(self.text("FilePath")).decode("utf-8", "surrogateescape")

    def _pattern(self, name: str, *, plain: bool = False, more: int = 0) -> re.Pattern[str] | None:
        text = self.text(name)
        if not text:
            return None
        flags = more | (0 if self.on("CaseSensitive") else re.IGNORECASE)
        try:
            return re.compile(re.escape(text) if plain else text, flags)
        except (re.error, RecursionError, OverflowError) as error:
            raise BadProperty(f"{self.type}.{name} is not a regular expression: {error}.") from error

    @abstractmethod
    def _reasons(self, text: str) -> tuple[list[Reason], list[str]]:
        """Return why the text is not as wanted, and the lines that are to blame."""

    @abstractmethod
    def _changed(self, text: str) -> str:
        """Return the text as it should be."""


class NxFileLine(_TextFile):
    """``ContainsLine`` is there; lines that match ``DoesNotContainPattern`` and are another line are not."""

    type = "nxFileLine"
    properties: ClassVar[Mapping[str, Kind]] = {
        "FilePath": TEXT,
        "ContainsLine": TEXT,
        "DoesNotContainPattern": TEXT,
        "CaseSensitive": FLAG,
        "AddLineMode": (APPEND, AFTER, BEFORE),
        "LinePattern": TEXT,
    }
    required = ("FilePath",)

    def __init__(self, values: Any, system: Any) -> None:
        super().__init__(values, system)
        self._line = self.text("ContainsLine").rstrip("\r\n")
        if "\n" in self._line:
            raise BadProperty("nxFileLine.ContainsLine must be one line.")
        self._unwanted = self._pattern("DoesNotContainPattern")
        self._near = self._pattern("LinePattern")
        self._where = self.values.get("AddLineMode", APPEND)
        if self._where != APPEND and self._near is None:
            raise BadProperty(f"nxFileLine.AddLineMode {self._where} needs LinePattern.")

    def _is_it(self, line: str) -> bool:
        one, other = line.strip(), self._line.strip()
        return bool(other) and (one == other if self.on("CaseSensitive") else one.lower() == other.lower())

    def _is_unwanted(self, line: str) -> bool:
        return self._unwanted is not None and bool(self._unwanted.search(line)) and not self._is_it(line)

    def _reasons(self, text: str) -> tuple[list[Reason], list[str]]:
        lines, reasons = text.splitlines(), []
        path = self.text("FilePath")
        if self._line and not any(self._is_it(line) for line in lines):
            reasons.append(self.reason("LineNotFound", f"{path} lacks the line '{self._line}'."))
        unwanted = [(number, line) for number, line in enumerate(lines, 1) if self._is_unwanted(line)]
        if unwanted:
            numbers = ", ".join(str(number) for number, _ in unwanted[:MOST_NAMED])
            phrase = f"{path} matches '{self.text('DoesNotContainPattern')}' on line {numbers}."
            reasons.append(self.reason("LineUnexpected", phrase))
        return reasons, [line for _, line in unwanted]

    def _changed(self, text: str) -> str:
        lines = text.splitlines(keepends=True)
        if self._line and not any(self._is_it(line) for line in lines):
            self._add(lines)
        return "".join(line for line in lines if not self._is_unwanted(line.rstrip("\r\n")))

    def _add(self, lines: list[str]) -> None:
        at = len(lines)
        if self._where != APPEND and self._near is not None:
            near = self._near
            matching = [index for index, line in enumerate(lines) if near.search(line.rstrip("\r\n"))]
            if not matching:
                where = f"no line of {self.text('FilePath')} matches '{self.text('LinePattern')}'"
                raise CannotApply(f"The line cannot be put where it belongs: {where}.")
            at = matching[-1] + 1 if self._where == AFTER else matching[0]
        if at and not lines[at - 1].endswith("\n"):
            lines[at - 1] += "\n"
        lines.insert(at, self._line + "\n")


class NxFileContentReplace(_TextFile):
    """``EnsureExpectedPattern`` is found or, with Absent, is not; else ``SearchPattern`` is replaced."""

    type = "nxFileContentReplace"
    properties: ClassVar[Mapping[str, Kind]] = {
        "Ensure": ENSURE,
        "FilePath": TEXT,
        "EnsureExpectedPattern": TEXT,
        "Multiline": FLAG,
        "SearchPattern": TEXT,
        "SimpleMatch": FLAG,
        "ReplacementString": TEXT,
        "CaseSensitive": FLAG,
    }
    required = ("FilePath", "EnsureExpectedPattern")

    def __init__(self, values: Any, system: Any) -> None:
        super().__init__(values, system)
        plain, more = self.on("SimpleMatch"), re.DOTALL if self.on("Multiline") else 0
        self._expected = self._pattern("EnsureExpectedPattern", plain=plain, more=more)
        self._search = self._pattern("SearchPattern", plain=plain, more=more)

    def _pieces(self, text: str) -> list[str]:
        return [text] if self.on("Multiline") else text.splitlines(keepends=True)

    def _reasons(self, text: str) -> tuple[list[Reason], list[str]]:
        pattern, path = self.text("EnsureExpectedPattern"), self.text("FilePath")
        expected = self._expected
        matching = [one for one in self._pieces(text) if expected and expected.search(one.rstrip("\r\n"))]
        if self.wanted and not matching:
            return [self.reason("ExpectedPatternNotFound", f"{path} does not match '{pattern}'.")], []
        if not self.wanted and matching:
            phrase = f"{path} matches '{pattern}' and should not."
            lines = [] if self.on("Multiline") else [one.rstrip("\r\n") for one in matching]
            return [self.reason("UndesiredPatternFound", phrase)], lines
        return [], []

    def _changed(self, text: str) -> str:
        if self._search is None:
            raise CannotApply("Nothing says what to replace: SearchPattern is not given.")
        replaced = "".join(self._replaced(self._search, piece) for piece in self._pieces(text))
        left = self._reasons(replaced)[0]
        if left:
            raise CannotApply(f"Replacing '{self.text('SearchPattern')}' would not do: {left[0].phrase}")
        return replaced

    def _replaced(self, search: re.Pattern[str], piece: str) -> str:
        body = piece if self.on("Multiline") else piece.rstrip("\r\n")
        return search.sub(lambda found: self._replacement(found), body) + piece[len(body) :]

    def _replacement(self, found: re.Match[str]) -> str:
        """Put groups in the place of ``$1``, ``${name}``, ``$0`` and ``$$``, as .NET does."""
        if self.on("SimpleMatch"):
            return self.text("ReplacementString")

        def group(reference: re.Match[str]) -> str:
            name = reference.group(1) or reference.group(2)
            if name is None:
                return "$"
            try:
                return found.group(int(name) if name.isdecimal() else name) or ""
            except (IndexError, OverflowError):
                return reference.group()

        return re.sub(r"\$(?:(\d{1,3})|\{(\w+)\}|\$)", group, self.text("ReplacementString"))
