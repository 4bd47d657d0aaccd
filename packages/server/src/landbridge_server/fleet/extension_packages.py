"""Packages of extensions: published by an operator, offered to machines.

Who publishes has the cloud's keys and seals what the package is: a row that somebody has only
written into the database is not offered, so it is never signed. The signature itself is made when
a machine asks (``ca.code_signing``).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterable
from typing import BinaryIO, TypeVar

from landbridge_server.ca.sealing import PurposeSealer, Unreadable
from landbridge_server.store import extensions
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.extensions import Package
from landbridge_wire.work_api import LATEST

PURPOSE = b"landbridge.extension.package"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
VERSION = re.compile(r"(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){2,3}", re.ASCII)
"""What is published has three or four numbers; who asks may give fewer."""

WANTED = re.compile(r"\d{1,9}(\.\d{1,9}){0,3}", re.ASCII)
AT_ONCE = 8 * extensions.CHUNK
"""Bytes of one transaction while a package comes: some milliseconds of the writers' time."""

CHUNKS_GOING = 64
FORGOTTEN_SECONDS = 3600.0
"""How long nothing must have come of a package, or how long it must have been removed, until its bytes
are thrown away (``reconcile.forget_packages``)."""

T = TypeVar("T")
Said = Callable[[int], None]
"""Hears how many bytes have come."""


class Refused(ValueError):
    """A package cannot be published or removed; the text says why and what to do."""


def sealer(relay_key: bytes) -> PurposeSealer:
    """Return what seals packages; ``relay_key`` is the cloud's."""
    return PurposeSealer(relay_key, PURPOSE)


def numbers(version: str) -> tuple[int, ...]:
    """Return what versions are ordered by: 2.1.0 and 2.1.0.0 are the same one."""
    found = [int(one) for one in version.split(".")]
    return tuple(found + [0] * (4 - len(found)))


def _key(publisher: str, kind: str, version: str) -> str:
    return f"{publisher}/{kind}/{'.'.join(map(str, numbers(version)))}".lower()


def claims(package: Package) -> dict[str, object]:
    """Return what is sealed and signed of a package, as ``work_api.ExtensionPackage`` names it."""
    return {
        "publisher": package.publisher,
        "type": package.type,
        "version": package.version,
        "digest": package.digest,
        "size": package.size,
    }


def is_sealed(package: Package, seal: PurposeSealer) -> bool:
    """Say whether whoever published a package had this cloud's keys, and nobody has changed it since."""
    try:
        sealed = seal.open(package.seal)
    except (Unreadable, ValueError):
        return False
    return bool(sealed == {**claims(package), "id": package.package_id})


def newest(found: Iterable[T], version_of: Callable[[T], str]) -> T | None:
    """Return what has the highest version."""
    return max(found, key=lambda one: numbers(version_of(one)), default=None)


def fits(version: str, wanted: str) -> bool:
    """Say whether a version is meant by one to four numbers, or by ``LATEST``: 2.1.13 is a 2.1 and a 2."""
    if wanted == LATEST or f"{version}.".startswith(f"{wanted}."):
        return True
    return wanted.count(".") >= 2 and numbers(version) == numbers(wanted)


def best(connection: Connection, publisher: str, kind: str, wanted: str) -> Package | None:
    """Return the newest package that ``wanted`` means; ``wanted`` matches ``WANTED`` or is ``LATEST``."""
    found = extensions.named(connection, f"{publisher}/{kind}".lower())
    return newest((one for one in found if fits(one.version, wanted)), lambda one: one.version)


