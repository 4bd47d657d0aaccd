"""What a provider declares about a resource type, and what it may add to its life.

A type is an instance of a subclass of ``ResourceType``. The engine does everything that
types have in common: ids, locations, tags, ETags, systemData, registration, lists, cascades.
A type says what its properties are (``put``), what only it knows when somebody reads
(``render``), and what else happens in the transaction (``on_create``, ``on_update``,
``on_delete``). ``docs`` on adding one: CONTRIBUTING.md.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar

from landbridge_server.arm import shape, shown
from landbridge_server.arm.call import Answer, Call
from landbridge_server.arm.merge_patch import merge
from landbridge_server.identity.caller import Caller
from landbridge_server.store.database import Connection
from landbridge_server.store.operations import Operation
from landbridge_server.store.resources import Stored
from landbridge_wire.arm_id import ArmId
from landbridge_wire.errors import ArmError

Document = dict[str, Any]
Action = Callable[[Call, "Reference"], Awaitable[Answer]]


class Kind(Enum):
    """Where the resources of a type live."""

    TRACKED = "tracked"
    """In a resource group, with location and tags; in the lists of resources."""
    CHILD = "child"
    """Below a resource of the parent type; without location and tags."""
    TRACKED_CHILD = "trackedChild"
    """Below a resource of the parent type, with location and tags; in the lists of resources."""
    EXTENSION = "extension"
    """Below any resource, behind a second ``/providers/``; without location and tags."""
    GROUP = "group"
    """Right below a subscription, with location and tags: resource groups."""


@dataclass(frozen=True)
class Reference:
    """What a request is about: a type, and the id of a resource or of a collection of it.

    ``id`` carries the canonical casing of namespace and type, and the caller's of all names.
    ``parent`` is the id of the resource, the group or the subscription that it lies below.
    """

    type: TypeInfo
    id: ArmId
    parent: str

    @property
    def key(self) -> str:
        """The id in lower case."""
        return self.id.key

    @property
    def parent_key(self) -> str:
        """The id of the parent in lower case."""
        return self.parent.lower()


@dataclass(frozen=True)
class Write:
    """What a type may look at while it makes up its mind about a PUT or a PATCH."""

    id: ArmId
    body: Mapping[str, Any]
    old: Document | None
    caller: Caller
    now: float
    partial: bool = False
    """A PATCH: what the body does not name stays as it is."""

    @property
    def properties(self) -> Any:
        """The ``properties`` of the body, unverified; ``{}`` when there are none."""
        given = self.body.get("properties")
        return {} if given is None else given

    @property
    def old_properties(self) -> dict[str, Any]:
        """The properties so far; ``{}`` when the resource is new."""
        return dict(self.old.get("properties", {})) if self.old else {}


@dataclass
class Effects:
    """What is to be done once the transaction is committed, in order, on the event loop."""

    after: list[Callable[[], None]] = field(default_factory=list)

    def run(self) -> None:
        """Do it."""
        for effect in self.after:
            effect()


class TypeInfo:
    """A type as ``providers show`` prints it. ``api_versions``: newest stable first."""

    namespace: str
    type: str
    api_versions: tuple[str, ...]
    verbs: frozenset[str] = frozenset()
    in_locations = False

    @property
    def full_type(self) -> str:
        """Namespace and type."""
        return f"{self.namespace}/{self.type}"

    @property
    def key(self) -> str:
        """The full type in lower case."""
        return self.full_type.lower()

    @property
    def action_type(self) -> str:
        """The type as actions spell it."""
        return self.full_type

    def action(self, verb: str) -> str:
        """Return the action that a verb needs: ``read``, ``write``, ``delete``, or ``{name}/action``."""
        return f"{self.action_type}/{verb}"


class ResourceType(TypeInfo):
    """A type whose resources the engine keeps."""

    kind = Kind.TRACKED
    verbs = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})
    created = 201
    updated = 200
    name_pattern: re.Pattern[str] | None = None
    name_rule = ""
    members: tuple[str, ...] = ()
    """Further members of the envelope that are texts, such as ``kind``."""
    accepted = 0
    """The status of a write that has an operation, when it is not that of one that has ended: 202 without
    a body. 0: created or updated, with the resource."""
    observed: Mapping[str, Any] = MappingProxyType({})
    """The shape of what a machine reports about a resource; kept among its properties."""
    runs = False
    """Whether each write is a run of its own, with its own output (``store.outputs``): what a machine
    says about an earlier one is not shown any more."""
    concerns_machine = False
    """Whether a change is news to the machine that the resource belongs to."""
    listed_across = False
    """Of an extension: whether it has lists for a whole group and a subscription, too."""
    unlocked_by: ClassVar[Mapping[str, str]] = {}
    """Actions that a ReadOnly lock does not forbid where a feature (namespace/name) is registered."""
    movable = True
    """Whether a tracked resource of the type can go to another group."""
    keeps_shown = False
    """Whether readers see more than the document: ``shown`` and ``computed`` are there then."""
    removal_accepted_after = ""
    """Newer api-versions than this one declare 202 and 204 for a DELETE; empty: all declare 200 and 204."""
    removal_matters = False
    """Whether ``on_delete`` must run for each resource, also when what it lies below goes."""

    @property
    def in_locations(self) -> bool:  # type: ignore[override]
        """Whether its resources have a location."""
        return self.kind in (Kind.TRACKED, Kind.TRACKED_CHILD, Kind.GROUP)

    @property
    def actions(self) -> Mapping[str, Action]:
        """The POST actions on one resource, by name; requests may spell it in any casing."""
        return {}

    @property
    def not_offered(self) -> Mapping[str, str]:
        """The POST actions that the documents have and this cloud does not, and why not, for people."""
        return {}

    def accepts_parent(self, parent_type: str) -> None:
        """Return if an extension may hang on a resource of this lower-case type.

        Raises:
            ArmError: it may not.
        """

    def put(self, write: Write) -> dict[str, Any]:
        """Return the properties to keep. Pure.

        Raises:
            ArmError: the body cannot be accepted.
        """
        raise NotImplementedError

    def envelope(self, write: Write) -> Document:
        """Return further members of the envelope that follow from the body. Pure."""
        return {}

    def patch(self, write: Write) -> dict[str, Any]:
        """Return the body of the PUT that a PATCH amounts to. Pure; ``write.old`` is there."""
        old = write.old or {}
        body = {name: value for name, value in write.body.items() if name not in ("properties", "tags")}
        whole: dict[str, Any] = merge({k: v for k, v in old.items() if k not in ("tags", "properties")}, body)
        whole["properties"] = merge(write.old_properties, write.properties)
        whole["tags"] = write.body["tags"] if "tags" in write.body else old.get("tags", {})
        return whole

    def on_create(self, connection: Connection, write: Write, document: Document) -> Operation | None:
        """Take part in the transaction of a creation; may complete the document.

        Return the operation that goes on after the answer; None: the write ends with it.
        """
        return None

    def on_update(self, connection: Connection, write: Write, document: Document) -> Operation | None:
        """Take part in the transaction of a change; may complete the document, or refuse.

        Return the operation that goes on after the answer; None: the write ends with it.
        """
        return None

    def on_remove(
        self, connection: Connection, stored: Stored, caller: Caller, now: float
    ) -> Operation | None:
        """Take part in the transaction of a DELETE, before anything is removed.

        Return the operation that removes it: one that runs removes it later, one that has
        ended promises that it can go now. None: it goes now, without an operation.
        """
        return None

    def expand(self, connection: Connection, rendered: bytes, stored: Stored, words: frozenset[str]) -> bytes:
        """Return a resource with what the lower-case words of ``$expand`` ask for."""
        return rendered

    def observe(self, unverified: Mapping[str, Any], error: ArmError | None) -> dict[str, Any]:
        """Return what is kept of a machine's report: ``observed`` members only. Pure.

        ``error`` is what ended its work, if it failed.

        Raises:
            ArmError: a member is of the wrong kind.
        """
        kept: dict[str, Any] = shape.keep(dict(self.observed), dict(unverified), "properties")
        return kept

    def on_acted(
        self, connection: Connection, stored: Stored, kind: str, unverified: Mapping[str, Any], now: float
    ) -> None:
        """Take over what a machine reports about the action ``kind`` that was asked of a resource."""

    def goes_on(self, properties: Mapping[str, Any]) -> bool:
        """Say whether all that was asked is done, although the machine goes on with it. Pure."""
        return False

    def secrets_of(self, connection: Connection, key: str) -> Any:
        """Return the protected members of a resource, for its machine and nobody else.

        Raises:
            Unreadable: they were sealed with other keys.
        """
        return {}

    def on_delete(self, connection: Connection, stored: Stored, effects: Effects) -> None:
        """Take part in the transaction of a removal; only called when ``removal_matters``."""

    def shown(self, connection: Connection, key: str, document: Document) -> bytes:
        """Return the JSON of a resource without its end, to be kept until something of it changes."""
        raise NotImplementedError

    def computed(self, keys: Sequence[str]) -> list[bytes]:
        """Return the end of the JSON of each of these resources, with what is computed now."""
        raise NotImplementedError

    def render(self, connection: Connection, rows: Sequence[Stored]) -> list[bytes]:
        """Return the JSON of resources as clients see them now."""
        return [self.ready(row) or shown.one(self, connection, row) for row in rows]

    def ready(self, stored: Stored) -> bytes | None:
        """Return the same of one resource where it needs no look at the store, and None otherwise."""
        return shown.ready(self, stored) if self.keeps_shown else stored.document.encode()


class ServedType(TypeInfo):
    """A type whose requests its provider answers itself, such as role assignments.

    ``anywhere``: it may hang on the tenant, a subscription, a group or any resource. With POST
    among its verbs its collection is an action at a scope.
    """

    asks_itself = False
    """Whether ``handle`` asks the gate: no one action at the scope of the request decides."""

    async def handle(self, call: Call, reference: Reference) -> Answer:
        """Answer an authorized request; ``reference.id.collection`` is set for a list.

        Raises:
            ArmError: refused.
        """
        raise NotImplementedError
