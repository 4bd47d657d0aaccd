"""Subscriptions, tenants and locations, as rows of the table of routes."""

from __future__ import annotations

from landbridge_server.arm import refusals
from landbridge_server.arm.access import Access, decided
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.dispatch import Routes
from landbridge_server.store import guests, subscriptions, tags
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.subscriptions import Subscription
from landbridge_server.store.tenants import Tenant

READ = "Microsoft.Resources/subscriptions/read"
READ_LOCATIONS = "Microsoft.Resources/subscriptions/locations/read"
ACTIONS = (
    READ,
    READ_LOCATIONS,
    "Microsoft.Resources/subscriptions/resources/read",
    "Microsoft.Resources/subscriptions/providers/read",
    "Microsoft.Resources/subscriptions/operationresults/read",
)
"""What rows of the table of routes ask for that are not a type's own."""


def shown(connection: Connection, subscription: Subscription) -> dict[str, object]:
    """Return a subscription as clients see it."""
    found = tags.own(connection, f"/subscriptions/{subscription.subscription_id}")
    return ({"tags": found} if found else {}) | {
        "id": f"/subscriptions/{subscription.subscription_id}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": subscription.subscription_id,
        "tenantId": subscription.tenant_id,
        "displayName": subscription.display_name,
        "state": subscription.state,
        "subscriptionPolicies": {
            "locationPlacementId": "Internal_2014-09-01",
            "quotaId": "Internal_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def _tenant(tenant: Tenant) -> dict[str, object]:
    return {
        "id": f"/tenants/{tenant.tenant_id}",
        "tenantId": tenant.tenant_id,
        "displayName": tenant.display_name,
        "defaultDomain": tenant.default_domain,
        "domains": [tenant.default_domain],
        "tenantCategory": "Home",
        "tenantType": "AAD",
    }


def _location(subscription: str, name: str) -> dict[str, object]:
    words = name.replace("-", " ").title()
    return {
        "id": f"/subscriptions/{subscription}/locations/{name}",
        "name": name,
        "type": "Region",
        "displayName": words,
        "regionalDisplayName": words,
        "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
    }


class Subscriptions:
    """The handlers."""

    def __init__(self, db: Database, access: Access, locations: tuple[str, ...]) -> None:
        """Take the store, the gate and the names of the locations."""
        self.db = db
        self.access = access
        self.locations = locations

    def routes(self) -> Routes:
        """Return the rows of the table of routes."""
        return {
            "tenants": {"GET": self.tenants},
            "subscriptions": {"GET": self.everyone},
            "subscriptions/{subscription}": {"GET": self.one},
            "subscriptions/{subscription}/locations": {"GET": self.places},
        }

    async def tenants(self, call: Call) -> Answer:
        """List the tenants in which the caller may act: its own, and where it is a guest."""
        decided()
        found = self.db.read(lambda connection: guests.tenants_of(connection, call.caller.object_id))
        return answer({"value": [_tenant(one) for one in found]})

    async def everyone(self, call: Call) -> Answer:
        """List the subscriptions in or below which the caller holds any role."""

        def read(connection: Connection) -> list[dict[str, object]]:
            return [shown(connection, one) for one in self.access.subscriptions(connection, call.caller)]

        return answer({"value": self.db.read(read)})

    async def one(self, call: Call) -> Answer:
        """Show a subscription."""
        name = call.names["subscription"].lower()
        self.access.require_inside(call.caller, READ, name)

        def read(connection: Connection) -> dict[str, object]:
            found = subscriptions.get(connection, name)
            if found is None:
                raise refusals.subscription_missing(name)
            return shown(connection, found)

        return answer(self.db.read(read))

    async def places(self, call: Call) -> Answer:
        """List the locations of the cloud."""
        name = call.names["subscription"].lower()
        self.access.require_inside(call.caller, READ_LOCATIONS, name)
        return answer({"value": [_location(name, one) for one in self.locations]})
