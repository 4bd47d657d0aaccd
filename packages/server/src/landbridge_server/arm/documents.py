"""The envelope of a resource: what every type has, in one order, as it is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from landbridge_server.arm import etags, names, refusals, tags
from landbridge_server.arm.resource_type import Document, Kind, ResourceType, Write
from landbridge_server.identity.caller import Caller
from landbridge_server.store.resources import Stored
from landbridge_wire.arm_id import ArmId

_CREATED_BY = {"User": "User", "ServicePrincipal": "Application", "ManagedIdentity": "ManagedIdentity"}


def iso(now: float) -> str:
    """Return unix seconds as ARM writes times: UTC, microseconds, ``Z``."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def system_data(caller: Caller, now: float, old: Document | None) -> dict[str, str]:
    """Return who created and who last changed a resource."""
    who, kind, when = caller.label, _CREATED_BY.get(caller.kind, "User"), iso(now)
    created = (old or {}).get("systemData") or {}
    return {
        "createdBy": created.get("createdBy", who),
        "createdByType": created.get("createdByType", kind),
        "createdAt": created.get("createdAt", when),
        "lastModifiedBy": who,
        "lastModifiedByType": kind,
        "lastModifiedAt": when,
    }


def decode(stored: Stored) -> Document:
    """Return the stored envelope."""
    document: Document = msgspec.json.decode(stored.document)
    return document


def compose(kind: ResourceType, write: Write, locations: tuple[str, ...]) -> Document:
    """Return the envelope that a PUT asks for, without systemData.

    Raises:
        ArmError: the body cannot be accepted.
    """
    document: Document = {"id": write.id.text, "name": write.id.name, "type": kind.full_type}
    for member in kind.members:
        value = write.body.get(member)
        if value is not None:
            if not isinstance(value, str):
                raise refusals.invalid(f"'{member}' must be a string.", member)
            document[member] = value
    if kind.in_locations:
        document["location"] = _location(kind, write, locations)
        document["tags"] = tags.checked(write.body.get("tags"))
    document.update(kind.envelope(write))
    document["properties"] = kind.put(write)
    return document


def _location(kind: ResourceType, write: Write, locations: tuple[str, ...]) -> str:
    if write.old is None:
        return names.location(write.body.get("location"), locations, kind.full_type)
    here: str = write.old["location"]
    wanted = write.body.get("location")
    if wanted is None:
        return here
    if not isinstance(wanted, str):
        raise refusals.invalid("'location' must be a string.", "location")
    if names.location_key(wanted) != names.location_key(here):
        names.location(wanted, locations, kind.full_type)
        if kind.kind is Kind.GROUP:
            raise refusals.group_elsewhere(here, wanted)
        raise refusals.resource_elsewhere(write.id.name, write.id.group, here, wanted)
    return here


def same(old: Document, new: Document) -> bool:
    """Say whether two envelopes differ in nothing that a user can see."""
    return {k: v for k, v in old.items() if k != "systemData"} == {
        k: v for k, v in new.items() if k != "systemData"
    }


def row(
    own: ArmId,
    parent_key: str,
    type_key: str,
    document: Document,
    now: float,
    old: Stored | None = None,
    *,
    tracked: bool = False,
    shown: bytes | None = None,
) -> Stored:
    """Return the row of an envelope, with a fresh ETag; ``shown``: its shown form, if it has one."""
    etag = etags.new()
    return Stored(
        key=own.key,
        resource_id=own.text,
        subscription_id=own.subscription.lower(),
        group_key=own.group.lower(),
        type_key=type_key,
        name_key=own.name.lower(),
        parent_key=parent_key,
        tracked=tracked,
        location=names.location_key(document.get("location", "")),
        document=msgspec.json.encode(document).decode(),
        etag=etag,
        created_at=old.created_at if old else now,
        changed_at=now,
        shown=shown,
        shown_etag=etag if shown is not None else None,
    )


def tags_of(document: Document) -> dict[str, Any]:
    """Return the tags of an envelope."""
    return dict(document.get("tags") or {})
