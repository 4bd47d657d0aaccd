"""The first start of a cloud, and what each start tells the operator in ``admin.json``."""

from __future__ import annotations

import json

from landbridge_server.arm import roles
from landbridge_server.arm.grants import grant
from landbridge_server.arm.registrations import create_subscription
from landbridge_server.ca import ownership
from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.ca.keyring import write_atomically
from landbridge_server.config import Config
from landbridge_server.identity.bootstrap import FirstStart, first_start
from landbridge_server.store import tenants
from landbridge_server.store.database import Database
from landbridge_server.store.tenants import Tenant


def start_cloud(
    db: Database, config: Config, authority: CertificateAuthority, relay_key: bytes, now: float
) -> Tenant:
    """Make tenant, subscription and administrator at the first start; return the home tenant.

    ``admin.json`` is written before the transaction commits: a crash between the two leaves
    a file that the next start replaces, never a cloud whose secrets nobody knows.
    """
    with db.writing() as connection:
        ownership.claim(connection, config.data, authority.root, relay_key)
        made = first_start(connection, now, config.domain)
        if made is not None:
            create_subscription(connection, made.subscription_id, made.tenant_id, "Landbridge", now)
            for principal_id, kind in made.principals:
                grant(
                    connection,
                    tenant_id=made.tenant_id,
                    principal_id=principal_id,
                    principal_type=kind,
                    role=roles.OWNER,
                    scope="/",
                    now=now,
                )
            write_atomically(config.data / "admin.json", _admin(made))
        tenant = tenants.everyone(connection)[0]
    _announce(config, authority)
    return tenant


def _admin(made: FirstStart) -> bytes:
    content = {
        "tenantId": made.tenant_id,
        "subscriptionId": made.subscription_id,
        "clientId": made.client_id,
        "clientSecret": made.client_secret,
        "userName": made.user_name,
        "password": made.password,
    }
    return json.dumps(content, indent=2).encode()


def _announce(config: Config, authority: CertificateAuthority) -> None:
    """Write into admin.json where this start serves; an operator may have removed the file."""
    path = config.data / "admin.json"
    if not path.exists():
        return
    try:
        before = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}). Repair it, or remove it.") from error
    content = {
        "resourceManager": config.endpoints.resource_manager,
        "login": config.endpoints.login,
        "identityProvider": config.identity_provider,
        **{
            name: value
            for name, value in before.items()
            if name not in ("resourceManager", "login", "identityProvider", "caFile")
        },
        "caFile": str(authority.root_file.absolute()),
    }
    if content != before:
        write_atomically(path, json.dumps(content, indent=2).encode() + b"\n")
