"""Files of the machine, as configurations name them: below a root, and never by a way that others lay.

Root writes where others may, too: in home folders, in ``/tmp``. So every folder on the way is
opened by itself and its handle is kept. A link is followed only where root made it in a folder that
only root writes (``/bin``, ``/var/run``); the last name is never followed. What is written is a new
file that takes the old one's place, so that no second name of a file is written through.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

MAX_FILE = 16 * 1024 * 1024
"""The largest file that is read, in bytes."""

MAX_LINKS = 16
FILE, DIRECTORY, LINK, OTHER = "file", "directory", "link", "other"
_PATH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC


class FileRefused(Exception):
    """A file cannot be looked at or changed, or had better not be; the text says which and why."""


class Item(NamedTuple):
    """What is at a path. ``mode`` has the permission bits, ``target`` where a link leads.

    ``is_hidden``: it lies in a folder, or below one, that not everybody may enter.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    target: str = ""
    is_hidden: bool = False

    @property
    def is_public(self) -> bool:
        """Whether everybody on the machine may read it: then a report may say what is in it."""
        return bool(self.mode & stat.S_IROTH) and not self.is_hidden


class Files:
    """The files below ``root``. Paths are absolute, as seen from there."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def look(self, path: str) -> Item | None:
        """Return what is at a path; None where there is nothing.

        Raises:
            FileRefused: it cannot be told.
        """
        with self._explained(path, "looked at"):
            try:
                with self._way(path) as (folders, name):
                    found = _item(folders[-1], name)
                    is_open = all(os.fstat(one).st_mode & stat.S_IXOTH for one in folders[1:])
                    return found._replace(is_hidden=not is_open) if found is not None else None
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read(self, path: str) -> bytes:
        """Return what an ordinary file holds.

        Raises:
            FileRefused: there is none, it is a link, it is too large, or it may not be read.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with (
            self._explained(path, "read"),
            self._above(path) as (folder, name),
            os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file,
        ):
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileRefused(f"{path} is not an ordinary file.")
            content = file.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise FileRefused(f"{path} is larger than {MAX_FILE} bytes.")
        return content

    def write(self, path: str, content: bytes, mode: int, uid: int, gid: int) -> None:
        """Put an ordinary file in the place of whatever file or link is there, in one step.

        Raises:
            FileRefused: it cannot be written; then what was there stays.
        """
        with self._explained(path, "written"), self._above(path) as (folder, name):
            temporary = f".{name[:200]}.{os.getpid()}.new"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(temporary, flags, 0o600, dir_fd=folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    _own(file.fileno(), uid, gid)
                    os.fchmod(file.fileno(), mode)
                    os.fsync(file.fileno())
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            _sync(folder)

    def make_folder(self, path: str, mode: int, uid: int, gid: int) -> None:
        """Make a folder, or give the one that is there this mode and owner.

        Raises:
            FileRefused: it cannot be made.
        """
        with self._explained(path, "made"), self._above(path) as (folder, name):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(name, flags, dir_fd=folder)
            try:
                _own(handle, uid, gid)
                os.fchmod(handle, mode)
            finally:
                os.close(handle)

    def make_link(self, path: str, target: str) -> None:
        """Put a link in the place of whatever file or link is there, in one step.

        Raises:
            FileRefused: it cannot be made.
        """
        with self._explained(path, "made"), self._above(path) as (folder, name):
            temporary = f".{name[:200]}.{os.getpid()}.new"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            os.symlink(target, temporary, dir_fd=folder)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)

    def remove(self, path: str, *, whole_folder: bool = False) -> None:
        """Remove a file, a link, or a folder; one that is not empty only if ``whole_folder``.

        Raises:
            FileRefused: it cannot be removed.
        """
        with self._explained(path, "removed"), self._above(path) as (folder, name):
            found = _item(folder, name)
            if found is None:
                return
            if found.kind != DIRECTORY:
                os.unlink(name, dir_fd=folder)
            elif whole_folder:
                shutil.rmtree(name, dir_fd=folder)
            else:
                os.rmdir(name, dir_fd=folder)
            _sync(folder)

    # -- the way ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _above(self, path: str) -> Iterator[tuple[int, str]]:
        """Yield a handle of the folder that a path's last name is in, and that name."""
        with self._way(path) as (folders, name):
            yield folders[-1], name

    @contextlib.contextmanager
    def _way(self, path: str) -> Iterator[tuple[list[int], str]]:
        """Yield handles of the root and all folders from there to a path's last name, and that name."""
        parts = PurePosixPath(path).parts
        if not path.startswith("/") or "\0" in path or ".." in parts or len(parts) < 2:
            raise FileRefused(f"'{path}' must be an absolute path without '..'.")
        handles = [os.open(self._root, _PATH | os.O_DIRECTORY)]
        try:
            self._walk(path, list(parts[1:-1]), handles)
            yield handles, parts[-1]
        finally:
            for handle in handles:
                os.close(handle)

    def _walk(self, path: str, names: list[str], handles: list[int]) -> None:
        links = 0
        while names:
            name = names.pop(0)
            if name == "..":
                if len(handles) > 1:
                    os.close(handles.pop())
                continue
            found = _item(handles[-1], name)
            if found is None or found.kind != LINK:
                flags = _PATH | os.O_DIRECTORY | os.O_NOFOLLOW
                handles.append(os.open(name, flags, dir_fd=handles[-1]))
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            _check_link(path, name, found, handles[-1])
            if found.target.startswith("/"):
                while len(handles) > 1:
                    os.close(handles.pop())
            names[:0] = [one for one in PurePosixPath(found.target).parts if one not in ("/", "//")]

    @contextlib.contextmanager
    def _explained(self, path: str, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise FileRefused(f"{path} cannot be {verb}: it is a link.") from error
            raise FileRefused(f"{path} cannot be {verb}: {error.strerror or error}.") from error


def _item(folder: int, name: str) -> Item | None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    kinds = {stat.S_IFREG: FILE, stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: LINK}
    kind = kinds.get(stat.S_IFMT(found.st_mode), OTHER)
    target = os.readlink(name, dir_fd=folder) if kind == LINK else ""
    return Item(kind, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_size, target)


def _check_link(path: str, name: str, link: Item, folder: int) -> None:
    above, own = os.fstat(folder), (0, os.geteuid())
    if link.uid in own and above.st_uid in own and not above.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    raise FileRefused(f"{path} is not followed: '{name}' is a link that another user can change.")


def _own(handle: int, uid: int, gid: int) -> None:
    found = os.fstat(handle)
    if (found.st_uid, found.st_gid) != (uid, gid):
        os.fchown(handle, uid, gid)


def _sync(folder: int) -> None:
    handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
