"""``nxFile``: a file, a folder or a link, with its content, mode and owner.

The content is ``Contents``, or that of ``SourcePath`` (a file of this machine), or what has the
SHA-256, SHA-1 or MD5 ``Checksum``, which can only be audited. A ``Type`` that differs is changed
only with ``Force``; a folder that is not empty goes only with ``Force`` and ``Recurse``.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from landbridge_agent.guest import files
from landbridge_agent.guest.files import Item
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

SHOWN = 256
"""How many characters of a public file a report repeats."""

_DIGESTS = {32: "md5", 40: "sha1", 64: "sha256"}


class NxFile(Resource):
    """The resource."""

    type = "nxFile"
    properties: ClassVar[Mapping[str, Kind]] = {
        "Ensure": ENSURE,
        "DestinationPath": TEXT,
        "SourcePath": TEXT,
        "Type": (files.FILE, files.DIRECTORY, files.LINK),
        "Contents": TEXT,
        "Checksum": TEXT,
        "Mode": TEXT,
        "Force": FLAG,
        "Recurse": FLAG,
        "Owner": TEXT,
        "Group": TEXT,
    }
    required = ("DestinationPath",)

    def __init__(self, values: Any, system: Any) -> None:
        super().__init__(values, system)
        self._path = self.text("DestinationPath")
        self._kind = self.values.get("Type", files.FILE)
        self._mode = parse_mode(self.text("Mode")) if self.text("Mode") else None
        checksum = self.text("Checksum").lower()
        if checksum in ("md5", "ctime", "mtime"):  # how to compare with SourcePath: by content, always
            checksum = ""
        if checksum and not (len(checksum) in _DIGESTS and re.fullmatch("[0-9a-f]+", checksum)):
            raise BadProperty("nxFile.Checksum must be a SHA-256, SHA-1 or MD5 in hex, or md5.")
        self._checksum = checksum
        if "Contents" in values and self.text("SourcePath"):
            raise BadProperty("nxFile takes Contents or SourcePath, not both.")
        if self._kind == files.LINK and self.wanted and not self.text("SourcePath"):
            raise BadProperty("nxFile of the type link needs SourcePath: where the link leads.")
        if "://" in self.text("SourcePath"):
            raise BadProperty("nxFile.SourcePath must be a path on this machine: nothing is downloaded.")
        if self._kind == files.DIRECTORY and self.text("SourcePath"):
            raise BadProperty("nxFile copies no folders: leave SourcePath out.")

    def test(self) -> Found:
        """Compare, as the base class says."""
        found = self.system.files.look(self._path)
        state = self._state(found)
        if found is None:
            missing = self.reason("Ensure", f"{self._path} does not exist.")
            return Found([missing] if self.wanted else [], state)
        if not self.wanted:
            return Found([self.reason("Ensure", f"{self._path} exists and should not.")], state)
        if found.kind != self._kind:
            phrase = f"{self._path} is a {found.kind}, not a {self._kind}."
            return Found([self.reason("Type", phrase)], state)
        reasons = self._content_reasons(found, state)
        if found.kind != files.LINK:
            reasons += self._rights(found)
        return Found(reasons, state)

    def _state(self, found: Item | None) -> dict[str, Any]:
        state: dict[str, Any] = {"DestinationPath": self._path, "Ensure": "Present" if found else "Absent"}
        if found is not None:
            state |= {
                "Type": found.kind,
                "Mode": f"{found.mode:04o}",
                "Owner": self.system.name_of("passwd", found.uid),
                "Group": self.system.name_of("group", found.gid),
            }
            if found.kind == files.LINK:
                state["SourcePath"] = found.target
        return state

    def _content_reasons(self, found: Item, state: dict[str, Any]) -> list[Reason]:
        if found.kind == files.LINK:
            if found.target == self.text("SourcePath"):
                return []
            return [self.reason("SourcePath", f"{self._path} leads to {found.target}.")]
        wanted = self._wanted_content()
        if found.kind != files.FILE or (wanted is None and not self._checksum):
            return []
        content = self.system.files.read(self._path)
        if found.is_public:  # a report is read by many: of other files it says that they differ, not how
            state["Checksum"] = hashlib.sha256(content).hexdigest()
        if found.is_public and content != wanted:
            state["Contents"] = content[: SHOWN * 4].decode("utf-8", "replace")[:SHOWN]
        if wanted is not None and content != wanted:
            phrase = (
                f"{self._path} does not hold what it should: {len(content)} bytes instead of {len(wanted)}."
            )
            return [self.reason("Contents", phrase)]
        if self._checksum and _digest(content, self._checksum) != self._checksum:
            return [self.reason("Checksum", f"{self._path} does not have the checksum {self._checksum}.")]
        return []

    def _wanted_content(self) -> bytes | None:
        if "Contents" in self.values:
            return self.text("Contents").encode()
        source = self.text("SourcePath")
        return self.system.files.read(source) if source and self._kind == files.FILE else None

    def _rights(self, found: Item) -> list[Reason]:
        reasons: list[Reason] = []
        mode, uid, gid = self._target(found)
        if found.mode != mode:
            phrase = f"{self._path} has the mode {found.mode:04o}, not {mode:04o}."
            reasons.append(self.reason("Mode", phrase))
        if found.uid != uid:
            owner = self.system.name_of("passwd", found.uid)
            reasons.append(
                self.reason("Owner", f"{self._path} belongs to {owner}, not {self.text('Owner')}.")
            )
        if found.gid != gid:
            group = self.system.name_of("group", found.gid)
            phrase = f"{self._path} belongs to the group {group}, not {self.text('Group')}."
            reasons.append(self.reason("Group", phrase))
        return reasons

    def _target(self, found: Item) -> tuple[int, int, int]:
        """Return mode, user and group that it should have, given what it has."""
        mode = found.mode if self._mode is None else self._mode
        uid = self.system.number_of("passwd", self.text("Owner")) if self.text("Owner") else found.uid
        gid = self.system.number_of("group", self.text("Group")) if self.text("Group") else found.gid
        return mode, uid, gid

    def set(self) -> None:
        """Make it so, as the base class says."""
        found = self.system.files.look(self._path)
        if not self.wanted:
            self.system.files.remove(self._path, whole_folder=self.on("Force") and self.on("Recurse"))
            return
        if found is not None and found.kind != self._kind:
            if not self.on("Force"):
                raise CannotApply(f"{self._path} is a {found.kind}; only with Force=true is it replaced.")
            if files.DIRECTORY in (found.kind, self._kind):
                self.system.files.remove(self._path, whole_folder=self.on("Recurse"))
            found = None
        if self._kind == files.LINK:
            self.system.files.make_link(self._path, self.text("SourcePath"))
            return
        plain = 0o755 if self._kind == files.DIRECTORY else 0o644
        who = self._target(found or Item(self._kind, plain, *self._own_ids(), 0))
        if self._kind == files.DIRECTORY:
            self.system.files.make_folder(self._path, *who)
            return
        content = self._wanted_content()
        if content is None:
            if self._checksum and (found is None or self._content_reasons(found, {})):
                raise CannotApply(f"What {self._path} should hold is not said: give Contents or SourcePath.")
            content = self.system.files.read(self._path) if found is not None else b""
        self.system.files.write(self._path, content, *who)

    def _own_ids(self) -> tuple[int, int]:
        return os.geteuid(), os.getegid()


def parse_mode(text: str) -> int:
    """Return the permission bits of ``0644``, ``644`` or ``rw-r--r--``.

    Raises:
        BadProperty: it is none of these.
    """
    if re.fullmatch("[0-7]{3,4}", text):
        return int(text, 8)
    if re.fullmatch("([r-][w-][x-]){3}", text):
        return sum(1 << (8 - place) for place, letter in enumerate(text) if letter != "-")
    raise BadProperty(f"nxFile.Mode must be such as 0644 or rw-r--r--, not '{text[:20]}'.")


def _digest(content: bytes, like: str) -> str:
    return hashlib.new(_DIGESTS[len(like)], content, usedforsecurity=False).hexdigest()
