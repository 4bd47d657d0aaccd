"""The naming rules that hold for every resource and every group, and locations."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence

from landbridge_server.arm import refusals
from landbridge_wire.errors import ArmError

GROUP_LIMIT = 90
NAME_LIMIT = 260
_FORBIDDEN = frozenset("<>%&:\\?/")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def is_guid(text: str) -> bool:
    """Say whether this is a GUID with dashes."""
    return _GUID.fullmatch(text) is not None


def new_guid() -> str:
    """Return a new random GUID."""
    return str(uuid.uuid4())


def check_group(name: str) -> None:
    """Return if a group may have this name.

    Raises:
        ArmError: InvalidResourceGroup.
    """
    if len(name) > GROUP_LIMIT:
        text = f"The provided resource group name '{name[:100]}...' is longer than {GROUP_LIMIT} characters."
        raise ArmError("InvalidResourceGroup", text)
    wrong = sorted({one for one in name if not (one.isalnum() or one in "-_().")})
    if wrong:
        raise ArmError(
            "InvalidResourceGroup",
            f"The provided resource group name '{name}' has these invalid characters: '{''.join(wrong)}'. "
            "The name can only be a letter, digit, '-', '.', '(', ')' or '_'.",
        )
    if name.endswith("."):
        raise ArmError(
            "InvalidResourceGroup", f"The provided resource group name '{name}' must not end with a period."
        )


def check_resource(name: str, pattern: re.Pattern[str] | None, rule: str) -> None:
    """Return if a resource may have this name; ``rule`` says in words what ``pattern`` asks.

    Raises:
        ArmError: InvalidResourceName.
    """
    if len(name) > NAME_LIMIT or _FORBIDDEN & set(name) or not name.isprintable():
        rule = f"It has at most {NAME_LIMIT} characters and none of < > % & : \\ ? / nor control characters."
    elif pattern is None or pattern.fullmatch(name):
        return
    raise ArmError("InvalidResourceName", f"The resource name '{name[:300]}' is invalid. {rule}")


def location_key(location: str) -> str:
    """Return a location as it is compared: without spaces and case."""
    return "".join(location.split()).lower()


def location(unverified: object, available: Sequence[str], full_type: str) -> str:
    """Return the cloud's own name of the location that a body gives.

    Raises:
        ArmError: LocationRequired, LocationNotAvailableForResourceType.
    """
    if unverified is None or unverified == "":
        raise refusals.location_missing()
    if not isinstance(unverified, str):
        raise refusals.invalid("'location' must be a string.", "location")
    known = {location_key(one): one for one in available}
    found = known.get(location_key(unverified))
    if found is None:
        raise refusals.location_unavailable(unverified, full_type, available)
    return found
