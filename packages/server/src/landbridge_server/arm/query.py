"""The query of a request: names in lower case, because clients spell them as they like."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl


def parsed_query(text: str) -> Mapping[str, str]:
    """Return the query with lower-case names; of a name given twice, the first."""
    query: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=None):
        query.setdefault(name.lower(), value)
    return MappingProxyType(query)
