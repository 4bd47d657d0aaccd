"""All facts together, in the shape of a machine's ``properties`` in ARM."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from landbridge_agent.facts import surroundings
from landbridge_agent.facts.disks import Disk
from landbridge_agent.facts.dmi import Dmi
from landbridge_agent.facts.network import Address, Interface
from landbridge_agent.facts.os_release import OsRelease
from landbridge_agent.facts.processors import Processors
from landbridge_agent.local_config import Incoming
from landbridge_agent.platform import here
from landbridge_agent.version import AGENT_VERSION

SSH_PORT = 22


class Sources(NamedTuple):
    """What the sources gave."""

    os_release: OsRelease
    kernel: str
    architecture: str
    fqdn: str
    dmi: Dmi
    processors: Processors
    memory: int
    interfaces: Sequence[Interface]
    host_keys: Mapping[int, Sequence[str]]
    disks: Sequence[Disk] = ()
    databases: Mapping[str, bool] = {}
    system: str = "linux"


def gather(incoming: Incoming, hardware: Dmi, ports: Sequence[int] = ()) -> Sources:
    """Read every source; may take seconds, as programs are run.

    ``hardware`` is what was found of it: root sees more than the daemon. ``ports`` are those that
    the cloud opened, where the local list is empty.
    """
    return here().gather(hardware, (incoming.ports or (SSH_PORT, *ports)) if incoming.enabled else ())


def build(sources: Sources, configuration: Mapping[str, object]) -> dict[str, Any]:
    """Return the facts object with the local configuration as ``local_policy`` reports it.

    Pure; the same sources give the same object.
    """
    domain = sources.fqdn.partition(".")[2]
    return {
        "osName": sources.system,
        "osType": sources.system,
        "osVersion": sources.kernel,
        "osSku": sources.os_release.pretty_name or "unknown",
        "osEdition": "unknown",
        "osProfile": {"computerName": sources.fqdn.partition(".")[0]},
        "machineFqdn": sources.fqdn,
        "dnsFqdn": sources.fqdn,
        "domainName": domain or "unknown",
        "adFqdn": "unknown",
        "vmUuid": sources.dmi.uuid,
        "agentVersion": AGENT_VERSION,
        "cloudMetadata": {"provider": surroundings.cloud_provider(sources.dmi)},
        "firmwareProfile": {"serialNumber": sources.dmi.serial, "type": sources.dmi.firmware},
        "storageProfile": {"disks": [_disk(one) for one in sources.disks]},
        "mssqlDiscovered": _word(sources.databases.get("mssql", False)),
        "hardwareProfile": {
            "totalPhysicalMemoryInBytes": sources.memory,
            "numberOfCpuSockets": sources.processors.sockets,
            "processors": [
                {"name": name, "numberOfCores": sources.processors.cores} for name in sources.processors.names
            ],
        },
        "detectedProperties": _detected(sources),
        "networkProfile": {"networkInterfaces": [_interface(one) for one in sources.interfaces]},
        "agentConfiguration": dict(configuration),
    }


def _detected(sources: Sources) -> dict[str, str]:
    """All text, as the original has it; empty answers are left out."""
    gigabytes = f"{sources.memory / 2**30:.0f}" if sources.memory else ""
    found = {
        "architecture": sources.architecture,
        "cloudprovider": surroundings.cloud_provider(sources.dmi),
        "mssqldiscovered": _word(sources.databases.get("mssql", False)),
        "mysqldiscovered": _word(sources.databases.get("mysql", False)),
        "pgsqldiscovered": _word(sources.databases.get("pgsql", False)),
        "coreCount": str(sources.processors.cores),
        "logicalCoreCount": str(sources.processors.logical),
        "processorCount": str(sources.processors.sockets),
        "processorNames": ",".join(sources.processors.names),
        "manufacturer": sources.dmi.manufacturer,
        "model": sources.dmi.model,
        "serialNumber": sources.dmi.serial,
        "distribution": sources.os_release.id,
        "distributionVersion": sources.os_release.version_id,
        "totalPhysicalMemoryInBytes": str(sources.memory),
        "totalPhysicalMemoryInGigabytes": gigabytes,
    }
    for port, keys in sources.host_keys.items():
        found[f"sshHostKeys:{port}"] = "\n".join(keys)
    return {name: value for name, value in found.items() if value}


def _word(found: bool) -> str:
    return "true" if found else "false"


def _disk(disk: Disk) -> dict[str, Any]:
    return {
        "name": disk.name,
        "path": disk.path,
        "diskType": disk.kind,
        "maxSizeInBytes": disk.size,
        "usedSpaceInBytes": disk.used,
    }


def _interface(interface: Interface) -> dict[str, Any]:
    return {
        "name": interface.name,
        "macAddress": interface.mac,
        "ipAddresses": [
            {
                "address": one.address,
                "ipAddressVersion": one.version,
                "subnet": {"addressPrefix": _subnet(one)},
            }
            for one in interface.addresses
        ],
    }


def _subnet(address: Address) -> str:
    try:
        return str(ipaddress.ip_interface(f"{address.address}/{address.prefix}").network)
    except ValueError:
        return ""
