"""Applications: what service principals are instances of, with their identifier URIs.

A service principal and its application have the same application id. Credentials of the
application count as the service principal's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.principals import Credential, Principal
from landbridge_server.store.schema import applications, credentials, identifier_uris, owners


class Application(NamedTuple):
    """An application. ``document`` is JSON with the members that have no column."""

    object_id: str
    tenant_id: str
    app_id: str
    display_name: str
    name_key: str
    document: str
    created_at: float


_GET = Prepared(select(applications).where(applications.c.object_id == bindparam("key")))
_BY_APP_ID = Prepared(select(applications).where(applications.c.app_id == bindparam("key")))
_ADD = Prepared(applications.insert())
# Asked at each sign-in of a service principal: its own credentials, and its application's.
_CREDENTIALS = Prepared(
    select(credentials).where(
        credentials.c.kind == bindparam("wanted"),
        or_(
            credentials.c.object_id == bindparam("key"),
            credentials.c.object_id
            == select(applications.c.object_id)
            .where(applications.c.app_id == bindparam("app"))
            .scalar_subquery(),
        ),
    )
)


def get(connection: Connection, object_id: str) -> Application | None:
    """Return the application with this object id."""
    row = _GET.first(connection, {"key": object_id})
    return Application(*row) if row is not None else None


def by_app_id(connection: Connection, app_id: str) -> Application | None:
    """Return the application with this application id, in any casing."""
    row = _BY_APP_ID.first(connection, {"key": app_id.lower()})
    return Application(*row) if row is not None else None


def add(connection: Connection, application: Application) -> None:
    """Add an application.

    Raises:
        sqlalchemy.exc.IntegrityError: its application id is taken.
    """
    _ADD.run(connection, application._asdict())


def replace(connection: Connection, application: Application) -> None:
    """Write an application that is there again, as it is now."""
    connection.execute(
        update(applications)
        .where(applications.c.object_id == application.object_id)
        .values(**application._asdict())
    )


def remove(connection: Connection, application: Application) -> None:
    """Remove an application with its credentials, URIs and owners; not its service principal."""
    for column in (credentials.c.object_id, owners.c.object_id, applications.c.object_id):
        connection.execute(delete(column.table).where(column == application.object_id))
    connection.execute(delete(identifier_uris).where(identifier_uris.c.app_id == application.app_id))


def credentials_for(connection: Connection, principal: Principal, kind: str) -> list[Credential]:
    """Return all credentials with which a service principal may sign in, expired ones included."""
    own = {"key": principal.object_id, "app": principal.app_id or "", "wanted": kind}
    return [Credential(*row) for row in _CREDENTIALS.rows(connection, own)]


def remove_credentials_for(connection: Connection, principal: Principal, kind: str) -> None:
    """Remove every credential of a kind with which a service principal may sign in."""
    for one in credentials_for(connection, principal, kind):
        connection.execute(delete(credentials).where(credentials.c.credential_id == one.credential_id))


def uris_of(connection: Connection, app_id: str) -> list[str]:
    """Return the identifier URIs of an application, in order."""
    rows = connection.execute(
        select(identifier_uris.c.uri)
        .where(identifier_uris.c.app_id == app_id)
        .order_by(identifier_uris.c.uri)
    )
    return [str(row[0]) for row in rows]


def owner_of_uri(connection: Connection, tenant_id: str, uri: str) -> str | None:
    """Return the application id of the application of a tenant that has this identifier URI."""
    row = connection.execute(
        select(identifier_uris.c.app_id).where(
            identifier_uris.c.tenant_id == tenant_id, identifier_uris.c.uri == uri
        )
    ).first()
    return str(row[0]) if row is not None else None


def set_uris(connection: Connection, application: Application, uris: Sequence[str]) -> None:
    """Replace the identifier URIs of an application; that they are free is the caller's business."""
    connection.execute(delete(identifier_uris).where(identifier_uris.c.app_id == application.app_id))
    own = {"tenant_id": application.tenant_id, "app_id": application.app_id}
    if uris:
        connection.execute(insert(identifier_uris), [own | {"uri": uri} for uri in uris])
