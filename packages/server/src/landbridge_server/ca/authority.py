"""The authority of one cloud: made at the first start, kept under ``DIR/ca``.

The root's key is needed only to make the issuing authority: move ``root.key`` to a safe
place and everything goes on; it must come back before the issuing certificate ends.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from landbridge_server.ca import profiles
from landbridge_server.ca.keyring import (
    PUBLIC,
    certificate_pem,
    key_pem,
    load_certificate,
    load_key,
    new_key,
    write_atomically,
)
from landbridge_server.ca.profiles import Signer

ROOT_DAYS = 7300
ISSUING_DAYS = 1825
SERVER_DAYS = 90
MACHINE_DAYS = 90
CODE_SIGNING_DAYS = 90
DAY = 86400.0
WRONG_KEY = "The certificate signing request must carry an EC P-256 key."


class CaError(Exception):
    """The authority cannot do what is asked; the text says why and what to do."""


class BadRequest(ValueError):
    """A certificate signing request cannot be used; the text says why."""


@dataclass(frozen=True)
class Issued:
    """A certificate that was just made. ``thumbprint`` is base64url SHA-256 of the DER."""

    pem: str
    chain: str
    serial: str
    thumbprint: str
    not_before: float
    not_after: float


def thumbprint(certificate: x509.Certificate) -> str:
    """Return RFC 7515's ``x5t#S256``: base64url of the SHA-256 of the DER, without padding."""
    digest = certificate.fingerprint(hashes.SHA256())
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def public_key_text(key: ec.EllipticCurvePublicKey) -> str:
    """Return base64 of the DER SubjectPublicKeyInfo, as ``clientPublicKey`` carries it."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def verified_request(unverified_pem: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a PKCS#10 request whose own signature proves possession of it.

    Subject and extensions of the request are ignored: what a certificate says is decided
    here, not by who asks.

    Raises:
        BadRequest: not PEM, not EC P-256, or a wrong signature.
    """
    try:
        request = x509.load_pem_x509_csr(unverified_pem.encode())
        key = request.public_key()
    except UnsupportedAlgorithm as error:
        raise BadRequest(WRONG_KEY) from error
    except (ValueError, TypeError) as error:
        raise BadRequest("The certificate signing request is not PEM-encoded PKCS#10.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadRequest(WRONG_KEY)
    if not _signed_by_its_key(request):
        raise BadRequest("The signature of the certificate signing request does not match its key.")
    return key


def _signed_by_its_key(request: x509.CertificateSigningRequest) -> bool:
    try:
        return request.is_signature_valid
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False


class CertificateAuthority:
    """Issues certificates; open it with ``CertificateAuthority.open``."""

    def __init__(self, folder: Path, roots: Sequence[x509.Certificate], issuing: Signer, cross: str) -> None:
        """Take an opened authority: the root of ``issuing`` first, then others that are trusted.

        ``cross`` (PEM) is that first root signed by the one before, during a rotation; or empty.
        """
        self.folder = folder
        self.root_file = folder / "root.pem"
        self.roots = tuple(roots)
        self.root = roots[0]
        self.issuing = issuing
        self.cross = cross

    @property
    def bundle(self) -> str:
        """All roots that clients are to trust (PEM), the current one first."""
        return certificate_pem(*self.roots).decode()

    @classmethod
    def open(cls, folder: Path, now: float, label: str = "Landbridge Root CA") -> CertificateAuthority:
        """Open the authority in ``folder``, making what is missing.

        Raises:
            CaError: the issuing authority must be renewed and the root's key is not here.
        """
        if not (folder / "root.pem").exists():
            _make_root(folder, now, label)
        roots = x509.load_pem_x509_certificates((folder / "root.pem").read_bytes())
        root = roots[0]
        # A root that begins later tells that the clock is behind: what it has issued is no error of then.
        begun = max(now, root.not_valid_before_utc.timestamp())
        if _due(folder / "issuing.pem", now, 365, begun) or not _paired(
            folder / "issuing.pem", folder / "issuing.key"
        ):
            _make_issuing(folder, root, now)
        issuing = Signer(load_certificate(folder / "issuing.pem"), load_key(folder / "issuing.key"))
        cross = folder / "cross.pem"
        return cls(folder, roots, issuing, cross.read_text() if cross.exists() else "")

    def reopen(self, now: float) -> None:
        """Become what the files say now, in place: who holds this authority goes on with the new one.

        Raises:
            CaError: as ``open``; then nothing has changed.
        """
        self.__dict__.update(CertificateAuthority.open(self.folder, now).__dict__)

    def server_certificate(self, names: Iterable[str], key: ec.EllipticCurvePublicKey, now: float) -> bytes:
        """Return PEM of a server certificate and the issuing one, as a TLS server sends them."""
        leaf = profiles.server(names, key, self.issuing, now, SERVER_DAYS)
        return certificate_pem(leaf) + self._sent_along()

    def code_signing_certificate(self, key: ec.EllipticCurvePublicKey, now: float) -> bytes:
        """Return PEM of a certificate for code signing, and behind it what a server sends along, too."""
        subject = profiles.name("Landbridge Extension Signing")
        leaf = profiles.code_signing(subject, key, self.issuing, now, CODE_SIGNING_DAYS)
        return certificate_pem(leaf) + self._sent_along()

    def _sent_along(self) -> bytes:
        """What a TLS server sends behind its own certificate, and what stands behind a signer's."""
        return (self.issuing.pem + self.cross).encode()

    def sends(self, chain: bytes) -> bool:
        """Say whether the file of a certificate has the right certificates behind the first."""
        return chain.endswith(b"-----END CERTIFICATE-----\n" + self._sent_along())

    def machine_certificate(
        self, client_id: str, resource_id: str, key: ec.EllipticCurvePublicKey, now: float
    ) -> Issued:
        """Issue the certificate of a machine's identity for 90 days."""
        uri = "urn:landbridge:resource:" + quote(resource_id)
        leaf = profiles.client(client_id, uri, key, self.issuing, now, MACHINE_DAYS)
        pem = certificate_pem(leaf).decode()
        return Issued(
            pem=pem,
            chain=pem + self.issuing.pem,
            serial=f"{leaf.serial_number:x}",
            thumbprint=thumbprint(leaf),
            not_before=leaf.not_valid_before_utc.timestamp(),
            not_after=leaf.not_valid_after_utc.timestamp(),
        )


def _due(path: Path, now: float, days: float, begun: float | None = None) -> bool:
    """Say whether a certificate is missing, ends within ``days``, or has not begun at ``begun`` (``now``).

    One from the future was issued while the clock was wrong: nobody would accept it until then.
    """
    if not path.exists():
        return True
    certificate = load_certificate(path)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return ends.timestamp() < now + days * DAY or begins.timestamp() > (now if begun is None else begun)


def _paired(certificate: Path, key_file: Path) -> bool:
    """Say whether both files are there and belong together: a crash may come between two writes."""
    if not certificate.exists() or not key_file.exists():
        return False
    return public_key_text(load_key(key_file).public_key()) == public_key_text(
        _ec_key(load_certificate(certificate))
    )


def root_key_file(folder: Path, root: x509.Certificate) -> Path | None:
    """Return the file with the private key of a root; None where it is kept elsewhere."""
    wanted = public_key_text(_ec_key(root))
    found = (path for path in sorted(folder.glob("root*.key")) if _is_key(path, wanted))
    return next(found, None)


def _is_key(path: Path, wanted: str) -> bool:
    return public_key_text(load_key(path).public_key()) == wanted


def _make_root(folder: Path, now: float, label: str) -> None:
    key = new_key()
    certificate = profiles.root(profiles.name(label), key, now, ROOT_DAYS)
    write_atomically(folder / "root.key", key_pem(key))
    write_atomically(folder / "root.pem", certificate_pem(certificate), PUBLIC)


def _make_issuing(folder: Path, root: x509.Certificate, now: float) -> None:
    begun = max(now, root.not_valid_before_utc.timestamp())
    key_file = root_key_file(folder, root)
    if key_file is None:
        if _due(folder / "issuing.pem", now, 0, begun) or not _paired(
            folder / "issuing.pem", folder / "issuing.key"
        ):
            raise CaError(
                f"The issuing authority has ended or lost its key, and {folder / 'root.key'} is not here. "
                "Put the root's key back, start once, and move it away again."
            )
        return
    signer = Signer(root, load_key(key_file))
    key = new_key()
    certificate = profiles.intermediate(
        profiles.name("Landbridge Issuing CA"), key.public_key(), signer, now, ISSUING_DAYS
    )
    write_atomically(folder / "issuing.key", key_pem(key))
    write_atomically(folder / "issuing.pem", certificate_pem(certificate), PUBLIC)


def ensure_server_certificate(
    authority: CertificateAuthority, folder: Path, names: tuple[str, ...], now: float
) -> tuple[Path, Path, bool]:
    """Keep a server certificate in ``folder`` that covers ``names`` for at least 30 days.

    Returns the certificate's path, the key's path, and whether they were made anew.
    """
    certificate, key_file = folder / "server.pem", folder / "server.key"
    if _serves(certificate, key_file, names, authority, now):
        return certificate, key_file, False
    key = new_key()
    write_atomically(key_file, key_pem(key))
    write_atomically(certificate, authority.server_certificate(names, key.public_key(), now), PUBLIC)
    return certificate, key_file, True


def _serves(
    path: Path, key_file: Path, names: tuple[str, ...], authority: CertificateAuthority, now: float
) -> bool:
    if not is_current(path, key_file, authority, now):
        return False
    certificate = load_certificate(path)
    covered = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    present = {str(one.value) for one in covered}
    return set(names) <= present


def is_current(path: Path, key_file: Path, authority: CertificateAuthority, now: float) -> bool:
    """Say whether a file has what this authority would issue now, with its key, for at least 30 days."""
    if _due(path, now, 30) or not _paired(path, key_file):
        return False
    try:
        load_certificate(path).verify_directly_issued_by(authority.issuing.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return authority.sends(path.read_bytes())


def _ec_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CaError("A certificate of this authority does not carry an EC key.")
    return key
