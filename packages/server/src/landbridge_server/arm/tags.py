"""Tags: at most fifty pairs of text; names without case, values with it."""

from __future__ import annotations

from landbridge_server.arm import refusals
from landbridge_wire.errors import ArmError

LIMIT = 50
NAME_LIMIT = 512
VALUE_LIMIT = 256
_FORBIDDEN = frozenset("<>%&\\?/")


def checked(unverified: object) -> dict[str, str]:
    """Return the tags of a body; ``None`` means none.

    Raises:
        ArmError: not an object of texts, too many, too long, or with reserved characters.
    """
    if unverified is None:
        return {}
    if not isinstance(unverified, dict):
        raise refusals.invalid("'tags' must be an object of names and values.", "tags")
    if len(unverified) > LIMIT:
        raise ArmError(
            "TooManyTags",
            f"Too many tags specified. Tag count: {len(unverified)}. A resource can have at most {LIMIT}.",
        )
    seen: set[str] = set()
    for name, value in unverified.items():
        _check(name, value)
        if name.lower() in seen:
            raise refusals.invalid(f"the tag '{name}' is given twice; case does not count.", "tags")
        seen.add(name.lower())
    return dict(unverified)


def _check(name: str, value: object) -> None:
    if not name or len(name) > NAME_LIMIT:
        raise ArmError("InvalidTagName", f"A tag name has 1 to {NAME_LIMIT} characters: '{name[:100]}'.")
    if _FORBIDDEN & set(name) or not name.isprintable():
        raise ArmError(
            "InvalidTagNameCharacters",
            f"The tag names '{name[:100]}' have reserved characters '<,>,%,&,\\,?,/' or control characters.",
        )
    if not isinstance(value, str):
        raise refusals.invalid(f"the value of the tag '{name}' must be a string.", "tags")
    if len(value) > VALUE_LIMIT:
        raise ArmError(
            "InvalidTagValueLength", f"The value of the tag '{name}' is longer than {VALUE_LIMIT} characters."
        )
