"""Role assignments: who holds which role at which scope.

``scope_key`` is the lower-case scope; the tenant's root is ``/``. A role that a group holds is
held by all of its members, and by those of the groups in it, however deep: whoever asks what a
principal holds is told that, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, literal_column, or_, select

from landbridge_server.store.holders import around
from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import changes_of_holdings, role_assignments


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
    tenant_id: str


def _held() -> Select[tuple[str, str, str]]:
    holders, columns = around(), role_assignments.c
    return select(columns.scope_key, columns.role_definition, columns.tenant_id).join(
        holders, columns.principal_id == holders.c.id
    )


# Scopes are asked for in rows of this many, so that the statement stays the same one.
_WIDTH = 12
_HELD_AT = Prepared(
    _held().where(role_assignments.c.scope_key.in_([bindparam(f"scope{number}") for number in range(_WIDTH)]))
)
_HELD = Prepared(_held())
_FEW = 512
"""Roles of one principal that are kept in mind; who holds more is asked for by scope."""
_HELD_IF_FEW = Prepared(_held().limit(literal_column(f"{_FEW + 1}")).offset(literal_column("0")))


_CHANGES = Prepared(select(changes_of_holdings.c.changes).where(changes_of_holdings.c.only == 1))


def changes(connection: Connection) -> int | None:
    """Return a number that is another one after every change of assignments and memberships.

    None: nothing counts them here; so it is on PostgreSQL, before the first change, and within
    a write, which may still be undone.
    """
    if connection.get_execution_options().get("landbridge_write"):
        return None
    row = _CHANGES.first(connection, {})
    return int(row[0]) if row is not None else None


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


def held_at(connection: Connection, principal_id: str, scopes: Sequence[str]) -> list[Held]:
    """Return which roles a principal holds at these scopes, by itself or as a member."""
    found: list[Held] = []
    for start in range(0, len(scopes), _WIDTH):
        some = scopes[start : start + _WIDTH]
        parameters = {f"scope{number}": some[min(number, len(some) - 1)] for number in range(_WIDTH)}
        rows = _HELD_AT.rows(connection, parameters | {"principal_id": principal_id})
        found += [Held(*row) for row in rows]
    return found


def held_if_few(connection: Connection, principal_id: str) -> list[Held] | None:
    """Return every role that a principal holds anywhere, also as a member; None if they are many."""
    rows = _HELD_IF_FEW.rows(connection, {"principal_id": principal_id})
    return [Held(*row) for row in rows] if len(rows) <= _FEW else None


def held(connection: Connection, principal_id: str) -> list[Held]:
    """Return every role that a principal holds anywhere, by itself or as a member."""
    return [Held(*row) for row in _HELD.rows(connection, {"principal_id": principal_id})]


@dataclass(frozen=True)
class Wanted:
    """Which assignments of a tenant a list shows: those at ``above``, and those under ``below``.

    ``principal_id``: only its own; ``with_groups``: those of the groups around it, too.
    ``after`` is the last key of the page before, ``limit`` the size of one.
    """

    tenant_id: str
    above: tuple[str, ...]
    below: str | None = None
    principal_id: str = ""
    with_groups: bool = False
    after: str = ""
    limit: int | None = None


def listed(connection: Connection, wanted: Wanted) -> list[Assignment]:
    """Return the assignments that are wanted, by their keys."""
    columns = role_assignments.c
    places: list[ColumnElement[bool]] = [columns.scope_key.in_(wanted.above)]
    if wanted.below is not None:
        places.append(_below(wanted.below))
    statement = select(role_assignments).where(columns.tenant_id == wanted.tenant_id, or_(*places))
    if wanted.with_groups:
        statement = statement.where(columns.principal_id.in_(select(around().c.id)))
    elif wanted.principal_id:
        statement = statement.where(columns.principal_id == bindparam("principal_id"))
    if wanted.after:
        statement = statement.where(columns.assignment_key > wanted.after)
    statement = statement.order_by(columns.assignment_key).limit(wanted.limit)
    rows = connection.execute(statement, {"principal_id": wanted.principal_id})
    return [Assignment(*row) for row in rows]


def of_holder(connection: Connection, principal_id: str, scopes: Sequence[str]) -> list[Assignment]:
    """Return what a principal holds at these scopes, by itself or as a member, by their keys."""
    columns = role_assignments.c
    rows = connection.execute(
        select(role_assignments)
        .where(columns.scope_key.in_(scopes), columns.principal_id.in_(select(around().c.id)))
        .order_by(columns.assignment_key),
        {"principal_id": principal_id},
    )
    return [Assignment(*row) for row in rows]


def is_held_at(
    connection: Connection, tenant_id: str, scopes: Sequence[str], role_definitions: Sequence[str], but: str
) -> bool:
    """Say whether anybody holds one of these roles at one of these scopes, but for one assignment."""
    columns = role_assignments.c
    statement = select(columns.assignment_key).where(
        columns.tenant_id == tenant_id,
        columns.scope_key.in_(scopes),
        columns.role_definition.in_(role_definitions),
        columns.assignment_key != but,
    )
    return connection.execute(statement.limit(1)).first() is not None


def wide_scopes_of(
    connection: Connection, tenant_id: str, principal_id: str, role_definitions: Sequence[str]
) -> list[str]:
    """Return the lower-case scopes, of the root and subscriptions, at which a principal holds such a role."""
    columns = role_assignments.c
    rows = connection.execute(
        select(columns.scope_key).where(
            columns.tenant_id == tenant_id,
            columns.principal_id == principal_id,
            columns.role_definition.in_(role_definitions),
        )
    )
    found = sorted({str(row[0]) for row in rows})
    return [one for one in found if one == "/" or (one.count("/") == 2 and one.startswith("/subscriptions/"))]


def holders_at(
    connection: Connection, tenant_id: str, scopes: Sequence[str], role_definitions: Sequence[str]
) -> set[str]:
    """Return the principals and groups that hold one of these roles at one of these scopes."""
    columns = role_assignments.c
    statement = select(columns.principal_id).where(
        columns.tenant_id == tenant_id,
        columns.scope_key.in_(scopes),
        columns.role_definition.in_(role_definitions),
    )
    return {str(row[0]) for row in connection.execute(statement.distinct())}


def scopes_of_role(connection: Connection, tenant_id: str, role_definition: str) -> list[str]:
    """Return the lower-case scopes at which somebody of a tenant holds a role."""
    columns = role_assignments.c
    rows = connection.execute(
        select(columns.scope_key)
        .where(columns.tenant_id == tenant_id, columns.role_definition == role_definition)
        .distinct()
    )
    return [str(row[0]) for row in rows]


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
    """Remove everything that a principal or a group holds by itself."""
    _REMOVE_OF.run(connection, {"key": principal_id})
