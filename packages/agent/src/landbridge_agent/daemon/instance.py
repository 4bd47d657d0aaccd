"""Instance metadata: this machine in the shape of Azure's own service. Pure.

The contract: agent, section 2.1. What only a machine of Azure's has is an empty text. Everything
is known on the machine itself, so that it is answered while the cloud is away.
"""

from __future__ import annotations

from collections.abc import Mapping

from landbridge_agent.machine import AgentConfig

VERSIONS = ("2019-03-11", "2019-06-01", "2019-08-01", "2019-08-15", "2019-11-01", "2020-06-01")
"""The api-versions of metadata and tokens that clients were seen to send."""

_EMPTY = (
    "customData",
    "isHostCompatibilityLayerVm",
    "offer",
    "placementGroupId",
    "platformFaultDomain",
    "platformUpdateDomain",
    "provider",
    "publisher",
    "version",
    "vmScaleSetName",
    "vmSize",
    "zone",
)


def document(
    config: AgentConfig, tags: Mapping[str, str], sku: str, system: str = "linux"
) -> dict[str, object]:
    """Return the whole document; ``sku`` is the operating system's name as people know it."""
    compute: dict[str, object] = {
        **dict.fromkeys(_EMPTY, ""),
        "azEnvironment": config.cloud,
        "location": config.location,
        "name": config.resourceName,
        "osType": system,
        "plan": {"name": "", "product": "", "publisher": ""},
        "publicKeys": None,
        "resourceGroupName": config.resourceGroup,
        "resourceId": config.resourceId,
        "securityProfile": {"secureBootEnabled": "", "virtualTpmEnabled": ""},
        "sku": sku,
        "storageProfile": {},
        "subscriptionId": config.subscriptionId,
        "tags": ";".join(f"{name}:{value}" for name, value in tags.items()),
        "tagsList": [{"name": name, "value": value} for name, value in tags.items()],
        "vmId": config.vmId,
    }
    return {"compute": dict(sorted(compute.items())), "network": {}}


class NoSuchNode(LookupError):
    """The path leads to nothing."""


def node(whole: object, path: str) -> object:
    """Return what lies at ``compute/name`` or ``compute/tagsList/0/value``; names in any case.

    Raises:
        NoSuchNode: nothing does.
    """
    found = whole
    for word in filter(None, path.split("/")):
        if isinstance(found, Mapping):
            by_name = {str(name).lower(): value for name, value in found.items()}
            if word.lower() not in by_name:
                raise NoSuchNode(word)
            found = by_name[word.lower()]
        elif isinstance(found, list) and word.isascii() and word.isdigit() and int(word[:6]) < len(found):
            found = found[int(word[:6])]
        else:
            raise NoSuchNode(word)
    return found


def as_text(found: object) -> str:
    """Return a node with ``format=text``: a value as it is, of a folder the names of what is in it."""
    if isinstance(found, Mapping):
        return "\n".join(
            f"{name}/" if isinstance(one, Mapping | list) else name for name, one in found.items()
        )
    if isinstance(found, list):
        return "\n".join(f"{number}/" for number in range(len(found)))
    return "" if found is None else str(found)
