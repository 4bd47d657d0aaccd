"""What Azure has and this cloud has not: words for people, beside the code that programs know.

A refusal says that a namespace or type is invalid, as ARM's does. Who knows it from Azure would
look for a mistake of their own; these sentences say that there is none, and what is there instead.
"""

from __future__ import annotations

_MACHINES = "Machines that live elsewhere are Microsoft.HybridCompute/machines."

_NAMESPACES = {
    "microsoft.compute": f"Virtual machines and their images are not offered by this cloud. {_MACHINES}",
    "microsoft.network": "Virtual machines and their networks are not offered by this cloud.",
    "microsoft.storage": "Storage accounts are not offered by this cloud.",
    "microsoft.keyvault": "Key vaults are not offered by this cloud.",
    "microsoft.web": "Web applications are not offered by this cloud.",
    "microsoft.containerservice": "Clusters are not offered by this cloud.",
    "microsoft.managedidentity": "Identities of their own are not offered by this cloud; machines have one.",
    "microsoft.management": "Management groups are not offered by this cloud.",
    "microsoft.solutions": "Managed applications are not offered by this cloud.",
}
_TYPES = {
    "microsoft.resources/deployments": "Templates and deployments are not offered by this cloud.",
    "microsoft.resources/deploymentstacks": "Templates and deployments are not offered by this cloud.",
    "microsoft.resources/templatespecs": "Templates and deployments are not offered by this cloud.",
    "microsoft.resources/links": "Links between resources are not offered by this cloud. Use tags.",
    "microsoft.authorization/policyassignments": "Policies are not offered by this cloud.",
    "microsoft.authorization/policydefinitions": "Policies are not offered by this cloud.",
    "microsoft.authorization/policysetdefinitions": "Policies are not offered by this cloud.",
}


def reason(name: str) -> str:
    """Return what to say of a namespace or of a full type, or nothing; a child counts as its parent."""
    namespace, _, kind = name.lower().partition("/")
    return _TYPES.get(f"{namespace}/{kind.partition('/')[0]}", "") or _NAMESPACES.get(namespace, "")
