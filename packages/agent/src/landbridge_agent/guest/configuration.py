"""A configuration: the resources that a document declares, with the parameters of its assignment.

A document is MOF (``mof.py``), or JSON, or YAML where that module is installed::

    {"name": "motd", "version": "1.0.0.0", "resources": [
      {"type": "nxFile", "id": "motd", "properties": {"DestinationPath": "/etc/motd"}, "dependsOn": []}]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from landbridge_agent.guest import mof
from landbridge_agent.guest.mof import Alias, Instance, MofError

ABOUT = frozenset({"modulename", "moduleversion", "sourceinfo", "configurationname"})
"""Members of an instance that say where it comes from."""

DOCUMENT = "omi_configurationdocument"
MOST_RESOURCES = 500
_ID = re.compile(r"\[([^\[\]]+)\](.+)", re.DOTALL)


class BadConfiguration(Exception):
    """A document or a parameter cannot be used; ``code`` is for programs, the text for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Declared(NamedTuple):
    """One resource as declared; ``id`` is such as ``[nxFile]motd``, ``needs`` are ids that come first."""

    type: str
    id: str
    values: dict[str, Any]
    needs: tuple[str, ...] = ()


def from_mof(content: bytes) -> list[Declared]:
    """Return the resources of a compiled configuration.

    Raises:
        BadConfiguration: it is none; the text has line and column.
    """
    try:
        instances = mof.parse(mof.decode(content))
    except MofError as error:
        raise BadConfiguration("MofError", f"The MOF document does not parse: {error}.") from error
    return _checked(_from_instance(one) for one in instances if one.type.lower() != DOCUMENT)


def _from_instance(instance: Instance) -> Declared:
    values: dict[str, Any] = {}
    name, needs = "", []
    for key, value in instance.values.items():
        word = key.lower()
        if word == "resourceid" and isinstance(value, str):
            name = value
        elif word == "dependson" and isinstance(value, list):
            needs = [str(one) for one in value]
        elif isinstance(value, Alias) or (
            isinstance(value, list) and any(isinstance(one, Alias) for one in value)
        ):
            raise _bad(f"{key} on line {instance.line} refers to another instance, which is not supported.")
        elif word not in ABOUT:
            values[key] = value
    if not name:
        raise _bad(f"The instance of {instance.type} on line {instance.line} has no ResourceID.")
    return Declared(instance.type, name, values, tuple(needs))


def from_json(content: bytes) -> list[Declared]:
    """Return the resources of a JSON document.

    Raises:
        BadConfiguration: it is none.
    """
    try:
        return _from_object(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise _bad(f"The JSON document cannot be read: {error}.") from error


def from_yaml(content: bytes) -> list[Declared]:
    """Return the resources of a YAML document.

    Raises:
        BadConfiguration: it is none, or this Python reads no YAML.
    """
    try:
        import yaml
    except ImportError:
        raise _bad("This machine's Python cannot read YAML: write the document as JSON or MOF.") from None
    try:
        return _from_object(yaml.safe_load(content))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _bad(f"The YAML document cannot be read: {error}.") from error


def _from_object(body: Any) -> list[Declared]:
    rows = body.get("resources") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
        raise _bad("The document must be an object with a list 'resources' of objects.")
    return _checked(_from_row(one) for one in rows)


def _from_row(row: Mapping[str, Any]) -> Declared:
    kind, name = row.get("type"), row.get("id")
    values, needs = row.get("properties", {}), row.get("dependsOn", [])
    if not isinstance(kind, str) or not isinstance(name, str) or not kind or not name:
        raise _bad("Each resource needs a 'type' and an 'id', both texts.")
    if not isinstance(values, dict) or not isinstance(needs, list):
        raise _bad(f"{name}: 'properties' must be an object and 'dependsOn' a list.")
    whole = name if _ID.fullmatch(name) else f"[{kind}]{name}"
    return Declared(kind, whole, {str(key): value for key, value in values.items()}, tuple(map(str, needs)))


def _checked(declared: Iterable[Declared]) -> list[Declared]:
    found = list(declared)
    if not found or len(found) > MOST_RESOURCES:
        raise _bad(f"A configuration must have 1 to {MOST_RESOURCES} resources; this one has {len(found)}.")
    seen: set[str] = set()
    for one in found:
        if one.id.lower() in seen:
            raise _bad(f"The resource {one.id} is declared twice.")
        seen.add(one.id.lower())
    return _ordered(found)


def _ordered(declared: list[Declared]) -> list[Declared]:
    """Return them so that each comes after what it needs, otherwise in their order."""
    known = {one.id.lower() for one in declared}
    for one in declared:
        for need in one.needs:
            if need.lower() not in known:
                raise _bad(f"{one.id} depends on {need}, which is not declared.")
    placed: set[str] = set()
    ordered: list[Declared] = []
    waiting = declared
    while waiting:
        ready = [one for one in waiting if {need.lower() for need in one.needs} <= placed]
        if not ready:
            raise _bad(f"{waiting[0].id} depends on itself, by way of {', '.join(waiting[0].needs)}.")
        ordered += ready
        placed |= {one.id.lower() for one in ready}
        waiting = [one for one in waiting if one.id.lower() not in placed]
    return ordered


def with_parameters(declared: Sequence[Declared], parameters: Sequence[Mapping[str, Any]]) -> list[Declared]:
    """Return the resources with parameters ``{"name": "[Type]id;Property", "value": text}`` put in.

    Raises:
        BadConfiguration: one names no resource; the text does not repeat its value.
    """
    found = {one.id.lower(): one._replace(values=dict(one.values)) for one in declared}
    for parameter in parameters:
        name, value = str(parameter.get("name", "")), parameter.get("value")
        target, separator, member = name.rpartition(";")
        one = found.get(target.strip().lower())
        if not separator or one is None or not member.strip():
            known = ", ".join(each.id for each in list(found.values())[:10])
            raise BadConfiguration(
                "Parameter", f"The parameter '{name}' is not '[Type]id;Property' of a resource here: {known}."
            )
        same = next((key for key in one.values if key.lower() == member.strip().lower()), member.strip())
        one.values[same] = value
    return list(found.values())


def _bad(text: str) -> BadConfiguration:
    return BadConfiguration("Document", text)
