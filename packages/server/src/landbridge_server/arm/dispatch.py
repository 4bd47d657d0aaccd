"""From a request to who answers it, in the order in which ARM checks things.

1. the subscription in the path is a GUID, exists, and belongs to the caller's tenant;
2. namespace and type are known, the api-version is there and well formed;
3. the type has the verb;
4. the caller may: decided before anything is looked up;
5. writes: the subscription is registered for the namespace;
6. group, parent, preconditions, body: the engine.

Paths that are not resources (subscriptions, groups, providers, ...) are rows of a table of
routes that the providers bring along; their handlers ask the gate themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache

from landbridge_server.arm import api_version, features, locks, not_offered, refusals, registrations
from landbridge_server.arm.access import Access, decided
from landbridge_server.arm.activity import READING, Activity
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.engine import Engine
from landbridge_server.arm.listing import Reading
from landbridge_server.arm.names import is_guid
from landbridge_server.arm.path_tree import PathTree
from landbridge_server.arm.reference import parsed, resolve
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.resource_type import Reference, ResourceType, ServedType
from landbridge_server.store import provider_registrations
from landbridge_server.store.database import Connection
from landbridge_server.store.provider_registrations import Registration
from landbridge_server.store.remembered import Remembered
from landbridge_wire.errors import ArmError

Handler = Callable[[Call], Awaitable[Answer]]
Routes = Mapping[str, Mapping[str, Handler]]

OWN_VERSIONS = ("2024-11-01", "2022-12-01", "2022-09-01", "2021-04-01", "2020-06-01", "2016-06-01")
"""Printed where a version is refused for a path of the resource manager itself."""

PATH_LIMIT = 4096
"""Twice the longest id; what is longer names nothing."""

_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


class Dispatch:
    """Answers every request to the resource manager."""

    def __init__(
        self,
        registry: Registry,
        engine: Engine,
        reading: Reading,
        access: Access,
        routes: Routes,
        login: str,
        activity: Activity,
    ) -> None:
        """Take the parts; ``routes`` has lower-case patterns, ``login`` the token service's address."""
        self.registry = registry
        self.engine = engine
        self.reading = reading
        self.access = access
        self.login = login
        self.activity = activity
        self.routes = PathTree(routes)
        self._registrations: Remembered[tuple[str, str], Registration | None] = Remembered(engine.db)
        self._pages = asyncio.Semaphore(1)
        self._resolve = lru_cache(maxsize=8192)(self._resolved)

    async def answer(self, call: Call) -> Answer:
        """Answer one request; what was written, or refused, goes to the activity log.

        Raises:
            ArmError: refused.
        """
        try:
            answered = await self._answered(call)
        except ArmError as error:
            self.activity.note(call, error.status, error)
            raise
        if call.method not in READING:
            self.activity.note(call, answered.status)
        return answered

    async def _answered(self, call: Call) -> Answer:
        if len(call.path) > PATH_LIMIT:
            raise ArmError("BadRequest", f"The path is longer than {PATH_LIMIT} characters.")
        parts = [part for part in call.path.split("/") if part]
        found = self.routes.find(parts)
        if found is not None:
            row, call.names = found
            self._admit(call, parts)
            api_version.check(call.api_version, OWN_VERSIONS)
            handler = row.get(call.method)
            if handler is None:
                raise refusals.method_refused(call.method, call.path)
            return await handler(call)
        return await self._resource(call, parts)

    def _admit(self, call: Call, parts: list[str]) -> None:
        """Check the subscription in the path, if there is one."""
        if len(parts) < 2 or parts[0].lower() != "subscriptions":
            return
        if not is_guid(parts[1]):
            raise refusals.subscription_malformed(parts[1])
        tenant = self.access.known_tenant(parts[1]) or self.engine.db.read(
            lambda connection: self.access.tenant_of(connection, parts[1])
        )
        if tenant is None:
            raise refusals.subscription_missing(parts[1])
        if tenant != call.caller.tenant_id:
            raise self._foreign(call.caller.tenant_id, tenant)

    def _foreign(self, theirs: str, ours: str) -> ArmError:
        return ArmError(
            "InvalidAuthenticationTokenTenant",
            f"The access token is from the wrong issuer '{self.login}/{theirs}/v2.0'. "
            f"It must match the tenant '{self.login}/{ours}/v2.0' associated with this subscription. "
            f"Please use the authority (URL) '{self.login}/{ours}' to get the token.",
        )

    def _resolved(self, path: str, is_action: bool) -> tuple[Reference, str]:
        found, action = parsed(path), ""
        if is_action and found.collection and not self._is_posted_to(found.type):
            action = found.collection
            found = parsed(path.rstrip("/").rpartition("/")[0])
        if action and found.namespace and not found.segments:
            raise refusals.type_unknown(self.registry.provider(found.namespace).namespace, "")
        if not found.segments and not found.collection:
            raise ArmError("NotFound", f"There is nothing at '{path[:200]}'.")
        return resolve(found, self.registry, ""), action

    def _is_posted_to(self, full_type: str) -> bool:
        kind = self.registry.find(full_type)
        return isinstance(kind, ServedType) and "POST" in kind.verbs

    def _reference(self, call: Call) -> tuple[Reference, str]:
        try:
            return self._resolve(call.path, call.method == "POST")
        except ArmError as error:
            if error.code == "InvalidResourceType":
                found = parsed(call.path)
                reason = not_offered.reason(found.type)
                raise refusals.type_unknown(found.namespace, call.api_version, reason) from error
            raise

    async def _resource(self, call: Call, parts: list[str]) -> Answer:
        self._admit(call, parts)
        if not call.api_version:
            api_version.check("", ())
        words = [part.lower() for part in parts[:3]]
        if call.method == "GET" and len(parts) == 3 and words[0] == "providers" and words[2] == "operations":
            return self._operations(call, parts[1])
        reference, action = self._reference(call)
        api_version.check(call.api_version, reference.type.api_versions)
        kind = reference.type
        if isinstance(kind, ServedType):
            return await self._served(call, kind, reference)
        if not isinstance(kind, ResourceType):
            raise refusals.type_unknown(kind.namespace, call.api_version)
        if call.method == "POST":
            return await self._action(call, kind, reference, action)
        if call.method not in kind.verbs or (reference.id.collection and call.method != "GET"):
            raise refusals.method_refused(call.method, kind.full_type)
        if reference.id.collection:
            return await self._page(call, kind, reference)
        return await self._item(call, kind, reference)

    async def _page(self, call: Call, kind: ResourceType, reference: Reference) -> Answer:
        """Answer with a page: one after the other, with a turn for everybody else in between.

        A full page takes the event loop for some milliseconds; several in a row would add up.
        """
        async with self._pages:
            await asyncio.sleep(0)
            return self.engine.db.read(
                lambda connection: self.reading.collection(connection, call, kind, reference)
            )

    async def _item(self, call: Call, kind: ResourceType, reference: Reference) -> Answer:
        needed = kind.action(_VERBS[call.method])

        def read(connection: Connection) -> Answer:
            self.access.require(call.caller, needed, reference.id.text, connection)
            return self.reading.one(connection, call, kind, reference)

        if call.method in ("GET", "HEAD"):
            return self.engine.db.read(read)
        self.access.require(call.caller, needed, reference.id.text)
        if call.method != "DELETE":
            self._check_registration(kind, reference)
        verb = {"PUT": self.engine.put, "PATCH": self.engine.patch, "DELETE": self.engine.delete}[call.method]
        return await verb(call, kind, reference)

    def _check_registration(self, kind: ResourceType, reference: Reference) -> None:
        provider = self.registry.provider(kind.namespace)
        subscription = reference.id.subscription
        if not subscription or provider.free:
            return
        found = self._registrations.get(
            (subscription.lower(), provider.namespace),
            lambda: self.engine.db.read(
                lambda connection: provider_registrations.get(connection, subscription, provider.namespace)
            ),
        )
        if not registrations.takes_writes(found, self.engine.clock()):
            raise refusals.not_registered(provider.namespace)

    async def _action(self, call: Call, kind: ResourceType, reference: Reference, action: str) -> Answer:
        if not action:
            raise refusals.method_refused("POST", kind.full_type)
        name = next((one for one in kind.actions if one.lower() == action.lower()), "")
        if not name or reference.id.collection:
            reasons = {one.lower(): reason for one, reason in kind.not_offered.items()}
            reason = reasons.get(action.lower(), "")
            raise refusals.type_unknown(kind.namespace, call.api_version, reason)
        self.access.require(call.caller, kind.action(f"{name}/action"), reference.id.text)
        self.engine.db.read(lambda connection: self._check_locks(connection, kind, reference, name))
        return await kind.actions[name](call, reference)

    def _check_locks(
        self, connection: Connection, kind: ResourceType, reference: Reference, action: str
    ) -> None:
        feature = kind.unlocked_by.get(action)
        subscription, now = reference.id.subscription, self.engine.clock()
        if feature is None or not features.is_on(connection, subscription, feature, now):
            locks.check_write(connection, reference.id.text)

    async def _served(self, call: Call, kind: ServedType, reference: Reference) -> Answer:
        is_whole = bool(reference.id.collection)
        fits = call.method in ("GET", "POST") if is_whole else call.method != "POST"
        if call.method not in kind.verbs or not fits:
            raise refusals.method_refused(call.method, kind.full_type)
        if not kind.asks_itself:
            scope = (reference.parent or "/") if is_whole else reference.id.text
            self.access.require(call.caller, kind.action(_VERBS[call.method]), scope)
        return await kind.handle(call, reference)

    def _operations(self, call: Call, namespace: str) -> Answer:
        """List what can be done with the types of a namespace; the same for everybody."""
        provider = self.registry.provider(namespace)
        api_version.check(call.api_version, OWN_VERSIONS)
        decided()
        found = [one for kind in provider.types for one in _actions(kind)]
        return answer({"value": found + [_action_of_rows(one) for one in provider.actions]})


def _actions(kind: object) -> list[dict[str, object]]:
    if not isinstance(kind, ResourceType | ServedType):
        return []
    verbs = list(dict.fromkeys(_VERBS[verb] for verb in sorted(kind.verbs) if verb in _VERBS))
    if isinstance(kind, ResourceType):
        verbs += [f"{name}/action" for name in kind.actions]
    return [_shown(kind.action(verb), kind.namespace, kind.type, verb) for verb in verbs]


def _action_of_rows(action: str) -> dict[str, object]:
    namespace, *words = action.removesuffix("/action").split("/")
    verb = words[-1] + ("/action" if action.endswith("/action") else "")
    return _shown(action, namespace, "/".join(words[:-1]), verb)


def _shown(action: str, namespace: str, type_name: str, verb: str) -> dict[str, object]:
    return {
        "name": action,
        "isDataAction": False,
        "display": {
            "provider": namespace,
            "resource": type_name,
            "operation": verb,
            "description": f"{verb} {namespace}/{type_name}",
        },
    }
