"""Microsoft's OpenAPI 2.0 documents: operations, routes, and the check of a body against a schema.

The check is JSON Schema Draft 6 with what Microsoft's documents need to hold for Microsoft's own
service (every recorded body of the real one passes; ``test_openapi.py`` asks again):

- members and array items that are ``null`` are dropped first;
- ``enum`` says nothing where ``x-ms-enum.modelAsString`` is true;
- ``{"type": "object"}`` with nothing else, and ``type: file``, mean anything;
- ``nextLink`` may be missing where it is required: the last page has none;
- ``example``, ``discriminator`` and ``format`` say nothing.

What a schema does not say is not checked here: no document forbids further members, and few
name required ones. ``examples`` and ``recordings`` check what bodies must hold.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft6Validator

CLONE = Path(__file__).resolve().parents[2]
METHODS = ("get", "head", "put", "patch", "post", "delete")
_KEYWORDS = ("properties", "additionalProperties", "allOf", "items", "$ref", "enum")


def folder() -> Path | None:
    """Return where the documents are: ``LANDBRIDGE_SPECS``, or ``../shared/specs`` beside the clone."""
    given = os.environ.get("LANDBRIDGE_SPECS")
    found = Path(given) if given else CLONE.parent / "shared" / "specs"
    return found if (found / "recordings").is_dir() else None


def without_nulls(value: Any) -> Any:
    """Return a value without the members and the items that are ``null``."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value if one is not None]
    return value


