"""Whether the cloud has signed a package: the JWS of ``work_api.ExtensionPackage``.

The steps, in this order; each has its own text:
 1. the JWS is compact (RFC 7515), ES256, with a chain in ``x5c`` of at most ``MAX_CHAIN`` certificates;
 2. each certificate of the chain was issued by the next, up to one by a root that this machine trusts,
    each issuer is a CA that may sign certificates, and none is outside its period (RFC 5280, 6.1);
 3. the first is for code signing (RFC 5280, 4.2.1.12) and for nothing that is a CA;
 4. the signature is the first's;
 5. publisher, type, version, digest and size are those that were asked for.
Not checked: revocation (a root is replaced instead), name constraints, policies.

Short-lived processes only: this module loads ``cryptography``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.keys import period
from landbridge_wire.work_api import ExtensionPackage

MAX_CHAIN = 5
MAX_TEXT = 64 * 1024
UNREADABLE = (
    ValueError,
    TypeError,
    RecursionError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What ``json`` and ``cryptography`` raise for what they cannot read or verify."""


def verify(package: ExtensionPackage, roots_pem: str, now: float) -> None:
    """Return if a root of ``roots_pem`` vouches for what a package says about itself.

    Raises:
        ExtensionFailed: it does not; the text says which step failed.
    """
    try:
        unverified_header, unverified_claims, signed, signature = _split(package.signature)
        chain = _chain(unverified_header)
        _check_chain(chain, _roots(roots_pem), now)
        _check_purpose(chain[0])
        _check_signature(chain[0], signed, signature)
    except _Unsigned as error:
        raise _refusal(package, str(error)) from error
    except UNREADABLE as error:
        raise _refusal(package, "its signature cannot be read, or is another's") from error
    _check_claims(unverified_claims, package)


class _Unsigned(Exception):
    """A step failed."""


def _refusal(package: ExtensionPackage, why: str) -> ExtensionFailed:
    name = f"{package.publisher}.{package.type} {package.version}"
    return ExtensionFailed(f"ExtensionSignatureInvalid: the package {name} is not installed: {why}.")


def _split(text: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    parts = text.split(".")
    if len(parts) != 3 or len(text) > MAX_TEXT:
        raise _Unsigned("it has no signature" if not text else "its signature is no compact JWS")
    header, claims = (json.loads(_decoded(part)) for part in parts[:2])
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise _Unsigned("its signature is no compact JWS")
    if header.get("alg") != "ES256" or "crit" in header:
        raise _Unsigned("its signature is not ES256")
    return header, claims, f"{parts[0]}.{parts[1]}".encode(), _decoded(parts[2])


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise _Unsigned("its signature is not base64url") from error


def _chain(unverified_header: dict[str, Any]) -> list[x509.Certificate]:
    texts = unverified_header.get("x5c")
    if not isinstance(texts, list) or not 0 < len(texts) <= MAX_CHAIN:
        raise _Unsigned(f"its signature brings no chain of 1 to {MAX_CHAIN} certificates")
    if not all(isinstance(one, str) for one in texts):
        raise _Unsigned("its chain is not one of certificates")
    return [x509.load_der_x509_certificate(base64.b64decode(one)) for one in texts]


def _roots(pem: str) -> list[x509.Certificate]:
    mark = "-----BEGIN CERTIFICATE-----"
    return [x509.load_pem_x509_certificate((mark + part).encode()) for part in pem.split(mark)[1:]]


def _path(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return the shortest beginning of a chain that a root vouches for, with that root at its end.

    While a cloud's root is rotated, the chain goes on to the root before (RFC 4158, 2).
    """
    ders = {root.public_bytes(Encoding.DER) for root in roots}
    for length in range(1, len(chain) + 1):
        path = list(chain[:length])
        if path[-1].public_bytes(Encoding.DER) in ders:
            return path
        above = [root for root in roots if _issued(path[-1], root)]
        if above:
            return [*path, above[0]]
    raise _Unsigned("no root that this machine trusts vouches for its signer")


def _check_chain(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: float) -> None:
    path = _path(chain, roots)
    for position, certificate in enumerate(path):
        begins, ends = period(certificate)
        if not begins <= now <= ends:
            raise _Unsigned("a certificate of its signer is outside its period of validity")
        if position:
            _check_issuer(certificate, position - 1)
            if not _issued(path[position - 1], certificate):
                raise _Unsigned("its chain of certificates is broken")


def _issued(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    if child.issuer != issuer.subject:
        return False
    algorithm = child.signature_hash_algorithm
    key = issuer.public_key()
    if algorithm is None or isinstance(algorithm, hashes.SHA1 | hashes.MD5):
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(child.signature, child.tbs_certificate_bytes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(child.signature, child.tbs_certificate_bytes, padding.PKCS1v15(), algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _check_issuer(certificate: x509.Certificate, below: int) -> None:
    """Check that a certificate may issue, with ``below`` issuers between it and the leaf."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise _Unsigned("an issuer in its chain is no CA") from None
    if not basic.ca or (basic.path_length is not None and basic.path_length < below):
        raise _Unsigned("an issuer in its chain is no CA, or not of so many")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise _Unsigned("an issuer in its chain may not sign certificates")


def _check_purpose(leaf: x509.Certificate) -> None:
    try:
        purposes = list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        purposes = []
    if ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise _Unsigned("its signer's certificate is not one for code signing")
    try:
        if leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise _Unsigned("its signer's certificate is one of a CA")
    except x509.ExtensionNotFound:
        return


def _check_signature(leaf: x509.Certificate, signed: bytes, signature: bytes) -> None:
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _Unsigned("its signer's key is not on the curve P-256")
    if len(signature) != 64:
        raise _Unsigned("its signature has not 64 bytes")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))


def _check_claims(claims: dict[str, Any], package: ExtensionPackage) -> None:
    for name in ("publisher", "type", "version", "digest"):
        said, expected = claims.get(name), getattr(package, name)
        if not isinstance(said, str) or not hmac.compare_digest(said.encode(), expected.encode()):
            raise _refusal(package, f"what was signed has another {name}")
    if claims.get("size") != package.size or isinstance(claims.get("size"), bool):
        raise _refusal(package, "what was signed has another size")
