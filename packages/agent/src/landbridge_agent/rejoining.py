"""Coming back by the machine's own key: the request for a certificate, and its proof.

Short-lived processes only: this module loads ``cryptography``.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes

from landbridge_agent import jws, keys, onboarding_key
from landbridge_agent.jws import SigningKey
from landbridge_agent.version import AGENT_VERSION
from landbridge_wire.agent_api import RejoinRequest


def by_identity(identity: bytes, resource_id: str, audience: str, new_key: str, now: float) -> RejoinRequest:
    """Return the request that the key of the identity file proves; its certificate may have ended.

    ``audience`` is the resource manager's URL, ``new_key`` (PEM) what the certificate will be for.

    Raises:
        UnusableKey: ``identity`` (PEM) lacks a usable key or certificate.
    """
    header = {"x5t#S256": jws.thumbprint(keys.leaf(identity), hashes.SHA256())}
    return _request(keys.load(identity), header, resource_id, audience, new_key, now)


def by_onboarding_key(
    private_key: str, resource_id: str, audience: str, new_key: str, now: float
) -> RejoinRequest:
    """Return the request that the key of ``genkey`` proves, for a machine that was created with it.

    Raises:
        UnusableKey: the key cannot be used.
    """
    return _request(onboarding_key.load(private_key), {}, resource_id, audience, new_key, now)


def _request(
    key: SigningKey, header: dict[str, str], resource_id: str, audience: str, new_key: str, now: float
) -> RejoinRequest:
    csr = keys.certificate_request(new_key, resource_id.rpartition("/")[2])
    digest = jws.base64url(hashlib.sha256(csr.encode()).digest())
    claims = {"iss": resource_id, "aud": audience, "csr": digest, **jws.once(now)}
    return RejoinRequest(resource_id, csr, jws.compact(key, header, claims), AGENT_VERSION)
