"""How a cloud comes by a new root: prepared, activated, finished, each one transaction.

1. *prepare* makes the next root and its issuing authority. From then on both roots are handed out,
   and machines learn the next one; everything is still issued by the current one.
2. *activate* has the next one issue. It is cross-signed by the one before, and servers send that
   certificate along: who trusts only the old root still finds a way to it (RFC 4158 section 2).
3. *finish* stops handing out, sending along and trusting the old root.

The store holds the truth, so that every node has it; issuing keys are sealed with the cloud's
relay key, as in ``ca.sealing``. Private keys of roots never leave the host where they were made.
Files follow the store: a kill between the two is mended by the next look.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
from cryptography import x509

from landbridge_server.ca import lost_certificates, ownership, profiles
from landbridge_server.ca.authority import (
    DAY,
    ISSUING_DAYS,
    ROOT_DAYS,
    CaError,
    CertificateAuthority,
    root_key_file,
)
from landbridge_server.ca.keyring import PUBLIC, certificate_pem, key_pem, load_key, new_key, write_atomically
from landbridge_server.ca.profiles import Signer
from landbridge_server.ca.sealing import PurposeSealer
from landbridge_server.ca.trust_entry import common_name
from landbridge_server.store import machines, settings
from landbridge_server.store.database import Connection

SETTING = "ca_rotation"
PURPOSE = b"landbridge.ca.rotation"
OVERLAP_DAYS = 7.0
"""How long after *prepare* a cloud waits before it activates the next root by itself."""

FOLLOWED = 5.0
"""Seconds within which every node issues from the next root once it is activated."""

NEXT, CURRENT, OLD = "next", "current", "old"


class Authority(msgspec.Struct):
    """A root and its issuing authority, PEM. ``cross`` is the root, signed by the one before it."""

    state: str
    root: str
    issuing: str
    issuing_key: str
    """Sealed; empty once nothing is issued with it any more."""
    cross: str = ""
    since: float = 0.0
    """Since when it is in this state (unix seconds)."""


class Rotation(msgspec.Struct):
    """All authorities of a cloud; ``activates_at`` is 0 where nothing waits for its time."""

    authorities: list[Authority]
    activates_at: float = 0.0

    def one(self, state: str) -> Authority | None:
        """Return the authority in this state."""
        return next((one for one in self.authorities if one.state == state), None)

    @property
    def current(self) -> Authority:
        """The authority that issues."""
        return next(one for one in self.authorities if one.state == CURRENT)


def short(authority: Authority) -> str:
    """Return the beginning of a root's SHA-256 fingerprint, for logs."""
    return ownership.fingerprint(_loaded(authority.root))[:16]


def sealer(relay_key: bytes) -> PurposeSealer:
    """Return what seals the issuing keys."""
    return PurposeSealer(relay_key, PURPOSE)


def text(connection: Connection) -> str:
    """Return the stored form, to see whether it changed; empty where there never was a rotation."""
    return settings.get(connection, SETTING) or ""


def read(stored: str) -> Rotation | None:
    """Return what ``text`` holds."""
    return msgspec.json.decode(stored, type=Rotation) if stored else None


def _put(connection: Connection, rotation: Rotation) -> Rotation:
    settings.put(connection, SETTING, msgspec.json.encode(rotation).decode())
    return rotation


def _pem(certificate: x509.Certificate) -> str:
    return certificate_pem(certificate).decode()


