"""What every grant needs: the directory, the audiences, the tenants and the checks of passwords."""

from __future__ import annotations

from collections.abc import Mapping

from landbridge_server.config import Endpoints
from landbridge_server.identity import second_factor
from landbridge_server.identity.addresses import AddressBackoff, Familiar, at
from landbridge_server.identity.attempts import AttemptLimiter
from landbridge_server.identity.authentication import Membership, belongs
from landbridge_server.identity.errors import OAuthError, refuse
from landbridge_server.identity.keys import Clock, SigningKeys
from landbridge_server.identity.passwords import PasswordChecker
from landbridge_server.identity.scopes import Scope
from landbridge_server.identity.sign_in_log import UNTOLD, OnSignIn, nobody_listens, refused
from landbridge_server.identity.tenancy import Authority, Tenancy
from landbridge_server.identity.tokens import TokenIssuer
from landbridge_server.store import applications, principals
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.principals import MANAGED_IDENTITY, PASSWORD, SERVICE_PRINCIPAL, USER, Principal
from landbridge_wire.agent_api import AUDIENCE as AGENT_AUDIENCE

PASSWORD_ATTEMPTS = 10
PASSWORD_SECONDS = 300.0
USER_NAME_LIMIT = 320


class IdentityService:
    """The parts that the grants share. One per control plane."""

    def __init__(
        self,
        db: Database,
        endpoints: Endpoints,
        keys: SigningKeys,
        clock: Clock,
        membership: Membership = belongs,
    ) -> None:
        """Serve the principals in ``db`` under the names ``endpoints``.

        ``membership`` says in which tenants a principal may act; as for ``Authenticator``.
        """
        self.db = db
        self.endpoints = endpoints
        self.keys = keys
        self.clock = clock
        self.membership = membership
        self.on_sign_in: OnSignIn = nobody_listens
        self.tenancy = Tenancy(db)
        self.issuer = TokenIssuer(keys, endpoints, clock)
        self.password_attempts = AttemptLimiter(db, clock, "user", PASSWORD_ATTEMPTS, PASSWORD_SECONDS)
        self.familiar_attempts = AttemptLimiter(db, clock, "user at", PASSWORD_ATTEMPTS, PASSWORD_SECONDS)
        self.addresses = AddressBackoff(clock)
        self._familiar = Familiar(clock)
        self._passwords = PasswordChecker()
        graph = endpoints.graph.rstrip("/")
        self._graph = frozenset({graph, graph + "/"})

    def is_graph(self, audience: str) -> bool:
        """Say whether an audience is the directory's own API."""
        return audience in self._graph

    def described(self, scope: Scope) -> str:
        """Return in words for a person what a program wants to reach."""
        if not scope.audience:
            return "your name and user name"
        if self.is_graph(scope.audience):
            return f"the directory of users and groups ({scope.audience})"
        return f"the resource manager of this cloud ({scope.audience})"

    def audience(self, scope: Scope, kind: str | None = None) -> str:
        """Return the audience for a scope; a sign-in without one is for Graph, as in Azure.

        ``kind`` is the principal's, or nothing while nobody has signed in.

        Raises:
            OAuthError: 500011, the cloud has no such resource for this kind of principal.
        """
        wanted = scope.audience or self.endpoints.graph
        if wanted in self.endpoints.audiences or wanted in self._graph:
            return wanted
        if wanted == AGENT_AUDIENCE and kind == MANAGED_IDENTITY:
            return wanted
        known = f"'{self.endpoints.audience}' and '{self.endpoints.graph}'"
        raise refuse(500011, resource=wanted[:200], known=known)

    def program_audience(
        self, connection: Connection, scope: Scope, principal: Principal, tenant_id: str
    ) -> str:
        """Return the audience for a program that asks for itself.

        It may also be an application of the tenant, by its application id or one of its identifier
        URIs, while that has a service principal that is enabled: a service of one's own.

        Raises:
            OAuthError: 500011, as ``audience``.
        """
        wanted = scope.audience
        own = wanted in self.endpoints.audiences or wanted in self._graph or wanted == AGENT_AUDIENCE
        if not own and _is_service(connection, tenant_id, wanted):
            return wanted
        return self.audience(scope, principal.kind)

    def tenant_of(self, connection: Connection, authority: Authority, principal: Principal) -> str:
        """Return the tenant in which a principal gets its token.

        Raises:
            OAuthError: 50020 or 700016, it does not belong to the tenant that it asked; 50079, it
                is a guest there without the second factor that the tenant demands.
        """
        wanted = authority.tenant_id or principal.tenant_id
        if self.membership(connection, principal, wanted):
            if wanted != principal.tenant_id and second_factor.lacking(connection, principal, wanted):
                raise refuse(50079, resource=wanted)
            return wanted
        if principal.kind == USER:
            raise refuse(50020, user=principal.label, tenant=wanted)
        raise refuse(700016, app=principal.label, tenant=wanted)

    def refused(
        self, error: OAuthError, form: Mapping[str, str], authority: Authority | None, grant: str = ""
    ) -> None:
        """Tell that a sign-in was refused, if it was one; it belongs to the tenant that was meant."""
        if error.number in UNTOLD:
            return
        tenant_id = authority.tenant_id if authority is not None else None
        domain = form.get("username", "").strip().lower().rpartition("@")[2]
        if tenant_id is None and domain:
            tenant_id = self.tenancy.of_domain(domain)
        self.on_sign_in(refused(error, form, tenant_id, grant))

    async def check_password(self, user_name: str, password: str, address: str = "") -> Principal:
        """Return the user whose name and password these are; ``address`` is the peer's.

        Where the user has signed in before, only failures from that very address count: guesses
        from elsewhere lock nobody out of where they work.

        Raises:
            OAuthError: 50126 for a wrong name or password alike, 50053 after too many of
                them, 50057 for a disabled user, 90033 when too many sign in at once.
        """
        name = user_name.strip().lower()[: USER_NAME_LIMIT + 1]
        # What is not checked is not counted: a flood of names must not fill the store.
        self._passwords.admit()
        if self.db.read(lambda connection: self._familiar.knows(connection, name, address)):
            user = await self._checked(self.familiar_attempts, at(name, address), name, password)
        else:
            async with self.addresses.turn(address):
                user = await self._checked(self.password_attempts, name, name, password)
        if user is None:
            self.addresses.failed(address)
            raise refuse(50126)
        await self.db.write(lambda connection: self._familiar.note(connection, name, address))
        if not user.enabled:
            raise refuse(50057)
        return user

    async def _checked(
        self, attempts: AttemptLimiter, counted: str, name: str, password: str
    ) -> Principal | None:
        """Return the user if the password is theirs; count it as ``counted`` if not."""
        wait = await attempts.begin(counted)
        if wait:
            raise refuse(50053, seconds=wait, retry_after=wait)
        user, verifier = self.db.read(lambda connection: _user(connection, name))
        if not await self._passwords.matches(password, verifier) or user is None:
            return None
        await attempts.succeeded(counted)
        return user


def _user(connection: Connection, name: str) -> tuple[Principal | None, str | None]:
    user = principals.by_user_name(connection, name)
    if user is None:
        return None, None
    verifiers = principals.credentials_of(connection, user.object_id, PASSWORD)
    return user, verifiers[0].verifier if verifiers else None


def _is_service(connection: Connection, tenant_id: str, audience: str) -> bool:
    app_id = applications.owner_of_uri(connection, tenant_id, audience) or audience
    found = principals.by_app_id(connection, app_id) if app_id.isascii() and app_id.isprintable() else None
    return (
        found is not None
        and found.kind == SERVICE_PRINCIPAL
        and found.tenant_id == tenant_id
        and found.enabled
    )
