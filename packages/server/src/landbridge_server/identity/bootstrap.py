"""The first start of a cloud: its home tenant, its administrator and the ``admin`` service principal."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from landbridge_server.identity import directory, directory_roles
from landbridge_server.identity.passwords import new_secret
from landbridge_server.identity.tenancy import RESERVED
from landbridge_server.store import tenants
from landbridge_server.store.database import Connection
from landbridge_server.store.tenants import Tenant

DEFAULT_DOMAIN = "landbridge.local"
ADMINISTRATOR = "admin"
PASSWORD_LENGTH = 24


@dataclass(frozen=True)
class FirstStart:
    """What the first start made. Secret and password are known here only, and only now.

    ``principals`` are the object ids (with their types) that get the Owner role.
    """

    tenant_id: str
    subscription_id: str
    client_id: str
    client_secret: str
    user_name: str
    password: str
    user_object_id: str
    service_principal_object_id: str

    @property
    def principals(self) -> tuple[tuple[str, str], ...]:
        """The object id and the principal type of each of the two."""
        return ((self.user_object_id, "User"), (self.service_principal_object_id, "ServicePrincipal"))


def first_start(connection: Connection, now: float, domain: str = "") -> FirstStart | None:
    """Create tenant, administrator and service principal, unless there is a tenant already.

    Both are Global Administrators of the directory.

    Chooses the id of the first subscription; its row and the role assignments are made by
    the caller, in the same transaction: half a first start must not stay.

    Raises:
        DirectoryError: ``domain`` cannot be a tenant's domain.
    """
    if tenants.everyone(connection):
        return None
    name = (domain or DEFAULT_DOMAIN).lower()
    tenant = create_tenant(connection, name, "Landbridge", now)
    password = new_secret(PASSWORD_LENGTH)
    user = directory.create_user(
        connection, tenant.tenant_id, f"{ADMINISTRATOR}@{name}", "Administrator", password, now
    )
    object_id, client_id, secret = directory.create_service_principal(
        connection, tenant.tenant_id, ADMINISTRATOR, now
    )
    for one in (user.object_id, object_id):
        holder = directory_roles.holder(connection, one)
        directory_roles.assign(connection, holder, directory_roles.GLOBAL_ADMINISTRATOR, now)
    return FirstStart(
        tenant_id=tenant.tenant_id,
        subscription_id=str(uuid.uuid4()),
        client_id=client_id,
        client_secret=secret,
        user_name=user.user_name or "",
        password=password,
        user_object_id=user.object_id,
        service_principal_object_id=object_id,
    )


def create_tenant(connection: Connection, domain: str, display_name: str, now: float) -> Tenant:
    """Create a tenant that goes by its id and by ``domain``.

    Raises:
        DirectoryError: the domain is taken, is a word of the token service, or is no name.
    """
    name = domain.lower()
    labels = name.split(".")
    if name in RESERVED or not all(directory.is_label(label) for label in labels) or len(name) > 253:
        raise directory.DirectoryError(f"'{domain}' cannot be the domain of a tenant.")
    if tenants.named(connection, name) is not None:
        raise directory.DirectoryError(f"The domain '{domain}' belongs to a tenant already.")
    tenant = Tenant(str(uuid.uuid4()), display_name or name, name, now)
    tenants.add(connection, tenant)
    return tenant
