"""Changes to the directory: users, applications, service principals and managed identities.

A service principal is an instance of an application: the two have the same application id, and
credentials of either let it sign in. Every function works on an open connection; the transaction
is the caller's. Role assignments are not touched here.
"""

from __future__ import annotations

import re
import uuid

from landbridge_server.identity.passwords import hash_password, hash_secret, new_secret
from landbridge_server.store import applications, principals, sign_in, tenants
from landbridge_server.store.applications import Application
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import (
    MANAGED_IDENTITY,
    PASSWORD,
    SECRET,
    SERVICE_PRINCIPAL,
    USER,
    Credential,
    Principal,
)
from landbridge_server.store.tenants import Tenant

SECRET_DAYS = 365
DAY = 86400.0

_USER_NAME = re.compile(r"[A-Za-z0-9!#$&'*+./=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME_LIMIT = 256


class DirectoryError(ValueError):
    """The directory cannot do what is asked; the text says why and what to do."""


def is_label(text: str) -> bool:
    """Say whether a text is one label of a domain name, in lower case."""
    return _LABEL.fullmatch(text) is not None


def checked_name(display_name: str) -> str:
    """Return a display name without blanks around it.

    Raises:
        DirectoryError: it is empty, too long or not printable.
    """
    name = display_name.strip()
    if not name or len(name) > _NAME_LIMIT or not name.isprintable():
        raise DirectoryError(f"A display name has 1 to {_NAME_LIMIT} printable characters.")
    return name


def _principal(tenant_id: str, kind: str, display_name: str, now: float) -> Principal:
    return Principal(
        object_id=str(uuid.uuid4()),
        tenant_id=tenant_id,
        kind=kind,
        display_name=checked_name(display_name),
        user_name_key=None,
        user_name=None,
        app_id=None,
        resource_key=None,
        enabled=True,
        created_at=now,
    )


def _credential(object_id: str, kind: str, verifier: str, now: float, expires: float | None) -> Credential:
    return Credential(
        credential_id=str(uuid.uuid4()),
        object_id=object_id,
        kind=kind,
        verifier=verifier,
        thumbprint=None,
        not_before=now,
        expires_at=expires,
        created_at=now,
    )


def create_user(
    connection: Connection, tenant: str, user_name: str, display_name: str, password: str, now: float
) -> Principal:
    """Create a user. Hashing the password takes tens of milliseconds.

    Args:
        connection: the open transaction.
        tenant: the tenant's GUID or verified domain.
        user_name: ``name@domain``; the domain must be the tenant's.
        display_name: how pages greet the user.
        password: 8 to 256 characters.
        now: unix seconds.

    Raises:
        DirectoryError: no such tenant, a malformed or taken name, a foreign domain.
        WeakPassword: the password cannot be used.
    """
    home = tenants.named(connection, tenant)
    if home is None:
        raise DirectoryError(f"There is no tenant '{tenant}'. 'landbridge tenant create' makes one.")
    check_user_name(connection, home, user_name)
    return add_user(connection, home, user_name, display_name or user_name, hash_password(password), now)


class TakenName(DirectoryError):
    """Somebody else has this user name."""


class ForeignDomain(DirectoryError):
    """The user name is not of the tenant's domain."""


def check_user_name(connection: Connection, home: Tenant, user_name: str) -> None:
    """Return if a tenant may have a user of this name.

    Raises:
        DirectoryError: the name is malformed; ForeignDomain, TakenName.
    """
    if not _USER_NAME.fullmatch(user_name):
        raise DirectoryError(f"'{user_name}' is not a user name such as 'anna@{home.default_domain}'.")
    if user_name.rpartition("@")[2].lower() != home.default_domain.lower():
        raise ForeignDomain(f"'{user_name}' must end in '@{home.default_domain}', the domain of the tenant.")
    if principals.by_user_name(connection, user_name) is not None:
        raise TakenName(f"There is a user '{user_name}' already.")


def add_user(
    connection: Connection, home: Tenant, user_name: str, display_name: str, verifier: str, now: float
) -> Principal:
    """Create a user whose name was checked; ``verifier`` is the hash of the password.

    Raises:
        DirectoryError: the display name cannot be used.
    """
    user = _principal(home.tenant_id, USER, display_name, now)._replace(
        user_name=user_name, user_name_key=user_name.lower()
    )
    principals.add(connection, user)
    principals.add_credential(connection, _credential(user.object_id, PASSWORD, verifier, now, None))
    return user


def reset_password(connection: Connection, user_name: str, password: str, now: float) -> Principal:
    """Replace a user's password and end all of the user's refresh tokens.

    Access tokens that are out live on for at most an hour: disable the user to stop them.

    Raises:
        DirectoryError: there is no such user.
        WeakPassword: the password cannot be used.
    """
    user = principals.by_user_name(connection, user_name)
    if user is None:
        raise DirectoryError(f"There is no user '{user_name}'.")
    set_password(connection, user, hash_password(password), now)
    return user


def set_password(connection: Connection, user: Principal, verifier: str, now: float) -> None:
    """Replace a user's password by the one of this hash; refresh tokens and waiting sign-ins end."""
    principals.remove_credentials(connection, user.object_id, PASSWORD)
    principals.add_credential(connection, _credential(user.object_id, PASSWORD, verifier, now, None))
    sign_in.revoke_all(connection, user.object_id, now)
    sign_in.end_waiting(connection, user.object_id)


def create_application(
    connection: Connection, tenant_id: str, display_name: str, now: float, document: str = "{}"
) -> Application:
    """Create an application, which nobody can sign in as before it has a service principal.

    Raises:
        DirectoryError: the display name cannot be used.
    """
    name = checked_name(display_name)
    made = Application(
        object_id=str(uuid.uuid4()),
        tenant_id=tenant_id,
        app_id=str(uuid.uuid4()),
        display_name=name,
        name_key=name.lower(),
        document=document,
        created_at=now,
    )
    applications.add(connection, made)
    return made


def instantiate(connection: Connection, application: Application, now: float) -> Principal:
    """Create the service principal of an application that has none."""
    made = _principal(application.tenant_id, SERVICE_PRINCIPAL, application.display_name, now)
    made = made._replace(app_id=application.app_id)
    principals.add(connection, made)
    return made


def create_service_principal(
    connection: Connection,
    tenant_id: str,
    display_name: str,
    now: float,
    secret: str | None = None,
    days: float = SECRET_DAYS,
) -> tuple[str, str, str]:
    """Create application and service principal with a secret; return object id, application id, secret.

    The secret is not kept: this is the only time it is known. It must be machine-made,
    because it is stored under a fast hash.

    Raises:
        DirectoryError: the display name or the secret cannot be used.
    """
    if secret is not None and len(secret) < 32:
        raise DirectoryError("A secret is machine-made and has at least 32 characters.")
    chosen = secret or new_secret()
    app = instantiate(connection, create_application(connection, tenant_id, display_name, now), now)
    principals.add_credential(
        connection, _credential(app.object_id, SECRET, hash_secret(chosen), now, now + days * DAY)
    )
    return app.object_id, app.app_id or "", chosen


def service_principal(connection: Connection, name: str, tenant_id: str | None = None) -> Principal:
    """Return the service principal with this application id, object id or unique display name.

    Raises:
        DirectoryError: there is none, or several have that display name.
    """
    found = principals.by_app_id(connection, name) or principals.get(connection, name.lower())
    if found is not None and found.kind == SERVICE_PRINCIPAL:
        return found
    same = [
        one
        for one in principals.of_kind(connection, SERVICE_PRINCIPAL, tenant_id)
        if one.display_name.lower() == name.lower()
    ]
    if not same:
        raise DirectoryError(f"There is no service principal '{name}'. 'landbridge sp list' shows all.")
    if len(same) > 1:
        raise DirectoryError(f"{len(same)} service principals are called '{name}': give the application id.")
    return same[0]


def reset_secret(connection: Connection, object_id: str, now: float, days: float = SECRET_DAYS) -> str:
    """Replace all secrets of a service principal and its application by a new one, and return it.

    Raises:
        DirectoryError: there is no such service principal.
    """
    found = principals.get(connection, object_id)
    if found is None or found.kind != SERVICE_PRINCIPAL:
        raise DirectoryError(f"There is no service principal '{object_id}'.")
    secret = new_secret()
    applications.remove_credentials_for(connection, found, SECRET)
    principals.add_credential(
        connection, _credential(object_id, SECRET, hash_secret(secret), now, now + days * DAY)
    )
    return secret


def list_service_principals(connection: Connection, tenant_id: str | None = None) -> list[Principal]:
    """Return the service principals of a tenant, or of all."""
    return principals.of_kind(connection, SERVICE_PRINCIPAL, tenant_id)


def list_users(connection: Connection, tenant_id: str | None = None) -> list[Principal]:
    """Return the users of a tenant, or of all."""
    return principals.of_kind(connection, USER, tenant_id)


def create_managed_identity(
    connection: Connection, tenant_id: str, resource_key: str, display_name: str, now: float
) -> Principal:
    """Create the identity of a resource. It has no secret: its machine proves itself by a certificate.

    Raises:
        DirectoryError: the resource has an identity already.
    """
    if principals.by_resource(connection, resource_key) is not None:
        raise DirectoryError(f"The resource '{resource_key}' has an identity already.")
    identity = _principal(tenant_id, MANAGED_IDENTITY, display_name, now)._replace(
        app_id=str(uuid.uuid4()), resource_key=resource_key
    )
    principals.add(connection, identity)
    return identity


def set_enabled(connection: Connection, object_id: str, enabled: bool, now: float) -> None:
    """Let a principal in or keep it out; one that is kept out loses its refresh tokens, too."""
    principals.set_enabled(connection, object_id, enabled)
    if not enabled:
        sign_in.revoke_all(connection, object_id, now)


def delete_principal(connection: Connection, object_id: str) -> None:
    """Remove a principal and everything that it could sign in with. Safe to run again.

    The application of a service principal stays, as in Microsoft Entra.
    """
    principals.remove(connection, object_id)


def delete_with_application(connection: Connection, object_id: str) -> None:
    """Remove a service principal that was made together with its application, and that too."""
    found = principals.get(connection, object_id)
    application = applications.by_app_id(connection, found.app_id or "") if found else None
    if application is not None:
        delete_application(connection, application)
    delete_principal(connection, object_id)


def delete_application(connection: Connection, application: Application) -> str | None:
    """Remove an application with its service principal; return the object id of the latter."""
    instance = principals.by_app_id(connection, application.app_id)
    if instance is not None:
        principals.remove(connection, instance.object_id)
    applications.remove(connection, application)
    return instance.object_id if instance is not None else None
