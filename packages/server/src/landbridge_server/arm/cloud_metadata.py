"""What a cloud announces about itself to whoever registers it, in both shapes.

Before 2018-05-01 clients read the legacy members, afterwards the others. The newer shape
carries the legacy members too; the legacy one is kept as small as old clients know it.
"""

from __future__ import annotations

from landbridge_server.arm import api_version
from landbridge_server.config import Endpoints

NEW_SHAPE = "2018-05-01"
MIRROR = "/mirror"
"""Below it az finds the extensions of this cloud, because the metadata names it."""
AZURE_STACK = "1.0"
"""The version by which Azure Stack's page has people look at this document."""


def _login(endpoints: Endpoints, identity_provider: str) -> str:
    return endpoints.adfs if identity_provider == "adfs" else endpoints.login


def legacy(endpoints: Endpoints, identity_provider: str) -> dict[str, object]:
    """Return the shape of api-version 2015-01-01."""
    return {
        "galleryEndpoint": endpoints.portal + "/",
        "graphEndpoint": endpoints.graph + "/",
        "portalEndpoint": endpoints.portal + "/",
        "authentication": {
            "loginEndpoint": _login(endpoints, identity_provider) + "/",
            "audiences": [endpoints.audience],
        },
    }


def current(endpoints: Endpoints, identity_provider: str, tenant: str, domain: str) -> dict[str, object]:
    """Return the shape of 2018-05-01 and later, one object, with the legacy members beside."""
    host = domain or endpoints.resource_manager.partition("//")[2].partition(":")[0]
    return legacy(endpoints, identity_provider) | {
        "name": "Landbridge",
        "portal": endpoints.portal + "/",
        "gallery": endpoints.portal + "/",
        "resourceManager": endpoints.resource_manager + "/",
        "authentication": {
            "loginEndpoint": _login(endpoints, identity_provider),
            "audiences": [endpoints.audience],
            "tenant": tenant,
            "identityProvider": identity_provider.upper(),
        },
        "graph": endpoints.graph + "/",
        "graphAudience": endpoints.graph + "/",
        "microsoftGraphResourceId": endpoints.graph + "/",
        "vmImageAliasDoc": endpoints.resource_manager + "/aliases.json",
        "azmirrorStorageAccountResourceId": endpoints.resource_manager + MIRROR,
        "suffixes": {"storage": host, "keyVaultDns": f"vault.{host}", "acrLoginServer": f"azurecr.{host}"},
    }


def metadata(
    unverified_version: str, endpoints: Endpoints, identity_provider: str, tenant: str, domain: str
) -> dict[str, object]:
    """Return the shape for an api-version.

    Raises:
        ArmError: MissingApiVersionParameter, InvalidApiVersionParameter.
    """
    if unverified_version == AZURE_STACK:
        return legacy(endpoints, identity_provider)
    api_version.check(unverified_version, ("2022-09-01", "2015-01-01"))
    if unverified_version[:10] < NEW_SHAPE:
        return legacy(endpoints, identity_provider)
    return current(endpoints, identity_provider, tenant, domain)
