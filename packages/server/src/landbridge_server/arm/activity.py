"""The activity log's beginning: each write that was accepted or refused, noted as it is answered.

Noting costs the request next to nothing: what happened is remembered in memory, and written in
batches (``reconcile.flush_activity``). A crash loses the events of the last second, never what
they were about. Requests that never reached a known type of a subscription of the caller's
tenant are not noted: nobody can write into somebody else's log, or fill it with nonsense.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from landbridge_server.arm.call import Call
from landbridge_server.arm.documents import iso
from landbridge_server.identity.caller import Caller
from landbridge_server.store.events import Event
from landbridge_wire.errors import ArmError

MOST = 20_000
"""Events that are remembered while the store cannot take them; then the oldest are lost."""

TICK = 1e-6
"""Seconds between two events at least: what their times can tell apart."""

UNNOTED = frozenset(
    {
        "InvalidApiVersionParameter",
        "InvalidAuthenticationTokenTenant",
        "InvalidResourceNamespace",
        "InvalidResourceType",
        "InvalidSubscriptionId",
        "MethodNotAllowed",
        "MissingApiVersionParameter",
        "NotFound",
        "SubscriptionNotFound",
    }
)
"""Refusals of what is no request about anything here."""

READING = frozenset({"GET", "HEAD"})
_WORDS = {"subscriptions": "subscriptions", "resourcegroups": "resourceGroups", "tagnames": "tagNames"}
_VERBS = {"PUT": "write", "PATCH": "write", "DELETE": "delete"}
_CLAIMS = "http://schemas.microsoft.com/identity/claims/"
_EPOCH_TICKS = 621_355_968_000_000_000  # 0001-01-01 to 1970-01-01, in units of 100 ns


class Happened(NamedTuple):
    """What is remembered of one write. ``error`` is empty when it was accepted."""

    at: float
    method: str
    path: str
    caller: Caller
    request_id: str
    correlation_id: str
    client_request_id: str
    status: int
    error: tuple[str, str] | None


class About(NamedTuple):
    """What a path and a method are about."""

    action: str
    resource_id: str
    subscription: str
    group: str
    namespace: str
    type: str


class Activity:
    """What happened and is not written yet."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with nothing."""
        self.clock = clock
        self._waiting: deque[Happened] = deque(maxlen=MOST)
        self._last = 0.0

    def note(self, call: Call, status: int, error: ArmError | None = None) -> None:
        """Remember how a request was answered, if it was a write of something."""
        if call.method in READING or (error is not None and (error.code in UNNOTED or status == 429)):
            return
        # Each a little later than the one before: lists are in the order in which it happened.
        self._last = max(self.clock(), self._last + TICK)
        self._waiting.append(
            Happened(
                self._last,
                call.method,
                call.path,
                call.caller,
                call.request_id,
                _id_of(call.headers.get("x-ms-correlation-request-id", ""), call.request_id),
                _id_of(call.headers.get("x-ms-client-request-id", ""), ""),
                status,
                (error.code, error.message) if error is not None else None,
            )
        )

    def take(self, most: int) -> list[Event]:
        """Return up to ``most`` events, the oldest first, and forget them."""
        count = min(most, len(self._waiting))
        return [event(self._waiting.popleft()) for _ in range(count)]


def _id_of(unverified: str, default: str) -> str:
    return unverified if 0 < len(unverified) <= 128 and unverified.isprintable() else default


def about(method: str, path: str) -> About:
    """Return what a request is about, from its form alone; words keep the caller's casing."""
    parts = [part for part in path.split("/") if part]
    lower = [part.lower() for part in parts]
    subscription = lower[1] if lower[:1] == ["subscriptions"] and len(parts) > 1 else ""
    group = parts[3] if subscription and lower[2:3] == ["resourcegroups"] and len(parts) > 3 else ""
    last = max((i for i, word in enumerate(lower) if word == "providers"), default=-1)
    if last >= 0 and last + 1 < len(parts):
        namespace, words = parts[last + 1], parts[last + 2 :]
    else:
        words = [_WORDS.get(word, part) for word, part in zip(lower, parts, strict=True)]
        namespace = "Microsoft.Resources"
    types = words[0::2]
    if method == "POST":
        action = types.pop() if len(words) % 2 else ""
        resource = parts[:-1] if action else parts
        verb = f"{action}/action" if action else "action"
    else:
        verb, resource = _VERBS.get(method, method.lower()), parts
    full_type = "/".join([namespace, *types])
    return About(f"{full_type}/{verb}", "/" + "/".join(resource), subscription, group, namespace, full_type)


def event(happened: Happened) -> Event:
    """Return the event of a write, in the shape of 2015-04-01."""
    subject = about(happened.method, happened.path)
    event_id = str(uuid.uuid4())
    return Event(
        event_id=event_id,
        at=happened.at,
        subscription_id=subject.subscription,
        tenant_id=happened.caller.tenant_id,
        group_key=subject.group.lower(),
        resource_key=subject.resource_id.lower(),
        provider_key=subject.namespace.lower(),
        correlation_id=happened.correlation_id.lower(),
        document=msgspec.json.encode(_document(event_id, happened, subject)).decode(),
    )


def _said(value: str, localized: str = "") -> dict[str, str]:
    return {"value": value, "localizedValue": localized or value}


def _status(happened: Happened) -> str:
    if happened.error is not None or happened.status >= 400:
        return "Failed"
    return "Accepted" if happened.status == 202 else "Succeeded"


def _document(event_id: str, happened: Happened, subject: About) -> dict[str, Any]:
    caller, phrase = happened.caller, HTTPStatus(happened.status).phrase
    status_code = phrase.replace(" ", "")
    properties = {"statusCode": status_code, "serviceRequestId": happened.request_id}
    if happened.error is not None:
        code, message = happened.error
        text = msgspec.json.encode({"error": {"code": code, "message": message}}).decode()
        properties["statusMessage"] = text
    ticks = int(happened.at * 10_000_000) + _EPOCH_TICKS
    document = {
        "authorization": {"action": subject.action, "scope": subject.resource_id},
        "caller": caller.label,
        "claims": {
            f"{_CLAIMS}objectidentifier": caller.object_id,
            f"{_CLAIMS}tenantid": caller.tenant_id,
            "appid": caller.app_id,
        },
        "category": _said("Administrative"),
        "correlationId": happened.correlation_id,
        "description": "",
        "eventDataId": event_id,
        "eventName": _said("EndRequest", "End request"),
        "eventTimestamp": iso(happened.at),
        "httpRequest": {"clientRequestId": happened.client_request_id, "method": happened.method},
        "id": f"{subject.resource_id}/events/{event_id}/ticks/{ticks}",
        "level": "Error" if _status(happened) == "Failed" else "Informational",
        "operationId": happened.correlation_id,
        "operationName": _said(subject.action),
        "properties": properties,
        "resourceGroupName": subject.group,
        "resourceId": subject.resource_id,
        "resourceProviderName": _said(subject.namespace),
        "resourceType": _said(subject.type),
        "status": _said(_status(happened)),
        "subStatus": _said(status_code, f"{phrase} (HTTP Status Code: {happened.status})"),
        "submissionTimestamp": iso(happened.at),
        "tenantId": caller.tenant_id,
    }
    return document | ({"subscriptionId": subject.subscription} if subject.subscription else {})
