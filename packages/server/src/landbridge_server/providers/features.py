"""``Microsoft.Features``: what a subscription can have on request, and what it has.

The features are those that the providers declare in the registry. Each is shown twice, as the
documents have it: as a feature with a state, and as the registration of a feature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from landbridge_server.arm import features, locks, shape
from landbridge_server.arm.access import Access
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.dispatch import Routes
from landbridge_server.arm.documents import iso
from landbridge_server.arm.registry import Feature, Provider, Registry
from landbridge_server.arm.shape import ANY, Text
from landbridge_server.store import feature_registrations as store
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.feature_registrations import Asked
from landbridge_wire.errors import ArmError

NAMESPACE = "Microsoft.Features"
API_VERSIONS = ("2021-07-01", "2015-12-01")
TYPES = ("features", "providers", "featureProviders", "subscriptionFeatureRegistrations")
WHERE = "subscriptions/{subscription}/providers/microsoft.features"
_GIVEN = {"metadata": ANY, "description": Text(1000), "shouldFeatureDisplayInPortal": bool}
_READ, _REGISTRATIONS = "providers/features/read", "featureProviders/subscriptionFeatureRegistrations"
ACTIONS = tuple(
    f"{NAMESPACE}/{name}"
    for name in (
        "features/read",
        _READ,
        "providers/features/register/action",
        "providers/features/unregister/action",
        f"{_REGISTRATIONS}/read",
        f"{_REGISTRATIONS}/write",
        f"{_REGISTRATIONS}/delete",
    )
)
"""What the handlers ask for."""


class Features:
    """The handlers."""

    def __init__(self, db: Database, registry: Registry, access: Access, clock: Callable[[], float]) -> None:
        """Take the store, the registry that declares the features, the gate and the clock."""
        self.db = db
        self.registry = registry
        self.access = access
        self.clock = clock

    def routes(self) -> Routes:
        """Return the rows of the table of routes."""
        one = f"{WHERE}/providers/{{namespace}}/features"
        registration = f"{WHERE}/featureproviders/{{namespace}}/subscriptionfeatureregistrations"
        return {
            f"{WHERE}/features": {"GET": self.everything},
            one: {"GET": self.everything},
            f"{one}/{{feature}}": {"GET": self.one},
            f"{one}/{{feature}}/register": {"POST": self.register},
            f"{one}/{{feature}}/unregister": {"POST": self.unregister},
            f"{WHERE}/subscriptionfeatureregistrations": {"GET": self.registrations},
            registration: {"GET": self.registrations},
            f"{registration}/{{feature}}": {
                "GET": self.registration,
                "PUT": self.put_registration,
                "DELETE": self.delete_registration,
            },
        }

    def _admitted(self, call: Call, verb: str) -> str:
        subscription = call.names["subscription"].lower()
        self.access.require(call.caller, f"{NAMESPACE}/{verb}", f"/subscriptions/{subscription}")
        return subscription

    def _found(self, call: Call) -> tuple[Provider, Feature]:
        provider = self.registry.provider(call.names["namespace"])
        return provider, provider.feature(call.names["feature"])

    def _declared(self, call: Call) -> list[tuple[Provider, Feature]]:
        """Return the features of all providers, or of the one in the path."""
        wanted = call.names.get("namespace")
        providers = [self.registry.provider(wanted)] if wanted else self.registry.providers
        return [(provider, one) for provider in providers for one in provider.features]

    # -- features

    async def everything(self, call: Call) -> Answer:
        """List the features with their states."""
        subscription = self._admitted(call, "features/read" if "namespace" not in call.names else _READ)
        declared = self._declared(call)
        asked = self.db.read(lambda connection: store.of_subscription(connection, subscription))
        return answer({"value": [self._shown(subscription, *one, asked.get(_key(*one))) for one in declared]})

    async def one(self, call: Call) -> Answer:
        """Show a feature with its state."""
        subscription = self._admitted(call, _READ)
        return self._show(subscription, *self._found(call))

    async def register(self, call: Call) -> Answer:
        """Ask for a feature; asking again changes nothing."""
        subscription = self._admitted(call, "providers/features/register/action")
        provider, feature = self._found(call)
        await self._ask(call, subscription, provider, feature, None)
        return self._show(subscription, provider, feature)

    async def unregister(self, call: Call) -> Answer:
        """Give a feature up."""
        subscription = self._admitted(call, "providers/features/unregister/action")
        provider, feature = self._found(call)
        await self._give_up(subscription, provider, feature)
        return self._show(subscription, provider, feature)

    def _show(self, subscription: str, provider: Provider, feature: Feature) -> Answer:
        asked = self.db.read(lambda c: store.get(c, subscription, _key(provider, feature)))
        return answer(self._shown(subscription, provider, feature, asked))

    def _shown(
        self, subscription: str, provider: Provider, feature: Feature, asked: Asked | None
    ) -> dict[str, object]:
        where = f"/subscriptions/{subscription}/providers/{NAMESPACE}/providers/{provider.namespace}"
        return {
            "properties": {"state": features.state(asked, self.clock())},
            "id": f"{where}/features/{feature.name}",
            "type": f"{NAMESPACE}/providers/features",
            "name": f"{provider.namespace}/{feature.name}",
        }

    # -- registrations of features

    async def registrations(self, call: Call) -> Answer:
        """List the features that were asked for."""
        subscription = self._admitted(call, f"{_REGISTRATIONS}/read")
        declared = self._declared(call)
        asked = self.db.read(lambda connection: store.of_subscription(connection, subscription))
        shown = [
            self._registered(call, subscription, *one, asked[_key(*one)])
            for one in declared
            if features.is_asked(asked.get(_key(*one)))
        ]
        return answer({"value": shown})

    async def registration(self, call: Call) -> Answer:
        """Show that a feature was asked for."""
        subscription = self._admitted(call, f"{_REGISTRATIONS}/read")
        provider, feature = self._found(call)
        asked = self.db.read(lambda c: store.get(c, subscription, _key(provider, feature)))
        if asked is None or not features.is_asked(asked):
            raise ArmError(
                "NotFound", f"The feature '{provider.namespace}/{feature.name}' is not registered here."
            )
        return answer(self._registered(call, subscription, provider, feature, asked))

    async def put_registration(self, call: Call) -> Answer:
        """Ask for a feature, with words about it."""
        subscription = self._admitted(call, f"{_REGISTRATIONS}/write")
        provider, feature = self._found(call)
        body = await call.json(optional=True)
        given = shape.keep(_GIVEN, body.get("properties") or {}, "properties")
        metadata = given.get("metadata", {})
        shape.keep(
            {name: Text(1000) for name in metadata} if isinstance(metadata, dict) else {},
            metadata,
            "metadata",
        )
        asked = await self._ask(call, subscription, provider, feature, given)
        return answer(self._registered(call, subscription, provider, feature, asked))

    async def delete_registration(self, call: Call) -> Answer:
        """Give a feature up: 200, or 204 when it was not asked for."""
        subscription = self._admitted(call, f"{_REGISTRATIONS}/delete")
        return Answer(200 if await self._give_up(subscription, *self._found(call)) else 204)

    async def _ask(
        self,
        call: Call,
        subscription: str,
        provider: Provider,
        feature: Feature,
        given: dict[str, Any] | None,
    ) -> Asked:
        now, key = self.clock(), _key(provider, feature)

        def work(connection: Connection) -> Asked:
            locks.check_write(connection, f"/subscriptions/{subscription}")
            before = store.get(connection, subscription, key)
            if before is not None and features.is_asked(before):
                if given is None:
                    return before
                about = msgspec.json.decode(before.document) | {"given": given}
                asked = before._replace(document=msgspec.json.encode(about).decode())
            else:
                about = {"given": given or {}, "by": call.caller.label, "object": call.caller.object_id}
                text = msgspec.json.encode(about).decode()
                asked = Asked(subscription, key, "Registering", now, text)
            store.put(connection, asked)
            return asked

        return await self.db.write(work)

    async def _give_up(self, subscription: str, provider: Provider, feature: Feature) -> bool:
        now, key = self.clock(), _key(provider, feature)

        def work(connection: Connection) -> bool:
            locks.check_write(connection, f"/subscriptions/{subscription}")
            if not features.is_asked(store.get(connection, subscription, key)):
                return False
            store.put(connection, Asked(subscription, key, "Unregistering", now, "{}"))
            return True

        return await self.db.write(work)

    def _registered(
        self, call: Call, subscription: str, provider: Provider, feature: Feature, asked: Asked
    ) -> dict[str, object]:
        about = msgspec.json.decode(asked.document)
        when = iso(asked.changed_at)
        where = f"/subscriptions/{subscription}/providers/{NAMESPACE}/featureProviders/{provider.namespace}"
        properties: dict[str, object] = {
            "tenantId": call.caller.tenant_id,
            "subscriptionId": subscription,
            "providerNamespace": provider.namespace,
            "featureName": feature.name,
            "displayName": feature.display_name,
            "description": feature.description,
            "state": features.state(asked, self.clock()),
            "approvalType": "AutoApproval",
            "authorizationProfile": {
                "requestedTime": when,
                "requester": about["by"],
                "requesterObjectId": about["object"],
                "approvedTime": when,
            },
            "releaseDate": feature.released,
            "registrationDate": when,
        }
        return {
            "id": f"{where}/subscriptionFeatureRegistrations/{feature.name}",
            "name": feature.name,
            "type": f"{NAMESPACE}/{_REGISTRATIONS}",
            "properties": properties | about["given"],
        }


def _key(provider: Provider, feature: Feature) -> str:
    return f"{provider.namespace}/{feature.name}".lower()
