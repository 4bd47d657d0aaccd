"""The X.509 profiles that we issue (RFC 5280), complete enough for strict verifiers.

OpenSSL's ``-x509_strict`` and Python's ``VERIFY_X509_STRICT`` want critical basic
constraints and key usage on authorities, a subject key identifier on everything, and an
authority key identifier on all but the root.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BACKDATE = dt.timedelta(minutes=5)
"""Certificates begin a little early, for clients whose clock is behind."""


@dataclass(frozen=True)
class Signer:
    """An authority that can sign: its certificate and private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @cached_property
    def name(self) -> x509.Name:
        """The issuer of what it signs."""
        return self.certificate.subject

    @cached_property
    def identifier(self) -> x509.AuthorityKeyIdentifier:
        """The authority key identifier of what it signs."""
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

    @cached_property
    def pem(self) -> str:
        """Its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def instant(now: float) -> dt.datetime:
    """Return unix seconds as an aware time of whole seconds."""
    return dt.datetime.fromtimestamp(int(now), dt.UTC)


def name(common_name: str, organization: str = "Landbridge") -> x509.Name:
    """Return a distinguished name; the common name is cut at X.520's 64 characters."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64]),
        ]
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


_NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)
_LEAF_USAGE = _usage(authority=False)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: float, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(instant(now) - BACKDATE)
        .not_valid_after(instant(now) + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _with_authority(builder: x509.CertificateBuilder, signer: Signer) -> x509.CertificateBuilder:
    return builder.add_extension(signer.identifier, critical=False)


def root(subject: x509.Name, key: ec.EllipticCurvePrivateKey, now: float, days: int) -> x509.Certificate:
    """Return a self-signed root certificate."""
    return (
        _builder(subject, subject, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def cross(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, signer: Signer, now: float, days: int
) -> x509.Certificate:
    """Return a root's name and key signed by another root: who trusts that one finds a way to this."""
    builder = _builder(subject, signer.name, key, now, days)
    return (
        _with_authority(builder, signer)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(signer.key, hashes.SHA256())
    )


def intermediate(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, signer: Signer, now: float, days: int
) -> x509.Certificate:
    """Return the certificate of an issuing authority that may not make further authorities."""
    builder = _builder(subject, signer.name, key, now, days)
    return (
        _with_authority(builder, signer)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(signer.key, hashes.SHA256())
    )


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def server(
    names: Iterable[str], key: ec.EllipticCurvePublicKey, signer: Signer, now: float, days: int
) -> x509.Certificate:
    """Return a TLS server certificate for host names and IP addresses."""
    covered = list(names)
    builder = _builder(name(covered[0]), signer.name, key, now, days)
    return _leaf(
        builder.add_extension(
            x509.SubjectAlternativeName([_general_name(one) for one in covered]), critical=False
        ),
        signer,
        ExtendedKeyUsageOID.SERVER_AUTH,
    )


def client(
    common_name: str, uri: str, key: ec.EllipticCurvePublicKey, signer: Signer, now: float, days: int
) -> x509.Certificate:
    """Return the certificate of a machine's identity: CN is its client id, a URI names the resource."""
    builder = _builder(name(common_name), signer.name, key, now, days)
    return _leaf(
        builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
        ),
        signer,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    )


def code_signing(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, signer: Signer, now: float, days: int
) -> x509.Certificate:
    """Return a certificate whose key signs programs (RFC 5280, 4.2.1.12), and nothing else."""
    builder = _builder(subject, signer.name, key, now, days)
    return _leaf(builder, signer, ExtendedKeyUsageOID.CODE_SIGNING)


def _leaf(builder: x509.CertificateBuilder, signer: Signer, usage: x509.ObjectIdentifier) -> x509.Certificate:
    return (
        _with_authority(builder, signer)
        .add_extension(_NO_AUTHORITY, critical=True)
        .add_extension(_LEAF_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
