"""The result of authentication: a principal whose token was verified and who still exists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """A verified principal. Only ``authentication`` makes one outside of tests.

    ``kind`` is User, ServicePrincipal or ManagedIdentity. ``label`` is the user principal
    name or the application id, as ARM's AuthorizationFailed prints it. ``app_id`` is the
    program that a user signed in with, or the principal's own application. ``resource_key``
    is the key of the machine whose managed identity this is.
    """

    object_id: str
    tenant_id: str
    kind: str
    label: str
    app_id: str
    resource_key: str = ""
