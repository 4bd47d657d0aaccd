"""Unpack the zip of a package: nothing outside its folder, no links, bounded in every direction.

What is unpacked is bounded by what comes out, not by what the archive says about itself.
"""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from landbridge_agent.extensions.errors import ExtensionFailed

MAX_FILES = 20_000
MAX_UNPACKED = 8 * 1024**3
MAX_RATIO = 200
"""How many files and bytes a package may unpack to, and how many times its own size."""

SMALL = 16 * 1024 * 1024
"""Below this many bytes the ratio does not matter."""

DAMAGED = (
    zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error, lzma.LZMAError
)  # fmt: skip
"""What ``zipfile`` raises for what it cannot read."""

_CHUNK = 256 * 1024


def unpack(archive: Path, folder: Path, max_unpacked: int = MAX_UNPACKED) -> None:
    """Unpack a zip into an empty folder; on failure the folder is gone.

    Raises:
        ExtensionFailed: it is no zip, is damaged, reaches out of the folder, or is too large.
    """
    folder.mkdir(parents=True, mode=0o700)
    try:
        with zipfile.ZipFile(archive) as package:
            room = shutil.disk_usage(folder).free * 9 // 10
            _unpack(package, folder, min(_bound(archive.stat().st_size, max_unpacked), room))
    except DAMAGED as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ExtensionFailed(f"The package cannot be unpacked: {error}.") from error
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ExtensionFailed(f"The package cannot be unpacked: {error.strerror or error}.") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _bound(packed: int, most: int) -> int:
    return min(most, max(SMALL, packed * MAX_RATIO))


def _unpack(package: zipfile.ZipFile, folder: Path, bound: int) -> None:
    members = package.infolist()
    if len(members) > MAX_FILES:
        raise ExtensionFailed(f"The package has {len(members)} files; {MAX_FILES} are allowed.")
    for member in members:  # all names first: nothing of a bad package is unpacked
        _check(member)
    left = bound
    for member in members:
        target = folder / PurePosixPath(member.filename)
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True, mode=0o700)
            continue
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        left -= _write(package, member, target, left)


def _check(member: zipfile.ZipInfo) -> None:
    name = member.filename
    path = PurePosixPath(name)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if not name or "\\" in name or path.is_absolute() or ".." in path.parts or ":" in name.partition("/")[0]:
        raise ExtensionFailed(f"The package has a file that lies outside of it: '{name[:200]}'.")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ExtensionFailed(f"The package has '{name[:200]}', which is neither a file nor a folder.")
    if member.flag_bits & 0x1:
        raise ExtensionFailed(f"The package has '{name[:200]}', which is encrypted.")


def _write(package: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Write one file and return its size; never more than ``left`` bytes."""
    written = 0
    executable = 0o700 if (member.external_attr >> 16) & 0o111 else 0o600
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, executable)
    with os.fdopen(handle, "wb") as file, package.open(member) as source:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > left:
                raise ExtensionFailed(
                    "The package unpacks to far more than its size, or than there is room for: it is refused."
                )
            file.write(chunk)
    return written
