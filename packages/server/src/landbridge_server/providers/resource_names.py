"""``checkResourceName`` and ``checkZonePeers``: questions that clients ask before they create something."""

from __future__ import annotations

from typing import Any

from landbridge_server.arm import names, refusals
from landbridge_server.arm.access import Access, decided
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.dispatch import Routes
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.resource_type import ResourceType
from landbridge_server.store.database import Database
from landbridge_wire.errors import ArmError

ZONE_PEERS = "Microsoft.Resources/checkZonePeers/action"
_SUBSCRIPTION = "subscriptions/"


class ResourceNames:
    """The handlers."""

    def __init__(self, db: Database, registry: Registry, access: Access, locations: tuple[str, ...]) -> None:
        """Take the types that know their rules, the gate, and the names of the locations."""
        self.db = db
        self.registry = registry
        self.access = access
        self.locations = locations

    def routes(self) -> Routes:
        """Return the rows of the table of routes."""
        return {
            "providers/microsoft.resources/checkresourcename": {"POST": self.check_name},
            "subscriptions/{subscription}/providers/microsoft.resources/checkzonepeers": {
                "POST": self.check_zones
            },
        }

    async def check_name(self, call: Call) -> Answer:
        """Say whether a resource may have a name. No words are reserved in this cloud.

        Members may be spelled in any casing, as Microsoft's own example does.
        """
        decided()  # it says nothing about anybody's resources
        body = {key.lower(): value for key, value in (await call.json()).items()}
        name, full_type = body.get("name"), body.get("type")
        for member, value in (("name", name), ("type", full_type)):
            if not isinstance(value, str) or not value:
                raise refusals.invalid(f"'{member}' must be a string.", member)
        kind = self.registry.find(str(full_type))
        pattern, rule = (kind.name_pattern, kind.name_rule) if isinstance(kind, ResourceType) else (None, "")
        names.check_resource(str(name), pattern, rule)
        return answer({"name": name, "type": full_type, "status": "Allowed"})

    async def check_zones(self, call: Call) -> Answer:
        """Say which availability zones of other subscriptions are the same: locations here have none."""
        subscription = call.names["subscription"].lower()
        self.access.require(call.caller, ZONE_PEERS, f"/subscriptions/{subscription}")
        body = await call.json()
        location = names.location(body.get("location"), self.locations, "Microsoft.Resources/checkZonePeers")
        peers: Any = body.get("subscriptionIds") or []
        if not isinstance(peers, list):
            raise refusals.invalid("'subscriptionIds' must be an array.", "subscriptionIds")
        seen = self.db.read(lambda connection: self.access.subscriptions(connection, call.caller))
        known = {one.subscription_id for one in seen}
        for one in peers:
            if _guid(one) not in known:
                raise refusals.subscription_missing(str(one)[:200])
        return answer({"subscriptionId": subscription, "location": location, "availabilityZonePeers": []})


def _guid(unverified: object) -> str:
    text = unverified.lower().lstrip("/") if isinstance(unverified, str) else ""
    found = text.removeprefix(_SUBSCRIPTION)
    if not names.is_guid(found):
        raise ArmError(
            "InvalidSubscriptionId",
            f"The provided subscription identifier '{str(unverified)[:200]}' is malformed or invalid.",
        )
    return found
