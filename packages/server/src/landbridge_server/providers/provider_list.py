"""Resource providers of a subscription: list, show, register, unregister."""

from __future__ import annotations

from collections.abc import Callable

from landbridge_server.arm import locks, registrations
from landbridge_server.arm.access import Access, decided
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.dispatch import Routes
from landbridge_server.arm.registry import Provider, Registry
from landbridge_server.arm.resource_type import Kind, ResourceType, TypeInfo
from landbridge_server.store import provider_registrations, resources
from landbridge_server.store.database import Connection, Database
from landbridge_wire.errors import ArmError

READ = "Microsoft.Resources/subscriptions/providers/read"
WHERE = "subscriptions/{subscription}/providers"
POLICY_SINCE = "2020-10-01"
MOVES = "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, "


class ProviderList:
    """The handlers."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        access: Access,
        locations: tuple[str, ...],
        clock: Callable[[], float],
    ) -> None:
        """Take the store, the registry, the gate, the names of the locations and the clock."""
        self.db = db
        self.registry = registry
        self.access = access
        self.locations = locations
        self.clock = clock

    def routes(self) -> Routes:
        """Return the rows of the table of routes."""
        return {
            "providers": {"GET": self.of_tenant},
            "providers/{namespace}": {"GET": self.one_of_tenant},
            WHERE: {"GET": self.everyone},
            f"{WHERE}/{{namespace}}": {"GET": self.one},
            f"{WHERE}/{{namespace}}/resourcetypes": {"GET": self.types},
            f"{WHERE}/{{namespace}}/providerpermissions": {"GET": self.permissions},
            f"{WHERE}/{{namespace}}/register": {"POST": self.register},
            f"{WHERE}/{{namespace}}/unregister": {"POST": self.unregister},
        }

    async def of_tenant(self, call: Call) -> Answer:
        """List the providers that the cloud has, registered or not; the same for everybody."""
        decided()
        return answer({"value": [self._shown(call, one, "", "") for one in self.registry.providers]})

    async def one_of_tenant(self, call: Call) -> Answer:
        """Show a provider that the cloud has; the same for everybody."""
        decided()
        return answer(self._shown(call, self.registry.provider(call.names["namespace"]), "", ""))

    async def everyone(self, call: Call) -> Answer:
        """List the providers with the state of their registration."""
        subscription = call.names["subscription"].lower()
        self.access.require_inside(call.caller, READ, call.names["subscription"])
        found = self.db.read(lambda c: provider_registrations.of_subscription(c, subscription))
        now = self.clock()
        return answer(
            {
                "value": [
                    self._shown(
                        call, one, subscription, registrations.state(found.get(one.namespace.lower()), now)
                    )
                    for one in self.registry.providers
                ]
            }
        )

    async def one(self, call: Call) -> Answer:
        """Show a provider."""
        self.access.require_inside(call.caller, READ, call.names["subscription"])
        return self._show(call, self.registry.provider(call.names["namespace"]))

    async def types(self, call: Call) -> Answer:
        """List the types of a provider."""
        self.access.require_inside(call.caller, READ, call.names["subscription"])
        provider = self.registry.provider(call.names["namespace"])
        return answer({"value": [self._type(call, kind) for kind in provider.types]})

    async def permissions(self, call: Call) -> Answer:
        """List the applications that a provider uses in a subscription: none does here."""
        self.access.require_inside(call.caller, READ, call.names["subscription"])
        self.registry.provider(call.names["namespace"])
        return answer({"value": []})

    async def register(self, call: Call) -> Answer:
        """Begin a registration; once it is there, asking again changes nothing."""
        provider, subscription = self._change(call, "register")
        now = self.clock()

        def work(connection: Connection) -> None:
            locks.check_write(connection, f"/subscriptions/{subscription}")
            registrations.register(connection, subscription, provider.namespace, now)

        await self.db.write(work)
        return self._show(call, provider)

    async def unregister(self, call: Call) -> Answer:
        """End a registration; refused while the subscription holds resources of the provider."""
        provider, subscription = self._change(call, "unregister")
        now = self.clock()

        def work(connection: Connection) -> None:
            locks.check_write(connection, f"/subscriptions/{subscription}")
            if resources.any_of_namespace(connection, subscription, provider.namespace):
                raise ArmError(
                    "Conflict",
                    f"The subscription still holds resources of the namespace '{provider.namespace}'. "
                    "Delete them before you unregister it.",
                )
            registrations.unregister(connection, subscription, provider.namespace, now)

        if provider.free:
            raise ArmError("Conflict", f"The namespace '{provider.namespace}' cannot be unregistered.")
        await self.db.write(work)
        return self._show(call, provider)

    def _change(self, call: Call, verb: str) -> tuple[Provider, str]:
        provider = self.registry.provider(call.names["namespace"])
        subscription = call.names["subscription"].lower()
        action = f"{provider.namespace}/{verb}/action"
        self.access.require(call.caller, action, f"/subscriptions/{subscription}")
        return provider, subscription

    def _show(self, call: Call, provider: Provider) -> Answer:
        subscription = call.names["subscription"].lower()
        found = self.db.read(lambda c: provider_registrations.get(c, subscription, provider.namespace))
        return answer(self._shown(call, provider, subscription, registrations.state(found, self.clock())))

    def _shown(self, call: Call, provider: Provider, subscription: str, state: str) -> dict[str, object]:
        body: dict[str, object] = {"namespace": provider.namespace}
        if subscription:
            body["id"] = f"/subscriptions/{subscription}/providers/{provider.namespace}"
            body["registrationState"] = "Registered" if provider.free else state
            if call.api_version >= POLICY_SINCE:
                body["registrationPolicy"] = "RegistrationFree" if provider.free else "RegistrationRequired"
        body["resourceTypes"] = [self._type(call, kind) for kind in provider.types]
        return body

    def _type(self, call: Call, kind: TypeInfo) -> dict[str, object]:
        shown: dict[str, object] = {
            "resourceType": kind.type,
            "locations": list(self.locations) if kind.in_locations else [],
            "apiVersions": list(kind.api_versions),
            "capabilities": _capabilities(kind),
        }
        if "resourcetypes/aliases" in call.query.get("$expand", "").lower():
            shown["aliases"] = []
        return shown


def _capabilities(kind: TypeInfo) -> str:
    if not isinstance(kind, ResourceType):
        return "None"
    if kind.kind is Kind.EXTENSION:
        return "SupportsExtension"
    if not kind.in_locations:
        return "None"
    moves = kind.kind is Kind.TRACKED and kind.movable
    return (MOVES if moves else "") + "SupportsTags, SupportsLocation"
