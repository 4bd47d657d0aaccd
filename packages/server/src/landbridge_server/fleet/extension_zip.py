"""What the zip of an extension must be before it is published, so that it can work on a machine.

``HandlerManifest.json`` lies at the top, as handlers of Azure have it; programs that it names are
in the package. Nothing leads out of the package, nothing is a link, and it unpacks to no more than
the agent takes. Every byte is read once, so checksums are right. What the programs do is not looked at.
"""

from __future__ import annotations

import json
import os
import shlex
import stat
import struct
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NamedTuple

MANIFEST = "HandlerManifest.json"
MAX_PACKED = 2 * 1024**3
MAX_UNPACKED = 8 * 1024**3
MAX_FILES = 20_000
MAX_RATIO = 200
SMALL = 16 * 1024 * 1024
"""Below this many bytes the ratio does not matter."""

MAX_MANIFEST = 64 * 1024
COMMANDS = ("installCommand", "enableCommand", "updateCommand", "disableCommand", "uninstallCommand")
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PIECE = 1024 * 1024


class BadPackage(ValueError):
    """The zip cannot be published; the text says why and what to do."""


class Contents(NamedTuple):
    """What was found: how many files, and their bytes once they are unpacked."""

    files: int
    unpacked: int


def check(file: BinaryIO) -> Contents:
    """Read a whole package, an open file, and return what is in it.

    Raises:
        BadPackage: it is none, it is damaged or too large, or a machine could not use it.
        OSError: the file cannot be read.
    """
    size = file.seek(0, os.SEEK_END)
    if size > MAX_PACKED:
        raise BadPackage(f"It has {size:,} bytes; a package has at most {MAX_PACKED:,}.")
    try:
        with zipfile.ZipFile(file) as package:
            return _check(package, size)
    except BadPackage:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError) as error:
        raise BadPackage(f"It is no zip, or it is damaged ({error}).") from error
    except (ValueError, EOFError) as error:
        raise BadPackage(f"It is no zip, or it is damaged ({error}).") from error


def _check(package: zipfile.ZipFile, size: int) -> Contents:
    members = package.infolist()
    if len(members) > MAX_FILES:
        raise BadPackage(f"It has {len(members):,} files; a package has at most {MAX_FILES:,}.")
    for member in members:
        _check_member(member)
    names = [PurePosixPath(member.filename) for member in members]
    files = {name for name, member in zip(names, members, strict=True) if not member.is_dir()}
    _check_places(names, files)
    unpacked = _read_all(package, min(MAX_UNPACKED, max(SMALL, size * MAX_RATIO)))
    _check_manifest(_manifest(package), package)
    return Contents(len(files), unpacked)


def _check_member(member: zipfile.ZipInfo) -> None:
    name, path = member.filename, PurePosixPath(member.filename)
    shown = repr(name[:200])
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in path.parts[0]:
        raise BadPackage(f"It has a file that lies outside of the package: {shown}.")
    if not name.isprintable() or any(len(part.encode()) > 255 for part in path.parts):
        raise BadPackage(f"It has a file whose name no machine can have: {shown}.")
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadPackage(f"It has {shown}, which is a link or something else that is no file.")
    if member.flag_bits & 0x1:
        raise BadPackage(f"It has {shown}, which is encrypted.")
    if member.compress_type not in METHODS:
        raise BadPackage(f"It has {shown}, which is compressed in a way that not every machine knows.")


def _check_places(names: list[PurePosixPath], files: set[PurePosixPath]) -> None:
    """Two members must not want the same place, nor one lie in a folder that is a file."""
    if len(set(names)) != len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise BadPackage(f"It has '{twice}' twice.")
    for name in names:
        if any(above in files for above in name.parents):
            raise BadPackage(f"It has '{name}' in a folder that is a file.")


def _read_all(package: zipfile.ZipFile, bound: int) -> int:
    """Return how many bytes come out, whatever the zip says about itself; checksums are compared."""
    total = 0
    for member in package.infolist():
        with package.open(member) as source:
            while piece := source.read(_PIECE):
                total += len(piece)
                if total > bound:
                    raise BadPackage(f"It unpacks to more than {bound:,} bytes: no machine would take it.")
    return total


def _manifest(package: zipfile.ZipFile) -> dict[str, Any]:
    try:
        member = package.getinfo(MANIFEST)
    except KeyError as error:
        deeper = next((one for one in package.namelist() if one.endswith("/" + MANIFEST)), "")
        hint = f" It lies in '{deeper}': zip what is in that folder, not the folder." if deeper else ""
        raise BadPackage(f"It has no {MANIFEST} at its top.{hint}") from error
    if member.file_size > MAX_MANIFEST:
        raise BadPackage(f"{MANIFEST} has more than {MAX_MANIFEST:,} bytes.")
    try:
        content = json.loads(package.read(member).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadPackage(f"{MANIFEST} is not JSON ({error}).") from error
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    found = content.get("handlerManifest") if isinstance(content, dict) else None
    if not isinstance(found, dict):
        raise BadPackage(f'{MANIFEST} must be [{{"version": 1.0, "handlerManifest": {{...}}}}].')
    return found


def _check_manifest(manifest: dict[str, Any], package: zipfile.ZipFile) -> None:
    for name in COMMANDS:
        command = manifest.get(name)
        if not isinstance(command, str) or not command.strip():
            raise BadPackage(f"{MANIFEST} must have a '{name}', such as 'bin/handler {name[:-7]}'.")
        _check_program(name, command, package)


def _check_program(name: str, command: str, package: zipfile.ZipFile) -> None:
    """See that a command can be read, and that a program of the package is in the package.

    A name without a folder, such as ``python3``, may be a program of the machine. Agents make what
    a manifest names executable: many archives lose that.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BadPackage(f"'{name}' in {MANIFEST} is no command ({error}).") from error
    program = PurePosixPath(words[0]) if words else PurePosixPath()
    if program.is_absolute() or len(program.parts) == 1:
        return
    if str(program) not in {str(PurePosixPath(one)) for one in package.namelist()}:
        raise BadPackage(f"'{name}' in {MANIFEST} begins with '{program}', which is not in it.")
