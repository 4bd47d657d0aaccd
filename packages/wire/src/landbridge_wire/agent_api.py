"""The messages between a machine's agent and the control plane.

Everything is JSON over HTTPS under ``BASE``, except the heartbeat, which travels on the
relay's control channel while that is up. Readers ignore members that they do not know, so
that an older side understands a newer one. ``from_json`` raises ``MalformedMessage``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

BASE = "/agent/v1"
"""Path prefix of the agent API."""

ENROLLMENTS = BASE + "/enrollments"
"""POST ``EnrollmentRequest`` with the caller's ARM token -> 201 ``Enrollment``."""

WITHDRAWALS = BASE + "/enrollments/withdraw"
"""POST ``Withdrawal`` with the caller's ARM token -> 204: undo a connect that did not end."""

REJOINS = BASE + "/enrollments/rejoin"
"""POST ``RejoinRequest`` without a token, for its proof says who asks -> 201 ``Enrollment``."""

RECONNECTS = BASE + "/enrollments/reconnect"
"""POST ``EnrollmentRequest`` with the caller's ARM token -> 201: another key takes the old one's place."""

CERTIFICATES = BASE + "/certificates"
"""POST ``CertificateRequest`` with the machine's token -> 200 ``Certificate``."""

SESSION = BASE + "/session"
"""POST ``SessionRequest`` with the machine's token -> 200 ``Session``."""

HEARTBEAT = BASE + "/heartbeat"
"""POST ``Heartbeat`` with the machine's token -> 200 ``HeartbeatReply``."""

FACTS = BASE + "/facts"
"""PUT the facts object with the machine's token -> 204."""

INSTANCE = BASE + "/instance"
"""GET with the machine's token -> 200 ``Instance``."""

AUDIENCE = "api://landbridge-agent"
"""The audience of the machine's token for this API."""

DEVICE_CLIENT_ID = "f0b1c2a4-6f0e-4f0b-9d55-6f6c616e6462"
"""The public client that ``azcmagent`` is when a person signs in with a device code."""

CLIENT_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523 section 2.2."""

HEARTBEAT_SECONDS = 300
"""How often the agent says that it lives, at most; the contract's five minutes."""

CERTIFICATE_DAYS = 90
"""How long a machine's certificate lives; renewal begins at half of it."""


class MalformedMessage(ValueError):
    """A message lacks a member, or one has the wrong type."""


def facts_digest(facts: Mapping[str, object]) -> str:
    """Return the SHA-256 (hex) of the canonical JSON: sorted names, no spaces, ASCII."""
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


TEXT_LIMIT = 64 * 1024
WORD_LIMIT = 256
TAG_LIMIT = 100


def _text(body: object, name: str, default: str | None = None, most: int = TEXT_LIMIT) -> str:
    value = body.get(name, default) if isinstance(body, dict) else None
    if not isinstance(value, str) or len(value) > most:
        raise MalformedMessage(f"'{name}' must be a string of at most {most} characters.")
    # JSON can spell NUL and half a surrogate pair, which not every store takes.
    if "\0" in value or (not value.isascii() and value.encode(errors="replace").decode() != value):
        raise MalformedMessage(f"'{name}' holds what is no text.")
    return value


def _word(body: object, name: str, default: str | None = None) -> str:
    return _text(body, name, default, WORD_LIMIT)


