"""``Microsoft.Insights/eventtypes/management/values``: the activity log, and its categories.

Implements activityLogs_API, tenantActivityLogs_API and eventCategories_API of 2015-04-01. What is
noted, and when: ``arm/activity.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from landbridge_server.arm import paging, refusals
from landbridge_server.arm.access import Access, decided
from landbridge_server.arm.call import Answer, Call, answer, encode
from landbridge_server.arm.dispatch import Routes
from landbridge_server.arm.event_documents import CATEGORIES
from landbridge_server.providers.insights import event_filter
from landbridge_server.providers.insights.event_filter import EventFilter
from landbridge_server.store import events
from landbridge_server.store.database import Database
from landbridge_server.store.events import Event, Wanted

NAMESPACE = "Microsoft.Insights"
TYPES = ("eventtypes", "eventcategories")
VERSIONS = ("2015-04-01",)
READ = f"{NAMESPACE}/eventtypes/values/read"
PAGE = 200
_WHERE = "providers/microsoft.insights/eventtypes/management/values"


class ActivityLog:
    """The handlers; ``base`` is the address under which clients see the resource manager."""

    def __init__(self, db: Database, access: Access, base: str) -> None:
        """Take the store and the gate."""
        self.db = db
        self.access = access
        self.base = base

    def routes(self) -> Routes:
        """Return the rows of the table of routes."""
        return {
            f"subscriptions/{{subscription}}/{_WHERE}": {"GET": self.everything},
            _WHERE: {"GET": self.everything},
            "providers/microsoft.insights/eventcategories": {"GET": self.categories},
        }

    async def categories(self, call: Call) -> Answer:
        """List the categories of events that there are; the same for everybody."""
        decided()
        return answer({"value": [{"value": name, "localizedValue": name} for name in CATEGORIES]})

    async def everything(self, call: Call) -> Answer:
        """List events of a subscription, or those of the tenant that belong to none."""
        subscription = call.names.get("subscription", "").lower()
        scope = f"/subscriptions/{subscription}" if subscription else "/"
        if not subscription or not self.access.allows(call.caller, READ, scope):
            self.access.require(call.caller, READ, self._narrower(call, scope))
        text = call.query.get("$filter", "")
        asked = event_filter.parse(text) if text or subscription else event_filter.EVERYTHING
        wanted = Wanted(
            subscription_id=subscription,
            tenant_id=call.caller.tenant_id,
            start=asked.start,
            end=asked.end,
            group_key=asked.group,
            resource_key=asked.resource.rstrip("/"),
            provider_key=asked.provider,
            correlation_id=asked.correlation,
            before=_before(call.query),
            limit=PAGE + 1,
        )
        rows = self.db.read(lambda connection: events.find(connection, wanted))
        link = _link(call, self.base, rows[PAGE - 1]) if len(rows) > PAGE else ""
        chosen = _chosen(call.query.get("$select", ""))
        shown = [msgspec.json.decode(row.document) for row in rows[:PAGE]]
        return paging.page([encode(_select(one, chosen)) for one in shown if _matches(one, asked)], link)

    def _narrower(self, call: Call, scope: str) -> str:
        """Return the group or the resource that the filter names, where a role there suffices."""
        if scope == "/":
            return scope
        asked = event_filter.parse(call.query.get("$filter", ""))
        if asked.resource.startswith(scope + "/"):
            return asked.resource
        return f"{scope}/resourcegroups/{asked.group}" if asked.group else scope


def _matches(document: Mapping[str, Any], asked: EventFilter) -> bool:
    """Say whether an event has the caller and the status that have no columns of their own."""
    if asked.caller and document["caller"].lower() != asked.caller:
        return False
    return not asked.status or document["status"]["value"].lower() == asked.status


def _chosen(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())


def _select(document: dict[str, Any], chosen: frozenset[str]) -> dict[str, Any]:
    if not chosen:
        return document
    return {name: value for name, value in document.items() if name.lower() in chosen}


def _link(call: Call, base: str, last: Event) -> str:
    return paging.next_link(call, base, f"{last.at!r} {last.event_id}")


def _before(query: Mapping[str, str]) -> tuple[float, str] | None:
    token = paging.after(query)
    if not token:
        return None
    at, _, event_id = token.partition(" ")
    try:
        return float(at), event_id
    except ValueError as error:
        raise refusals.wrong_parameter("$skiptoken", "Follow the nextLink of the page before.") from error
