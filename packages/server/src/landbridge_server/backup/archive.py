"""The file of a backup: a gzipped tar that ``tar tzf`` can list, sealed if a passphrase is given.

Members, in this order: ``about.json`` (whose backup of what, and when), ``files/...`` (keys,
certificates, settings), ``rows/TABLE/NUMBER.jsonl`` (``store.rows``), and ``manifest.json``: size and
SHA-256 of every member before it. Hashes find damage. They are no protection from forgery: the
seal is, or where the file is kept.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, TypeVar, cast

import msgspec

from landbridge_server.backup.encryption import MAGIC, OpeningReader, SealingWriter
from landbridge_server.backup.errors import BackupError, Damaged

T = TypeVar("T")

FORMAT = 1
ABOUT = "about.json"
MANIFEST = "manifest.json"
LONGEST = 64 * 1024 * 1024
"""No member is longer, so none takes more memory."""

COMPRESSION = 3
NAME = re.compile(r"(about\.json|manifest\.json|files/[\w.@+/-]+|rows/\w+/\d+\.jsonl)", re.ASCII)


class About(msgspec.Struct, frozen=True):
    """What a backup is of. ``cloud`` is the tenant id of its home tenant, ``root`` the root's SHA-256."""

    format: int
    program: str
    schema: str
    cloud: str
    root: str
    taken: float  # unix seconds, right before the snapshot
    takenAt: str  # the same for people
    store: str  # sqlite | postgresql


class Member(msgspec.Struct, frozen=True):
    """What the manifest says of one member."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The last member."""

    members: dict[str, Member]
    rows: int


class Entry(NamedTuple):
    """A member that was read."""

    name: str
    content: bytes


class Writer:
    """Adds members, and the manifest at the end; made by ``writing``."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        """Take an open tar."""
        self._tar = tar
        self._members: dict[str, Member] = {}

    def add(self, name: str, content: bytes, when: float) -> None:
        """Add one member.

        Raises:
            BackupError: its name or length could not be read back.
        """
        if not NAME.fullmatch(name) or ".." in name or len(content) > LONGEST:
            raise BackupError(f"'{name}' cannot be a part of a backup.")
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(content), 0o600, int(when)
        self._tar.addfile(info, io.BytesIO(content))
        self._tar.members.clear()  # type: ignore[attr-defined]  # a long list that nobody reads
        self._members[name] = Member(len(content), hashlib.sha256(content).hexdigest())

    def finish(self, rows: int, when: float) -> None:
        """Add the manifest."""
        self.add(MANIFEST, msgspec.json.encode(Manifest(self._members, rows)), when)


@contextmanager
def writing(file: BinaryIO, passphrase: bytes | None) -> Iterator[Writer]:
    """Yield the writer of a backup into an open file."""
    sealing = SealingWriter(file, passphrase) if passphrase else None
    target = cast(BinaryIO, sealing or file)
    with (
        gzip.GzipFile("", "wb", COMPRESSION, target, mtime=0) as packed,
        tarfile.open(fileobj=cast(BinaryIO, packed), mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        yield Writer(tar)
    if sealing:
        sealing.close()


def entries(file: BinaryIO, passphrase: bytes | None) -> Iterator[Entry]:
    """Yield the members of a backup as they come; each is whole in memory, and only that one.

    Raises:
        Damaged: it is no backup, was changed or cut off, or the passphrase is not its own.
        BackupError: it needs a passphrase.
    """
    file.seek(0)
    source: Any = file
    if file.read(len(MAGIC)) == MAGIC:
        if not passphrase:
            raise BackupError("This backup is sealed with a passphrase: give --passphrase-file FILE.")
        source = OpeningReader(file, passphrase)
    else:
        file.seek(0)
    try:
        with gzip.GzipFile("", "rb", fileobj=source) as packed:
            yield from _members(packed)
            while packed.read(1 << 20):  # its checksum stands at the very end
                pass
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
        raise Damaged(
            f"The file is no backup of Landbridge, or it is damaged ({error}). Take another copy of it."
        ) from error


def _members(packed: gzip.GzipFile) -> Iterator[Entry]:
    with tarfile.open(fileobj=cast(BinaryIO, packed), mode="r|") as tar:
        for info in tar:
            if not info.isreg() or not NAME.fullmatch(info.name) or ".." in info.name or info.size > LONGEST:
                raise tarfile.TarError(f"'{info.name[:100]}' does not belong into a backup")
            opened = tar.extractfile(info)
            content = opened.read() if opened else b""
            if len(content) != info.size:
                raise tarfile.TarError(f"'{info.name}' is cut off")
            yield Entry(info.name, content)


def verified(
    file: BinaryIO, passphrase: bytes | None, told: Callable[[int], None] = lambda _rows: None
) -> tuple[About, Manifest]:
    """Read a backup from its beginning to its end, and return what it says of itself.

    ``told`` hears how many rows were read.

    Raises:
        Damaged: a member is missing, too many or not as the manifest has it.
        BackupError: a passphrase is missing, or a newer version of the program made it.
    """
    found: dict[str, Member] = {}
    about, manifest, rows = None, None, 0
    for name, content in entries(file, passphrase):
        if manifest or (about is None) != (name == ABOUT):
            raise Damaged(f"'{name}' is not where it belongs: the file is no backup of Landbridge.")
        if name == ABOUT:
            about = _about(content)
        elif name == MANIFEST:
            manifest = _decoded(content, Manifest)
            continue
        if name in found:
            raise Damaged(f"'{name}' is there twice: the file is damaged.")
        found[name] = Member(len(content), hashlib.sha256(content).hexdigest())
        if name.startswith("rows/"):
            rows += content.count(b"\n") - 1  # the first line is a heading
            told(rows)
    if about is None or manifest is None:
        raise Damaged("The file has no manifest: its end is missing. Take another copy of the backup.")
    if found != manifest.members:
        wrong = {name for name, _ in set(found.items()) ^ set(manifest.members.items())}
        raise Damaged(f"'{min(wrong)}' is not what the manifest says. Take another copy of the backup.")
    return about, manifest


def _about(content: bytes) -> About:
    version = _decoded(content, dict).get("format")
    if version != FORMAT:
        raise BackupError(
            f"The backup has the format {version!r}; this version of Landbridge reads {FORMAT}."
        )
    return _decoded(content, About)


def _decoded(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise Damaged(f"The file is no backup of Landbridge, or it is damaged ({error}).") from error
