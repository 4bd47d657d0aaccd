"""ETags and the two headers that make a request conditional (RFC 9110, section 13)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from landbridge_server.store.resources import Stored
from landbridge_wire.arm_id import ArmId
from landbridge_wire.errors import ArmError


def new() -> str:
    """Return a fresh ETag, quoted."""
    return f'"{secrets.token_hex(8)}"'


def _matches(header: str, etag: str) -> bool:
    if header.strip() == "*":
        return True
    return etag in {one.strip().removeprefix("W/") for one in header.split(",")}


def check(headers: Mapping[str, str], resource: ArmId, stored: Stored | None) -> None:
    """Return if a write may go on.

    Raises:
        ArmError: PreconditionFailed.
    """
    if_match = headers.get("if-match")
    if if_match is not None and (stored is None or not _matches(if_match, stored.etag)):
        state = "does not exist" if stored is None else f"has the ETag {stored.etag}"
        raise ArmError(
            "PreconditionFailed",
            f"The precondition If-Match: {if_match[:100]} failed: the resource '{resource.text}' {state}.",
        )
    if_none_match = headers.get("if-none-match")
    if if_none_match is not None and stored is not None and _matches(if_none_match, stored.etag):
        raise ArmError(
            "PreconditionFailed",
            f"The precondition If-None-Match: {if_none_match[:100]} failed: the resource '{resource.text}' "
            f"exists with the ETag {stored.etag}.",
        )
