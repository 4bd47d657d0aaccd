"""What an agent reports about its machine, and how a machine is shown with it.

The resource holds what its writers decide; the report lies beside it in the ``machines``
table and wins when both have a member: a machine knows best what it is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from landbridge_server.store import machines, resources
from landbridge_server.store.database import Connection

NOTHING = "{}"

# What is shown of a report. Anything else that an agent sends is kept, but not shown.
REPORTED = frozenset(
    {
        "adFqdn",
        "agentConfiguration",
        "agentVersion",
        "cloudMetadata",
        "detectedProperties",
        "dnsFqdn",
        "domainName",
        "firmwareProfile",
        "hardwareProfile",
        "machineFqdn",
        "mssqlDiscovered",
        "networkProfile",
        "osEdition",
        "osName",
        "osSku",
        "osType",
        "osVersion",
        "serviceStatuses",
        "storageProfile",
        "vmUuid",
    }
)

_Raw = dict[str, msgspec.Raw]
_decode_report = msgspec.json.Decoder(_Raw).decode
_encode = msgspec.json.encode


def merged(document: dict[str, Any], report: str) -> bytes:
    """Return the JSON of a machine with what its agent reported, without its end: ``}}``."""
    properties: dict[str, Any] = dict(document["properties"])
    reported = _decode_report(report)
    properties.update({name: value for name, value in reported.items() if name in REPORTED})
    if "osProfile" in reported:
        properties["osProfile"] = _os_profile(reported["osProfile"], properties.get("osProfile"))
    properties["displayName"] = document["name"]
    envelope = {name: value for name, value in document.items() if name != "properties"}
    return _encode({**envelope, "properties": properties})[:-2]


def _os_profile(unverified_report: msgspec.Raw, written: Any) -> dict[str, Any]:
    """Return the profile with the reported computer name; the rest of it writers decide."""
    reported = msgspec.json.decode(unverified_report)
    name = reported.get("computerName") if isinstance(reported, dict) else None
    profile: dict[str, Any] = dict(written or {})
    return profile | ({"computerName": name} if isinstance(name, str) else {})


def keep(connection: Connection, machine_key: str, report: str, digest: str) -> None:
    """Replace what a machine reported, and with it what readers see of the machine."""
    machines.set_facts(connection, machine_key, report, digest)
    stored = resources.get(connection, machine_key)
    if stored is not None:
        resources.set_shown(connection, machine_key, merged(msgspec.json.decode(stored.document), report))
