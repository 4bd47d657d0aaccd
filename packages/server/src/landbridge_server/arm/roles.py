"""The built-in roles, with Azure's names, GUIDs and actions.

An action is ``Namespace/type/verb``; a role allows it when one of its ``actions`` matches and
none of its ``not_actions`` does, and a data action by its ``data_actions`` and
``not_data_actions`` alone. ``*`` matches anything, ``/`` included; case does not count.
Actions of providers that do not exist here stay listed: they grant nothing and keep the
printed definition the same as elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from landbridge_server.arm.action_patterns import Patterns

_MOST_ANSWERS = 1024
"""Answers that a set of permissions keeps: there are hardly more actions than that."""


@dataclass(frozen=True)
class Permission:
    """One set of permissions of a role: what it grants, less what it takes away of that again."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    @cached_property
    def _control(self) -> tuple[Patterns, Patterns]:
        return Patterns(self.actions), Patterns(self.not_actions)

    @cached_property
    def _data(self) -> tuple[Patterns, Patterns]:
        return Patterns(self.data_actions), Patterns(self.not_data_actions)

    @cached_property
    def _answers(self) -> tuple[dict[str, bool], dict[str, bool]]:
        return {}, {}

    def allows(self, action: str, *, data: bool = False) -> bool:
        """Say whether an action, in any casing, is granted; ``data``: it is a data action."""
        answers = self._answers[data]
        found = answers.get(action)
        if found is None:
            granted, taken = self.patterns(action, data=data)
            found = granted is not None and taken is None
            if len(answers) >= _MOST_ANSWERS:
                answers.clear()
            answers[action] = found
        return found

    def patterns(self, action: str, *, data: bool = False) -> tuple[str | None, str | None]:
        """Return the pattern that grants an action and the one that takes it away again, for people."""
        granted, taken = self._data if data else self._control
        lower = action.lower()
        return granted.match(lower), taken.match(lower)


@dataclass(frozen=True)
class Role:
    """A role definition that is assignable everywhere."""

    guid: str
    name: str
    description: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    @cached_property
    def sets(self) -> tuple[Permission, ...]:
        """Its one set of permissions."""
        return (Permission(self.actions, self.not_actions, self.data_actions, self.not_data_actions),)

    def allows(self, action: str, *, data: bool = False) -> bool:
        """Say whether holding the role allows an action, in any casing; ``data``: it is a data action."""
        return self.sets[0].allows(action, data=data)


def permissions(role: Role) -> dict[str, list[str]]:
    """Return the permissions of a built-in role as the documents have them."""
    return {
        "actions": list(role.actions),
        "notActions": list(role.not_actions),
        "dataActions": list(role.data_actions),
        "notDataActions": list(role.not_data_actions),
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
        # Not Azure's, whose run commands have no actions: whoever may run something may see and end it.
        "Microsoft.HybridCompute/machines/runCommands/readOutput/action",
        "Microsoft.HybridCompute/machines/runCommands/cancel/action",
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

_SEES_MACHINES = (
    "Microsoft.Network/publicIPAddresses/read",
    "Microsoft.Network/virtualNetworks/read",
    "Microsoft.Network/loadBalancers/read",
    "Microsoft.Network/networkInterfaces/read",
    "Microsoft.Compute/virtualMachines/*/read",
    "Microsoft.HybridCompute/machines/*/read",
    "Microsoft.HybridConnectivity/endpoints/listCredentials/action",
)
ADMINISTRATOR_LOGIN = Role(
    "1c0163c0-47e6-4577-8991-ea5c82e286e4",
    "Virtual Machine Administrator Login",
    "View Virtual Machines in the portal and login as administrator",
    _SEES_MACHINES,
    data_actions=(
        "Microsoft.Compute/virtualMachines/login/action",
        "Microsoft.Compute/virtualMachines/loginAsAdmin/action",
        "Microsoft.HybridCompute/machines/login/action",
        "Microsoft.HybridCompute/machines/loginAsAdmin/action",
    ),
)
USER_LOGIN = Role(
    "fb879df8-f326-4884-b1cf-06f3ad86be52",
    "Virtual Machine User Login",
    "View Virtual Machines in the portal and login as a regular user.",
    _SEES_MACHINES,
    data_actions=(
        "Microsoft.Compute/virtualMachines/login/action",
        "Microsoft.HybridCompute/machines/login/action",
    ),
)
ACCESS_CONTROL_ADMINISTRATOR = Role(
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
    "Role Based Access Control Administrator",
    "Manage access to Azure resources by assigning roles using Azure RBAC. This role does not allow you to "
    "manage access using other ways, such as Azure Policy.",
    (
        "Microsoft.Authorization/roleAssignments/write",
        "Microsoft.Authorization/roleAssignments/delete",
        "*/read",
        "Microsoft.Support/*",
    ),
)

BUILT_IN = (
    OWNER,
    CONTRIBUTOR,
    READER,
    USER_ACCESS_ADMINISTRATOR,
    ACCESS_CONTROL_ADMINISTRATOR,
    ONBOARDING,
    RESOURCE_ADMINISTRATOR,
    LOCAL_USER_LOGIN,
    USER_LOGIN,
    ADMINISTRATOR_LOGIN,
)
_BY_GUID = {role.guid: role for role in BUILT_IN}
_BY_NAME = {role.name.lower(): role for role in BUILT_IN}


def by_guid(guid: str) -> Role | None:
    """Return the role with this GUID, in any casing."""
    return _BY_GUID.get(guid.lower())


def named(name: str) -> Role | None:
    """Return the role with this name, in any casing."""
    return _BY_NAME.get(name.lower())
