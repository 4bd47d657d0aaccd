"""Names and versions of extension handlers, and the folders that are called after them. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from landbridge_agent.extensions.errors import ExtensionFailed

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_VERSION = re.compile(r"\d{1,9}(\.\d{1,9}){0,3}", re.ASCII)


class Handler(NamedTuple):
    """A handler by publisher, type and version: of a request, or of what is installed."""

    publisher: str
    type: str
    version: str = ""

    @property
    def full_name(self) -> str:
        """``Publisher.Type``, as logs and folders have it."""
        return f"{self.publisher}.{self.type}"

    @property
    def folder(self) -> str:
        """The name of its folder: ``Publisher.Type-version``."""
        return f"{self.full_name}-{self.version}"

    @property
    def key(self) -> str:
        """What it is compared by: names in any case, any version."""
        return f"{self.publisher}/{self.type}".lower()


def handler(publisher: object, kind: object, version: object = "") -> Handler:
    """Return a handler of texts that came from outside.

    Raises:
        ExtensionFailed: a name could lead out of its folder, or the version is none.
    """
    for what, text in (("publisher", publisher), ("type", kind)):
        if not isinstance(text, str) or not _WORD.fullmatch(text):
            raise ExtensionFailed(f"ExtensionInsufficientBody: the {what} '{str(text)[:100]}' is not a name.")
    if not isinstance(version, str) or (version and not _VERSION.fullmatch(version)):
        raise ExtensionFailed(f"ExtensionInsufficientBody: '{str(version)[:100]}' is not a version.")
    return Handler(str(publisher), str(kind), version)


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions are ordered by; 2.1 and 2.1.0 are the same."""
    numbers = [int(one) for one in version.split(".")] if _VERSION.fullmatch(version) else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def fits(version: str, wanted: str) -> bool:
    """Say whether a version is one of those that ``wanted`` asks for: 2.1.13 is a 2.1 and a 2."""
    return not wanted or f"{version}.".startswith(f"{wanted}.") or version_key(version) == version_key(wanted)


def wanted_version(asked: str, minor_upgrades: bool) -> str:
    """Return which versions may be installed for ``typeHandlerVersion``; empty: any.

    ``autoUpgradeMinorVersion`` lets 2.1 be any 2.x; without it, it is any 2.1.x.
    """
    return asked.partition(".")[0] if minor_upgrades else asked