def _number(body: object, name: str, default: int | None = None) -> int:
    value = body.get(name, default) if isinstance(body, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise MalformedMessage(f"'{name}' must be a whole number.")
    return value


class _Message:
    """JSON form of the dataclasses below: the members' own names."""

    def to_json(self) -> dict[str, Any]:
        """Return the message as a JSON object."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class EnrollmentRequest(_Message):
    """Ask for the first certificate of a machine that was just PUT.

    The key of ``certificateSigningRequest`` (PEM, PKCS#10) must be the ``clientPublicKey``
    of the resource: base64 of the DER SubjectPublicKeyInfo.
    """

    resourceId: str
    certificateSigningRequest: str
    agentVersion: str

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(
            _text(body, "resourceId"),
            _text(body, "certificateSigningRequest"),
            _text(body, "agentVersion", ""),
        )


@dataclass(frozen=True)
class Enrollment(_Message):
    """The machine's identity: certificate chain (PEM, leaf first) and where it is used.

    ``clientId`` is the application id of the managed identity, ``principalId`` its object
    id; ``tokenEndpoint`` takes the RFC 7523 assertion (ES256, header ``x5t#S256``, ``iss``
    and ``sub`` = clientId, ``aud`` = tokenEndpoint, ``exp`` at most ten minutes away).
    """

    resourceId: str
    tenantId: str
    principalId: str
    clientId: str
    certificate: str
    tokenEndpoint: str
    vmId: str

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        names = ("resourceId", "tenantId", "principalId", "clientId", "certificate", "tokenEndpoint", "vmId")
        return cls(*(_text(body, name) for name in names))


@dataclass(frozen=True)
class RejoinRequest(_Message):
    """Ask for a certificate with the proof of a key that belongs to the machine already.

    ``proof`` is a JWS (RFC 7515, compact) with the claims ``iss`` = resourceId, ``aud`` = the
    resource manager's URL, ``csr`` = SHA-256 (base64url) of ``certificateSigningRequest``,
    ``jti``, ``iat``, ``nbf`` and ``exp`` at most ten minutes away. Two keys may sign it:

    - ES256 by the key of a certificate of the machine, also one that has ended, named by
      ``x5t#S256`` in the header;
    - RS256 or ES256 by the ``clientPublicKey`` of a machine that has never enrolled.
    """

    resourceId: str
    certificateSigningRequest: str
    proof: str
    agentVersion: str

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(
            _text(body, "resourceId"),
            _text(body, "certificateSigningRequest"),
            _text(body, "proof"),
            _word(body, "agentVersion", ""),
        )


@dataclass(frozen=True)
class Withdrawal(_Message):
    """Undo a connect that failed after the PUT: only for a machine that never enrolled."""

    resourceId: str
    clientPublicKey: str

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(_text(body, "resourceId"), _text(body, "clientPublicKey"))


@dataclass(frozen=True)
class CertificateRequest(_Message):
    """Renewal: a new PKCS#10 request, with the old key or a new one."""

    certificateSigningRequest: str

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(_text(body, "certificateSigningRequest"))


@dataclass(frozen=True)
class Certificate(_Message):
    """A certificate chain (PEM, leaf first)."""

    certificate: str

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(_text(body, "certificate"))


@dataclass(frozen=True)
class SessionRequest(_Message):
    """The daemon comes up: what it is, so that the control plane can refuse an old one, or a copy.

    ``fingerprint`` tells computers apart, ``instance`` the processes that were started with one
    state folder; both may be empty. Who comes with the state of a machine that is another computer,
    or while another process answers, gets 409 ``MachineCloned``.
    """

    agentVersion: str
    fingerprint: str = ""
    instance: str = ""

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(_text(body, "agentVersion"), _word(body, "fingerprint", ""), _word(body, "instance", ""))


@dataclass(frozen=True)
class Session(_Message):
    """Where the machine listens, and with what.

    ``listenAddress`` is the wss URL of the control channel with ``sb-hc-action=listen``;
    ``listenToken`` the SAS for its ServiceBusAuthorization header, valid until
    ``listenTokenExpiresOn`` (unix seconds). ``serviceConfigurationKey`` (base64) verifies
    the HS256 Service-Configuration-Token that a sender brings along. ``roots`` (PEM) are the roots
    that the machine is to trust from now on; empty: it stays as it is. A certificate of the machine
    that began before ``renewBefore`` (unix seconds) is to be renewed now.
    """

    resourceId: str
    listenAddress: str
    listenToken: str
    listenTokenExpiresOn: int
    serviceConfigurationKey: str
    heartbeatSeconds: int
    serverTime: int
    roots: str = ""
    renewBefore: int = 0

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(
            _text(body, "resourceId"),
            _text(body, "listenAddress"),
            _text(body, "listenToken"),
            _number(body, "listenTokenExpiresOn"),
            _text(body, "serviceConfigurationKey"),
            _number(body, "heartbeatSeconds"),
            _number(body, "serverTime"),
            _text(body, "roots", ""),
            _number(body, "renewBefore", 0),
        )


@dataclass(frozen=True)
class Heartbeat(_Message):
    """The machine lives. ``factsDigest`` is the SHA-256 (hex) of its facts' canonical JSON."""

    agentVersion: str
    sequence: int
    factsDigest: str

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(_word(body, "agentVersion"), _number(body, "sequence"), _word(body, "factsDigest", ""))


@dataclass(frozen=True)
class HeartbeatReply(_Message):
    """``factsWanted``: the control plane does not hold the facts of that digest.

    ``workWanted``: there is something new to do or to evaluate (``work_api.py``). The control plane
    also says this unasked, on the control channel.
    """

    factsWanted: bool = False
    heartbeatSeconds: int = field(default=HEARTBEAT_SECONDS)
    workWanted: bool = False

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        asked = body if isinstance(body, dict) else {}
        seconds = _number(body, "heartbeatSeconds", HEARTBEAT_SECONDS)
        return cls(asked.get("factsWanted") is True, seconds, asked.get("workWanted") is True)


@dataclass(frozen=True)
class Instance(_Message):
    """What the machine's resource says now that a program on the machine may want to know."""

    resourceId: str
    location: str
    tags: dict[str, str]

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message; at most ``TAG_LIMIT`` tags."""
        tags = body.get("tags", {}) if isinstance(body, dict) else None
        if not isinstance(tags, dict) or len(tags) > TAG_LIMIT:
            raise MalformedMessage(f"'tags' must be an object of at most {TAG_LIMIT} members.")
        return cls(_text(body, "resourceId"), _text(body, "location", ""), {n: _text(tags, n) for n in tags})
