"""``subscriptions/{s}/tagNames``: the tag names and values of a subscription, used and predefined.

A name or value can be predefined before anything carries it, and forgotten when nothing does.
"""

from __future__ import annotations

from landbridge_server.arm import locks
from landbridge_server.arm import tags as rules
from landbridge_server.arm.access import Access
from landbridge_server.arm.call import Answer, Call, answer, encode
from landbridge_server.arm.dispatch import Routes
from landbridge_server.store import tags
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.tags import Count
from landbridge_wire.errors import ArmError

TYPE = "Microsoft.Resources/subscriptions/tagNames"
ACTIONS = tuple(
    f"{TYPE}/{verb}" for verb in ("read", "write", "delete", "tagValues/write", "tagValues/delete")
)
WHERE = "subscriptions/{subscription}/tagnames"


class TagNames:
    """The handlers."""

    def __init__(self, db: Database, access: Access) -> None:
        """Take the store and the gate."""
        self.db = db
        self.access = access

    def routes(self) -> Routes:
        """Return the rows of the table of routes."""
        return {
            WHERE: {"GET": self.everyone},
            f"{WHERE}/{{tag}}": {"PUT": self.put_name, "DELETE": self.delete_name},
            f"{WHERE}/{{tag}}/tagvalues/{{value}}": {"PUT": self.put_value, "DELETE": self.delete_value},
        }

    def _admitted(self, call: Call, action: str) -> tuple[str, str]:
        """Return subscription and tag name."""
        subscription = call.names["subscription"].lower()
        self.access.require(call.caller, f"{TYPE}/{action}", f"/subscriptions/{subscription}")
        return subscription, call.names.get("tag", "")

    async def everyone(self, call: Call) -> Answer:
        """List all names with their values, each with the number of resources and groups that carry it."""
        subscription, _ = self._admitted(call, "read")

        def read(connection: Connection) -> bytes:
            known = tags.predefined(connection, subscription)
            return encode({"value": _all(subscription, known, tags.used(connection, subscription))})

        return Answer(200, await self.db.read_aside(read))

    async def put_name(self, call: Call) -> Answer:
        """Predefine a name: 201, or 200 when it was."""
        subscription, name = self._admitted(call, "write")
        rules.checked({name: ""})

        def work(connection: Connection) -> tuple[bool, list[Count]]:
            locks.check_write(connection, f"/subscriptions/{subscription}")
            return tags.add_name(connection, subscription, name), tags.used(connection, subscription, name)

        new, used = await self.db.write(work)
        return answer(_name(subscription, name, [], used), 201 if new else 200)

    async def put_value(self, call: Call) -> Answer:
        """Predefine a value of a predefined name: 201, or 200 when it was."""
        subscription, name = self._admitted(call, "tagValues/write")
        value = call.names["value"]
        rules.checked({name: value})

        def work(connection: Connection) -> tuple[bool, int]:
            locks.check_write(connection, f"/subscriptions/{subscription}")
            used = tags.used(connection, subscription, name)
            if not used and name.lower() not in tags.predefined(connection, subscription):
                raise _missing(name)
            tags.add_name(connection, subscription, used[0].name if used else name)
            count = sum(one.carriers for one in used if one.value == value)
            return tags.add_value(connection, subscription, name, value), count

        new, count = await self.db.write(work)
        return answer(_value(subscription, name, value, count), 201 if new else 200)

    async def delete_name(self, call: Call) -> Answer:
        """Forget a name that nothing carries and that has no values left: 200, or 204."""
        subscription, name = self._admitted(call, "delete")

        def work(connection: Connection) -> bool:
            locks.check_delete_at(connection, f"/subscriptions/{subscription}")
            used = sum(one.carriers for one in tags.used(connection, subscription, name))
            if used:
                raise ArmError("Conflict", f"The tag name '{name}' is in use by {used} resources or groups.")
            if (known := tags.predefined(connection, subscription).get(name.lower())) and known[1]:
                raise ArmError("Conflict", f"The tag name '{name}' still has values. Delete them first.")
            return tags.remove_name(connection, subscription, name)

        return Answer(200 if await self.db.write(work) else 204)

    async def delete_value(self, call: Call) -> Answer:
        """Forget a value that nothing carries: 200, or 204."""
        subscription, name = self._admitted(call, "tagValues/delete")
        value = call.names["value"]

        def work(connection: Connection) -> bool:
            locks.check_delete_at(connection, f"/subscriptions/{subscription}")
            found = tags.used(connection, subscription, name)
            used = sum(one.carriers for one in found if one.value == value)
            if used:
                raise ArmError(
                    "Conflict",
                    f"The value '{value}' of the tag '{name}' is in use by {used} resources or groups.",
                )
            return tags.remove_value(connection, subscription, name, value)

        return Answer(200 if await self.db.write(work) else 204)


def _missing(name: str) -> ArmError:
    return ArmError("NotFound", f"The tag name '{name}' could not be found. Create it before its values.")


def _all(
    subscription: str, known: dict[str, tuple[str, list[str]]], used: list[Count]
) -> list[dict[str, object]]:
    counts: dict[str, list[Count]] = {}
    for one in used:
        counts.setdefault(one.name_key, []).append(one)
    found: list[dict[str, object]] = []
    for key in sorted({*known, *counts}):
        name, values = known.get(key, ("", []))
        carried = counts.get(key, [])
        found.append(_name(subscription, name or carried[0].name, values, carried))
    return found


def _name(subscription: str, name: str, values: list[str], used: list[Count]) -> dict[str, object]:
    counts = {value: 0 for value in values} | {one.value: one.carriers for one in used}
    return {
        "id": f"/subscriptions/{subscription}/tagNames/{name}",
        "tagName": name,
        "count": {"type": "Total", "value": sum(counts.values())},
        "values": [_value(subscription, name, value, counts[value]) for value in sorted(counts)],
    }


def _value(subscription: str, name: str, value: str, count: int) -> dict[str, object]:
    return {
        "id": f"/subscriptions/{subscription}/tagNames/{name}/tagValues/{value}",
        "tagValue": value,
        "count": {"type": "Total", "value": count},
    }
