"""Azure Resource Manager resource ids: parse, build and compare.

An id keeps the casing of whoever wrote it; two ids are the same resource when their
``key`` (the id in lower case) is equal. Names are not checked against the naming rules of
a type here: that is the business of the resource manager.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST = 4096
"""Characters of an id: several times what names and types allow."""

MOST_SEGMENTS = 64
"""Words between the slashes of an id. Whoever asks about an id looks at each of its scopes."""


class MalformedId(ValueError):
    """The text is not a resource id."""


@dataclass(frozen=True)
class TypedName:
    """One ``type/name`` pair below a provider namespace."""

    type: str
    name: str


@dataclass(frozen=True)
class ArmId:
    """A resource id, a scope or a collection below one.

    ``subscription`` and ``group`` are empty at tenant scope. ``namespace`` is empty for a
    subscription or a group itself. ``segments`` holds the type and name pairs of the last
    ``/providers/`` part; ``parent`` is the id of the resource that an extension resource
    hangs on, or of the scope that holds this one when it is not an extension.
    ``collection`` is the trailing type without a name when the id names a list.
    """

    text: str
    subscription: str
    group: str
    namespace: str
    segments: tuple[TypedName, ...]
    parent: str
    collection: str = ""

    @property
    def key(self) -> str:
        """The id in lower case: equal for equal resources."""
        return self.text.lower()

    @property
    def type(self) -> str:
        """The full type, such as ``Microsoft.HybridCompute/machines``, or empty."""
        if not self.namespace:
            return ""
        parts = [segment.type for segment in self.segments]
        if self.collection:
            parts.append(self.collection)
        return "/".join([self.namespace, *parts])

    @property
    def name(self) -> str:
        """The last name: of the resource, else of the group, else of the subscription."""
        if self.segments:
            return self.segments[-1].name
        return self.group or self.subscription


def _scope_of(parts: list[str]) -> tuple[str, str, int]:
    """Return subscription, group and how many parts they took."""
    if len(parts) >= 2 and parts[0].lower() == "subscriptions":
        if len(parts) >= 4 and parts[2].lower() == "resourcegroups":
            return parts[1], parts[3], 4
        return parts[1], "", 2
    return "", "", 0


def _last_provider(parts: list[str], start: int) -> int:
    """Return the index of the last ``providers`` word that begins a provider part, or -1."""
    found, index = -1, start
    while index < len(parts):
        if parts[index].lower() != "providers":
            raise MalformedId(f"'providers' was expected in place of '{parts[index]}'.")
        found = index
        index += 2
        while index < len(parts) and parts[index].lower() != "providers":
            index += 2
    return found


def parse(text: str) -> ArmId:
    """Parse a resource id, a scope, or the path of a collection.

    Empty segments are dropped (clients send ``NS//TYPE``). Percent-encoding is the
    caller's business.

    Raises:
        MalformedId: the text does not have the form of an id.
    """
    parts = [part for part in text.split("/") if part]
    if not text.startswith("/"):
        raise MalformedId("A resource id begins with '/'.")
    if len(text) > LONGEST or len(parts) > MOST_SEGMENTS:
        raise MalformedId(f"An id has at most {LONGEST} characters and {MOST_SEGMENTS} segments.")
    clean = "/" + "/".join(parts)
    subscription, group, taken = _scope_of(parts)
    if taken == len(parts):
        parent = "/" + "/".join(parts[:2]) if group else "/"
        return ArmId(clean, subscription, group, "", (), parent)
    last = _last_provider(parts, taken)
    if last + 1 >= len(parts):
        raise MalformedId("A provider namespace is missing after 'providers'.")
    namespace, tail = parts[last + 1], parts[last + 2 :]
    pairs = tuple(TypedName(tail[i], tail[i + 1]) for i in range(0, len(tail) - 1, 2))
    collection = tail[-1] if len(tail) % 2 else ""
    parent = "/" + "/".join(parts[:last]) if last else "/"
    return ArmId(clean, subscription, group, namespace, pairs, parent, collection)


def same(left: str, right: str) -> bool:
    """Say whether two ids name the same resource."""
    return left.rstrip("/").lower() == right.rstrip("/").lower()


def contains(scope: str, resource: str) -> bool:
    """Say whether ``resource`` is ``scope`` or lies below it, on a segment boundary."""
    outer, inner = scope.rstrip("/").lower(), resource.rstrip("/").lower()
    return inner == outer or inner.startswith(outer + "/")


def build(subscription: str, group: str, namespace: str, *pairs: tuple[str, str]) -> str:
    """Build the id of a resource in a group, such as ``build(s, g, ns, ("machines", "m"))``."""
    tail = "".join(f"/{kind}/{name}" for kind, name in pairs)
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}{tail}"
