"""From the path of a request to the type and the id that it is about."""

from __future__ import annotations

from collections.abc import Sequence

from landbridge_server.arm import refusals
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.resource_type import Kind, Reference, ResourceType, TypeInfo
from landbridge_wire import arm_id
from landbridge_wire.arm_id import ArmId, TypedName
from landbridge_wire.errors import ArmError


def parsed(path: str) -> ArmId:
    """Parse a path.

    Raises:
        ArmError: NotFound; it has not the form of an id.
    """
    try:
        return arm_id.parse(path)
    except arm_id.MalformedId as error:
        raise ArmError("NotFound", f"There is nothing at '{path[:200]}': {error}") from error


def _scope(path: str, registry: Registry) -> str:
    """Return a scope with canonical words and types and the caller's names."""
    if path == "/":
        return ""
    return canonical(parsed(path), registry)


def canonical(found: ArmId, registry: Registry) -> str:
    """Return an id with the canonical casing of everything but the names."""
    if not found.namespace:
        group = f"/resourceGroups/{found.group}" if found.group else ""
        return f"/subscriptions/{found.subscription.lower()}{group}"
    text = f"{_scope(found.parent, registry)}/providers/{_namespace(found.namespace, registry)}"
    words = _type_words(found, registry)
    for segment, word in zip(found.segments, words, strict=False):
        text += f"/{word}/{segment.name}"
    return text + (f"/{words[-1]}" if found.collection else "")


def _namespace(name: str, registry: Registry) -> str:
    for provider in registry.providers:
        if provider.namespace.lower() == name.lower():
            return provider.namespace
    return name


def _type_words(found: ArmId, registry: Registry) -> Sequence[str]:
    known = registry.find(found.type)
    return (known.full_type if known else found.type).split("/")[1:]


def resolve(found: ArmId, registry: Registry, version: str) -> Reference:
    """Return the reference of a resource or a collection.

    Raises:
        ArmError: InvalidResourceNamespace, InvalidResourceType.
    """
    type_name = found.type.partition("/")[2]
    kind = registry.type(found.namespace, type_name, version)
    _check_place(kind, found, version)
    own = parsed(canonical(found, registry))
    return Reference(kind, own, parent_of(own))


def parent_of(own: ArmId) -> str:
    """Return the id of what a resource or a collection lies below."""
    depth = len(own.segments) + (1 if own.collection else 0)
    if depth <= 1:
        return own.parent
    pairs: tuple[TypedName, ...] = own.segments if own.collection else own.segments[:-1]
    above = "" if own.parent == "/" else own.parent
    return f"{above}/providers/{own.namespace}" + "".join(f"/{one.type}/{one.name}" for one in pairs)


def _check_place(kind: TypeInfo, found: ArmId, version: str) -> None:
    """Refuse a type where it cannot be: a tracked one below another resource or the tenant.

    Groups are rows of the table of routes, and nowhere else.
    """
    if isinstance(kind, ResourceType) and kind.kind is Kind.GROUP:
        raise refusals.type_unknown(kind.namespace, version)
    if not isinstance(kind, ResourceType) or kind.kind is not Kind.TRACKED:
        return
    inside = parsed(found.parent) if found.parent != "/" else None
    in_group = inside is not None and bool(inside.group) and not inside.namespace
    in_subscription = inside is not None and not inside.group and not inside.namespace
    if not (in_group or (in_subscription and found.collection)):
        raise refusals.type_unknown(kind.namespace, version)
