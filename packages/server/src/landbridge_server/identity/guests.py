"""Guests: a user of one tenant may act in others, too, with the same sign-in.

The user's refresh token gives tokens of each of them; roles are given in each by itself. When a
guest is turned out, the roles that it held there go as well, and its tokens of that tenant stop
with the next call.
"""

from __future__ import annotations

from landbridge_server.identity.directory import DirectoryError
from landbridge_server.store import guests, principals, tenants
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import USER, Principal
from landbridge_server.store.tenants import Tenant


def invite(connection: Connection, tenant: str, user_name: str, now: float) -> tuple[Tenant, Principal]:
    """Make a user a guest of a tenant, named by GUID or domain. Safe to run again.

    Raises:
        DirectoryError: there is no such tenant or user, or the tenant is the user's own.
    """
    found, user = _both(connection, tenant, user_name)
    if user.tenant_id == found.tenant_id:
        raise DirectoryError(f"'{user_name}' is a user of this tenant already, not a guest.")
    guests.add(connection, found.tenant_id, user.object_id, now)
    return found, user


def turn_out(connection: Connection, tenant: str, user_name: str) -> tuple[Tenant, Principal]:
    """End what a guest is in a tenant.

    Raises:
        DirectoryError: there is no such tenant or user, or it is no guest there.
    """
    found, user = _both(connection, tenant, user_name)
    if not guests.remove(connection, found.tenant_id, user.object_id):
        raise DirectoryError(f"'{user_name}' is no guest of the tenant '{found.default_domain}'.")
    return found, user


def _both(connection: Connection, tenant: str, user_name: str) -> tuple[Tenant, Principal]:
    found = tenants.named(connection, tenant)
    if found is None:
        raise DirectoryError(f"There is no tenant '{tenant}'. 'landbridge tenant list' shows all.")
    user = principals.by_user_name(connection, user_name)
    if user is None or user.kind != USER:
        raise DirectoryError(f"There is no user '{user_name}'. 'landbridge user list' shows all.")
    return found, user
