"""What a caller holds: its roles by scope, its own and those of all groups around it.

On an embedded store what not too many roles a caller holds is kept in mind, and what is kept is
right: within one state of the store by ``store.remembered``, and across commits by the count of
changes that triggers keep. Whoever holds more, or asks where nodes share the store, is looked up
by the scopes that enclose the one in question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from landbridge_server.identity.caller import Caller
from landbridge_server.store import role_assignments
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.remembered import Remembered
from landbridge_server.store.role_assignments import Held

T = TypeVar("T")

_ByScope = dict[str, list[Held]]
"""Roles by the lower-case scope with a ``/`` at its end."""

_WALKED = 16
"""Scopes that are compared one by one; when there are more, they are looked up."""

_MOST_BEFORE = 200_000
"""Callers, and scopes of their roles, that are kept across commits which did not change them."""

MANY_FOR = 256
"""Questions for which a caller that held many roles is taken to hold many still."""


def enclosing(scope: str) -> list[str]:
    """Return a scope and everything above it, in lower case, the root first."""
    found, path = ["/"], ""
    for part in scope.lower().split("/"):
        if part:
            path += "/" + part
            found.append(path)
    return found


def _above(scope: str) -> Iterator[str]:
    """Yield every prefix of a scope that ends in ``/``."""
    at = scope.find("/")
    while at >= 0:
        yield scope[: at + 1]
        at = scope.find("/", at + 1)


class Holdings:
    """Answers for one store."""

    def __init__(self, db: Database) -> None:
        """Read assignments and memberships from ``db``."""
        self.db = db
        self._held: Remembered[tuple[str, str], _ByScope | None] = Remembered(db)
        self._before: dict[tuple[str, str], tuple[int, _ByScope | None]] = {}
        self._kept = 0
        self._many: dict[str, int] = {}

    def at(self, caller: Caller, scope: str, connection: Connection | None) -> list[Held]:
        """Return what a caller holds at a scope and above it, as a member of groups, too."""
        by_scope = self._few(caller, connection)
        if by_scope is None:
            principal_id, places = caller.object_id, enclosing(scope)
            held = self._read(
                connection, lambda opened: role_assignments.held_at(opened, principal_id, places)
            )
            return of_tenant(held, caller.tenant_id)
        wanted = scope.lower().rstrip("/") + "/"
        if len(by_scope) > _WALKED:
            return [one for place in _above(wanted) for one in by_scope.get(place, ())]
        return [one for place, held in by_scope.items() if wanted.startswith(place) for one in held]

    def _few(self, caller: Caller, connection: Connection | None) -> _ByScope | None:
        """Return all that a caller holds, by scope; None if that is much.

        Whoever held much a moment ago is not counted again: asking by scope is right for
        everybody, only slower for those who hold little.
        """
        principal_id, tenant_id = caller.object_id, caller.tenant_id
        left = self._many.pop(principal_id, 0)
        if left > 1:
            self._many[principal_id] = left - 1
            return None
        found = self._held.get(
            (principal_id, tenant_id),
            lambda: self._read(connection, lambda opened: self._read_few(opened, principal_id, tenant_id)),
        )
        if found is None:
            self._many[principal_id] = MANY_FOR
        return found

    def _read_few(self, connection: Connection, principal_id: str, tenant_id: str) -> _ByScope | None:
        """Return what ``_few`` does, from before the last commits if none of them changed it.

        What was read and the count of changes are of one view, so that the count says whether
        the same would be read again. Within a write neither counts: it may be undone.
        """
        counted = role_assignments.changes(connection) if self.db.generation() is not None else None
        if counted is None:
            return _by_scope(connection, principal_id, tenant_id)
        key = (principal_id, tenant_id)
        known = self._before.get(key)
        if known is not None and known[0] == counted:
            return known[1]
        found = _by_scope(connection, principal_id, tenant_id)
        self._kept += 1 + len(found or ())
        if self._kept > _MOST_BEFORE:
            self._before.clear()
            self._kept = 1 + len(found or ())
        self._before[key] = (counted, found)
        return found

    def _read(self, connection: Connection | None, work: Callable[[Connection], T]) -> T:
        return self.db.read(work) if connection is None else work(connection)


def of_tenant(held: list[Held], tenant_id: str) -> list[Held]:
    """Return what counts for callers of a tenant: a group of another one gives them nothing."""
    return [one for one in held if one.tenant_id == tenant_id]


def _by_scope(connection: Connection, principal_id: str, tenant_id: str) -> _ByScope | None:
    few = role_assignments.held_if_few(connection, principal_id)
    if few is None:
        return None
    found: _ByScope = {}
    for held in of_tenant(few, tenant_id):
        found.setdefault(held.scope_key.rstrip("/") + "/", []).append(held)
    return found
