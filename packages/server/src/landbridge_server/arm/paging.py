"""Pages: ``$top`` is the size of one, ``nextLink`` the absolute address of the next.

The token in the link holds the last key of the page: the next page begins after it, whatever
was added or removed in between. It is opaque to clients and trusted for nothing: who may see
what is decided anew for each page.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from landbridge_server.arm import refusals
from landbridge_server.arm.call import Answer, Call

PAGE = 1000
TOKEN = "$skiptoken"  # noqa: S105


def size(query: Mapping[str, str]) -> int:
    """Return how many resources a page holds.

    Raises:
        ArmError: ``$top`` is not a whole number from 1.
    """
    text = query.get("$top", "")
    if not text:
        return PAGE
    if not (text.isascii() and text.isdigit()) or not int(text[:9]) > 0:
        raise refusals.wrong_parameter("$top", "It must be a whole number from 1.")
    return min(int(text[:9]), PAGE)


def after(query: Mapping[str, str]) -> str:
    """Return the key after which the page begins; empty for the first.

    Raises:
        ArmError: the token is not one of ours.
    """
    token = query.get(TOKEN, "")
    if not token:
        return ""
    try:
        key = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise refusals.wrong_parameter("$skiptoken", "Follow the nextLink of the page before.") from error
    if not key.isprintable():
        raise refusals.wrong_parameter("$skiptoken", "Follow the nextLink of the page before.")
    return key


def next_link(call: Call, base: str, last: str) -> str:
    """Return the address of the page after ``last``; everything else of the query stays."""
    query = {name: value for name, value in call.query.items() if name != TOKEN}
    query[TOKEN] = base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")
    return f"{base}{quote(call.path)}?{urlencode(query, safe='$')}"


def page(items: Sequence[bytes], link: str = "") -> Answer:
    """Return a list whose items are JSON already; no ``nextLink`` at the end, never an empty one."""
    return joined(b",".join(items), link)


def joined(items: bytes, link: str = "") -> Answer:
    """Return a list whose items are JSON with commas in between already."""
    end = b'],"nextLink":"' + link.encode() + b'"}' if link else b"]}"
    return Answer(200, b"".join([b'{"value":[', items, end]))  # one join: there may be megabytes
