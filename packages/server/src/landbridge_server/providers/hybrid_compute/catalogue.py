"""The extensions that this cloud ships, by publisher, type and version.

Below a location of a subscription, as 2022-11-10 has it, and of the tenant, as later versions
do. What a machine may be asked to install is not restricted to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from landbridge_server.arm import names, refusals
from landbridge_server.arm.access import Access, decided
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.dispatch import Routes
from landbridge_wire import arm_id

NAMESPACE = "Microsoft.HybridCompute"
TYPE = "locations/publishers/extensionTypes/versions"
READ = f"{NAMESPACE}/{TYPE}/read"
_WHERE = (
    "providers/microsoft.hybridcompute/locations/{location}/publishers/{publisher}"
    "/extensiontypes/{extension_type}/versions"
)


class Shipped(NamedTuple):
    """One version of an extension."""

    publisher: str
    extension_type: str
    version: str


SHIPPED: tuple[Shipped, ...] = ()
"""Nothing yet: no agent carries out extensions so far."""


class Catalogue:
    """The handlers."""

    def __init__(
        self, access: Access, locations: tuple[str, ...], shipped: Sequence[Shipped] = SHIPPED
    ) -> None:
        """Take the gate, the names of the locations, and what there is."""
        self.access = access
        self.locations = locations
        self.shipped = shipped

    def routes(self) -> Routes:
        """Return the rows of the table of routes."""
        return {
            f"{scope}{_WHERE}{name}": {"GET": handler}
            for scope in ("", "subscriptions/{subscription}/")
            for name, handler in (("", self.everyone), ("/{version}", self.one))
        }

    async def everyone(self, call: Call) -> Answer:
        """List the versions of an extension; none when this cloud does not ship it."""
        location = self._admit(call)
        return answer({"value": [_shown(call, location, one) for one in self._found(call)]})

    async def one(self, call: Call) -> Answer:
        """Show one version of an extension."""
        location = self._admit(call)
        for found in self._found(call):
            if found.version == call.names["version"]:
                return answer(_shown(call, location, found))
        raise refusals.resource_missing(arm_id.parse(call.path))

    def _admit(self, call: Call) -> str:
        """Return the location, for whoever has any role in the subscription, or any caller of the tenant."""
        if "subscription" in call.names:
            self.access.require_inside(call.caller, READ, call.names["subscription"])
        else:
            decided()
        return names.location(call.names["location"], self.locations, f"{NAMESPACE}/{TYPE}")

    def _found(self, call: Call) -> list[Shipped]:
        wanted = (call.names["publisher"].lower(), call.names["extension_type"].lower())
        return [one for one in self.shipped if (one.publisher.lower(), one.extension_type.lower()) == wanted]


def _shown(call: Call, location: str, one: Shipped) -> dict[str, object]:
    subscription = call.names.get("subscription", "")
    scope = f"/subscriptions/{subscription.lower()}" if subscription else ""
    path = f"locations/{location}/publishers/{one.publisher}/extensionTypes/{one.extension_type}"
    return {
        "id": f"{scope}/providers/{NAMESPACE}/{path}/versions/{one.version}",
        "name": one.version,
        "type": f"{NAMESPACE}/{TYPE}",
        "properties": {
            "version": one.version,
            "extensionType": one.extension_type,
            "publisher": one.publisher,
        },
    }