def publish(
    db: Database,
    seal: PurposeSealer,
    file: BinaryIO,
    names: tuple[str, str, str],
    clock: Callable[[], float],
    noted: Callable[[Connection, Package], None],
    said: Said = lambda _bytes: None,
) -> Package:
    """Take the zip of ``names`` (publisher, type, version), which was checked, and let everybody see it.

    The bytes come in many transactions, and the last one makes them a package: killed before,
    nothing is there for anybody, and what is left is thrown away later. ``noted`` is
    called within that last transaction.

    Raises:
        Refused: a name or the version cannot be one, or that version is published already.
        OSError: the file cannot be read.
    """
    publisher, kind, version = names
    _check_names(publisher, kind, version)
    package_id, key = str(uuid.uuid4()), _key(publisher, kind, version)
    with db.writing() as connection:
        _refuse_if_there(connection, key, names)
        for other in extensions.named(connection, f"{publisher}/{kind}".lower())[:1]:
            publisher, kind = other.publisher, other.type  # as the other versions are written
        extensions.begin(connection, package_id, publisher, kind, version, clock())
    try:
        digest, size = _take(db, file, package_id, clock, said)
        with db.writing() as connection:
            _refuse_if_there(connection, key, names)
            about = {"publisher": publisher, "type": kind, "version": version, "digest": digest, "size": size}
            sealed = seal.seal({**about, "id": package_id})
            if not extensions.publish(connection, package_id, key, digest, size, sealed, clock()):
                raise Refused("What had come was thrown away, as nothing came for an hour. Try again.")
            made = extensions.get(connection, package_id)
            if made is None:
                raise Refused("The package is gone.")
            noted(connection, made)
    except BaseException:
        discard(db, package_id)
        raise
    return made


def _take(
    db: Database, file: BinaryIO, package_id: str, clock: Callable[[], float], said: Said
) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while piece := file.read(AT_ONCE):
        digest.update(piece)
        with db.writing() as connection:
            if not extensions.add(connection, package_id, size, piece, clock()):
                raise Refused("What had come was thrown away, as nothing came for an hour. Try again.")
        size += len(piece)
        said(size)
    return digest.hexdigest(), size


def _check_names(publisher: str, kind: str, version: str) -> None:
    for what, text in (("publisher", publisher), ("type", kind)):
        if not NAME.fullmatch(text):
            raise Refused(
                f"The {what} must have 1 to 128 letters, digits, '-', '_' or '.', and begin with one of the "
                f"first three or '_'; {text[:100]!r} does not."
            )
    if not VERSION.fullmatch(version):
        raise Refused(f"A version has three or four numbers, such as 1.0.3; {version[:100]!r} does not.")


def _refuse_if_there(connection: Connection, key: str, names: tuple[str, str, str]) -> None:
    if extensions.with_key(connection, key) is not None:
        publisher, kind, version = names
        raise Refused(
            f"{publisher}/{kind} {version} is published already, and what machines may have does not "
            "change: publish a higher version."
        )


def remove(
    db: Database,
    names: tuple[str, str, str],
    clock: Callable[[], float],
    noted: Callable[[Connection, Package], None],
) -> Package:
    """Have a package be there for nobody any more; its bytes go after ``FORGOTTEN_SECONDS``.

    Machines keep what they have installed. An answer that is under way ends as it began.

    Raises:
        Refused: there is none of that version.
    """
    publisher, kind, version = names
    _check_names(publisher, kind, version)
    with db.writing() as connection:
        found = extensions.with_key(connection, _key(publisher, kind, version))
        if found is None:
            raise Refused(
                f"{publisher}/{kind} {version} is not published. 'landbridge extension list' shows what is."
            )
        extensions.withdraw(connection, found.package_id, clock())
        noted(connection, found)
    return found


def discard(db: Database, package_id: str) -> None:
    """Throw away the bytes of what is not published, a little at a time."""
    done = False
    while not done:
        with db.writing() as connection:
            done = extensions.discard(connection, package_id, CHUNKS_GOING)


def forgotten(connection: Connection, now: float) -> list[Package]:
    """Return what a process has left that was killed while a package came or went."""
    return extensions.stale(connection, now - FORGOTTEN_SECONDS)
