"""The keys that sign tokens: RSA-2048, several at once, published as a JWKS.

One signs; the next is published before it does, and previous ones verify for as long as
``key_rotation`` holds them. Only whether a signature is right is remembered, never whether a
token is valid: time, audience and principal are looked at each time.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from landbridge_server.ca.keyring import write_atomically

Clock = Callable[[], float]

ALGORITHM = "RS256"
BITS = 2048
CACHE_SIZE = 8192
TOKEN_LIMIT = 16 * 1024


class BadSignature(ValueError):
    """The text is not a token that one of these keys signed; the text says in what way."""


def canonical_segment(segment: str) -> bytes:
    """Decode base64url as RFC 7515 section 2 writes it, in its only form.

    A lenient decoder reads several texts as the same signature; the cache must not.

    Raises:
        ValueError: padding, another alphabet, or bits left over.
    """
    try:
        decoded = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise ValueError("not base64url") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != segment:
        raise ValueError("not canonical base64url")
    return decoded


def unverified_parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a compact JWS without looking at its signature.

    Raises:
        ValueError: not three base64url segments, of which two are JSON objects.
    """
    if len(token) > TOKEN_LIMIT:
        raise ValueError("longer than any token of this cloud")
    segments = token.split(".")
    if len(segments) != 3:
        raise ValueError("not three segments")
    decoded = [canonical_segment(segment) for segment in segments]
    try:
        header, claims = json.loads(decoded[0]), json.loads(decoded[1])
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError("not JSON objects")
    return header, claims


class Held(NamedTuple):
    """A private key (PEM) and its state: next, current or previous."""

    state: str
    pem: bytes

    @property
    def key_id(self) -> str:
        """The id under which it is published: its thumbprint (RFC 7638)."""
        return _load(self.pem).thumbprint()


def nothing_new() -> None:
    """What happens with an unknown key where nobody else rotates."""


class SigningKeys:
    """The key ring; open it with ``SigningKeys.open``."""

    def __init__(self, keys: Sequence[Held]) -> None:
        """Take opened keys, of which one is current."""
        self.on_unknown: Callable[[], None] = nothing_new
        """Called when a token names a key that is not here: another node may just have rotated."""
        self.take(keys)

    @classmethod
    def open(cls, folder: Path, clock: Clock) -> SigningKeys:
        """Open the keys in ``folder`` (files ``signing-*.pem``, 0600), or make one; the last signs."""
        if not list(folder.glob("signing-*.pem")):
            _make(folder, clock())
        pems = [_read(path) for path in sorted(folder.glob("signing-*.pem"))]
        states = ["previous"] * (len(pems) - 1) + ["current"]
        return cls([Held(state, pem) for state, pem in zip(states, pems, strict=True)])

    def take(self, keys: Sequence[Held]) -> None:
        """Go on with these keys and no other: what a missing one has signed is refused from now on."""
        loaded = {key.thumbprint(): (one, key) for one in keys for key in [_load(one.pem)]}
        self.held = list(keys)
        self._keys = {key_id: key for key_id, (_, key) in loaded.items()}
        self._signer_id, self._signer = next(
            (key_id, key) for key_id, (one, key) in loaded.items() if one.state == "current"
        )
        self._verified: OrderedDict[bytes, Mapping[str, Any]] = OrderedDict()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a compact JWS (RS256) over ``claims``."""
        header = {"typ": "JWT", "alg": ALGORITHM, "kid": self._signer_id}
        payload = json.dumps(claims, separators=(",", ":")).encode()
        return jws.serialize_compact(header, payload, self._signer, algorithms=[ALGORITHM])

    def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a token that one of these keys signed.

        Does not look at any claim: not at time, issuer, audience or subject.

        Raises:
            BadSignature: anything else, ``alg: none`` and foreign algorithms included.
        """
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is not None:
            self._verified.move_to_end(digest)
            return known
        claims = self._verify(token)
        self._verified[digest] = claims
        if len(self._verified) > CACHE_SIZE:
            self._verified.popitem(last=False)
        return claims

    def _verify(self, token: str) -> Mapping[str, Any]:
        try:
            unverified_header, unverified_claims = unverified_parts(token)
        except ValueError as error:
            raise BadSignature(str(error)) from error
        if unverified_header.get("alg") != ALGORITHM:
            raise BadSignature("the algorithm is not RS256")
        key_id = unverified_header.get("kid")
        if not isinstance(key_id, str):
            raise BadSignature("its header names no key")
        if key_id not in self._keys:
            self.on_unknown()
        key = self._keys.get(key_id)
        if key is None:
            raise BadSignature("no key of this cloud has this key id")
        try:
            jws.deserialize_compact(token, key, algorithms=[ALGORITHM])
        except (JoseError, ValueError, TypeError) as error:  # TypeError: header members of odd types
            raise BadSignature("the signature does not match") from error
        return unverified_claims

    def jwks(self) -> dict[str, Any]:
        """Return the public keys (RFC 7517)."""
        return {"keys": [_public(key_id, key) for key_id, key in self._keys.items()]}


def _public(key_id: str, key: RSAKey) -> dict[str, Any]:
    numbers = key.as_dict(private=False)
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": ALGORITHM,
        "kid": key_id,
        "n": numbers["n"],
        "e": numbers["e"],
    }


def new_key() -> bytes:
    """Make a key; return it as unencrypted PKCS#8 PEM."""
    return rsa.generate_private_key(public_exponent=65537, key_size=BITS).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _make(folder: Path, now: float) -> None:
    write_atomically(folder / f"signing-{int(now):012d}.pem", new_key())


def _read(path: Path) -> bytes:
    pem = path.read_bytes()
    try:
        _load(pem)
    except ValueError as error:
        raise ValueError(f"{path} does not hold an RSA private key.") from error
    return pem


def _load(pem: bytes) -> RSAKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("It does not hold an RSA private key.")
    return RSAKey(key, key)
