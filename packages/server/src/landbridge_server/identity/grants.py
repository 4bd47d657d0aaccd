"""Who gets a token: one function per grant (RFC 6749, RFC 7523, RFC 8628).

A grant reads the request, proves the principal, and says what it is granted. It makes no
token: ``token_endpoint`` does that from its result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from landbridge_server.identity import (
    application_assertions,
    assertions,
    authorization,
    device_code,
    join_codes,
    refresh_tokens,
    scopes,
    second_factor,
)
from landbridge_server.identity.assertions import Verified
from landbridge_server.identity.clients import public_client
from landbridge_server.identity.errors import OAuthError, refuse
from landbridge_server.identity.forms import need
from landbridge_server.identity.passwords import secret_matches
from landbridge_server.identity.refresh_tokens import Exchanged
from landbridge_server.identity.scopes import Scope
from landbridge_server.identity.service import IdentityService
from landbridge_server.identity.tenancy import Authority
from landbridge_server.identity.tokens import CERTIFICATE_PROOF, SECRET_PROOF, Proof
from landbridge_server.store import applications, principals
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import SECRET, SERVICE_PRINCIPAL, Principal
from landbridge_wire.agent_api import CLIENT_ASSERTION_TYPE


@dataclass(frozen=True)
class TokenRequest:
    """A request to the token endpoint: the tenant in its path, its form without blanks, who sent it."""

    authority: Authority
    form: Mapping[str, str]
    address: str = ""

    def scope(self) -> Scope | None:
        """Return what is asked for: v1's ``resource`` before v2's ``scope``, if either is sent."""
        if "resource" in self.form:
            return scopes.parse_resource(self.form["resource"])
        return scopes.parse(self.form["scope"]) if "scope" in self.form else None

    def needed_scope(self) -> Scope:
        """Return what is asked for.

        Raises:
            OAuthError: 900144, nothing is; 70011, it is malformed.
        """
        return self.scope() or scopes.parse(need(self.form, "scope"))

    def public_client(self) -> str:
        """Return the program that a person signs in with."""
        return public_client(need(self.form, "client_id"), self.authority.name)


@dataclass(frozen=True)
class Granted:
    """What a grant decided. ``refresh_token`` is empty where none was asked for."""

    principal: Principal
    tenant_id: str
    client_id: str
    scope: Scope
    audience: str
    refresh_token: str = ""
    nonce: str = ""
    proof: Proof = SECRET_PROOF


async def client_credentials(service: IdentityService, request: TokenRequest) -> Granted:
    """A service principal with its secret, or whoever signs an assertion, asks for itself."""
    scope = request.needed_scope()
    if not scope.audience:
        raise refuse(70011, reason="A program asks for '<resource>/.default'.")
    if "client_assertion" in request.form:
        return await _assertion(service, request, scope)
    return service.db.read(lambda connection: _service_principal(service, connection, request, scope))


async def _assertion(service: IdentityService, request: TokenRequest, scope: Scope) -> Granted:
    """A machine (ES256), or a service principal (RS256, PS256) with its certificate."""
    if need(request.form, "client_assertion_type") != CLIENT_ASSERTION_TYPE:
        raise refuse(700027, reason=f"Its type must be '{CLIENT_ASSERTION_TYPE}'.")
    if "client_secret" in request.form:
        raise refuse(9002313, reason="Send either 'client_assertion' or 'client_secret'.")
    unverified, now = request.form["client_assertion"], service.clock()
    of_application = assertions.algorithm(unverified) in application_assertions.ALGORITHMS

    def read(connection: Connection) -> tuple[Verified, str]:
        if of_application:
            name = request.authority.name
            verified = application_assertions.verify(connection, unverified, service.endpoints, now, name)
        else:
            verified = assertions.verify(connection, unverified, service.endpoints, now)
        return verified, service.tenant_of(connection, request.authority, verified.principal)

    verified, tenant_id = service.db.read(read)
    principal = verified.principal
    app_id = principal.app_id or ""
    if request.form.get("client_id", app_id).lower() != app_id:
        raise refuse(700027, reason="The parameter 'client_id' names another application.")
    audience = service.db.read(
        lambda connection: service.program_audience(connection, scope, principal, tenant_id)
    )
    granted = Granted(principal, tenant_id, app_id, scope, audience, proof=CERTIFICATE_PROOF)
    if not await service.db.write(lambda connection: assertions.use(connection, verified, now)):
        raise assertions.refused("It was used before, or its owner sends too many.")
    return granted


def _service_principal(
    service: IdentityService, connection: Connection, request: TokenRequest, scope: Scope
) -> Granted:
    client_id = need(request.form, "client_id")
    app = principals.by_app_id(connection, client_id)
    if app is None or app.kind != SERVICE_PRINCIPAL:
        raise refuse(700016, app=client_id[:100], tenant=request.authority.name)
    tenant_id = service.tenant_of(connection, request.authority, app)
    if "client_secret" not in request.form:
        raise refuse(7000218)
    _check_secret(service, connection, app, request.form["client_secret"])
    if not app.enabled:
        raise refuse(7000112, app=app.label)
    audience = service.program_audience(connection, scope, app, tenant_id)
    return Granted(app, tenant_id, app.label, scope, audience)


def _check_secret(
    service: IdentityService, connection: Connection, app: Principal, unverified_secret: str
) -> None:
    stored = applications.credentials_for(connection, app, SECRET)
    matching = [one for one in stored if secret_matches(unverified_secret, one.verifier)]
    if not matching:
        raise refuse(7000215, app=app.label)
    now = service.clock()
    if not any(one.valid(now) for one in matching):
        raise refuse(7000222, app=app.label)


async def join_code(service: IdentityService, request: TokenRequest) -> Granted:
    """A machine that nobody signs in on brings the code that an operator made for it."""
    client_id, secret = need(request.form, "client_id"), need(request.form, "join_code")
    scope = request.needed_scope()

    def work(connection: Connection) -> Granted | OAuthError:
        app = join_codes.use(connection, client_id, secret, service.clock())
        if isinstance(app, OAuthError):
            return app
        tenant_id = service.tenant_of(connection, request.authority, app)
        return Granted(app, tenant_id, app.label, scope, service.audience(scope, app.kind))

    async with service.addresses.turn(request.address):
        outcome = await service.db.write(work)
    if isinstance(outcome, OAuthError):
        service.addresses.failed(request.address)
    return _or_raise(outcome)


async def password(service: IdentityService, request: TokenRequest) -> Granted:
    """A person hands user name and password to the program itself."""
    client_id = request.public_client()
    scope = request.needed_scope()
    audience = service.audience(scope)
    user_name, secret = need(request.form, "username"), need(request.form, "password")
    user = await service.check_password(user_name, secret, request.address)

    def work(connection: Connection) -> Granted:
        need = second_factor.needed(connection, user)
        if need:
            raise refuse(50076 if need == second_factor.CODE else 50079, resource=audience)
        tenant_id = service.tenant_of(connection, request.authority, user)
        token = _family(service, connection, user, client_id, scope)
        return Granted(user, tenant_id, client_id, scope, audience, token, proof=_proof(connection, user))

    # Without a refresh token nothing is written, and nothing waits for the disk.
    return await service.db.write(work) if scope.offline else service.db.read(work)


def _proof(connection: Connection, user: Principal) -> Proof:
    return Proof(amr=second_factor.methods(connection, user))


def _family(
    service: IdentityService, connection: Connection, user: Principal, client_id: str, scope: Scope
) -> str:
    if not scope.offline:
        return ""
    return refresh_tokens.start_family(connection, user.object_id, client_id, scope.text, service.clock())


async def device(service: IdentityService, request: TokenRequest) -> Granted:
    """A program asks whether a person has signed in on the page by now."""
    client_id = request.public_client()
    unverified_code = request.form.get("device_code") or request.form.get("code")
    if unverified_code is None:
        raise refuse(900144, name="device_code")

    def work(connection: Connection) -> Granted | OAuthError:
        now = service.clock()
        row = device_code.poll(connection, unverified_code, client_id, now)
        if isinstance(row, OAuthError):
            return row
        user = _signed_in(connection, row.object_id or "")
        if isinstance(user, OAuthError):
            return user
        scope = scopes.parse(row.scope)
        tenant_id = service.tenant_of(connection, request.authority, user)
        audience = service.audience(scope)
        device_code.redeemed(connection, row)
        token = _family(service, connection, user, client_id, scope)
        return Granted(user, tenant_id, client_id, scope, audience, token, proof=_proof(connection, user))

    return _or_raise(await service.db.write(work))


async def authorization_code(service: IdentityService, request: TokenRequest) -> Granted:
    """A program brings the code that a person's sign-in through the browser gave it."""
    client_id = request.public_client()
    asked = request.scope()

    def work(connection: Connection) -> Granted | OAuthError:
        now = service.clock()
        row = authorization.look(connection, request.form, client_id, now)
        user = _signed_in(connection, row.object_id)
        if isinstance(user, OAuthError):
            return user
        granted = scopes.parse(row.scope)
        scope = asked if asked is not None and asked.audience else granted
        if granted.audience and scope.audience != granted.audience:
            return refuse(70011, reason="The code was asked for another resource.")
        audience = service.audience(scope)
        tenant_id = service.tenant_of(connection, request.authority, user)
        token = authorization.redeem(connection, row, now)
        if isinstance(token, OAuthError):
            return token
        proof = _proof(connection, user)
        return Granted(user, tenant_id, client_id, scope, audience, token, row.nonce, proof)

    return _or_raise(await service.db.write(work))


