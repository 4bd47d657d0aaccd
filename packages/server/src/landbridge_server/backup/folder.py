"""Which files of a control plane's folder are the cloud, and which are not.

The cloud is its keys, its certificates and what its settings are. The database travels as rows.
"""

from __future__ import annotations

from pathlib import Path

from landbridge_server.backup.archive import LONGEST
from landbridge_server.backup.errors import BackupError

FOLDERS = ("ca", "keys", "tls")
"""Taken with everything below them."""

FILES = ("admin.json", "up.json")
"""Taken where they are: the administrator's credentials, and how it was started."""

LEFT_OUT = ("lock", "activity-head.json")
"""Left where they are: the process's lock, and the log's end, which may be newer than the rows."""

DATABASE = "landbridge.db"
PREFIX = "files/"
PUBLIC = (".pem", ".cer", ".der", ".crl")
"""Names of what may be read by others; among ``keys`` nothing may."""


def read(data: Path) -> dict[str, bytes]:
    """Return the files of a cloud by their path below ``data``.

    Raises:
        BackupError: one cannot be read, or has no business there.
    """
    found: dict[str, bytes] = {}
    try:
        paths = [data / name for name in FILES if (data / name).is_file()]
        for folder in FOLDERS:
            paths += [path for path in sorted((data / folder).rglob("*")) if _counts(path)]
        for path in paths:
            if path.is_symlink() or path.stat().st_size > LONGEST:
                raise BackupError(f"{path} is a link, or too long to be a key. Put it elsewhere.")
            found[str(path.relative_to(data))] = path.read_bytes()
    except OSError as error:
        raise BackupError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return found


def _counts(path: Path) -> bool:
    # What begins with a dot is a file that is being written.
    return not path.is_dir() and not path.name.startswith(".")


def mode(name: str) -> int:
    """Return the permissions of a file of the cloud."""
    return 0o644 if name.startswith(("ca/", "tls/")) and name.endswith(PUBLIC) else 0o600


def belongs(name: str) -> bool:
    """Say whether a path of a backup is one that a folder may get."""
    parts = name.split("/")
    if name in FILES:
        return True
    return parts[0] in FOLDERS and len(parts) > 1 and all(part and part[0] != "." for part in parts)
