"""A service principal's certificate: the file with its private key, and the assertion that it signs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from landbridge_agent import jws
from landbridge_agent.codes import AgentError
from landbridge_agent.machine import MAX_FILE

NO_PASSWORDS = "Files with a password are not read; write one without: openssl pkcs12 -in FILE -nodes."


class ApplicationCertificate(NamedTuple):
    """A certificate and its private key."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    def assertion(self, client_id: str, token_endpoint: str, now: float) -> str:
        """Return a client assertion (RFC 7523) that names the certificate by ``x5t``."""
        sha1 = hashes.SHA1()  # noqa: S303 - RFC 7515 section 4.1.7: a name, no protection
        header = {
            "x5t": jws.thumbprint(self.certificate, sha1),
            "x5t#S256": jws.thumbprint(self.certificate, hashes.SHA256()),
        }
        claims = {"iss": client_id, "sub": client_id, "aud": token_endpoint, **jws.once(now)}
        return jws.compact(self.key, header, claims)


def read(name: str) -> ApplicationCertificate:
    """Read a PFX, or a PEM with certificate and key, without a password.

    Raises:
        AgentError: AZCM0107, it cannot be read, or holds no RSA key with its certificate.
    """
    path = Path(name)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE)
    except OSError as error:
        raise AgentError(107, f"{name} cannot be read: {error.strerror}.") from error
    try:
        key, certificate = _pem(content) if b"-----BEGIN" in content else _pfx(content)
    except TypeError as error:
        raise AgentError(107, f"The private key of {name} has a password.", NO_PASSWORDS) from error
    except ValueError as error:
        hint = NO_PASSWORDS if "password" in str(error).lower() else ""
        raise AgentError(107, f"{name} is no PFX or PEM with certificate and private key.", hint) from error
    if certificate is None or not isinstance(key, rsa.RSAPrivateKey):
        raise AgentError(107, f"{name} must hold a certificate with its RSA private key.")
    if certificate.public_key() != key.public_key():
        raise AgentError(107, f"The private key in {name} is not the one of its first certificate.")
    return ApplicationCertificate(key, certificate)


def _pem(content: bytes) -> tuple[object, x509.Certificate | None]:
    if b"CERTIFICATE-----" not in content or b"PRIVATE KEY-----" not in content:
        return None, None
    return load_pem_private_key(content, password=None), x509.load_pem_x509_certificate(
        content[content.index(b"-----BEGIN CERTIFICATE-----") :]
    )


def _pfx(content: bytes) -> tuple[object, x509.Certificate | None]:
    key, certificate, _ = pkcs12.load_key_and_certificates(content, password=None)
    return key, certificate
