"""From an Authorization header to a ``Caller``: the one way in for bearer tokens.

One who is disabled or deleted loses access with the next call, however long the token would
live, and so does whoever holds a token from before its principal's key was replaced: who a header
stands for is remembered only until something is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from landbridge_server.identity.caller import Caller
from landbridge_server.identity.tokens import Claims, TokenVerifier
from landbridge_server.store import guests, principals
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.principals import USER, Principal
from landbridge_server.store.remembered import Remembered

Membership = Callable[[Connection, Principal, str], bool]
"""Says whether a principal may act in a tenant (its id)."""


def belongs(connection: Connection, principal: Principal, tenant_id: str) -> bool:
    """Say whether a principal was created in a tenant, or is a guest there."""
    if principal.tenant_id == tenant_id:
        return True
    return principal.kind == USER and guests.is_guest(connection, tenant_id, principal.object_id)


class Authenticator:
    """Verifies tokens and finds the principals behind them."""

    def __init__(self, db: Database, verifier: TokenVerifier, membership: Membership = belongs) -> None:
        """Read principals from ``db``; ``membership`` says in which tenants one may act."""
        self._db = db
        self._verifier = verifier
        self._membership = membership
        self._known: Remembered[tuple[str, frozenset[str]], tuple[Caller, Claims]] = Remembered(db)

    def caller(self, authorization: str, audiences: Collection[str]) -> Caller:
        """Return who sent an Authorization header; what they may do is not looked at.

        Raises:
            ArmError: 401, with a challenge.
        """
        caller, claims = self._known.get(
            (authorization, frozenset(audiences)), lambda: self._verified(authorization, audiences)
        )
        self._verifier.check_time(claims)
        return caller

    def _verified(self, authorization: str, audiences: Collection[str]) -> tuple[Caller, Claims]:
        if not authorization.strip():
            raise self._verifier.missing()
        scheme, _, unverified_token = authorization.strip().partition(" ")
        unverified_token = unverified_token.strip()
        if scheme.lower() != "bearer" or not unverified_token:
            raise self._verifier.wrong_scheme()
        claims = self._verifier.verify(unverified_token, audiences)
        principal, member = self._db.read(
            lambda connection: self._find(connection, claims.object_id, claims.tenant_id)
        )
        if principal is None:
            raise self._verifier.invalid("its principal was deleted")
        if not principal.enabled:
            raise self._verifier.invalid("its principal is disabled")
        if claims.not_before < (principal.tokens_from or 0):
            raise self._verifier.invalid("it was given before its principal got another key")
        if not member:
            raise self._verifier.invalid("its principal does not belong to its tenant")
        return _caller(principal, claims.tenant_id, claims.app_id), claims

    def _find(self, connection: Connection, object_id: str, tenant_id: str) -> tuple[Principal | None, bool]:
        principal = principals.get(connection, object_id)
        return principal, principal is not None and self._membership(connection, principal, tenant_id)


def _caller(principal: Principal, tenant_id: str, app_id: str) -> Caller:
    return Caller(
        object_id=principal.object_id,
        tenant_id=tenant_id,
        kind=principal.kind,
        label=principal.label,
        app_id=app_id if principal.kind == USER else principal.app_id or app_id,
        resource_key=principal.resource_key or "",
    )
