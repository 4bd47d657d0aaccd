"""The instance metadata and token service of the machine (contract: agent, section 2).

Every request is checked in this order, and the first fault is answered:

1. its Host is this service's own: a web page whose name was made to lead here is refused;
2. nothing says that it was forwarded: a process speaks for itself, not for a peer of its own;
3. it is a GET of a known path; all but ``/agentstatus`` bring ``Metadata: true``, which no page and
   no simple redirect can add; the api-version is one of ours;
4. a token's ``resource`` is there, and a selected identity is this machine's;
5. a token needs a challenge's secret, which only who may read our files has.

Every token that is given is audited: to which process of which user, for what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from landbridge_agent.daemon import instance
from landbridge_agent.daemon.caller import UNKNOWN, Caller, Callers
from landbridge_agent.daemon.challenge import Challenges
from landbridge_agent.daemon.control_plane import Refused
from landbridge_agent.daemon.local_http import Reply, Request, failure
from landbridge_agent.daemon.log import Log
from landbridge_agent.daemon.machine_tokens import Held, Tokens, TooMany
from landbridge_agent.dial import Unreachable
from landbridge_agent.machine import AgentConfig
from landbridge_agent.platform import here
from landbridge_wire import agent_api

INSTANCE = "/metadata/instance"
TOKEN = "/metadata/identity/oauth2/token"  # noqa: S105 - a path
STATUS = "/agentstatus"

MAX_RESOURCE = 512
REFUSALS_LOGGED = 60
"""Refused requests that are logged in a minute; further ones are only counted."""

FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via")
SELECTORS = {
    "client_id": "client_id",
    "object_id": "object_id",
    "msi_res_id": "msi_res_id",
    "mi_res_id": "msi_res_id",
}
"""How a request names an identity, and where the answer says which one it was."""


class World(Protocol):
    """What the service knows of the rest of the daemon."""

    def machine(self) -> AgentConfig | None:
        """Return what this machine is, or None while it is not connected."""

    def tokens(self) -> Tokens | None:
        """Return the machine's tokens; None while there is no connection to get them with."""

    async def tags(self) -> Mapping[str, str]:
        """Return the tags of the machine's resource, as they were last known."""

    def status(self) -> Mapping[str, object]:
        """Return how the agent is doing; no secrets."""

    def system(self) -> str:
        """Return the operating system's name as people know it."""


