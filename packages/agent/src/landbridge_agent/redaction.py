"""Keeps credentials out of what people see: logs, ``show``, archives."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://)[^/?#\s@]*@")


def without_credentials(text: str) -> str:
    """Return a text with user and password of every URL in it masked."""
    return _USERINFO.sub("***@", text)
