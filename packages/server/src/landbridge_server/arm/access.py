"""The authorization question: may this caller do that there?

Answers follow the store: a role that was taken away is gone with the next call, and so is one
that came with a group which the caller has left. Roles of a caller are its own and those of all
groups around it, nested ones included. A role at a scope counts at everything below it. ``/`` is
the root of the caller's tenant: it reaches the subscriptions of that tenant and no others.

Nothing is allowed but by a role; roles only add up. An action is one of the resource manager's,
or a data action: these are two worlds, and no ``actions`` grant anything in the other one.

Whoever answers a request with a token must have asked here; ``Deciding`` lets the edge see
that. The answer never depends on whether the resource exists.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Self, TypeVar

from landbridge_server.arm import custom_roles, roles
from landbridge_server.arm.custom_roles import AnyRole
from landbridge_server.arm.holdings import Holdings, of_tenant
from landbridge_server.identity.caller import Caller
from landbridge_server.store import role_assignments, subscriptions
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.remembered import Remembered
from landbridge_server.store.role_assignments import Held
from landbridge_wire.errors import ArmError

T = TypeVar("T")


class Deciding:
    """Watches one request: afterwards ``made`` says whether a decision was made in it."""

    __slots__ = ("_token", "made")

    def __init__(self) -> None:
        """Begin undecided."""
        self.made = False

    def __enter__(self) -> Self:
        """Watch."""
        self._token: Token[Deciding | None] = _decisions.set(self)
        return self

    def __exit__(self, *_raised: object) -> None:
        """Watch no longer."""
        _decisions.reset(self._token)


_decisions: ContextVar[Deciding | None] = ContextVar("landbridge_decisions", default=None)


def decided() -> None:
    """Note a decision that needs no role, such as a machine's right over its own session."""
    decisions = _decisions.get()
    if decisions is not None:
        decisions.made = True


def subscription_of(scope: str) -> str:
    """Return the id of the subscription that a scope is or lies in, in lower case; empty: in none."""
    parts = scope.lower().split("/")
    return parts[2] if len(parts) > 2 and parts[1] == "subscriptions" else ""


def refusal(caller: Caller, action: str, scope: str) -> ArmError:
    """Return AuthorizationFailed in ARM's exact words."""
    return ArmError(
        "AuthorizationFailed",
        f"The client '{caller.label}' with object id '{caller.object_id}' does not have authorization to "
        f"perform action '{action}' over scope '{scope}' or the scope is invalid. "
        "If access was recently granted, please refresh your credentials.",
    )


