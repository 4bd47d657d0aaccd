"""``Microsoft.GuestConfiguration/guestConfigurationAssignments``: configurations wanted of a machine.

An assignment is wanted until it is removed, and evaluated by the machine again and again. It says
Pending until the machine has reported about it, and again after each change of what is wanted.
The machine reads its assignments and adds reports (``reports.py``).

The documents have the same type on virtual machines and scale sets of other providers; where
those are not offered there is no such parent.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from landbridge_server.arm import documents, refusals, shape
from landbridge_server.arm.resource_type import Document, Effects, Kind, ResourceType, Write
from landbridge_server.arm.sealing import Sealer, Unreadable
from landbridge_server.arm.shape import Choice, Text
from landbridge_server.store import machine_news, protected, resources
from landbridge_server.store.database import Connection
from landbridge_server.store.operations import Operation
from landbridge_server.store.resources import Query, Stored
from landbridge_wire import arm_id
from landbridge_wire.errors import ArmError

NAMESPACE = "Microsoft.GuestConfiguration"
VERSIONS = ("2024-04-05", "2022-01-25", "2021-01-25", "2020-06-25", "2018-11-20")
PENDING = "Pending"

PARENTS = frozenset(
    {
        "microsoft.hybridcompute/machines",
        "microsoft.compute/virtualmachines",
        "microsoft.compute/virtualmachinescalesets",
        "microsoft.connectedvmwarevsphere/virtualmachines",
    }
)
SECRET = "configurationProtectedParameter"  # noqa: S105 - a member's name

_PARAMETERS = [{"name": Text(1024), "value": Text(65536)}]
WRITABLE: dict[str, Any] = {
    "context": Text(1024),
    "guestConfiguration": {
        "kind": Choice(("DSC",)),
        "name": Text(256),
        "version": Text(64),
        "contentUri": Text(8192),
        "contentHash": Text(256),
        "contentManagedIdentity": Text(2048),
        "assignmentType": Choice(("Audit", "DeployAndAutoCorrect", "ApplyAndAutoCorrect", "ApplyAndMonitor")),
        "configurationParameter": _PARAMETERS,
    },
}
SEEN = (
    "complianceStatus",
    "lastComplianceStatusChecked",
    "latestReportId",
    "latestAssignmentReport",
)
"""The members that follow from the machine's reports."""

LARGEST = 3 * 1024 * 1024
"""Bytes that all assignments of one machine may have, as stored."""