async def refresh(service: IdentityService, request: TokenRequest) -> Granted:
    """A program that a person signed in with asks again: for any tenant, for any audience."""
    client_id = request.public_client()
    unverified_token = need(request.form, "refresh_token")
    asked = request.scope()

    # What is asked is looked at before the exchange: a refusal must not cost the token.
    def work(connection: Connection) -> Granted | OAuthError:
        row = refresh_tokens.look(connection, unverified_token, client_id)
        if isinstance(row, OAuthError):
            return row
        user = _signed_in(connection, row.object_id)
        if isinstance(user, OAuthError):
            return user
        scope = asked or scopes.parse(row.scope)
        audience = service.audience(scope)
        tenant_id = service.tenant_of(connection, request.authority, user)
        exchanged = refresh_tokens.exchange(connection, row, service.clock())
        if not isinstance(exchanged, Exchanged):
            return exchanged
        proof = _proof(connection, user)
        return Granted(user, tenant_id, client_id, scope, audience, exchanged.token, proof=proof)

    return _or_raise(await service.db.write(work))


def _signed_in(connection: Connection, object_id: str) -> Principal | OAuthError:
    user = principals.get(connection, object_id)
    if user is None:
        return refuse(50034)
    return user if user.enabled else refuse(50057)


def _or_raise(outcome: Granted | OAuthError) -> Granted:
    """Raise a refusal after its transaction was committed: it may have ended a family."""
    if isinstance(outcome, OAuthError):
        raise outcome
    return outcome