class MetadataService:
    """Answers requests. ``clock`` is the wall clock."""

    def __init__(self, world: World, challenges: Challenges, log: Log, clock: Callable[[], float]) -> None:
        self._world = world
        self._challenges = challenges
        self._log = log
        self._clock = clock
        self._callers = Callers()
        self._minute, self._refusals = 0, 0

    async def answer(self, request: Request) -> Reply:
        """Answer one request."""
        reply = _misdirected(request) or _misused(request)
        if reply is None:
            path = request.path.rstrip("/").lower()
            if path == STATUS:
                return Reply(200, dict(self._world.status()))
            reply = _unversioned(request)
            if reply is None and path == TOKEN:
                return await self._token(request)
            if reply is None:
                return await self._instance(request, request.path[len(INSTANCE) :])
        self._refused(request, reply)
        return reply

    # -- metadata ------------------------------------------------------------------------------

    async def _instance(self, request: Request, path: str) -> Reply:
        machine = self._world.machine()
        if machine is None:
            return _not_connected()
        kind = request.parameters.get("format", "json").lower()
        if kind not in ("json", "text"):
            return failure(400, "invalid_request", "The parameter 'format' is json or text.")
        whole = instance.document(machine, await self._world.tags(), self._world.system(), here().name)
        try:
            found = instance.node(whole, path)
        except instance.NoSuchNode as error:
            return failure(404, "not_found", f"There is no '{str(error)[:80]}' in the instance metadata.")
        plain = kind == "text"
        return Reply(200, instance.as_text(found) if plain else found, plain=plain)

    # -- tokens --------------------------------------------------------------------------------

    async def _token(self, request: Request) -> Reply:
        machine = self._world.machine()
        reply = _unusable(request, machine)
        if reply is None and machine is not None:
            reply = await self._proven(request, machine)
        if reply is None:
            reply = _not_connected()
        if reply.status not in (200, 401):
            self._refused(request, reply)
        return reply

    async def _proven(self, request: Request, machine: AgentConfig) -> Reply:
        """Ask for the challenge's secret; give the token for it."""
        scheme, _, secret = request.head.get("Authorization").partition(" ")
        if not secret:
            return await self._challenge(request, "This needs the content of the file that the header names.")
        handle = self._challenges.good(secret.strip()) if scheme.lower() == "basic" else None
        if handle is None:
            self._refused(request, failure(401, "invalid_key", "a wrong, used or old key"))
            return await self._challenge(
                request, "The key is wrong, was used before, or is over 60 seconds old."
            )
        reply = await self._granted(request, machine)
        if reply.status in (503, 429):
            return reply  # the key stays good: clients repeat the very request
        if not self._challenges.used(handle):
            return await self._challenge(request, "The key was used before.")
        return reply

    async def _challenge(self, request: Request, description: str) -> Reply:
        user = await self._callers.user(request.peer, request.local)
        try:
            path = self._challenges.issue(user)
        except OSError as error:
            text = f"The challenge file cannot be written: {error.strerror or error}. Look at the disk."
            self._log.error(text)
            return failure(503, "service_unavailable", text)
        # Spelled so, and without quotes: scripts take the path with grep and cut, the SDKs at the first '='.
        return failure(401, "unauthorized", description, ("Www-Authenticate", f"Basic realm={path}"))

    async def _granted(self, request: Request, machine: AgentConfig) -> Reply:
        resource = request.parameters["resource"]
        bypass = request.parameters.get("bypass_cache", "").lower() == "true"
        tokens = self._world.tokens()
        if tokens is None:
            return failure(503, "service_unavailable", "The agent is not ready yet; see azcmagent show.")
        caller = await self._callers.whole(request.peer, request.local)
        try:
            held, cached = await tokens.get(resource, bypass_cache=bypass)
        except (Refused, Unreachable, TooMany) as error:
            reply = _no_token(error)
            self._audit("refused", request, caller, str(reply.body))
            return reply
        self._audit("given", request, caller, "from memory" if cached else "new")
        return Reply(200, _body(request, machine, held, self._clock()))

    def _audit(self, what: str, request: Request, caller: Caller = UNKNOWN, how: str = "") -> None:
        named = request.head.get("Client-Id")[:64]
        client = f", client '{named}'" if named else ""
        resource = request.parameters.get("resource", "")
        self._log.info(f"Token for '{resource}' {what} to {caller}{client}: {how}")

    def _refused(self, request: Request, reply: Reply) -> None:
        """Log a refusal, unless there were many: the audit must not be flooded away."""
        minute = int(self._clock() // 60)
        if minute != self._minute:
            more = self._refusals - REFUSALS_LOGGED
            if more > 0:
                self._log.warning(f"{more} more requests to the metadata service were refused")
            self._minute, self._refusals = minute, 0
        self._refusals += 1
        if self._refusals <= REFUSALS_LOGGED:
            text = reply.body.get("error_description", "") if isinstance(reply.body, dict) else ""
            self._log.warning(
                f"Refused {request.method} {request.path[:100]} from port {request.peer[1]}: {text}"
            )


def _misdirected(request: Request) -> Reply | None:
    """Checks 1 and 2."""
    hosts = request.headers("Host")
    port = request.local[1]
    names = {name for host in ("localhost", "127.0.0.1", "[::1]") for name in (host, f"{host}:{port}")}
    if len(hosts) != 1 or hosts[0].lower() not in names:
        return failure(400, "invalid_request", "The Host header must be localhost or a loopback address.")
    for name in FORWARDED:
        if request.headers(name):
            return failure(400, "invalid_request", f"A request with the header {name} is not answered.")
    return None


def _misused(request: Request) -> Reply | None:
    """Check 3, but for the api-version."""
    path = request.path.rstrip("/").lower()
    known = path in (STATUS, TOKEN, INSTANCE) or path.startswith(INSTANCE + "/")
    if not known:
        return failure(404, "not_found", f"Known here are {INSTANCE} and {TOKEN}.")
    if request.method != "GET":
        return failure(405, "method_not_allowed", "Only GET is answered.", ("Allow", "GET"))
    if path != STATUS and [value.lower() for value in request.headers("Metadata")] != ["true"]:
        return failure(
            400, "invalid_request", "Required metadata header not specified: send 'Metadata: true'."
        )
    return None


def _unversioned(request: Request) -> Reply | None:
    version = request.parameters.get("api-version", "")
    if version in instance.VERSIONS:
        return None
    what = (
        f"The api-version '{version[:40]}' is not supported." if version else "api-version was not specified."
    )
    return failure(400, "invalid_request", f"{what} Supported are {' '.join(instance.VERSIONS)}")


def _unusable(request: Request, machine: AgentConfig | None) -> Reply | None:
    """Check 4."""
    resource = request.parameters.get("resource", "")
    if not resource:
        return failure(400, "invalid_request", "The parameter 'resource' is missing: name the audience.")
    if len(resource) > MAX_RESOURCE or not resource.isprintable() or len(resource.split()) != 1:
        return failure(400, "invalid_resource", "The parameter 'resource' must be one resource.")
    if resource.lower().rstrip("/").removesuffix("/.default") == agent_api.AUDIENCE:
        # With it a program could renew the machine's certificate for a key of its own, and stay.
        return failure(400, "invalid_resource", "Tokens for the agent's own API are the agent's alone.")
    if machine is None:
        return _not_connected()
    own = {"client_id": machine.clientId, "object_id": machine.principalId, "msi_res_id": machine.resourceId}
    for parameter, name in SELECTORS.items():
        wanted = request.parameters.get(parameter)
        if wanted is not None and wanted.lower() != own[name].lower():
            return failure(
                400, "invalid_request", "Identity not found: this machine has its own identity only."
            )
    return None


def _not_connected() -> Reply:
    return failure(400, "invalid_request", "This machine is not connected: sudo azcmagent connect.")


def _no_token(error: Refused | Unreachable | TooMany) -> Reply:
    """Say why there is no token, in the words that clients of Azure's service know."""
    if isinstance(error, TooMany):
        wait = str(int(error.seconds) + 1)
        text = "Too many new tokens were asked for; leave bypass_cache out, or come back later."
        return failure(429, "too_many_requests", text, ("Retry-After", wait))
    if isinstance(error, Unreachable) or error.status >= 500:
        return failure(503, "service_unavailable", f"No token can be got now, and none is held: {error}")
    code = "invalid_resource" if "AADSTS500011" in error.reason else error.code or "invalid_request"
    return failure(400, code, error.reason)


def _body(request: Request, machine: AgentConfig, held: Held, now: float) -> dict[str, str]:
    """Return the answer; numbers are text, as the original's are."""
    left = max(0, int(held.ends_at - now))
    body = {
        "access_token": held.token,
        "client_id": machine.clientId,
        "expires_in": str(left),
        "expires_on": str(int(now) + left),
        "ext_expires_in": str(left),
        "not_before": str(int(held.got_at)),
        "resource": request.parameters["resource"],
        "token_type": "Bearer",
    }
    own = {"object_id": machine.principalId, "msi_res_id": machine.resourceId}
    asked = {SELECTORS[name] for name in request.parameters if name in SELECTORS}
    return body | {name: value for name, value in own.items() if name in asked}
