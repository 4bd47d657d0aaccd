"""Check what names and tags were given, before anything is sent."""

from __future__ import annotations

import re

from landbridge_agent.codes import AgentError

NAME = re.compile(r"[A-Za-z0-9_-]{0,53}[A-Za-z0-9]")
GROUP = re.compile(r"[\w.()-]{0,89}[\w()-]")
GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def check_group(group: str) -> str:
    """Return a resource group's name if it can be one.

    Raises:
        AgentError: AZCM0023.
    """
    if not GROUP.fullmatch(group):
        raise AgentError(
            23, f"'{group[:120]}' cannot be a resource group: letters, digits, '.', '_', '-', '(' and ')'."
        )
    return group


def check_guid(name: str, value: str) -> str:
    """Return a value if it is a GUID.

    Raises:
        AgentError: AZCM0023.
    """
    if value and not GUID.fullmatch(value):
        raise AgentError(23, f"--{name} must be a GUID, not '{value[:120]}'.")
    return value


def resource_name(given: str, hostname: str) -> str:
    """Return the resource's name: the given one, or the host's name without its domain.

    Raises:
        AgentError: AZCM0023 the given one cannot be used, AZCM0102 the host's cannot.
    """
    name = given or hostname.partition(".")[0]
    if NAME.fullmatch(name):
        return name
    rule = "at most 54 letters, digits, '-' and '_', the last a letter or a digit"
    if given:
        raise AgentError(23, f"--resource-name '{given[:120]}' must be {rule}.")
    raise AgentError(102, f"The host name '{hostname[:120]}' cannot be a resource name, which is {rule}.")


def tags(text: str) -> dict[str, str]:
    r"""Read ``A=B,C='x, y'``: comma list, single quotes, ``\`` takes the next character as it is.

    Raises:
        AgentError: AZCM0023, no ``=``, an empty or repeated name, or an open quote.
    """
    found: dict[str, str] = {}
    for name, value in _pairs(text):
        if not name or name.lower() in (one.lower() for one in found):
            raise AgentError(23, f"--tags has an empty or repeated name: '{text[:200]}'.")
        found[name] = value
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    parts = [""]
    quoted = escaped = False
    for char in text + ",":
        if escaped or (quoted and char not in "'\\"):
            parts[-1] += char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "'":
            quoted = not quoted
        elif char == "=" and len(parts) == 1:
            parts.append("")
        elif char == ",":
            if len(parts) == 2:
                pairs.append((parts[0].strip(), parts[1].strip()))
            elif parts[0].strip():
                raise AgentError(23, f"--tags wants NAME=VALUE,..., and '{parts[0][:80]}' has no '='.")
            parts = [""]
        else:
            parts[-1] += char
    if quoted or escaped or parts != [""]:
        raise AgentError(23, f"--tags has a quote or a backslash without its end: '{text[:200]}'.")
    return pairs
