"""The package of an assignment: downloaded, its hash compared, unpacked, kept; or built in.

What is unpacked lies in a folder named by the hash, which appears whole or not at all and which only
root can reach, so it is downloaded once and is there while the cloud is not.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from landbridge_agent.guest import builtin, configuration
from landbridge_agent.guest.configuration import BadConfiguration, Declared
from landbridge_agent.guest.download import Download, NotDownloaded

MAX_BYTES = 100 * 1024 * 1024
"""The largest package, packed or unpacked (contract: agent, 5.3)."""

MAX_MEMBERS = 10_000
LEAST_MINUTES = 15
SET_POLICY_TAG, URLS_TAG = "CustomGuestConfigurationSetPolicy", "allowedGuestConfigPkgUrls"
AUDIT_ONLY = "Audit"


class Package(NamedTuple):
    """A configuration that is ready to be evaluated."""

    declared: list[Declared]
    version: str
    minutes: int
    may_set: bool


def find(
    wanted: Mapping[str, Any], tags: Mapping[str, str], folder: Path, download: Download, *, sets: bool
) -> Package:
    """Return the package of an assignment's ``guestConfiguration``; ``folder`` is where it is kept.

    Raises:
        BadConfiguration: it may not be used, or cannot; the text says why.
    """
    name, uri = str(wanted.get("name", "")), str(wanted.get("contentUri") or "")
    if not uri:
        found = builtin.load(name)
        return Package(found.declared, found.version, LEAST_MINUTES, True)
    _check_tags(tags, uri, sets=sets)
    if wanted.get("contentManagedIdentity"):
        raise _bad("contentManagedIdentity is not supported: give a contentUri that needs none.")
    digest = str(wanted.get("contentHash") or "").lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise _bad("A package needs its SHA-256 as contentHash (64 hex digits): none without it is used.")
    return _read(_fetched(uri, digest, folder, download), name)


def _check_tags(tags: Mapping[str, str], uri: str, *, sets: bool) -> None:
    known = {name.lower(): value for name, value in tags.items()}
    if sets and known.get(SET_POLICY_TAG.lower(), "").strip().lower() == "disable":
        raise BadConfiguration(
            "Denied",
            f"The machine's tag {SET_POLICY_TAG}=disable lets no package change anything: assign Audit.",
        )
    allowed = known.get(URLS_TAG.lower())
    if allowed is not None and not any(
        _covers(one.strip(), uri) for one in allowed.replace(";", ",").split(",")
    ):
        raise BadConfiguration("Denied", f"The machine's tag {URLS_TAG} does not allow the contentUri.")


def _covers(allowed: str, uri: str) -> bool:
    """Whether a URL is the allowed one, or lies below it; a name is not taken for the start of another."""
    plain = uri.partition("?")[0]
    if not allowed or ".." in plain or "%2e" in plain.lower() or "\\" in plain:
        return False  # what a server may take for another place
    return plain == allowed or plain.startswith(allowed if allowed.endswith("/") else allowed + "/")


def _bad(text: str) -> BadConfiguration:
    return BadConfiguration("Package", text)


# -- on the disk ---------------------------------------------------------------------------------


def _fetched(uri: str, digest: str, folder: Path, download: Download) -> Path:
    kept = folder / digest
    if not kept.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        packed = folder / ".package.zip"
        try:
            _download(uri, digest, packed, download)
            _unpack(packed, kept)
        finally:
            packed.unlink(missing_ok=True)
    for other in folder.iterdir():
        if other != kept:
            shutil.rmtree(other, ignore_errors=True)
    return kept


def _download(uri: str, digest: str, target: Path, download: Download) -> None:
    try:
        download(uri, target, MAX_BYTES)
    except NotDownloaded as error:
        raise BadConfiguration("Download", f"The package could not be downloaded: {error}") from error
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not hmac.compare_digest(found, digest):
        raise BadConfiguration("Hash", f"The package has the SHA-256 {found}, not {digest}: it is not used.")


def _unpack(packed: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with zipfile.ZipFile(packed) as archive:
            members = archive.infolist()
            _check(members)
            temporary.mkdir(mode=0o700)
            left = MAX_BYTES
            for one in members:
                left = _write(archive, one, temporary, left)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
        zipfile.LargeZipFile,
    ) as error:
        raise _bad(f"The package is not a zip that can be read: {error}.") from error
    except OSError as error:
        raise _bad(f"The package cannot be unpacked: {error.strerror or error}.") from error
    else:
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check(members: list[zipfile.ZipInfo]) -> None:
    """Refuse before anything is written what leads elsewhere or is too much."""
    if len(members) > MAX_MEMBERS:
        raise _bad(f"The package has more than {MAX_MEMBERS} members.")
    if sum(one.file_size for one in members) > MAX_BYTES:
        raise _bad(f"The package holds more than {MAX_BYTES // 1024 // 1024} MB.")
    for one in members:
        parts = one.filename.replace("\\", "/").split("/")
        if one.filename.startswith(("/", "\\")) or ".." in parts or "\0" in one.filename or ":" in parts[0]:
            raise _bad(f"The package has a member that leads out of it: '{one.filename[:100]}'.")
        kind = stat.S_IFMT(one.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _bad(f"The package has a member that is a link or a device: '{one.filename[:100]}'.")


def _write(archive: zipfile.ZipFile, one: zipfile.ZipInfo, folder: Path, left: int) -> int:
    """Write one member; return how many bytes may still come. Sizes are counted, not believed."""
    path = folder.joinpath(
        *(part for part in one.filename.replace("\\", "/").split("/") if part not in ("", "."))
    )
    if one.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return left
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file, archive.open(one) as source:
        while piece := source.read(64 * 1024):
            left -= len(piece)
            if left < 0:
                raise _bad(f"The package holds more than {MAX_BYTES // 1024 // 1024} MB.")
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return left


# -- what is in it -------------------------------------------------------------------------------


def _read(folder: Path, name: str) -> Package:
    files = {path.name.lower(): path for path in folder.iterdir() if path.is_file()}
    meta = _metaconfig(files, name)
    minutes = meta.get("configurationModeFrequencyMins", LEAST_MINUTES)
    if not isinstance(minutes, int) or isinstance(minutes, bool):
        raise _bad("configurationModeFrequencyMins of the metaconfig must be a whole number.")
    for ending, reader in (
        (".mof", configuration.from_mof),
        (".json", configuration.from_json),
        (".yaml", configuration.from_yaml),
        (".yml", configuration.from_yaml),
    ):
        document = files.get(f"{name}{ending}".lower())
        if document is not None:
            declared = reader(document.read_bytes())
            may_set = str(meta.get("Type", AUDIT_ONLY)).lower() != AUDIT_ONLY.lower()
            return Package(declared, str(meta.get("Version", "")), max(minutes, LEAST_MINUTES), may_set)
    raise _bad(f"The package has no {name}.mof, {name}.json or {name}.yaml.")


def _metaconfig(files: Mapping[str, Path], name: str) -> dict[str, Any]:
    path = files.get(f"{name}.metaconfig.json".lower())
    if path is None:
        raise _bad(f"The package has no {name}.metaconfig.json.")
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
        if isinstance(value, dict):
            return value
    raise _bad(f"{name}.metaconfig.json of the package is not a JSON object.")