class Assignments(ResourceType):
    """The type."""

    namespace = NAMESPACE
    type = "guestConfigurationAssignments"
    api_versions = VERSIONS
    kind = Kind.EXTENSION
    listed_across = True
    members = ("location",)
    removal_matters = True
    concerns_machine = True

    def __init__(self, sealer: Sealer) -> None:
        """Take who seals protected parameters."""
        self.sealer = sealer

    def accepts_parent(self, parent_type: str) -> None:
        """Refuse what has no settings to be configured."""
        if parent_type not in PARENTS:
            raise ArmError(
                "BadRequest",
                "A guest configuration assignment belongs to a machine, such as a "
                "Microsoft.HybridCompute/machines resource.",
                cause="service",
            )

    def put(self, write: Write) -> dict[str, Any]:
        """Return what is wanted and, while that stays the same, what the machine said about it."""
        kept: dict[str, Any] = shape.keep(WRITABLE, write.properties, "properties")
        wanted = kept.get("guestConfiguration", {})
        if not wanted.get("name"):
            raise refusals.invalid("'properties.guestConfiguration.name' is required.", "name")
        self._secrets(write)
        wanted[SECRET] = []  # as recorded of the real service: there, and never with what is in it
        old = write.old_properties
        if old.get("guestConfiguration") == wanted:
            kept |= {name: old[name] for name in SEEN if name in old}
        parameters = _parameter_text(wanted)
        return {
            "complianceStatus": PENDING,
            **kept,
            "targetResourceId": write.id.parent,
            "resourceType": arm_id.parse(write.id.parent).type,
            "parameterHash": base64.b64encode(parameters.encode()).decode(),
            "assignmentHash": f"{wanted.get('contentHash', '').upper()}.{_sha256(parameters)}",
            "provisioningState": "Succeeded",
        }

    def patch(self, write: Write) -> dict[str, Any]:
        """Return the body of the PUT that a PATCH amounts to; protected parameters only if it names them."""
        whole = super().patch(write)
        given = write.properties.get("guestConfiguration") if isinstance(write.properties, dict) else None
        kept = (
            whole["properties"].get("guestConfiguration") if isinstance(whole["properties"], dict) else None
        )
        if isinstance(kept, dict) and not (isinstance(given, dict) and SECRET in given):
            others = {name: value for name, value in kept.items() if name != SECRET}
            whole["properties"] = {**whole["properties"], "guestConfiguration": others}
        return whole

    def on_create(self, connection: Connection, write: Write, document: Document) -> Operation | None:
        """Keep the protected parameters, and tell the machine."""
        self._check_room(connection, write, document)
        self._keep(connection, write.id.key, self._secrets(write))
        _tell(connection, write.id.parent)
        return None

    def on_update(self, connection: Connection, write: Write, document: Document) -> Operation | None:
        """Keep the protected parameters; others than before have to be evaluated anew."""
        self._check_room(connection, write, document)
        _tell(connection, write.id.parent)
        secrets = self._secrets(write)
        if write.partial and secrets is None:
            return None
        if not self._are(connection, write.id.key, secrets):
            document["properties"] = {
                name: value for name, value in document["properties"].items() if name not in SEEN
            } | {"complianceStatus": PENDING}
        self._keep(connection, write.id.key, secrets)
        return None

    def on_delete(self, connection: Connection, stored: Stored, effects: Effects) -> None:
        """Forget the protected parameters, and tell the machine."""
        protected.remove_below(connection, stored.key)
        _tell(connection, stored.parent_key)

    def secrets_of(self, connection: Connection, key: str) -> list[Mapping[str, str]] | None:
        """Return the protected parameters of an assignment, for its machine and nobody else.

        Raises:
            Unreadable: they were sealed with other keys.
        """
        found: list[Mapping[str, str]] | None = self.sealer.open(protected.get(connection, key))
        return found

    def _check_room(self, connection: Connection, write: Write, document: Document) -> None:
        """Refuse what is more than a machine takes: it fetches all of its assignments at once."""
        secrets = self._secrets(write)
        size = _size(document) + len(msgspec.json.encode(secrets or []))
        if write.partial and secrets is None:
            size += _sealed_size(connection, write.id.key)
        query = Query(parent_key=write.id.parent.lower(), type_key=f"{NAMESPACE}/{self.type}".lower())
        for other in resources.find(connection, query):
            if other.key != write.id.key:
                size += _size(documents.decode(other)) + _sealed_size(connection, other.key)
        if size > LARGEST:
            raise ArmError(
                "RequestEntityTooLarge",
                f"All assignments of the machine have {size:,} bytes with their parameters; a machine takes "
                f"at most {LARGEST:,}. Put what is large into the packages.",
            )

    def _are(self, connection: Connection, key: str, secrets: list[Mapping[str, str]] | None) -> bool:
        try:
            return (secrets or None) == self.secrets_of(connection, key)
        except Unreadable:
            return False

    def _secrets(self, write: Write) -> list[Mapping[str, str]] | None:
        secret = {"guestConfiguration": {SECRET: _PARAMETERS}}
        kept = shape.keep(secret, write.properties, "properties").get("guestConfiguration", {})
        found: list[Mapping[str, str]] | None = kept.get(SECRET)
        return found

    def _keep(self, connection: Connection, key: str, secrets: list[Mapping[str, str]] | None) -> None:
        protected.put(connection, key, self.sealer.seal(secrets) if secrets else "")


def _size(document: Mapping[str, Any]) -> int:
    return len(msgspec.json.encode(document["properties"]["guestConfiguration"]))


def _sealed_size(connection: Connection, key: str) -> int:
    return len(protected.get(connection, key)) * 3 // 4  # it is base64


def _tell(connection: Connection, machine_id: str) -> None:
    machine_news.mark(connection, machine_id.lower(), machine_news.ASSIGNMENTS)


def _parameter_text(configuration: Mapping[str, Any]) -> str:
    given = configuration.get("configurationParameter", [])
    return ",".join(f"{one.get('name', '')}={one.get('value', '')}" for one in given)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest().upper()
