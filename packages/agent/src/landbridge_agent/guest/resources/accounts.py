"""``nxGroup``, ``GC_LinuxGroup`` and ``nxUser``: local accounts, by the programs of shadow-utils.

A password is a hash, as /etc/shadow has it, and reaches ``chpasswd`` by its standard input. Below
another root than the machine's the programs are told so with ``--prefix``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from landbridge_agent.guest.resources.resource import (
    ENSURE,
    FLAG,
    NUMBER,
    TEXT,
    TEXTS,
    BadProperty,
    CannotApply,
    Found,
    Kind,
    Reason,
    Resource,
)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?")
"""What is taken for the name of an account: nothing that a program could take for an option."""

NOBODY = "!", "*", ""


class _Account(Resource):
    def checked(self, name: str) -> str:
        """Return a name of a user or group.

        Raises:
            BadProperty: it is none.
        """
        if not NAME.fullmatch(name):
            raise BadProperty(f"{self.type}: '{name[:40]}' cannot be the name of an account.")
        return name

    def call(self, program: str, *arguments: str, given: str = "") -> None:
        """Run one of the programs of shadow-utils.

        Raises:
            CannotApply: it refuses; the text is what it said.
        """
        prefix = ["--prefix", str(self.system.root)] if self.system.relocated else []
        done = self.system.run([program, *prefix, *arguments], given=given)
        if done.code:
            raise CannotApply(f"{program}: {done.why}")


class NxGroup(_Account):
    """A group: that it is there, its number, its members."""

    type = "nxGroup"
    properties: ClassVar[Mapping[str, Kind]] = {
        "Ensure": ENSURE,
        "GroupName": TEXT,
        "Members": TEXTS,
        "MembersToInclude": TEXTS,
        "MembersToExclude": TEXTS,
        "PreferredGroupID": NUMBER,
        "Force": FLAG,
    }
    required = ("GroupName",)

    def __init__(self, values: Any, system: Any) -> None:
        super().__init__(values, system)
        self._name = self.checked(self.text("GroupName"))
        self._members = self._named("Members")
        self._include = self._named("MembersToInclude") or []
        self._exclude = self._named("MembersToExclude") or []
        if self._members is not None and (self._include or self._exclude):
            raise BadProperty(f"{self.type} takes Members, or what to include and exclude, not both.")
        if set(self._include) & set(self._exclude):
            raise BadProperty(f"{self.type} includes and excludes the same member.")

    def _named(self, name: str) -> list[str] | None:
        found = self.values.get(name)
        return None if found is None else [self.checked(one) for one in found]

    def _row(self) -> list[str] | None:
        return next(
            (row for row in self.system.rows("/etc/group") if row[0] == self._name and len(row) > 3), None
        )

    @staticmethod
    def _of(row: Sequence[str]) -> list[str]:
        return [one for one in row[3].split(",") if one]

    def test(self) -> Found:
        """Compare, as the base class says."""
        row = self._row()
        state: dict[str, Any] = {"GroupName": self._name, "Ensure": "Present" if row else "Absent"}
        if row is None:
            missing = self.reason("Ensure", f"There is no group {self._name}.")
            return Found([missing] if self.wanted else [], state)
        state |= {"Members": self._of(row), "PreferredGroupID": row[2]}
        if not self.wanted:
            return Found([self.reason("Ensure", f"The group {self._name} exists and should not.")], state)
        return Found(self._reasons(row), state)

    def _reasons(self, row: Sequence[str]) -> list[Reason]:
        members, reasons = self._of(row), []
        number = self.values.get("PreferredGroupID")
        if number is not None and row[2] != str(number):
            reasons.append(
                self.reason("PreferredGroupID", f"{self._name} has the number {row[2]}, not {number}.")
            )
        wanted = self._wanted(members)
        for code, names in (
            ("Members", sorted(set(members) - set(wanted))),
            ("MembersToInclude", sorted(set(wanted) - set(members))),
        ):
            verb = "has members that it should not have" if code == "Members" else "lacks members"
            if names:
                reasons.append(self.reason(code, f"The group {self._name} {verb}: {', '.join(names)}."))
        return reasons

    def _wanted(self, members: Sequence[str]) -> list[str]:
        if self._members is not None:
            return self._members
        kept = [one for one in members if one not in self._exclude]
        return kept + [one for one in self._include if one not in kept]

    def set(self) -> None:
        """Make it so, as the base class says."""
        row, number = self._row(), self.values.get("PreferredGroupID")
        if not self.wanted:
            if row is not None:
                self.call("groupdel", self._name)
            return
        if row is None:
            self.call("groupadd", *(["--gid", str(number)] if number is not None else []), self._name)
        elif number is not None and row[2] != str(number):
            self.call("groupmod", "--gid", str(number), self._name)
        members = self._of(row) if row else []
        wanted = self._wanted(members)
        if set(wanted) != set(members):
            self._set_members(wanted)

    def _set_members(self, members: Sequence[str]) -> None:
        known = {row[0] for row in self.system.rows("/etc/passwd")}
        missing = sorted(set(members) - known)
        if missing:
            raise CannotApply(f"There is no user {', '.join(missing)} to be a member of {self._name}.")
        if self.system.relocated:
            self.call("groupmod", "--users", ",".join(members), self._name)
        else:
            self.call("gpasswd", "--members", ",".join(members), self._name)


class GcLinuxGroup(NxGroup):
    """``nxGroup`` whose members may also be texts with ``;``, as policies give them."""

    type = "GC_LinuxGroup"
    _TEXTS = ("Members", "MembersToInclude", "MembersToExclude")
    properties: ClassVar[Mapping[str, Kind]] = {
        **NxGroup.properties,
        **{f"{name}AsString": TEXTS for name in _TEXTS},
    }

    def __init__(self, values: Any, system: Any) -> None:
        given = {
            name.removesuffix("AsString"): value
            for name, value in values.items()
            if not name.endswith("AsString") or value
        }
        super().__init__(given, system)


class NxUser(_Account):
    """A user: that it is there, name, home, group, password, and whether it may sign in by password."""

    type = "nxUser"
    properties: ClassVar[Mapping[str, Kind]] = {
        "Ensure": ENSURE,
        "UserName": TEXT,
        "FullName": TEXT,
        "Description": TEXT,
        "Password": TEXT,
        "Disabled": FLAG,
        "PasswordChangeRequired": FLAG,
        "HomeDirectory": TEXT,
        "GroupID": TEXT,
    }
    required = ("UserName",)

    def __init__(self, values: Any, system: Any) -> None:
        super().__init__(values, system)
        self._name = self.checked(self.text("UserName"))
        for name in ("FullName", "Description", "Password", "HomeDirectory"):
            if any(one in self.text(name) for one in ":\n\r\0"):
                raise BadProperty(f"nxUser.{name} must be one line without ':'.")
        if self.text("Password") and not self.text("Password").startswith("$"):
            raise BadProperty("nxUser.Password must be a hash as /etc/shadow has it, such as $6$...")

    def _row(self, table: str, fields: int) -> list[str] | None:
        found = (row for row in self.system.rows(f"/etc/{table}") if row[0] == self._name)
        return next((row for row in found if len(row) >= fields), None)

    @property
    def _comment(self) -> str | None:
        if "FullName" not in self.values and "Description" not in self.values:
            return None
        return ",".join(one for one in (self.text("FullName"), self.text("Description")) if one)

    def test(self) -> Found:
        """Compare, as the base class says."""
        row = self._row("passwd", 7)
        state: dict[str, Any] = {"UserName": self._name, "Ensure": "Present" if row else "Absent"}
        if row is None:
            missing = self.reason("Ensure", f"There is no user {self._name}.")
            return Found([missing] if self.wanted else [], state)
        shadow = self._row("shadow", 3) or [self._name, "!", ""]
        state |= {"FullName": row[4], "HomeDirectory": row[5], "GroupID": row[3]}
        state["Disabled"] = shadow[1].startswith(("!", "*"))
        if not self.wanted:
            return Found([self.reason("Ensure", f"The user {self._name} exists and should not.")], state)
        return Found([self.reason(code, text) for code, text, _ in self._differences(row, shadow)], state)

    def _differences(self, row: Sequence[str], shadow: Sequence[str]) -> list[tuple[str, str, list[str]]]:
        """Return code, phrase, and the arguments of ``usermod`` that mend it (none: another program)."""
        name, found = self._name, []
        comment, home = self._comment, self.text("HomeDirectory")
        if comment is not None and row[4] != comment:
            found.append(("FullName", f"The user {name} is called '{row[4]}'.", ["--comment", comment]))
        if home and row[5] != home:
            found.append(("HomeDirectory", f"The home of {name} is {row[5]}.", ["--home", home]))
        group = self.text("GroupID")
        if group and row[3] != str(self.system.number_of("group", group)):
            found.append(("GroupID", f"The group of {name} is {row[3]}, not {group}.", ["--gid", group]))
        password = self.text("Password")
        if password and shadow[1].lstrip("!") != password:
            found.append(("Password", f"The user {name} has another password.", []))
        disabled = shadow[1].startswith(("!", "*"))
        if "Disabled" in self.values and disabled != self.on("Disabled"):
            word = "cannot" if disabled else "can"
            switch = "--unlock" if disabled else "--lock"
            found.append(("Disabled", f"The user {name} {word} sign in with a password.", [switch]))
        if self.on("PasswordChangeRequired") and shadow[2] != "0":
            found.append(("PasswordChangeRequired", f"The user {name} need not change the password.", []))
        return found

    def set(self) -> None:
        """Make it so, as the base class says."""
        row = self._row("passwd", 7)
        if not self.wanted:
            if row is not None:
                self.call("userdel", self._name)
            return
        if row is None:
            self.call("useradd", "--create-home", *self._new(), self._name)
            row = self._row("passwd", 7)
        shadow = self._row("shadow", 3)
        if row is None or shadow is None:
            raise CannotApply(f"The user {self._name} is not in /etc/passwd and /etc/shadow.")
        codes = {code for code, _, _ in self._differences(row, shadow)}
        if "Password" in codes:
            self._set_password()
        for _, _, arguments in self._differences(row, self._row("shadow", 3) or shadow):
            if arguments:
                self._modify(arguments)
        if "PasswordChangeRequired" in codes:
            self.call("usermod" if self.system.relocated else "chage", *self._expire(), self._name)

    def _new(self) -> list[str]:
        comment, home, group = self._comment, self.text("HomeDirectory"), self.text("GroupID")
        found = [] if comment is None else ["--comment", comment]
        found += ["--home-dir", home] if home else []
        return found + (["--gid", group] if group else [])

    def _modify(self, arguments: Sequence[str]) -> None:
        shadow = self._row("shadow", 3)
        if arguments == ["--unlock"] and shadow is not None and shadow[1] in NOBODY:
            raise CannotApply(f"{self._name} has no password that could be unlocked: give Password.")
        self.call("usermod", *arguments, self._name)

    def _expire(self) -> list[str]:
        if self.system.relocated:
            raise CannotApply("A change of the password can be required on the machine itself only.")
        return ["--lastday", "0"]

    def _set_password(self) -> None:
        if self.system.relocated:
            raise CannotApply("A password can be set on the machine itself only.")
        self.call("chpasswd", "--encrypted", given=f"{self._name}:{self.text('Password')}\n")
