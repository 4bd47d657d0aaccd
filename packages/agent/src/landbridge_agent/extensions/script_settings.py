"""The settings of CustomScript: read, checked, and what is to be run (contract: agent, 4.4). Pure."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_SCRIPT = 256 * 1024
"""How many bytes a script may have, as it is sent and as it is run."""

KNOWN = frozenset(
    {"commandtoexecute", "script", "fileuris", "skipdos2unix", "timestamp", "storageaccountname",
     "storageaccountkey", "managedidentity"}
)  # fmt: skip
_SECRET_ONLY = ("storageaccountname", "storageaccountkey", "managedidentity")
_MAX_FILES = 100


class BadSettings(Exception):
    """The settings make no sense; the text says why. The exit code is CustomScript's own."""


class Wanted(NamedTuple):
    """What is to be run: a command of ``/bin/sh``, or a script; with files beside it."""

    command: str
    script: bytes
    files: tuple[str, ...]
    keep_line_ends: bool


def read(public: Mapping[str, Any], protected: Mapping[str, Any]) -> Wanted:
    """Return what settings ask for; names are in any case.

    Raises:
        BadSettings: nothing or two things are asked for, or something that is not done here.
    """
    shown, hidden = (_lower(one) for one in (public, protected))
    for name in _SECRET_ONLY:
        if shown.get(name) or hidden.get(name):
            raise BadSettings(
                f"'{name}' is not supported: this cloud has no storage accounts. "
                "Name files in 'fileUris' by a URL that needs no sign-in, such as a signed one."
            )
    command, script = (_once(shown, hidden, name) for name in ("commandToExecute", "script"))
    if bool(command) == bool(script):
        what = "both" if command else "neither"
        raise BadSettings(f"One of 'commandToExecute' and 'script' must be given, and {what} was.")
    return Wanted(
        command,
        decode(script) if script else b"",
        _files(shown, hidden),
        _switch(shown, "skipdos2unix"),
    )


def _lower(settings: Mapping[str, Any]) -> dict[str, Any]:
    found = {str(name).lower(): value for name, value in settings.items()}
    unknown = sorted(set(found) - KNOWN)
    if unknown:
        raise BadSettings(f"CustomScript knows no setting '{unknown[0][:100]}'.")
    return found


def _once(shown: Mapping[str, Any], hidden: Mapping[str, Any], name: str) -> str:
    values = [one.get(name.lower()) for one in (shown, hidden)]
    for value in values:
        if value is not None and not isinstance(value, str):
            raise BadSettings(f"'{name}' must be text.")
    if values[0] and values[1]:
        raise BadSettings(f"'{name}' is in both settings and protectedSettings; give it in one of them.")
    return str(values[0] or values[1] or "")


def _files(shown: Mapping[str, Any], hidden: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for settings in (shown, hidden):
        value = settings.get("fileuris") or []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise BadSettings("'fileUris' must be a list of URLs.")
        found += value
    if len(found) > _MAX_FILES:
        raise BadSettings(f"'fileUris' has {len(found)} URLs; {_MAX_FILES} are allowed.")
    return tuple(found)


def _switch(settings: Mapping[str, Any], name: str) -> bool:
    value = settings.get(name, False)
    if not isinstance(value, bool):
        raise BadSettings(f"'{name}' must be true or false.")
    return value


def decode(text: str) -> bytes:
    """Return a script that is sent as base64, of it or of it gzipped.

    Raises:
        BadSettings: it is no base64, no script, or too large.
    """
    if len(text) > MAX_SCRIPT * 4 // 3 + 8:
        raise BadSettings(f"'script' has more than {MAX_SCRIPT} bytes.")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSettings(f"'script' is not base64: {error}.") from error
    if content.startswith(b"\x1f\x8b"):
        content = _inflate(content)
    if not content or len(content) > MAX_SCRIPT:
        raise BadSettings(f"'script' must have 1 to {MAX_SCRIPT} bytes.")
    return content


def _inflate(content: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(content, MAX_SCRIPT + 1)
    except zlib.error as error:
        raise BadSettings(f"'script' is gzip that cannot be read: {error}.") from error
    if len(plain) <= MAX_SCRIPT and not stream.eof:
        raise BadSettings("'script' is gzip that is cut off.")
    return plain


def to_unix(content: bytes) -> bytes:
    """Return a text without the marks of DOS: line ends, and the mark of byte order."""
    if b"\0" in content[:1024]:
        return content  # no text
    return content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
