"""Which tenant a request to the token service is for: the first segment of its path.

A tenant goes by GUID or by its verified domain, in any casing. ``common`` and
``organizations`` stand for the tenant of whoever signs in, ``adfs`` for the same in the
style of AD FS; those words, ``graph`` and ``v1.0`` cannot name tenants.
"""

from __future__ import annotations

from dataclasses import dataclass

from landbridge_server.config import Endpoints
from landbridge_server.identity.errors import OAuthError, refuse
from landbridge_server.store import tenants
from landbridge_server.store.database import Connection, Database

ADFS = "adfs"
OPEN = frozenset({"common", "organizations"})
RESERVED = OPEN | {ADFS, "graph", "v1.0", "consumers"}


@dataclass(frozen=True)
class Authority:
    """Where a request was sent: one tenant (``tenant_id``), or whichever the principal is of."""

    tenant_id: str | None
    name: str

    @property
    def adfs(self) -> bool:
        """Whether the request speaks in the style of AD FS."""
        return self.name == ADFS


class Tenancy:
    """Resolves the tenant in a path. Names that were found once are remembered.

    A tenant keeps its id and its domain for as long as the cloud exists.
    """

    def __init__(self, db: Database) -> None:
        """Look tenants up in ``db``."""
        self._db = db
        self._known: dict[str, str] = {}

    def authority(self, unverified_name: str) -> Authority:
        """Return the authority that the first segment of a path names.

        Raises:
            OAuthError: 90002, the cloud has no such tenant.
        """
        name = unverified_name.lower()
        if name == ADFS or name in OPEN:
            return Authority(None, name)
        tenant_id = self._known.get(name)
        if tenant_id is None:
            tenant = self._db.read(lambda connection: tenants.named(connection, name))
            if tenant is None:
                raise refuse(90002, tenant=unverified_name[:100])
            tenant_id = self._known[name] = tenant.tenant_id
        return Authority(tenant_id, name)

    def of_domain(self, unverified_domain: str) -> str | None:
        """Return the id of the tenant with a domain, if there is one."""
        try:
            return self.authority(unverified_domain).tenant_id
        except OAuthError:
            return None

    def announced(self, authority: Authority) -> str:
        """Return the tenant for the addresses that discovery announces.

        While there is one tenant, ``common`` and ``organizations`` announce its GUID, which
        spares az an exchange of tokens; with several, they keep standing for all of them.
        ``adfs`` always announces itself, as AD FS does.
        """
        if authority.tenant_id is not None:
            return authority.tenant_id
        if authority.adfs:
            return ADFS
        everyone = self._db.read(tenants.everyone)
        return everyone[0].tenant_id if len(everyone) == 1 else authority.name


def home_tenant(connection: Connection) -> str:
    """Return the id of the cloud's first tenant.

    Raises:
        LookupError: the cloud was never started.
    """
    everyone = tenants.everyone(connection)
    if not everyone:
        raise LookupError("This cloud has no tenant yet: start it once with 'landbridge up'.")
    return everyone[0].tenant_id


def names_of(connection: Connection, tenant_id: str) -> tuple[str, ...]:
    """Return the verified domains by which a tenant goes besides its id."""
    found = tenants.named(connection, tenant_id)
    return (found.default_domain,) if found is not None else ()


def base(endpoints: Endpoints, authority_name: str) -> str:
    """Return the address of an authority, without a final ``/``."""
    return endpoints.adfs if authority_name == ADFS else f"{endpoints.login}/{authority_name}"


def issuer(endpoints: Endpoints, tenant_id: str) -> str:
    """Return the issuer of the tokens of a tenant, as its discovery document names it."""
    return f"{endpoints.login}/{tenant_id}/v2.0"


def token_endpoints(endpoints: Endpoints, tenant_id: str) -> tuple[str, ...]:
    """Return the addresses at which the principals of a tenant get tokens, the usual one first."""
    return (
        f"{endpoints.login}/{tenant_id}/oauth2/v2.0/token",
        f"{endpoints.login}/{tenant_id}/oauth2/token",
        f"{endpoints.adfs}/oauth2/token",
    )