class Access:
    """Answers for one store."""

    def __init__(self, db: Database) -> None:
        """Read assignments from ``db``."""
        self.db = db
        self._tenants: dict[str, str] = {}
        self._holdings = Holdings(db)
        self._custom: Remembered[tuple[str, str], AnyRole | None] = Remembered(db)

    def require(
        self,
        caller: Caller,
        action: str,
        scope: str,
        connection: Connection | None = None,
        *,
        data: bool = False,
    ) -> None:
        """Return if the caller may perform ``action`` at ``scope``; ``data``: it is a data action.

        Raises:
            ArmError: AuthorizationFailed.
        """
        if not self.allows(caller, action, scope, connection, data=data):
            raise refusal(caller, action, scope)

    def allows(
        self,
        caller: Caller,
        action: str,
        scope: str,
        connection: Connection | None = None,
        *,
        data: bool = False,
    ) -> bool:
        """Say whether the caller may perform ``action`` at ``scope``; ``data``: it is a data action."""
        decided()
        return any(
            self._permits(caller, one, action, connection, data)
            for one in self._holdings.at(caller, scope, connection)
        ) and self._same_tenant(connection, caller, scope)

    def roles_at(self, connection: Connection, caller: Caller, scope: str) -> list[AnyRole]:
        """Return the roles that the caller holds at a scope and above it; decides nothing.

        A role that it holds several times, as by two groups, is there once.
        """
        if not self._same_tenant(connection, caller, scope):
            return []
        held = self._holdings.at(caller, scope, connection)
        guids = dict.fromkeys(one.role_definition for one in sorted(held))
        found = (self._role(caller, guid, connection) for guid in guids)
        return [role for role in found if role is not None]

    def visible(
        self, connection: Connection, caller: Caller, action: str, scope: str
    ) -> tuple[str, ...] | None:
        """Return where below ``scope`` the caller may perform ``action``; None: everywhere.

        Raises:
            ArmError: AuthorizationFailed; nowhere.
        """
        if self.allows(caller, action, scope, connection):
            return None
        places = tuple(
            dict.fromkeys(
                held.scope_key
                for held in of_tenant(role_assignments.held(connection, caller.object_id), caller.tenant_id)
                if held.scope_key.startswith(scope.lower().rstrip("/") + "/")
                and self._permits(caller, held, action, connection)
                and self._same_tenant(connection, caller, held.scope_key)
            )
        )
        if not places:
            raise refusal(caller, action, scope)
        return places

    def subscriptions(self, connection: Connection, caller: Caller) -> list[subscriptions.Subscription]:
        """Return the subscriptions in or below which the caller holds any role."""
        decided()
        everywhere = subscriptions.of_tenant(connection, caller.tenant_id)
        found = of_tenant(role_assignments.held(connection, caller.object_id), caller.tenant_id)
        held = {one.scope_key for one in found}
        if "/" in held:
            return everywhere
        ids = {subscription_of(scope) for scope in held}
        return [one for one in everywhere if one.subscription_id in ids]

    def require_inside(self, caller: Caller, action: str, subscription_id: str) -> None:
        """Return if the caller holds any role in or below a subscription, whichever it is.

        For what describes a subscription rather than what is in it: its name, the locations
        and the providers of the cloud, which every client asks for before anything else.

        Raises:
            ArmError: AuthorizationFailed.
        """
        seen = self.db.read(lambda connection: self.subscriptions(connection, caller))
        if not any(one.subscription_id == subscription_id.lower() for one in seen):
            raise refusal(caller, action, f"/subscriptions/{subscription_id}")

    def known_tenant(self, subscription_id: str) -> str | None:
        """Return the tenant of a subscription that was looked up before, without the store."""
        return self._tenants.get(subscription_id.lower())

    def tenant_of(self, connection: Connection, subscription_id: str) -> str | None:
        """Return the tenant of a subscription, which never changes; None: there is none."""
        key = subscription_id.lower()
        tenant = self._tenants.get(key)
        if tenant is None:
            found = subscriptions.get(connection, key)
            if found is None:
                return None
            tenant = self._tenants[key] = found.tenant_id
        return tenant

    def _same_tenant(self, connection: Connection | None, caller: Caller, scope: str) -> bool:
        subscription = subscription_of(scope)
        if not subscription:
            return True
        tenant = self.known_tenant(subscription)
        if tenant is None:
            tenant = self._read(connection, lambda opened: self.tenant_of(opened, subscription))
        return tenant == caller.tenant_id

    def _permits(
        self, caller: Caller, held: Held, action: str, connection: Connection | None, data: bool = False
    ) -> bool:
        role = self._role(caller, held.role_definition, connection)
        return role is not None and role.allows(action, data=data)

    def _role(self, caller: Caller, guid: str, connection: Connection | None) -> AnyRole | None:
        """Return a role by its GUID: a built-in one, or one of the caller's tenant."""
        built_in = roles.by_guid(guid)
        if built_in is not None:
            return built_in
        tenant = caller.tenant_id
        return self._custom.get(
            (tenant, guid),
            lambda: self._read(connection, lambda opened: custom_roles.find(opened, tenant, guid)),
        )

    def _read(self, connection: Connection | None, work: Callable[[Connection], T]) -> T:
        return self.db.read(work) if connection is None else work(connection)
