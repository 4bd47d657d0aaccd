"""Key credentials: the certificates with which a service principal may sign in.

Kept are the certificate and its thumbprints, never a private key. A certificate counts from
its own beginning to its own end; who issued it does not matter, because an operator has
registered this very one (as in Microsoft Entra, ``keyCredentials`` of an application).
"""

from __future__ import annotations

import base64
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from landbridge_server.identity.directory import DirectoryError
from landbridge_server.store import applications, principals
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import CERTIFICATE, SERVICE_PRINCIPAL, Credential, Principal

LIMIT = 64 * 1024
LEAST_BITS = 2048
PER_APPLICATION = 20


def read_certificate(content: bytes) -> x509.Certificate:
    """Return the certificate of a file: PEM, of which the first certificate counts, or DER.

    Raises:
        DirectoryError: there is none in it, or its key cannot sign assertions (RS256, PS256).
    """
    if len(content) > LIMIT:
        raise DirectoryError(f"The certificate file is larger than {LIMIT} bytes.")
    try:
        if b"-----BEGIN" in content:
            certificate = x509.load_pem_x509_certificates(content)[0]
        else:
            certificate = x509.load_der_x509_certificate(content)
        key = certificate.public_key()
    except (ValueError, IndexError, TypeError) as error:
        raise DirectoryError("The file holds no X.509 certificate in PEM or DER.") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < LEAST_BITS:
        raise DirectoryError(
            f"The certificate needs an RSA key of at least {LEAST_BITS} bits, for RS256 or PS256."
        )
    return certificate


def der(certificate: x509.Certificate) -> bytes:
    """Return the bytes of a certificate."""
    return certificate.public_bytes(serialization.Encoding.DER)


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def thumbprints(certificate: x509.Certificate) -> dict[str, str]:
    """Return what may stand in the header of an assertion (RFC 7515 sections 4.1.7, 4.1.8)."""
    return {
        # A name of the certificate, compared after it was registered: nothing is trusted by SHA-1.
        "x5t": _base64url(certificate.fingerprint(hashes.SHA1())),  # noqa: S303
        "x5t#S256": _base64url(certificate.fingerprint(hashes.SHA256())),
    }


def certificate_of(credential: Credential) -> x509.Certificate:
    """Return the certificate that a stored credential is."""
    return x509.load_pem_x509_certificate(credential.verifier.encode())


def add(connection: Connection, app: Principal, certificate: x509.Certificate, now: float) -> Credential:
    """Let a service principal sign in with the key of a certificate.

    Raises:
        DirectoryError: it is no service principal, has this certificate or too many, or the
            certificate has ended.
    """
    if app.kind != SERVICE_PRINCIPAL:
        raise DirectoryError(f"'{app.display_name}' is not a service principal.")
    known = certificates_of(connection, app)
    made = credential(app.object_id, certificate, now)
    if made.thumbprint in {one.thumbprint for one in known}:
        raise DirectoryError(f"'{app.display_name}' has this certificate already.")
    if len(known) >= PER_APPLICATION:
        raise DirectoryError(f"'{app.display_name}' has {PER_APPLICATION} certificates: remove one first.")
    principals.add_credential(connection, made)
    return made


def credential(object_id: str, certificate: x509.Certificate, now: float) -> Credential:
    """Return what is kept of a certificate of a service principal or application; it is not added.

    Raises:
        DirectoryError: the certificate has ended.
    """
    ends = certificate.not_valid_after_utc.timestamp()
    if now >= ends:
        raise DirectoryError("The certificate has ended: make a new one.")
    return Credential(
        credential_id=str(uuid.uuid4()),
        object_id=object_id,
        kind=CERTIFICATE,
        verifier=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        thumbprint=thumbprints(certificate)["x5t#S256"],
        not_before=certificate.not_valid_before_utc.timestamp(),
        expires_at=ends,
        created_at=now,
    )


def certificates_of(connection: Connection, app: Principal) -> list[Credential]:
    """Return the certificates of a service principal and its application, ended ones included."""
    return applications.credentials_for(connection, app, CERTIFICATE)


def sha1_hex(credential: Credential) -> str:
    """Return the thumbprint as az, openssl and Windows show it."""
    return certificate_of(credential).fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303


def remove(connection: Connection, app: Principal, name: str) -> Credential:
    """Take a certificate away by its key id or either thumbprint; tokens that are out live on.

    Raises:
        DirectoryError: the service principal has no such certificate.
    """
    wanted = name.replace(":", "").strip()
    for one in certificates_of(connection, app):
        if wanted.upper() == sha1_hex(one) or wanted in (one.thumbprint, one.credential_id):
            principals.remove_credential(connection, one.credential_id)
            return one
    raise DirectoryError(f"'{app.display_name}' has no certificate '{name}'.")