def normal(schema: Any) -> Any:
    """Return a schema as JSON Schema Draft 6 understands what Microsoft means by it."""
    if isinstance(schema, list):
        return [normal(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "file":
        return {}
    if schema.get("type") == "object" and not any(word in schema for word in _KEYWORDS):
        return {}
    made = {}
    for word, value in schema.items():
        if word in ("example", "discriminator", "format", "default", "x-ms-examples"):
            continue
        if word == "enum" and (schema.get("x-ms-enum") or {}).get("modelAsString"):
            continue
        if word in ("exclusiveMinimum", "exclusiveMaximum") and isinstance(value, bool):
            continue
        if word == "required" and isinstance(value, list):
            value = [name for name in value if name != "nextLink"]
        if word in ("properties", "definitions") and isinstance(value, dict):
            made[word] = {name: normal(one) for name, one in value.items()}
        else:
            made[word] = normal(value)
    return made


@dataclass(frozen=True)
class Example:
    """One entry of ``x-ms-examples``; an operation without any gets one that has no parameters."""

    title: str
    parameters: dict[str, Any] = field(hash=False)
    is_microsofts: bool = True


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation of a document."""

    document: Document
    name: str
    method: str
    template: str
    content: dict[str, Any]

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """Its parameters, with references resolved."""
        return [self.document.resolved(one) for one in self.content.get("parameters", [])]

    @property
    def statuses(self) -> frozenset[int]:
        """The declared statuses, without ``default``."""
        return frozenset(int(one) for one in self.content["responses"] if one != "default")

    @property
    def is_list(self) -> bool:
        """Whether it lists: a GET that the document marks as pageable."""
        return self.method == "GET" and "x-ms-pageable" in self.content

    @property
    def final_state(self) -> str:
        """The header that clients follow to the result of a 202: ``location``, another one, or empty."""
        options = self.content.get("x-ms-long-running-operation-options") or {}
        return str(options.get("final-state-via", ""))

    @property
    def examples(self) -> list[Example]:
        """Microsoft's examples, or one of ours without parameters where there are none."""
        given = self.content.get("x-ms-examples") or {}
        made = [Example(title, one["parameters"]) for title, one in given.items()]
        return made or [Example(self.name, {}, is_microsofts=False)]

    @property
    def wide(self) -> set[str]:
        """The parameters of the path that hold slashes; not every document says it of its ``scope``."""
        marked = {one["name"] for one in self.parameters if one.get("x-ms-skip-url-encoding")}
        return marked | {"scope"}

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a path of it looks like: case does not count, ``{scope}`` and its like hold slashes."""
        wide = self.wide
        parts = re.split(r"(\{[^}]+\})", self.template.split("?")[0].strip("/"))
        text = "".join(
            (r".+" if part[1:-1] in wide else r"[^/]+") if part.startswith("{") else re.escape(part)
            for part in parts
        )
        return re.compile(text, re.IGNORECASE)

    @property
    def rank(self) -> tuple[int, int]:
        """How exact the route is: more fixed words first, then fewer parameters that hold slashes."""
        fixed = sum(1 for part in self.template.split("/") if part and not part.startswith("{"))
        return (-fixed, len(self.wide))

    def faults(self, status: int, body: Any) -> list[str]:
        """Say what is wrong with an answer; an error answer is held against ``default``, if declared."""
        key = str(status) if str(status) in self.content["responses"] else "default"
        validator = self.document.validator(self, key)
        if validator is None or body is None:
            return []
        found = validator.iter_errors(without_nulls(body))
        return [f"{'/'.join(map(str, one.absolute_path)) or 'body'}: {one.message[:160]}" for one in found]

    @property
    def body_schema(self) -> dict[str, Any]:
        """The schema of the request's body; empty when it has none."""
        return next((one["schema"] for one in self.parameters if one.get("in") == "body"), {})

    @property
    def answer_schema(self) -> dict[str, Any]:
        """The schema of the answer when all went well; empty when it has none."""
        declared = [self.content["responses"][str(one)] for one in sorted(self.statuses)]
        return next((one["schema"] for one in map(self.document.resolved, declared) if "schema" in one), {})


class Document:
    """One document; ``name`` is its path below the folder."""

    def __init__(self, root: Path, path: Path) -> None:
        """Read it."""
        self.name = str(path.relative_to(root))
        self.content: dict[str, Any] = json.loads(path.read_text())
        self.version: str = self.content["info"]["version"]
        self._validators: dict[tuple[int, str], Draft6Validator | None] = {}

    def resolved(self, value: dict[str, Any]) -> dict[str, Any]:
        """Follow the references of a parameter, a response or a schema."""
        while "$ref" in value:
            found: Any = self.content
            for word in value["$ref"].removeprefix("#/").split("/"):
                found = found[word.replace("~1", "/").replace("~0", "~")]
            value = found
        return value

    @cached_property
    def operations(self) -> list[Operation]:
        """All operations, in the document's order."""
        paths = {**self.content["paths"], **self.content.get("x-ms-paths", {})}
        return [
            Operation(self, content[method]["operationId"], method.upper(), template, content[method])
            for template, content in paths.items()
            for method in METHODS
            if method in content
        ]

    @cached_property
    def _definitions(self) -> Any:
        return normal(self.content.get("definitions", {}))

    def validator(self, operation: Operation, key: str) -> Draft6Validator | None:
        """Return what checks a body of an operation's answer; None where the document has no schema."""
        place = (id(operation), key)
        if place not in self._validators:
            declared = self.resolved(operation.content["responses"].get(key, {}))
            made = None
            if "schema" in declared:
                schema = {"allOf": [normal(declared["schema"])], "definitions": self._definitions}
                made = Draft6Validator(schema)
            self._validators[place] = made
        return self._validators[place]

    def writable(self, schema: dict[str, Any], value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
        """Yield path and value of each leaf of a request that the schema declares, and lets come back."""
        schema = self.resolved(schema)
        members = self._members(schema)
        if isinstance(value, dict) and members:
            for name, one in value.items():
                inner = members.get(name)
                if inner is not None and one is not None and _comes_back(inner, self.resolved(inner)):
                    yield from self.writable(inner, one, f"{path}/{name}")
        elif value is not None:
            yield path, value

    def declares(self, schema: dict[str, Any], path: str) -> bool:
        """Say whether a schema has what stands at a path; one without members has everything."""
        for name in path.strip("/").split("/"):
            members = self._members(self.resolved(schema))
            if not members:
                return True
            if name not in members:
                return False
            schema = members[name]
        return True

    def _members(self, schema: dict[str, Any]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for one in schema.get("allOf", []):
            members |= self._members(self.resolved(one))
        return members | schema.get("properties", {})


def _comes_back(*schemas: dict[str, Any]) -> bool:
    return not any(
        one.get("readOnly") or one.get("x-ms-secret") or "read" not in one.get("x-ms-mutability", ["read"])
        for one in schemas
    )


@lru_cache(maxsize=1)
def documents() -> dict[str, Document]:
    """Return all documents of the folder, by name; none where the folder is absent."""
    root = folder()
    if root is None:
        return {}
    paths = sorted(one for one in root.glob("Microsoft.*/*/*.json"))
    return {one.name: one for one in (Document(root, path) for path in paths)}


def matching(method: str, path: str, version: str) -> Operation | None:
    """Return the operation that a request means: of that version, the most exact route first."""
    asked = path.strip("/")
    found = [
        one
        for document in documents().values()
        if document.version == version
        for one in document.operations
        if one.method == method and one.pattern.fullmatch(asked)
    ]
    return min(found, key=lambda one: one.rank, default=None)
