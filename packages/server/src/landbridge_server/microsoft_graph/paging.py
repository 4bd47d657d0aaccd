"""Lists in pages (``$top``, ``@odata.nextLink``), and which properties are shown (``$select``).

The token in a link is the place after which the next page begins. It is opaque to clients and
trusted for nothing: who may see what is decided anew for each page.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from landbridge_server.microsoft_graph.errors import GraphError, bad, unsupported
from landbridge_server.microsoft_graph.request import Request

PAGE = 100
MOST = 999
TOKEN = "$skiptoken"  # noqa: S105
OPTIONS = frozenset({"$select", "$filter", "$top", "$count", "$orderby", "$format", TOKEN})


def check_options(query: Mapping[str, str], allowed: Collection[str] = OPTIONS) -> None:
    """Return if every query option is one that is offered; those without ``$`` are passed over.

    Raises:
        GraphError: Request_UnsupportedQuery.
    """
    for name in query:
        if name.startswith("$") and name not in allowed:
            raise unsupported(f"The query option '{name[:50]}' is not offered here.")
    order = query.get("$orderby", "").lower().split()
    if order not in ([], ["displayname"], ["displayname", "asc"]):
        raise unsupported("Sorting is offered by 'displayName' only, ascending.")


def size(query: Mapping[str, str]) -> int:
    """Return how many objects a page holds.

    Raises:
        GraphError: Request_BadRequest; ``$top`` is not a whole number from 1 to 999.
    """
    text = query.get("$top", str(PAGE))
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= MOST:
        raise bad(f"Invalid page size specified: '{text[:20]}'. Must be between 1 and {MOST} inclusive.")
    return int(text)


def after(query: Mapping[str, str], parts: int) -> list[str]:
    """Return the ``parts`` texts of the place after which the page begins; empty ones for the first.

    Raises:
        GraphError: Request_BadRequest; the token is not one of ours.
    """
    token = query.get(TOKEN, "")
    if not token:
        return [""] * parts
    try:
        octets = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        place = msgspec.json.decode(octets, type=list[str])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise _bad_token() from error
    if len(place) != parts or any("\0" in one for one in place):
        raise _bad_token()
    return place


def _bad_token() -> GraphError:
    return bad("The specified page token value is invalid: follow the '@odata.nextLink' of the page before.")


def next_link(request: Request, place: Sequence[str]) -> str:
    """Return the address of the page after a place; everything else of the query stays."""
    query = {name: value for name, value in request.query.items() if name != TOKEN}
    query[TOKEN] = base64.urlsafe_b64encode(msgspec.json.encode(list(place))).decode().rstrip("=")
    return f"{request.base}{quote(request.path)}?{urlencode(query, safe='$')}"


def selected(
    shown: Mapping[str, Any], query: Mapping[str, str], default: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the properties of an object that ``$select`` names, or the default ones.

    Raises:
        GraphError: BadRequest; it names one that the object has not.
    """
    text = query.get("$select", "").strip()
    if not text or text == "*":
        return {name: shown[name] for name in default} if default else dict(shown)
    spelled = {name.lower(): name for name in shown}
    found = {}
    for word in text.split(","):
        name = spelled.get(word.strip().lower())
        if name is None:
            raise bad(f"Could not find a property named '{word.strip()[:100]}' in 'select'.")
        found[name] = shown[name]
    return found
