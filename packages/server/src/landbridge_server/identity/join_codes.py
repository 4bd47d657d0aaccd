"""Join codes: a secret that lets one machine connect, once, without an account on it.

A code stands for a service principal of its own, made with it, whose role an operator chose. The
code is exchanged for one access token, and ends with that; when the token has ended too, or the
code was never used, the principal is removed by whoever makes or uses the next code.

The text that is pasted carries, besides the secret, where the machine shall go. That part is only
for the agent's convenience: what the code may do is decided by the role, here.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from typing import NamedTuple

from landbridge_server.identity import directory
from landbridge_server.identity.errors import OAuthError, refuse
from landbridge_server.identity.passwords import hash_secret, new_secret, secret_matches
from landbridge_server.store import principals, role_assignments
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import Credential, Principal

GRANT = "urn:landbridge:params:oauth:grant-type:join-code"
UNUSED, USED = "join-code", "join-code-used"
"""The kinds of the credential: a used one says until when its principal is kept."""
KEPT_SECONDS = 2 * 3600.0
"""Longer than the token that a code gives; the machine's enrolment has ended by then."""


class JoinCode(NamedTuple):
    """What was made: the principal, and the text to paste on the machine."""

    principal: Principal
    text: str


def create(
    connection: Connection, tenant_id: str, place: Mapping[str, str], lifetime: float, now: float
) -> JoinCode:
    """Make a code that ends after ``lifetime`` seconds; the role of its principal is the caller's business.

    ``place`` goes into the text: subscriptionId, resourceGroup, location.
    """
    sweep(connection, now)
    name = f"Join code for {place.get('resourceGroup') or 'a machine'}"
    made = directory.instantiate(
        connection, directory.create_application(connection, tenant_id, name, now), now
    )
    secret = new_secret()
    _add(connection, made.object_id, UNUSED, hash_secret(secret), now, now + lifetime)
    content = {"clientId": made.app_id, "secret": secret, "tenantId": tenant_id, **place}
    packed = json.dumps(content, separators=(",", ":")).encode()
    return JoinCode(made, base64.urlsafe_b64encode(packed).rstrip(b"=").decode())


def use(connection: Connection, app_id: str, unverified_secret: str, now: float) -> Principal | OAuthError:
    """Return the principal of a code and end the code; or 54005, it was used, or 70000, it does not hold."""
    sweep(connection, now)
    found = principals.by_app_id(connection, app_id)
    if found is None or not found.enabled:
        return refuse(70000)
    for one in principals.credentials_of(connection, found.object_id, UNUSED):
        if secret_matches(unverified_secret, one.verifier) and one.valid(now):
            principals.remove_credential(connection, one.credential_id)
            _add(connection, found.object_id, USED, one.verifier, now, now + KEPT_SECONDS)
            return found
    used = principals.credentials_of(connection, found.object_id, USED)
    was_ours = any(secret_matches(unverified_secret, one.verifier) for one in used)
    return refuse(54005, what="join code") if was_ours else refuse(70000)


def sweep(connection: Connection, now: float) -> None:
    """Remove the principals of codes that have ended, with their roles."""
    for object_id in principals.with_ended_credentials(connection, (UNUSED, USED), now):
        role_assignments.remove_of_principal(connection, object_id)
        directory.delete_with_application(connection, object_id)


def _add(connection: Connection, object_id: str, kind: str, verifier: str, now: float, ends: float) -> None:
    principals.add_credential(
        connection,
        Credential(
            credential_id=str(uuid.uuid4()),
            object_id=object_id,
            kind=kind,
            verifier=verifier,
            thumbprint=None,
            not_before=now,
            expires_at=ends,
            created_at=now,
        ),
    )
