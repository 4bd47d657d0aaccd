"""The extensions that this cloud ships, by publisher, type and version: built in, and published.

Below a location of a subscription, as 2022-11-10 has it, and of the tenant, as later versions
do. What a machine may be asked to install is not restricted to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from landbridge_server.arm import names, refusals
from landbridge_server.arm.access import Access, decided
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.dispatch import Routes
from landbridge_server.fleet import extension_packages
from landbridge_server.store import extensions
from landbridge_server.store.database import Connection, Database
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


SHIPPED = (Shipped("Microsoft.Azure.Extensions", "CustomScript", "2.1.13"),)
"""What every agent brings along: there is no package of it (``landbridge_agent.extensions.built_in``)."""


def shipped_by_agent(publisher: str, extension_type: str) -> bool:
    """Say whether every agent has this extension without a package."""
    wanted = (publisher.lower(), extension_type.lower())
    return any((one.publisher.lower(), one.extension_type.lower()) == wanted for one in SHIPPED)


def offered(connection: Connection) -> list[Shipped]:
    """Return all that machines can install, by name, the oldest version first."""
    published = [Shipped(one.publisher, one.type, one.version) for one in extensions.everyone(connection)]
    return sorted(
        [*SHIPPED, *published],
        key=lambda one: (
            one.publisher.lower(),
            one.extension_type.lower(),
            extension_packages.numbers(one.version),
        ),
    )


def by_full_name(connection: Connection) -> dict[str, list[Shipped]]:
    """Return the versions of each extension by ``publisher.type`` in lower case, the oldest first.

    Upgrades name extensions so. Where the dot between the two stands cannot be told: every
    extension that is so called counts.
    """
    found: dict[str, list[Shipped]] = {}
    for one in offered(connection):
        found.setdefault(f"{one.publisher}.{one.extension_type}".lower(), []).append(one)
    return found


class Catalogue:
    """The handlers."""

    def __init__(self, access: Access, locations: tuple[str, ...], db: Database) -> None:
        """Take the gate, the names of the locations, and the store with what was published."""
        self.access = access
        self.locations = locations
        self.shipped: Callable[[], Sequence[Shipped]] = lambda: db.read(offered)

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
        return _named(where, [one.publisher for one in self.shipped()])

    async def types(self, call: Call) -> Answer:
        """List the extensions of a publisher."""
        location, publisher = self._admit(call), call.names["publisher"].lower()
        mine = [one for one in self.shipped() if one.publisher.lower() == publisher]
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
        return [
            one for one in self.shipped() if (one.publisher.lower(), one.extension_type.lower()) == wanted
        ]


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
