"""``POST machines/{name}/rename`` with ``{"newName": ...}``: another name, the same machine.

The original has no such thing: there a rename is a removal and a new connection. Here everything that
a move keeps stays, too: vmId, identity, certificates, roles, locks, tags, and what is below the machine.
Its agent takes the new id over with its next session. Whoever asks for the old name is told the new one,
until something else is called so (``arm.renamed``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from landbridge_server.arm import locks, moving, names, refusals
from landbridge_server.arm.access import Access
from landbridge_server.arm.call import Answer, Call
from landbridge_server.arm.engine import Engine, check_group, check_locks
from landbridge_server.arm.resource_type import Action, Reference, ResourceType
from landbridge_server.identity.caller import Caller
from landbridge_server.store import former_names, moves, resources
from landbridge_server.store import locks as stored_locks
from landbridge_server.store.database import Connection
from landbridge_server.store.moves import MovedMachine, Place
from landbridge_wire.errors import ArmError

RENAME = "rename"
WRITE = "Microsoft.HybridCompute/machines/write"

Moved = Callable[[MovedMachine], None]


class Renaming:
    """The handler."""

    def __init__(self, engine: Callable[[], Engine], access: Access, on_moved: Sequence[Moved] = ()) -> None:
        """Take who keeps the machines, who decides, and who wants to hear of new ids."""
        self.engine = engine
        self.access = access
        self.on_moved = on_moved

    def by_name(self) -> Mapping[str, Action]:
        """Return the action by its name."""
        return {RENAME: self.rename}

    async def rename(self, call: Call, reference: Reference) -> Answer:
        """Rename a machine: 200 and the machine under its new id.

        Raises:
            ArmError: the caller may not write both names, the new one is none or is taken, a lock
                forbids it, or something is under way in the machine.
        """
        wanted = _wanted(await call.json(), reference)
        new_id = reference.id.text.rpartition("/")[0] + "/" + wanted
        self._admit(call.caller, reference.id.text, new_id)
        engine = self.engine()
        now = engine.clock()

        def work(connection: Connection) -> tuple[list[MovedMachine], str]:
            stored = engine.existing(connection, reference, "write")
            check_group(connection, reference, to_write=True)
            after = stored.resource_id.rpartition("/")[0] + "/" + wanted
            if after == stored.resource_id:
                return [], stored.key  # it is called so
            if after.lower() != stored.key and resources.exists(connection, after.lower()):
                raise ArmError("Conflict", f"The name is taken: '{after}' exists already.")
            _check_locks(connection, reference)
            group = resources.get(connection, stored.parent_key)
            if group is None:
                raise refusals.group_missing(reference.id.group)
            moved = moving.carry(connection, engine.registry, [Place(stored.key, after)], group, now)
            former_names.taken(connection, after.lower())
            for one in moved:
                moves.rename_identity(connection, one.principal_id, wanted)
                if one.old_key != one.new_key:
                    former_names.note(connection, one.old_key, one.principal_id)
            return moved, after.lower()

        moved, key = await engine.db.write(work, aside=True)
        for machine in moved:
            for tell in self.on_moved:
                tell(machine)
        content = engine.shown(key)
        if content is None:  # somebody has removed it at once
            raise refusals.resource_missing(reference.id)
        return Answer(200, content)

    def _admit(self, caller: Caller, old: str, new: str) -> None:
        """A new name is a new resource at the scope above: who may not create it may not rename to it."""
        self.access.require(caller, WRITE, old)
        if not self.access.allows(caller, WRITE, new):
            raise ArmError(
                "LinkedAuthorizationFailed",
                f"The client '{caller.label}' with object id '{caller.object_id}' may rename '{old}', but "
                f"does not have permission to perform action '{WRITE}' on the linked scope '{new}'.",
            )


def _wanted(body: Mapping[str, object], reference: Reference) -> str:
    given = body.get("newName")
    if set(body) - {"newName"}:
        raise refusals.invalid("A rename takes 'newName' and nothing else.", "newName")
    if not isinstance(given, str) or not given:
        raise refusals.invalid("'newName' must be the machine's new name.", "newName")
    kind = reference.type
    if isinstance(kind, ResourceType):
        names.check_resource(given, kind.name_pattern, kind.name_rule)
    return given


def _check_locks(connection: Connection, reference: Reference) -> None:
    """Refuse when a ReadOnly lock holds for the machine, or for something in it."""
    check_locks(connection, reference, "write")
    below = stored_locks.below(connection, reference.key)
    if held := locks.read_only(list(below)):
        raise locks.refuse("write", reference.id.text, held)
