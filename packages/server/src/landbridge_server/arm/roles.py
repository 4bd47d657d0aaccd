"""The built-in roles, with Azure's names, GUIDs and actions.

An action is ``Namespace/type/verb``; a role allows it when one of its ``actions`` matches and
none of its ``not_actions`` does. ``*`` matches anything, ``/`` included; case does not count.
Actions of providers that do not exist here stay listed: they grant nothing and keep the
printed definition the same as elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Role:
    """A role definition that is assignable everywhere."""

    guid: str
    name: str
    description: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        """Say whether holding the role allows an action, in any casing."""
        return _allows(self, action.lower())


def _expression(patterns: tuple[str, ...]) -> re.Pattern[str]:
    alternatives = (".*".join(re.escape(part) for part in one.lower().split("*")) for one in patterns)
    return re.compile("|".join(alternatives) or r"(?!)", re.DOTALL)


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return _expression(patterns)


@lru_cache(maxsize=4096)
def _allows(role: Role, action: str) -> bool:
    return bool(_compiled(role.actions).fullmatch(action)) and not _compiled(role.not_actions).fullmatch(
        action
    )


def permissions(role: Role) -> dict[str, list[str]]:
    """Return the permissions of a built-in role as the documents have them."""
    return {
        "actions": list(role.actions),
        "notActions": list(role.not_actions),
        "dataActions": list(role.data_actions),
        "notDataActions": [],
    }


OWNER = Role(
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Owner",
    "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
    ("*",),
)
CONTRIBUTOR = Role(
    "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Contributor",
    "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC, "
    "manage assignments in Azure Blueprints, or share image galleries.",
    ("*",),
    (
        "Microsoft.Authorization/*/Delete",
        "Microsoft.Authorization/*/Write",
        "Microsoft.Authorization/elevateAccess/Action",
        "Microsoft.Blueprint/blueprintAssignments/write",
        "Microsoft.Blueprint/blueprintAssignments/delete",
        "Microsoft.Compute/galleries/share/action",
        "Microsoft.Purview/consents/write",
        "Microsoft.Purview/consents/delete",
    ),
)
READER = Role(
    "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Reader",
    "View all resources, but does not allow you to make any changes.",
    ("*/read",),
)
USER_ACCESS_ADMINISTRATOR = Role(
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    "User Access Administrator",
    "Lets you manage user access to Azure resources.",
    ("*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"),
)
ONBOARDING = Role(
    "b64e21ea-ac4e-4cdf-9dc9-5b892992bee7",
    "Azure Connected Machine Onboarding",
    "Can onboard Azure Connected Machines.",
    (
        "Microsoft.HybridCompute/machines/read",
        "Microsoft.HybridCompute/machines/write",
        "Microsoft.HybridCompute/privateLinkScopes/read",
        "Microsoft.GuestConfiguration/guestConfigurationAssignments/read",
    ),
)
RESOURCE_ADMINISTRATOR = Role(
    "cd570a14-e51a-42ad-bac8-bafd67325302",
    "Azure Connected Machine Resource Administrator",
    "Can read, write, delete and re-onboard Azure Connected Machines.",
    (
        "Microsoft.HybridCompute/machines/read",
        "Microsoft.HybridCompute/machines/write",
        "Microsoft.HybridCompute/machines/delete",
        "Microsoft.HybridCompute/machines/UpgradeExtensions/action",
        "Microsoft.HybridCompute/machines/extensions/read",
        "Microsoft.HybridCompute/machines/extensions/write",
        "Microsoft.HybridCompute/machines/extensions/delete",
        "Microsoft.HybridCompute/privateLinkScopes/*",
        "Microsoft.HybridCompute/*/read",
        "Microsoft.Resources/deployments/*",
        "Microsoft.HybridCompute/licenses/write",
        "Microsoft.HybridCompute/licenses/delete",
        "Microsoft.HybridCompute/machines/licenseProfiles/read",
        "Microsoft.HybridCompute/machines/licenseProfiles/write",
        "Microsoft.HybridCompute/machines/licenseProfiles/delete",
        "Microsoft.HybridCompute/machines/runCommands/read",
        "Microsoft.HybridCompute/machines/runCommands/write",
        "Microsoft.HybridCompute/machines/runCommands/delete",
    ),
)
LOCAL_USER_LOGIN = Role(
    "602da2ba-a5c2-41da-b01d-5360126ab525",
    "Virtual Machine Local User Login",
    "View Virtual Machines in the portal and login as a local user configured on the arc server.",
    (
        "Microsoft.HybridCompute/machines/*/read",
        "Microsoft.HybridConnectivity/endpoints/listCredentials/action",
    ),
)

BUILT_IN = (
    OWNER,
    CONTRIBUTOR,
    READER,
    USER_ACCESS_ADMINISTRATOR,
    ONBOARDING,
    RESOURCE_ADMINISTRATOR,
    LOCAL_USER_LOGIN,
)
_BY_GUID = {role.guid: role for role in BUILT_IN}
_BY_NAME = {role.name.lower(): role for role in BUILT_IN}


def by_guid(guid: str) -> Role | None:
    """Return the role with this GUID, in any casing."""
    return _BY_GUID.get(guid.lower())


def named(name: str) -> Role | None:
    """Return the role with this name, in any casing."""
    return _BY_NAME.get(name.lower())
