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
_PUBLISHERS = "providers/microsoft.hybridcompute/locations/{location}/publishers"
_TYPES = f"{_PUBLISHERS}/{{publisher}}/extensiontypes"
_VERSIONS = f"{_TYPES}/{{extension_type}}/versions"


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
        versions = {
            f"{scope}{_VERSIONS}{name}": {"GET": handler}
            for scope in ("", "subscriptions/{subscription}/")
            for name, handler in (("", self.everyone), ("/{version}", self.one))
        }
        return {**versions, _PUBLISHERS: {"GET": self.publishers}, _TYPES: {"GET": self.types}}

    async def publishers(self, call: Call) -> Answer:
        """List the publishers of what is shipped."""
        where = f"/providers/{NAMESPACE}/locations/{self._admit(call)}/publishers"
        return _named(where, [one.publisher for one in self.shipped])

    async def types(self, call: Call) -> Answer:
        """List the extensions of a publisher."""
        location, publisher = self._admit(call), call.names["publisher"].lower()
        mine = [one for one in self.shipped if one.publisher.lower() == publisher]
        where = f"/providers/{NAMESPACE}/locations/{location}/publishers/{publisher}/extensionTypes"
        return _named(where, [one.extension_type for one in mine])

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


def _named(where: str, found: Sequence[str]) -> Answer:
    return answer({"value": [{"id": f"{where}/{one}", "name": one} for one in dict.fromkeys(found)]})


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
