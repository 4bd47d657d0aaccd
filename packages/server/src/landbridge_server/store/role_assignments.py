"""Role assignments: who holds which role at which scope.

``scope_key`` is the lower-case scope; the tenant's root is ``/``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, literal_column, or_, select

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import role_assignments


class Assignment(NamedTuple):
    """One role assignment. ``assignment_key`` is its lower-case id, ``role_definition`` a GUID."""

    assignment_key: str
    name: str
    scope: str
    scope_key: str
    tenant_id: str
    role_definition: str
    principal_id: str
    principal_type: str
    description: str
    created_at: float
    created_by: str
    changed_at: float | None = None
    changed_by: str | None = None


class Held(NamedTuple):
    """What a decision needs of an assignment."""

    scope_key: str
    role_definition: str


# Scopes are asked for in rows of this many, so that the statement stays the same one.
_WIDTH = 12
_HELD_AT = Prepared(
    select(role_assignments.c.scope_key, role_assignments.c.role_definition).where(
        role_assignments.c.principal_id == bindparam("principal_id"),
        role_assignments.c.scope_key.in_([bindparam(f"scope{number}") for number in range(_WIDTH)]),
    )
)
_HELD = select(role_assignments.c.scope_key, role_assignments.c.role_definition).where(
    role_assignments.c.principal_id == bindparam("principal_id")
)
_FEW = 64
_HELD_IF_FEW = Prepared(_HELD.limit(literal_column(f"{_FEW + 1}")).offset(literal_column("0")))


def _below(scope_key: str) -> ColumnElement[bool]:
    # "0" follows "/": the range holds exactly the scopes that begin with the scope and "/".
    column = role_assignments.c.scope_key
    return and_(column > scope_key.rstrip("/") + "/", column < scope_key.rstrip("/") + "0")


def add(connection: Connection, assignment: Assignment) -> None:
    """Add an assignment."""
    connection.execute(role_assignments.insert(), assignment._asdict())


def describe(
    connection: Connection, assignment_key: str, description: str, changed_at: float, changed_by: str
) -> None:
    """Change the description of an assignment: all else of it is fixed."""
    connection.execute(
        role_assignments.update()
        .where(role_assignments.c.assignment_key == assignment_key)
        .values(description=description, changed_at=changed_at, changed_by=changed_by)
    )


def get(connection: Connection, assignment_key: str) -> Assignment | None:
    """Return the assignment with this lower-case id."""
    row = connection.execute(
        select(role_assignments).where(role_assignments.c.assignment_key == assignment_key)
    ).first()
    return Assignment(*row) if row is not None else None


def remove(connection: Connection, assignment_key: str) -> None:
    """Remove an assignment."""
    connection.execute(role_assignments.delete().where(role_assignments.c.assignment_key == assignment_key))


def same(
    connection: Connection, scope_key: str, role_definition: str, principal_id: str
) -> Assignment | None:
    """Return the assignment of this role to this principal at exactly this scope."""
    row = connection.execute(
        select(role_assignments).where(
            role_assignments.c.scope_key == scope_key,
            role_assignments.c.role_definition == role_definition,
            role_assignments.c.principal_id == principal_id,
        )
    ).first()
    return Assignment(*row) if row is not None else None


def any_of_role(connection: Connection, tenant_id: str, role_definition: str) -> bool:
    """Say whether anybody of a tenant holds a role."""
    statement = select(role_assignments.c.assignment_key).where(
        role_assignments.c.tenant_id == tenant_id, role_assignments.c.role_definition == role_definition
    )
    return connection.execute(statement.limit(1)).first() is not None


def held_at(connection: Connection, principal_id: str, scopes: Sequence[str]) -> list[Held]:
    """Return which roles a principal holds at these scopes."""
    found: list[Held] = []
    for start in range(0, len(scopes), _WIDTH):
        some = scopes[start : start + _WIDTH]
        parameters = {f"scope{number}": some[min(number, len(some) - 1)] for number in range(_WIDTH)}
        rows = _HELD_AT.rows(connection, parameters | {"principal_id": principal_id})
        found += [Held(*row) for row in rows]
    return found


def held_if_few(connection: Connection, principal_id: str) -> list[Held] | None:
    """Return every role that a principal holds anywhere; None if they are many."""
    rows = _HELD_IF_FEW.rows(connection, {"principal_id": principal_id})
    return [Held(*row) for row in rows] if len(rows) <= _FEW else None


def held(connection: Connection, principal_id: str) -> list[Held]:
    """Return every role that a principal holds anywhere."""
    return [Held(*row) for row in connection.execute(_HELD, {"principal_id": principal_id})]


def listed(
    connection: Connection, tenant_id: str, above: Collection[str], below: str | None
) -> list[Assignment]:
    """Return the assignments at the scopes ``above`` and at those under the scope ``below``."""
    places: list[ColumnElement[bool]] = [role_assignments.c.scope_key.in_(list(above))]
    if below is not None:
        places.append(_below(below))
    rows = connection.execute(
        select(role_assignments)
        .where(role_assignments.c.tenant_id == tenant_id, or_(*places))
        .order_by(role_assignments.c.assignment_key)
    )
    return [Assignment(*row) for row in rows]


_REMOVE_BELOW = (
    Prepared(role_assignments.delete().where(role_assignments.c.scope_key == bindparam("key"))),
    Prepared(
        role_assignments.delete().where(
            role_assignments.c.scope_key > bindparam("first"),
            role_assignments.c.scope_key < bindparam("last"),
        )
    ),
)
_REMOVE_OF = Prepared(role_assignments.delete().where(role_assignments.c.principal_id == bindparam("key")))


def remove_below(connection: Connection, scope_key: str) -> None:
    """Remove the assignments at a scope and at everything under it."""
    path = scope_key.rstrip("/")
    for statement in _REMOVE_BELOW:
        statement.run(connection, {"key": scope_key, "first": path + "/", "last": path + "0"})


def remove_of_principal(connection: Connection, principal_id: str) -> None:
    """Remove everything that a principal holds."""
    _REMOVE_OF.run(connection, {"key": principal_id})
