"""The built-in roles: the table that says which actions each one allows.

Names, GUIDs and actions are Azure's own, less what this cloud does not have. An action
pattern may hold ``*``, which stands for any text; ``notActions`` take away again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

ROLE_DEFINITIONS = "/providers/Microsoft.Authorization/roleDefinitions/"


@dataclass(frozen=True)
class Role:
    """A role definition. ``name`` is its GUID, ``role_name`` what people call it."""

    name: str
    role_name: str
    description: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The id of the definition at tenant scope."""
        return ROLE_DEFINITIONS + self.name

    def allows(self, action: str) -> bool:
        """Say whether the role allows an action such as ``Microsoft.X/things/read``."""
        return any(matches(pattern, action) for pattern in self.actions) and not any(
            matches(pattern, action) for pattern in self.not_actions
        )


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = (re.escape(part) for part in pattern.split("*"))
    return re.compile(".*".join(parts), re.IGNORECASE | re.DOTALL)


def matches(pattern: str, action: str) -> bool:
    """Say whether an action matches a pattern; casing does not count."""
    return _compiled(pattern).fullmatch(action) is not None


OWNER = Role(
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Owner",
    "Grants full access to manage all resources, including the ability to assign roles.",
    ("*",),
)
CONTRIBUTOR = Role(
    "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Contributor",
    "Grants full access to manage all resources, but does not allow you to assign roles.",
    ("*",),
    (
        "Microsoft.Authorization/*/Delete",
        "Microsoft.Authorization/*/Write",
        "Microsoft.Authorization/elevateAccess/Action",
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
    "Lets you manage user access to resources.",
    ("*/read", "Microsoft.Authorization/*"),
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
BY_GUID = {role.name: role for role in BUILT_IN}


def find(name_or_guid: str) -> Role | None:
    """Return the role with this GUID, id or name, in any casing."""
    wanted = name_or_guid.strip().lower()
    guid = wanted.rpartition("/")[2]
    return BY_GUID.get(guid) or next((role for role in BUILT_IN if role.role_name.lower() == wanted), None)
