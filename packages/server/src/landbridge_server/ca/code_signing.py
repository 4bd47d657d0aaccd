"""Signs what root on a machine may run: JWS (RFC 7515, compact, ES256) with the chain in ``x5c``.

The certificate is for code signing only (RFC 5280, 4.2.1.12), lasts 90 days, and is made anew 30
days before its end and whenever another authority issues: each node has its own, in
``DIR/ca/code-signing.pem`` and ``.key``. A signature is made when somebody asks for it, so none
outlives its certificate in a store, and after a rotation of the root each is of the new one. During
a rotation the chain ends with the new root signed by the old one: who trusts either finds a way.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from joserfc import jws
from joserfc.jwk import ECKey

from landbridge_server.ca.authority import CertificateAuthority, is_current
from landbridge_server.ca.keyring import PUBLIC, key_pem, load_key, new_key, write_atomically

ALGORITHM = "ES256"
LOOK_SECONDS = 3600.0
"""How long a certificate that was found good is used without another look at its end."""

CERTIFICATE, KEY = "code-signing.pem", "code-signing.key"
"""The names of the files in the authority's folder."""


class CodeSigner:
    """The signer of one node."""

    def __init__(self, authority: CertificateAuthority, clock: Callable[[], float]) -> None:
        """Take the authority, which may be reopened at any time; files are made at the first signature."""
        self.authority = authority
        self.clock = clock
        self._key: ECKey | None = None
        self._header: dict[str, object] = {}
        self._sent = ""
        self._looked = 0.0

    def sign(self, claims: Mapping[str, object]) -> str:
        """Return a compact JWS over ``claims`` as JSON.

        Raises:
            OSError: the certificate or its key cannot be read, or not be made anew.
        """
        key = self._current()
        payload = json.dumps(dict(claims), separators=(",", ":")).encode()
        return jws.serialize_compact(self._header, payload, key, algorithms=[ALGORITHM])

    def _current(self) -> ECKey:
        now = self.clock()
        sent = self.authority.issuing.pem + self.authority.cross
        if self._key is not None and sent == self._sent and 0 <= now - self._looked < LOOK_SECONDS:
            return self._key
        folder = self.authority.folder
        certificate, key_file = folder / CERTIFICATE, folder / KEY
        if not self._usable(now):
            key = new_key()
            write_atomically(key_file, key_pem(key))
            chain = self.authority.code_signing_certificate(key.public_key(), now)
            write_atomically(certificate, chain, PUBLIC)
        chain_of = x509.load_pem_x509_certificates(certificate.read_bytes())
        self._header = {"alg": ALGORITHM, "x5c": [_base64(one) for one in chain_of]}
        self._key = ECKey.import_key(key_pem(load_key(key_file)).decode())
        self._sent, self._looked = sent, now
        return self._key

    def _usable(self, now: float) -> bool:
        folder = self.authority.folder
        try:
            return is_current(folder / CERTIFICATE, folder / KEY, self.authority, now)
        except ValueError:
            return False  # damaged: nothing is lost with it, another one is made


def _base64(certificate: x509.Certificate) -> str:
    """Return a certificate as RFC 7515, 4.1.6 has it: base64 (not base64url) of its DER."""
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
