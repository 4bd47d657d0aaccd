"""``Microsoft.HybridCompute/machines``: a resource and, once it enrols, the agent behind it.

The resource holds what its writers decide. What the agent reports lies beside it and is
shown with it (``fleet.facts``). The status is computed when somebody reads.

A creation makes, in the same transaction: the managed identity, the agent's row, and the
endpoint with its SSH configuration, so that ``listCredentials`` answers at once.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec

from landbridge_server.arm import names, refusals, shape, work
from landbridge_server.arm.documents import decode
from landbridge_server.arm.resource_type import Action, Document, Effects, Kind, ResourceType, Write
from landbridge_server.arm.shape import Choice, Text
from landbridge_server.fleet import facts
from landbridge_server.identity import directory
from landbridge_server.providers.hybrid_compute import extension_upgrades
from landbridge_server.providers.hybrid_compute.machine_actions import NOT_OFFERED, UPGRADE
from landbridge_server.providers.hybrid_compute.on_machine import children
from landbridge_server.providers.hybrid_compute.versions import VERSIONS
from landbridge_server.providers.hybrid_connectivity import defaults
from landbridge_server.store import former_names, machines, role_assignments, subscriptions
from landbridge_server.store.database import Connection
from landbridge_server.store.resources import Stored

Presence = Callable[[str], tuple[str, str, str]]
"""Machine key -> status, since when (ISO 8601; empty: it was never heard from), and the reason, if any."""

Removed = Callable[[str, str], None]
"""Called after the commit with the key and the principal id of a machine that is gone."""

EXTENSIONS = "microsoft.hybridcompute/machines/extensions"

_SERVICE = {"status": Text(256), "startupType": Text(256)}
_PATCH_SETTINGS = {
    "patchSettings": {
        "assessmentMode": Choice(("ImageDefault", "AutomaticByPlatform")),
        "patchMode": Choice(("ImageDefault", "AutomaticByPlatform", "AutomaticByOS", "Manual")),
        "enableHotpatching": bool,
    },
}

# What writers decide. Everything else of the documents' MachineProperties is read-only; a license
# profile is what licenses say, and there are none.
WRITABLE: dict[str, Any] = {
    "locationData": {
        "name": Text(256),
        "city": Text(256),
        "district": Text(256),
        "countryOrRegion": Text(256),
    },
    "serviceStatuses": {"extensionService": _SERVICE, "guestConfigurationService": _SERVICE},
    "cloudMetadata": {"provider": str},
    "agentUpgrade": {"desiredVersion": str, "correlationId": str, "enableAutomaticUpgrade": bool},
    "osProfile": {"windowsConfiguration": _PATCH_SETTINGS, "linuxConfiguration": _PATCH_SETTINGS},
    "vmId": Text(64),
    "clientPublicKey": Text(8192),
    "identityKeyStore": Choice(("Default", "TPM")),
    "tpmEkCertificate": Text(16384),
    "osType": Text(64),
    "privateLinkScopeResourceId": str,
    "parentClusterResourceId": str,
    "hardwareResourceId": str,
    "mssqlDiscovered": str,
}

_encode = msgspec.json.encode


class Machines(ResourceType):
    """The type."""

    namespace = "Microsoft.HybridCompute"
    type = "machines"
    api_versions = VERSIONS
    kind = Kind.TRACKED
    created = 200  # the documents declare 200 only
    updated = 200
    name_pattern = re.compile(r"[A-Za-z0-9_.-]{1,54}", re.ASCII)
    name_rule = "A machine's name has 1 to 54 letters, digits, '-', '_' or '.'."
    members = ("kind",)
    removal_accepted_after = "2024-07-10"
    removal_matters = True
    keeps_shown = True

    def __init__(
        self,
        presence: Presence,
        on_removed: Sequence[Removed],
        actions: Mapping[str, Action],
        clock: Callable[[], float],
    ) -> None:
        """Take who knows which machines are alive, who wants to hear of removals, and the POST actions."""
        self.presence = presence
        self.on_removed = on_removed
        self._actions = actions
        self.clock = clock

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be asked of a machine as a whole."""
        return self._actions

    @property
    def not_offered(self) -> Mapping[str, str]:
        """Patches."""
        return NOT_OFFERED

    def put(self, write: Write) -> dict[str, Any]:
        """Return the writable properties; vmId and key stay when they are not given again."""
        kept: dict[str, Any] = shape.keep(WRITABLE, write.properties, "properties")
        if "locationData" in kept and "name" not in kept["locationData"]:
            raise refusals.invalid("'properties.locationData.name' is required.", "locationData")
        if "vmId" in kept and not names.is_guid(kept["vmId"]):
            raise refusals.invalid("'properties.vmId' must be a GUID.", "vmId")
        for name in ("vmId", "clientPublicKey"):
            if name not in kept and name in write.old_properties:
                kept[name] = write.old_properties[name]
        kept.setdefault("vmId", str(uuid.uuid4()))
        if write.old and kept["vmId"].lower() != write.old_properties["vmId"].lower():
            raise refusals.unchangeable("vmId", "It names the machine for good: delete the resource first.")
        kept["provisioningState"] = "Succeeded"
        return kept

    def envelope(self, write: Write) -> Document:
        """Return the identity: every machine has one of its own, and no other."""
        asked = write.body.get("identity")
        if asked is not None:
            kind = asked.get("type") if isinstance(asked, dict) else None
            if not isinstance(kind, str) or kind.lower() not in ("systemassigned", "none"):
                raise refusals.invalid("'identity.type' must be SystemAssigned.", "identity")
        return {"identity": write.old["identity"]} if write.old else {}

    def on_create(self, connection: Connection, write: Write, document: Document) -> None:
        """Create the identity, the agent's row, and the endpoint."""
        subscription = subscriptions.get(connection, write.id.subscription)
        if subscription is None:
            raise refusals.subscription_missing(write.id.subscription)
        tenant, key = subscription.tenant_id, write.id.key
        made = directory.create_managed_identity(connection, tenant, key, write.id.name, write.now)
        document["identity"] = {
            "type": "SystemAssigned",
            "principalId": made.object_id,
            "tenantId": tenant,
        }
        former_names.taken(connection, key)
        machines.create(connection, key, made.object_id, document["properties"]["vmId"])
        defaults.create(connection, write)

    def on_update(self, connection: Connection, write: Write, document: Document) -> None:
        """Refuse another key once the machine has enrolled."""
        old = write.old_properties.get("clientPublicKey")
        if old == document["properties"].get("clientPublicKey"):
            return
        machine = machines.get(connection, write.id.key)
        if machine is not None and machine.enrolled_at is not None:
            raise refusals.unchangeable(
                "clientPublicKey", "The machine is enrolled with its key: delete the resource first."
            )

    def on_delete(self, connection: Connection, stored: Stored, effects: Effects) -> None:
        """Remove the identity with its roles, certificates, what the agent said, and what waits for it."""
        work.abandon(connection, stored.key, self.clock())
        machine = machines.get(connection, stored.key)
        if machine is None:
            return
        principal_id = machine.principal_id
        machines.remove(connection, stored.key)
        former_names.forget(connection, principal_id)
        directory.delete_principal(connection, principal_id)
        role_assignments.remove_of_principal(connection, principal_id)
        effects.after += [partial(tell, stored.key, principal_id) for tell in self.on_removed]

    def on_acted(
        self, connection: Connection, stored: Stored, kind: str, unverified: Mapping[str, Any], now: float
    ) -> None:
        """Have its extensions show to what they were upgraded."""
        if kind == UPGRADE:
            extension_upgrades.take_over(connection, stored.key, unverified, now)

    def expand(self, connection: Connection, rendered: bytes, stored: Stored, words: frozenset[str]) -> bytes:
        """Return a machine with its extensions, for ``instanceView``."""
        if "instanceview" not in words:
            return rendered
        document = msgspec.json.decode(rendered)
        found = [decode(row) for row in children(connection, stored.key, EXTENSIONS)]
        document["resources"] = found
        document["properties"]["extensions"] = [_instance_view(one) for one in found]
        return _encode(document)

    def shown(self, connection: Connection, key: str, document: Document) -> bytes:
        """Return a machine with what its agent reported, up to its status."""
        machine = machines.get(connection, key)
        return facts.merged(document, machine.facts if machine else facts.NOTHING)

    def computed(self, keys: Sequence[str]) -> list[bytes]:
        """Return the status of machines, which comes last."""
        return [_status(*one) for one in map(self.presence, keys)]


@lru_cache(maxsize=4096)
def _status(status: str, since: str, reason: str) -> bytes:
    why = f',"statusReason":"{reason}"' if reason else ""
    changed = f',"lastStatusChange":"{since}"' if since else ""
    return f',"status":"{status}"{why}{changed}}}}}'.encode()


def _instance_view(extension: Document) -> Any:
    properties = extension["properties"]
    shown = {name: properties[name] for name in ("type", "typeHandlerVersion") if name in properties}
    return properties.get("instanceView") or {"name": extension["name"], **shown}
