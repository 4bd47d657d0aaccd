"""CMS EnvelopedData (RFC 5652 section 6) for one RSA recipient: how handlers get protected settings.

Handlers open it with ``openssl cms -decrypt`` or ``openssl smime -decrypt``. It is written here because
the ``cryptography`` of Debian 12 is 38, and its own envelopes came with 43; the ``openssl`` program
may be missing. AES-256-CBC, the key by RSA PKCS #1 v1.5, which is what handlers' openssl calls expect.
Only this module's own envelopes are opened: it is no general parser of CMS.
"""

from __future__ import annotations

import os

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

INTEGER, OCTETS, OBJECT, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x30, 0x31
EXPLICIT_0, IMPLICIT_0 = 0xA0, 0x80
NULL = b"\x05\x00"
VERSION_0 = b"\x02\x01\x00"

ENVELOPED_DATA = bytes.fromhex("2a864886f70d010703")
DATA = bytes.fromhex("2a864886f70d010701")
RSA_ENCRYPTION = bytes.fromhex("2a864886f70d010101")
AES_256_CBC = bytes.fromhex("60864801650304012a")


class NotOpened(ValueError):
    """An envelope cannot be read, or is for another key."""


def seal(content: bytes, certificate: x509.Certificate) -> bytes:
    """Return an envelope (DER) that only the key of an RSA certificate opens.

    Raises:
        ValueError: the certificate's key is not RSA.
    """
    public = certificate.public_key()
    if not isinstance(public, RSAPublicKey):
        raise ValueError("The certificate's key is not RSA.")
    key, start = os.urandom(32), os.urandom(16)
    padder = PKCS7(128).padder()
    encryptor = Cipher(AES(key), CBC(start)).encryptor()
    padded = padder.update(content) + padder.finalize()
    hidden = encryptor.update(padded) + encryptor.finalize()
    recipient = _tlv(
        SEQUENCE,
        VERSION_0,
        _tlv(SEQUENCE, certificate.issuer.public_bytes(), _integer(certificate.serial_number)),
        _tlv(SEQUENCE, _tlv(OBJECT, RSA_ENCRYPTION), NULL),
        _tlv(OCTETS, public.encrypt(key, PKCS1v15())),
    )
    algorithm = _tlv(SEQUENCE, _tlv(OBJECT, AES_256_CBC), _tlv(OCTETS, start))
    inner = _tlv(SEQUENCE, _tlv(OBJECT, DATA), algorithm, _tlv(IMPLICIT_0, hidden))
    enveloped = _tlv(SEQUENCE, VERSION_0, _tlv(SET, recipient), inner)
    return _tlv(SEQUENCE, _tlv(OBJECT, ENVELOPED_DATA), _tlv(EXPLICIT_0, enveloped))


def open_sealed(envelope: bytes, key: RSAPrivateKey) -> bytes:
    """Return the content of an envelope that ``seal`` made.

    Raises:
        NotOpened: it is not one of those, or for another key.
    """
    try:
        return _open(envelope, key)
    except (ValueError, IndexError) as error:
        raise NotOpened("The protected settings cannot be opened with this machine's key.") from error


def _open(envelope: bytes, key: RSAPrivateKey) -> bytes:
    content = _parts(_only(envelope, SEQUENCE))
    enveloped = _parts(_only(content[1], EXPLICIT_0))
    _version, recipients, inner = _parts(_only(_join(enveloped), SEQUENCE))
    recipient = _parts(_only(_join(_parts(_only(recipients, SET))), SEQUENCE))
    _kind, algorithm, hidden = _parts(_only(inner, SEQUENCE))
    name, start = _parts(_only(algorithm, SEQUENCE))
    if _only(name, OBJECT) != AES_256_CBC:
        raise ValueError("another cipher")
    secret = key.decrypt(_only(recipient[3], OCTETS), PKCS1v15())
    decryptor = Cipher(AES(secret), CBC(_only(start, OCTETS))).decryptor()
    padded = decryptor.update(_only(hidden, IMPLICIT_0)) + decryptor.finalize()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def _tlv(tag: int, *parts: bytes) -> bytes:
    """Return one element of DER (X.690 section 8.1)."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + body


def _integer(value: int) -> bytes:
    return _tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _parts(body: bytes) -> list[bytes]:
    """Split the body of a constructed element into its elements, each with tag and length."""
    found, at = [], 0
    while at < len(body):
        end = at + sum(_head(body[at:]))
        if end > len(body):
            raise ValueError("cut off")
        found.append(body[at:end])
        at = end
    return found


def _join(parts: list[bytes]) -> bytes:
    if len(parts) != 1:
        raise ValueError("more than one")
    return parts[0]


def _only(element: bytes, tag: int) -> bytes:
    head, size = _head(element)
    if element[0] != tag or head + size != len(element):
        raise ValueError("another element")
    return element[head:]


def _head(element: bytes) -> tuple[int, int]:
    """Return the lengths of an element's head and body."""
    first = element[1]
    if first < 0x80:
        return 2, first
    many = first & 0x7F
    if not 0 < many <= 4:
        raise ValueError("a length that is none")
    return 2 + many, int.from_bytes(element[2 : 2 + many], "big")
