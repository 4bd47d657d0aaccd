"""From what was remembered of a request to an event of the activity log, in the shape of 2015-04-01."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from landbridge_server.arm.documents import iso
from landbridge_server.identity.caller import Caller
from landbridge_server.store.events import Event

ADMINISTRATIVE, DIRECTORY, SIGN_IN = "Administrative", "Directory", "SignIn"
CATEGORIES = (ADMINISTRATIVE, DIRECTORY, SIGN_IN)
"""What the log holds: changes and refusals, changes of the directory, sign-ins."""

_WORDS = {"subscriptions": "subscriptions", "resourcegroups": "resourceGroups", "tagnames": "tagNames"}
_VERBS = {"PUT": "write", "PATCH": "write", "DELETE": "delete", "GET": "read", "HEAD": "read"}
_CLAIMS = "http://schemas.microsoft.com/identity/claims/"
_EPOCH_TICKS = 621_355_968_000_000_000  # 0001-01-01 to 1970-01-01, in units of 100 ns


class Who(NamedTuple):
    """Somebody as an event names them; members are empty where they are not known."""

    label: str = ""
    object_id: str = ""
    tenant_id: str = ""
    app_id: str = ""


NOBODY = Who()


class Happened(NamedTuple):
    """What is remembered of one thing that was asked. ``error`` is empty when it was done.

    ``path`` is the resource that it is about. ``action`` follows from method and path where it
    is empty. ``more`` is shown among the properties. ``times`` is how often it happened.
    """

    at: float
    method: str
    path: str
    caller: Caller | Who
    request_id: str
    correlation_id: str
    client_request_id: str
    status: int
    error: tuple[str, str] | None
    address: str = ""
    action: str = ""
    category: str = ADMINISTRATIVE
    more: Mapping[str, str] = {}
    times: int = 1


class About(NamedTuple):
    """What a path and a method are about."""

    action: str
    resource_id: str
    subscription: str
    group: str
    namespace: str
    type: str


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


def _subject(happened: Happened) -> About:
    """Return what an event is about; an action that was named says more than the path."""
    if not happened.action:
        return about(happened.method, happened.path)
    placed = about("GET", happened.path)
    namespace, _, words = happened.action.partition("/")
    kind = words.removesuffix("/action").rpartition("/")[0]
    return placed._replace(action=happened.action, namespace=namespace, type=f"{namespace}/{kind}".strip("/"))


def event(happened: Happened) -> Event:
    """Return the event of what happened."""
    subject = _subject(happened)
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


def _properties(happened: Happened, status_code: str) -> dict[str, str]:
    properties = {"statusCode": status_code, "serviceRequestId": happened.request_id, **happened.more}
    if happened.error is not None:
        code, message = happened.error
        text = msgspec.json.encode({"error": {"code": code, "message": message}}).decode()
        properties["statusMessage"] = text
    if happened.times > 1:
        properties["count"] = str(happened.times)
    return properties


def _document(event_id: str, happened: Happened, subject: About) -> dict[str, Any]:
    caller, phrase = happened.caller, HTTPStatus(happened.status).phrase
    status_code = phrase.replace(" ", "")
    ticks = int(happened.at * 10_000_000) + _EPOCH_TICKS
    request = {
        "clientRequestId": happened.client_request_id,
        "clientIpAddress": happened.address,
        "method": happened.method,
    }
    document = {
        "authorization": {"action": subject.action, "scope": subject.resource_id},
        "caller": caller.label,
        "claims": {
            f"{_CLAIMS}objectidentifier": caller.object_id,
            f"{_CLAIMS}tenantid": caller.tenant_id,
            "appid": caller.app_id,
        },
        "category": _said(happened.category),
        "correlationId": happened.correlation_id,
        "description": "",
        "eventDataId": event_id,
        "eventName": _said("EndRequest", "End request"),
        "eventTimestamp": iso(happened.at),
        "httpRequest": request,
        "id": f"{subject.resource_id.rstrip('/')}/events/{event_id}/ticks/{ticks}",
        "level": "Error" if _status(happened) == "Failed" else "Informational",
        "operationId": happened.correlation_id,
        "operationName": _said(subject.action),
        "properties": _properties(happened, status_code),
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
