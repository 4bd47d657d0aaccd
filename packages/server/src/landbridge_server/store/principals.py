"""Users, service principals and the managed identities of machines, with their credentials.

A credential's ``verifier`` is what a check needs and no more: an argon2id hash, or the
SHA-256 of a machine-made secret. What is correct to store is decided in ``identity``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import (
    authorization_codes,
    credentials,
    device_codes,
    directory_role_assignments,
    group_members,
    guests,
    owners,
    principal_details,
    principals,
    refresh_tokens,
)

USER = "User"
SERVICE_PRINCIPAL = "ServicePrincipal"
MANAGED_IDENTITY = "ManagedIdentity"

PASSWORD = "password"  # noqa: S105
SECRET = "secret"  # noqa: S105
CERTIFICATE = "certificate"
TOTP = "totp"
RECOVERY = "recovery"

# Built once: every authenticated request looks a principal up, and building a statement
# costs more than running it.
COLUMNS = tuple(column for column in principals.c if column.name != "name_key")
"""The columns of a ``Principal``, in its order."""
_BY_OBJECT_ID = Prepared(select(*COLUMNS).where(principals.c.object_id == bindparam("key")))
_BY_USER_NAME = Prepared(select(*COLUMNS).where(principals.c.user_name_key == bindparam("key")))
_BY_APP_ID = Prepared(select(*COLUMNS).where(principals.c.app_id == bindparam("key")))
_BY_RESOURCE = Prepared(select(*COLUMNS).where(principals.c.resource_key == bindparam("key")))
_CREDENTIALS = Prepared(
    select(credentials).where(
        credentials.c.object_id == bindparam("key"), credentials.c.kind == bindparam("wanted")
    )
)
_DETAILS = Prepared(
    select(principal_details.c.document).where(principal_details.c.object_id == bindparam("key"))
)
_ADD = Prepared(principals.insert())
_REMOVE = [
    Prepared(column.table.delete().where(column == bindparam("key")))
    for column in (
        credentials.c.object_id,
        refresh_tokens.c.object_id,
        device_codes.c.object_id,
        authorization_codes.c.object_id,
        principal_details.c.object_id,
        group_members.c.member_id,
        owners.c.object_id,
        owners.c.owner_id,
        directory_role_assignments.c.principal_id,
        guests.c.object_id,
        principals.c.object_id,
    )
]


class Principal(NamedTuple):
    """Somebody who can sign in. Columns that a kind does not have are empty."""

    object_id: str
    tenant_id: str
    kind: str
    display_name: str
    user_name_key: str | None
    user_name: str | None
    app_id: str | None
    resource_key: str | None
    enabled: bool
    created_at: float
    tokens_from: float | None = None

    @property
    def label(self) -> str:
        """The name under which error texts speak of it: user name, or application id."""
        return self.user_name or self.app_id or self.object_id


class Credential(NamedTuple):
    """What proves a principal; ``expires_at`` is empty for one that never ends.

    ``display_name`` is what its owner calls it, ``hint`` the first characters of a secret.
    """

    credential_id: str
    object_id: str
    kind: str
    verifier: str
    thumbprint: str | None
    not_before: float
    expires_at: float | None
    created_at: float
    display_name: str | None = None
    hint: str | None = None

    def valid(self, now: float) -> bool:
        """Say whether the credential counts at ``now``."""
        return self.not_before <= now and (self.expires_at is None or now < self.expires_at)


def from_row(row: Sequence[Any]) -> Principal:
    """Return the principal of a row of ``COLUMNS``."""
    # Booleans come as 0 and 1 from SQLite.
    return Principal(*row)._replace(enabled=bool(row[8]))


def _principal(row: Sequence[Any] | None) -> Principal | None:
    return from_row(row) if row is not None else None


def add(connection: Connection, principal: Principal) -> None:
    """Add a principal.

    Raises:
        sqlalchemy.exc.IntegrityError: its user name, application or resource has one already.
    """
    _ADD.run(connection, principal._asdict() | {"name_key": principal.display_name.lower()})


def get(connection: Connection, object_id: str) -> Principal | None:
    """Return the principal with this object id."""
    return _principal(_BY_OBJECT_ID.first(connection, {"key": object_id}))


def by_user_name(connection: Connection, user_name: str) -> Principal | None:
    """Return the user with this user principal name, in any casing."""
    return _principal(_BY_USER_NAME.first(connection, {"key": user_name.lower()}))


def by_app_id(connection: Connection, app_id: str) -> Principal | None:
    """Return the service principal or managed identity of this application, in any casing."""
    return _principal(_BY_APP_ID.first(connection, {"key": app_id.lower()}))


def by_resource(connection: Connection, resource_key: str) -> Principal | None:
    """Return the managed identity of a resource."""
    return _principal(_BY_RESOURCE.first(connection, {"key": resource_key}))


def of_kind(connection: Connection, kind: str, tenant_id: str | None = None) -> list[Principal]:
    """Return the principals of a kind by display name, of one tenant or of all."""
    query = select(*COLUMNS).where(principals.c.kind == kind)
    if tenant_id is not None:
        query = query.where(principals.c.tenant_id == tenant_id)
    rows = connection.execute(query.order_by(principals.c.display_name, principals.c.object_id))
    return [Principal(*row) for row in rows]


def change(connection: Connection, principal: Principal) -> None:
    """Write the names and the state of a principal that is there again, as they are now.

    Raises:
        sqlalchemy.exc.IntegrityError: another one has its user name.
    """
    values = principal._asdict() | {"name_key": principal.display_name.lower()}
    connection.execute(update(principals).where(principals.c.object_id == principal.object_id).values(values))


_END_TOKENS = Prepared(
    update(principals)
    .where(principals.c.object_id == bindparam("key"))
    .values(tokens_from=bindparam("began"))
)


def end_tokens(connection: Connection, object_id: str, now: float) -> None:
    """Have every access token that was given until now (unix seconds) refused, however long it would live."""
    _END_TOKENS.run(connection, {"key": object_id, "began": float(int(now) + 1)})


def details(connection: Connection, object_id: str) -> str:
    """Return, as a JSON object, what is kept of a principal besides its columns."""
    row = _DETAILS.first(connection, {"key": object_id})
    return str(row[0]) if row is not None else "{}"


def set_details(connection: Connection, object_id: str, document: str) -> None:
    """Replace what ``details`` returns."""
    connection.execute(delete(principal_details).where(principal_details.c.object_id == object_id))
    if document != "{}":
        connection.execute(insert(principal_details), {"object_id": object_id, "document": document})


def set_enabled(connection: Connection, object_id: str, enabled: bool) -> None:
    """Let a principal sign in, or keep it out."""
    connection.execute(update(principals).where(principals.c.object_id == object_id).values(enabled=enabled))


def remove(connection: Connection, object_id: str) -> None:
    """Remove a principal with its credentials, refresh tokens, codes, memberships and directory roles.

    Its role assignments at the resource manager are the caller's business.
    """
    for statement in _REMOVE:
        statement.run(connection, {"key": object_id})


def add_credential(connection: Connection, credential: Credential) -> None:
    """Add a credential of a principal."""
    connection.execute(credentials.insert(), credential._asdict())


def credentials_of(connection: Connection, object_id: str, kind: str) -> list[Credential]:
    """Return the credentials of a kind, expired ones included."""
    rows = _CREDENTIALS.rows(connection, {"key": object_id, "wanted": kind})
    return [Credential(*row) for row in rows]


def with_ended_credentials(connection: Connection, kinds: Sequence[str], now: float) -> list[str]:
    """Return the object ids of those who have a credential of these kinds that has ended."""
    query = select(credentials.c.object_id).where(
        credentials.c.kind.in_(kinds), credentials.c.expires_at < now
    )
    return [str(row[0]) for row in connection.execute(query.distinct())]


def remove_credential(connection: Connection, credential_id: str) -> None:
    """Remove one credential."""
    connection.execute(credentials.delete().where(credentials.c.credential_id == credential_id))


def remove_credentials(connection: Connection, object_id: str, kind: str) -> None:
    """Remove all credentials of a kind."""
    connection.execute(
        credentials.delete().where(credentials.c.object_id == object_id, credentials.c.kind == kind)
    )