def _loaded(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def first(folder: Path, authority: CertificateAuthority, seal: PurposeSealer) -> Rotation:
    """Return what a cloud is before its first rotation."""
    key = key_pem(load_key(folder / "issuing.key")).decode()
    begun = authority.root.not_valid_before_utc.timestamp()
    return Rotation(
        [Authority(CURRENT, _pem(authority.root), authority.issuing.pem, seal.seal(key), since=begun)]
    )


def prepare(
    connection: Connection,
    folder: Path,
    authority: CertificateAuthority,
    seal: PurposeSealer,
    now: float,
    label: str = "",
    overlap_days: float = OVERLAP_DAYS,
) -> Rotation:
    """Make the next root in ``folder`` and have it handed out.

    Raises:
        CaError: a rotation is under way, the current root's key is not here, or the name is in use.
    """
    rotation = read(text(connection)) or first(folder, authority, seal)
    if rotation.one(NEXT):
        raise CaError("A next root is prepared already. Go on with: landbridge ca rotate --activate")
    if rotation.one(OLD):
        raise CaError(
            "The last rotation is not finished. Go on with: landbridge ca rotate --finish. Then prepare."
        )
    current = _loaded(rotation.current.root)
    key_file = root_key_file(folder, current)
    if key_file is None:
        raise CaError(
            f"The key of the current root is not in {folder}. Put it back as {folder / 'root.key'}: "
            "it signs the next root, so that clients that know only this one go on."
        )
    name = label or _next_name(common_name(current))
    if name == common_name(current):
        raise CaError(f"The current root is named '{name}': give the next one another name with --label.")
    made = _made(folder, Signer(current, load_key(key_file)), name, seal, now)
    rotation.authorities.append(made)
    rotation.activates_at = now + overlap_days * DAY
    return _put(connection, rotation)


def _next_name(name: str) -> str:
    """Return the name of the next generation, as public authorities number theirs: G2, G3, ..."""
    before, _, generation = name.rpartition(" G")
    if before and generation.isascii() and generation.isdigit():
        return f"{before} G{int(generation) + 1}"
    return f"{name} G2"


def _made(folder: Path, before: Signer, name: str, seal: PurposeSealer, now: float) -> Authority:
    key, issuing_key = new_key(), new_key()
    subject = profiles.name(name)
    root = profiles.root(subject, key, now, ROOT_DAYS)
    # The name of the file says whose key it is: nothing is renamed when states change.
    write_atomically(folder / f"root-{ownership.fingerprint(root)[:16]}.key", key_pem(key))
    left = int((before.certificate.not_valid_after_utc.timestamp() - now) / DAY)
    cross = profiles.cross(subject, key.public_key(), before, now, max(1, min(ROOT_DAYS, left)))
    issuing = profiles.intermediate(
        profiles.name("Landbridge Issuing CA"),
        issuing_key.public_key(),
        Signer(root, key),
        now,
        ISSUING_DAYS,
    )
    sealed = seal.seal(key_pem(issuing_key).decode())
    return Authority(NEXT, _pem(root), _pem(issuing), sealed, _pem(cross), now)


def activate(connection: Connection, now: float) -> Rotation:
    """Have the next root issue from now on.

    Raises:
        CaError: none is prepared.
    """
    rotation = read(text(connection))
    coming = rotation.one(NEXT) if rotation else None
    if rotation is None or coming is None:
        raise CaError("No next root is prepared. Begin with: landbridge ca rotate --prepare")
    going = rotation.current
    going.state, going.since, going.issuing_key = OLD, now, ""
    coming.state, coming.since = CURRENT, now
    rotation.authorities.sort(key=lambda one: (CURRENT, OLD).index(one.state))
    rotation.activates_at = 0.0
    ownership.renamed(connection, _loaded(coming.root))
    return _put(connection, rotation)


def due(rotation: Rotation | None, now: float) -> bool:
    """Say whether the overlap after *prepare* is over."""
    return rotation is not None and rotation.one(NEXT) is not None and 0 < rotation.activates_at <= now


def renews_before(rotation: Rotation | None) -> float:
    """Return before when (unix seconds) a machine's certificate must have begun to be renewed; 0: none.

    Certificates are back-dated, and a node may take some seconds to follow.
    """
    if rotation is None or rotation.one(OLD) is None:
        return 0.0
    return rotation.current.since - profiles.BACKDATE.total_seconds() + FOLLOWED


def may_finish(connection: Connection, now: float) -> None:
    """Look whether machines hang on the old root: 2 seconds for 100,000, so not while others wait to write.

    Raises:
        CaError: there is no old root, or machines hang on it.
    """
    rotation, _ = _finishing(connection)
    left = hanging(connection, rotation, now)[OLD]
    if left:
        raise CaError(
            f"{left} {'machine still has its' if left == 1 else 'machines still have their'} certificate "
            "from the old root. A machine that is connected gets another within about an hour; one that "
            "is away will have to be given the new root by hand. Wait, or add --force."
        )


def finish(connection: Connection) -> Rotation:
    """Stop trusting the old root, whoever hangs on it.

    Raises:
        CaError: there is none.
    """
    rotation, old = _finishing(connection)
    lost_certificates.distrust(connection, old.root)
    rotation.authorities.remove(old)
    rotation.current.cross = ""
    return _put(connection, rotation)


def _finishing(connection: Connection) -> tuple[Rotation, Authority]:
    rotation = read(text(connection))
    old = rotation.one(OLD) if rotation else None
    if rotation is None or old is None:
        raise CaError("There is no old root. A rotation begins with: landbridge ca rotate --prepare")
    return rotation, old


def hanging(connection: Connection, rotation: Rotation, now: float) -> Counter[str]:
    """Return by state how many machines have their newest certificate, not yet ended, from there."""
    issuers = {_identifier(_loaded(one.issuing)): one.state for one in rotation.authorities}
    found: Counter[str] = Counter()
    for pem in machines.newest_certificates(connection, now):
        key = _loaded(pem).extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        found[issuers.get(key.key_identifier or b"", CURRENT)] += 1
    return found


def _identifier(issuing: x509.Certificate) -> bytes:
    return issuing.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def renewed(
    connection: Connection, folder: Path, authority: CertificateAuthority, seal: PurposeSealer
) -> None:
    """Tell the other nodes of an issuing authority that this one has made anew."""
    rotation = read(text(connection))
    if rotation is not None and rotation.current.issuing != authority.issuing.pem:
        rotation.current.issuing = authority.issuing.pem
        rotation.current.issuing_key = seal.seal(key_pem(load_key(folder / "issuing.key")).decode())
        _put(connection, rotation)


def follow(folder: Path, rotation: Rotation, seal: PurposeSealer) -> None:
    """Make the files of a node what the store says; what is so already stays untouched.

    Raises:
        Unreadable: the keys were sealed by another cloud.
        OSError: a file cannot be written.
    """
    current = rotation.current
    issuing_key = seal.open(current.issuing_key).encode()
    trusted = [current, *(one for one in rotation.authorities if one is not current)]
    _keep(folder / "issuing.key", issuing_key)
    _keep(folder / "issuing.pem", current.issuing.encode(), PUBLIC)
    _keep(folder / "cross.pem", current.cross.encode() if rotation.one(OLD) else b"", PUBLIC)
    _keep(folder / "root.pem", "".join(one.root for one in trusted).encode(), PUBLIC)


def _keep(path: Path, content: bytes, mode: int = 0o600) -> None:
    if path.exists() and path.read_bytes() == content:
        return
    if content:
        write_atomically(path, content, mode)
    else:
        path.unlink(missing_ok=True)
