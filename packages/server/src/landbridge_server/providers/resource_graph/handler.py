"""``POST /providers/Microsoft.ResourceGraph/resources``: a query, answered a page at a time.

    {"subscriptions": ["..."], "query": "Resources | where type =~ '...' | limit 5",
     "options": {"$top": 100, "$skip": 0, "$skipToken": "...", "resultFormat": "objectArray"}}

Without ``subscriptions`` all of the caller's tenant are asked. Facets answer that they are not
supported; management groups do not exist here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from landbridge_server.arm import refusals
from landbridge_server.arm.access import Access, decided
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.dispatch import Routes
from landbridge_server.arm.names import is_guid
from landbridge_server.arm.registry import Registry
from landbridge_server.providers.resource_graph import run, sources
from landbridge_server.providers.resource_graph.parser import parse
from landbridge_server.providers.resource_graph.plan import Plan, planned
from landbridge_server.providers.resource_graph.run import Page, Result
from landbridge_server.providers.resource_graph.sources import Containers, Resources
from landbridge_server.store.database import Connection, Database
from landbridge_wire.errors import ArmError

NAMESPACE = "Microsoft.ResourceGraph"
API_VERSIONS = ("2022-10-01", "2021-03-01", "2019-04-01", "2018-09-01-preview")
MOST, SUBSCRIPTIONS = 1000, 1000
TOKEN = "$skipToken"  # noqa: S105


class ResourceGraph:
    """The handler."""

    def __init__(self, db: Database, registry: Registry, access: Access) -> None:
        """Take the store, the types and the gate."""
        self.db = db
        self.registry = registry
        self.access = access
        # One after the other: the threads beside the event loop have other work, too.
        self._alone = asyncio.Semaphore(1)

    def routes(self) -> Routes:
        """Return the rows of the table of routes."""
        return {"providers/microsoft.resourcegraph/resources": {"POST": self.resources}}

    async def resources(self, call: Call) -> Answer:
        """Answer a query with what the caller may read."""
        body = await call.json()
        wanted = _subscriptions(body)
        query = body.get("query")
        if not isinstance(query, str) or not query.strip():
            raise refusals.invalid("'query' must be a text.", "query")
        plan = planned(parse(query))
        options = {} if body.get("options") is None else body["options"]
        if not isinstance(options, dict):
            raise refusals.invalid("'options' must be an object.", "options")
        digest = _digest(call.caller.object_id, query, wanted)
        page = _page(options, digest)
        as_table = _as_table(options)
        seen = self.db.read(
            lambda connection: sources.seen_by(connection, self.access, self.registry, call.caller, wanted)
        )
        decided()
        source = Resources(seen, self.registry) if plan.table == "resources" else Containers(seen)

        def work(connection: Connection) -> Result:
            return run.execute(connection, plan, source, page)

        async with self._alone:
            result = await self.db.read_aside(work)
        return answer(_shown(plan, page, result, digest, as_table) | {"facets": _facets(body)})


def _subscriptions(body: dict[str, Any]) -> list[str] | None:
    if body.get("managementGroups"):
        raise ArmError("BadRequest", "There are no management groups here: name 'subscriptions', or nothing.")
    given = body.get("subscriptions")
    if given is None:
        return None
    if not isinstance(given, list) or len(given) > SUBSCRIPTIONS:
        raise refusals.invalid(
            f"'subscriptions' must be an array of at most {SUBSCRIPTIONS} ids.", "subscriptions"
        )
    for one in given:
        if not isinstance(one, str) or not is_guid(one):
            raise refusals.subscription_malformed(str(one))
    return sorted({one.lower() for one in given}) or None


def _whole(options: dict[str, Any], name: str, least: int, most: int) -> int | None:
    value = options.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise refusals.wrong_parameter(name, f"It must be a whole number from {least} to {most}.")
    return value


def _digest(who: str, query: str, wanted: Sequence[str] | None) -> str:
    """Return what ties a token to its query, scopes and caller."""
    return hashlib.sha256(msgspec.json.encode([who, query, wanted])).hexdigest()[:24]


def _page(options: dict[str, Any], digest: str) -> Page:
    """Return the page that is asked for; ``$top`` and ``$skip`` win over the token.

    Raises:
        ArmError: a number is out of bounds, or the token is not one of this query.
    """
    size, given = _whole(options, "$top", 1, MOST), _whole(options, "$skip", 0, 2**31 - 1)
    token = options.get(TOKEN)
    if not token:
        return Page(size or MOST, given or 0)
    try:
        found = msgspec.json.decode(base64.b64decode(token, b"-_", validate=True), type=_Token)
    except (binascii.Error, ValueError, TypeError, msgspec.MsgspecError) as error:
        raise refusals.wrong_parameter(TOKEN, "Pass the token of the page before.") from error
    if found.query != digest or found.size < 1 or found.given < 0 or found.total < 0:
        raise refusals.wrong_parameter(TOKEN, "It belongs to another query, other scopes or another caller.")
    if given is not None:
        return Page(size or min(found.size, MOST), given)
    return Page(size or min(found.size, MOST), found.given, found.after, found.total)


class _Token(msgspec.Struct):
    query: str
    size: int
    given: int
    after: str
    total: int


def _as_table(options: dict[str, Any]) -> bool:
    wanted = options.get("resultFormat", "objectArray")
    if wanted not in ("objectArray", "table"):
        raise refusals.wrong_parameter("resultFormat", "It must be objectArray or table.")
    return str(wanted) == "table"


def _shown(plan: Plan, page: Page, result: Result, digest: str, as_table: bool) -> dict[str, object]:
    data: object = result.rows
    if as_table:
        columns = run.columns_of(plan)
        data = {
            "columns": [{"name": name, "type": kind} for name, kind in columns],
            "rows": [[row.get(name) for name, _ in columns] for row in result.rows],
        }
    shown: dict[str, object] = {
        "totalRecords": result.total,
        "count": len(result.rows),
        "data": data,
        "resultTruncated": "false",
    }
    given = page.given + len(result.rows)
    if result.rows and given < result.total:
        token = _Token(digest, page.size, given, result.last, result.total)
        shown[TOKEN] = base64.urlsafe_b64encode(msgspec.json.encode(token)).decode()
    return shown


def _facets(body: dict[str, Any]) -> list[dict[str, object]]:
    """Answer each facet that it is not supported, in the shape that the document has for that."""
    asked = body.get("facets") or []
    if not isinstance(asked, list):
        raise refusals.invalid("'facets' must be an array.", "facets")
    return [
        {
            "expression": one.get("expression", "") if isinstance(one, dict) else "",
            "resultType": "FacetError",
            "errors": [
                {"code": "NotSupported", "message": "Facets are not supported: use summarize count()."}
            ],
        }
        for one in asked
    ]
