"""``POST {scope}/providers/Microsoft.Authorization/landbridgeExplainAccess``: why, or why not.

Landbridge's own; Azure has nothing like it. The body names an ``action`` and may name a
``principal`` (object id, ``user@domain``, application id or display name) and
``isDataAction``. Everybody may ask about himself, at any scope: what is told then is what he
holds. About others may ask who may read role assignments at the scope; a name that there is
not is refused to nobody else.
"""

from __future__ import annotations

from landbridge_server.arm import explain, refusals
from landbridge_server.arm.access import Access, decided
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.grants import NAMESPACE
from landbridge_server.arm.resource_type import Reference, ServedType
from landbridge_server.store import guests, holders
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.holders import Holder
from landbridge_wire.errors import ArmError

READ_ASSIGNMENTS = f"{NAMESPACE}/roleAssignments/read"
READ_DEFINITIONS = f"{NAMESPACE}/roleDefinitions/read"
LONGEST = 512


class AccessExplained(ServedType):
    """The action, as a type whose collection is posted to."""

    namespace = NAMESPACE
    type = "landbridgeExplainAccess"
    api_versions = ("2022-04-01",)
    verbs = frozenset({"POST"})
    asks_itself = True

    def __init__(self, db: Database, access: Access) -> None:
        """Take the store and the gate."""
        self.db = db
        self.access = access

    async def handle(self, call: Call, reference: Reference) -> Answer:
        """Explain one decision.

        Raises:
            ArmError: AuthorizationFailed, PrincipalNotFound, InvalidRequestContent.
        """
        body = await call.json()
        action, name, data = body.get("action"), body.get("principal", ""), body.get("isDataAction", False)
        if not isinstance(action, str) or not 0 < len(action) <= LONGEST or not action.isprintable():
            raise refusals.invalid(f"'action' must be an action, of at most {LONGEST} characters.", "action")
        if not isinstance(name, str) or len(name) > LONGEST:
            raise refusals.invalid("'principal' must name a principal or a group.", "principal")
        if not isinstance(data, bool):
            raise refusals.invalid("'isDataAction' must be true or false.", "isDataAction")
        scope = reference.parent or "/"

        def work(connection: Connection) -> explain.Explanation:
            principal = self._principal(connection, call, name, scope)
            see_all = self.access.allows(call.caller, READ_DEFINITIONS, scope, connection)
            return explain.explain(
                connection, self.access, principal, action, scope, data=data, with_custom=see_all
            )

        return answer(explain.shown(self.db.read(work)))

    def _principal(self, connection: Connection, call: Call, name: str, scope: str) -> Holder:
        """Return whom the body names; the caller needs no right to ask about himself."""
        caller = call.caller
        # Of a guest that counts which it holds here, as it does when it asks with a token of this tenant.
        found = [
            one._replace(tenant_id=caller.tenant_id)
            for one in holders.called(connection, name or caller.object_id)
            if one.tenant_id == caller.tenant_id
            or guests.is_guest(connection, caller.tenant_id, one.object_id)
        ]
        if [one.object_id for one in found] == [caller.object_id]:
            decided()
            return found[0]
        self.access.require(caller, READ_ASSIGNMENTS, scope, connection)
        if len(found) > 1:
            ids = ", ".join(one.object_id for one in found[:5])
            text = f"'{name}' is the name of {len(found)} principals: name the object id of one ({ids})."
            raise refusals.invalid(text, "principal")
        if not found:
            raise ArmError(
                "PrincipalNotFound",
                f"Principal '{name}' does not exist in the directory {caller.tenant_id}. "
                "Name its object id, user@domain, application id or display name.",
            )
        return found[0]
