"""Get a package of the cloud: find it, verify who signed it, download it, compare its digest, unpack it.

The download goes on where it stopped: each part is a request of its own, and what is there already is
kept until the digest says that it is wrong. Nothing is unpacked before the digest is right, and
the folder of the handler appears in one step (temporary folder, then rename).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from landbridge_agent.extensions import archive, files, signature
from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.extensions.manifest import read_manifest
from landbridge_agent.extensions.names import Handler, fits, handler
from landbridge_wire.work_api import ExtensionPackage

TRIES = 10
"""How often a part of a package is asked for before the download is given up."""

PART, LEAST_PART = 2 * 1024 * 1024, 64 * 1024
MAX_PACKAGE = 2 * 1024**3
"""Bytes of one request, at first and at least, and of the largest package that is taken."""

DOWNLOADS = ".downloads"
"""The folder below that of the extensions where packages are kept until they are unpacked."""


class NotAvailable(Exception):
    """The cloud could not be asked, or gave no such part now; asking again may help."""


class Source(Protocol):
    """Where packages come from: the cloud, or in tests something that behaves like it."""

    def find(self, publisher: str, kind: str, version: str) -> ExtensionPackage | None:
        """Return the best package for a version (empty: any); None: it is not shipped.

        Raises:
            NotAvailable: the cloud could not be asked.
        """
        ...

    def read(self, package: ExtensionPackage, offset: int, count: int) -> bytes:
        """Return at most ``count`` bytes of a package from ``offset`` on.

        Raises:
            NotAvailable: there was no answer.
        """
        ...

    def roots(self) -> str:
        """Return the roots (PEM) that vouch for packages."""
        ...


def find(source: Source, wanted: Handler, pause: Callable[[float], None]) -> ExtensionPackage:
    """Return the cloud's best package for a handler.

    Raises:
        ExtensionFailed: it ships none, gives another, or cannot be asked.
    """
    why = ""
    for attempt in range(TRIES):
        try:
            found = source.find(wanted.publisher, wanted.type, wanted.version)
        except NotAvailable as error:
            why = str(error)
            pause(_wait(attempt))
            continue
        if found is None:
            version = f" {wanted.version}" if wanted.version else ""
            raise ExtensionFailed(
                f"ExtensionNotFound: this cloud has no package of {wanted.publisher}/{wanted.type}{version}. "
                "Its operator publishes one with 'landbridge extension publish'."
            )
        given = handler(found.publisher, found.type, found.version)
        if given.key != wanted.key or not fits(given.version, wanted.version):
            raise ExtensionFailed(f"The cloud gave {given.folder} for {wanted.folder}; it is not taken.")
        return found
    raise ExtensionFailed(f"The cloud could not be asked for {wanted.full_name} in {TRIES} tries: {why}")


def install(
    source: Source, package: ExtensionPackage, folder: Path, now: float, pause: Callable[[float], None]
) -> None:
    """Have the content of a package in ``folder``, which does not exist before.

    Raises:
        ExtensionFailed: unsigned, too large, cut off, of another digest, or no package of a handler.
    """
    if not 0 < package.size <= MAX_PACKAGE:
        raise ExtensionFailed(f"The package has {package.size} bytes; at most {MAX_PACKAGE} are taken.")
    signature.verify(package, source.roots(), now)
    downloads = folder.parent / DOWNLOADS
    downloads.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = downloads / f"{hashlib.sha256(package.digest.encode()).hexdigest()}.zip"
    _make_room(downloads, part, package.size)
    _download(source, package, part, pause)
    try:
        _check_digest(part, package)
        fresh = folder.parent / f"{files.TEMPORARY}{os.getpid()}-{folder.name[-100:]}"
        shutil.rmtree(fresh, ignore_errors=True)
        archive.unpack(part, fresh)
        _put_in_place(fresh, folder)
    finally:
        part.unlink(missing_ok=True)


def _put_in_place(fresh: Path, folder: Path) -> None:
    try:
        read_manifest(fresh)
        files.sync_folder(fresh)
        fresh.rename(folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    files.sync_folder(folder.parent)


def _make_room(downloads: Path, keep: Path, size: int) -> None:
    """Remove what earlier downloads have left, and refuse what the disk has no room for."""
    for old in downloads.iterdir():
        if old != keep:
            old.unlink(missing_ok=True)
    free = shutil.disk_usage(downloads).free + (keep.stat().st_size if keep.exists() else 0)
    if free < 2 * size:
        raise ExtensionFailed(
            f"The package has {size} bytes, and only {free} are free in {downloads.parent}: make room there."
        )


def _download(source: Source, package: ExtensionPackage, part: Path, pause: Callable[[float], None]) -> None:
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_APPEND, 0o600)
    with os.fdopen(handle, "ab") as file:
        have = part.stat().st_size
        if have > package.size:
            file.truncate(0)
            have = 0
        while have < package.size:
            file.write(content := _part(source, package, have, pause))
            have += len(content)


def _part(source: Source, package: ExtensionPackage, offset: int, pause: Callable[[float], None]) -> bytes:
    why = "the answer was empty"
    for attempt in range(TRIES):
        try:
            # Over a slow line a smaller part arrives in the time that a request has.
            count = max(PART >> (2 * attempt), LEAST_PART)
            content = source.read(package, offset, min(count, package.size - offset))
        except NotAvailable as error:
            why = str(error)
        else:
            if content:
                return content[: package.size - offset]
        pause(_wait(attempt))
    raise ExtensionFailed(
        f"The download of {package.publisher}.{package.type} {package.version} was given up after {TRIES} "
        f"tries at byte {offset} of {package.size}: {why}"
    )


def _wait(attempt: int) -> float:
    return float(min(2**attempt, 30))


def _check_digest(part: Path, package: ExtensionPackage) -> None:
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while chunk := file.read(PART):
            digest.update(chunk)
    if not hmac.compare_digest(digest.hexdigest(), package.digest.lower()):
        raise ExtensionFailed(
            f"What was downloaded is not the package that was signed: its SHA-256 is {digest.hexdigest()}, "
            f"signed is {package.digest[:64]}. Nothing of it was unpacked."
        )
