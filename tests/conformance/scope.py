"""Which documents and recordings count, what is left out or not offered, and why."""

from __future__ import annotations

import re

DOCUMENTS = (
    "Microsoft.HybridCompute/2022-11-10/HybridCompute.json",
    "Microsoft.HybridCompute/2022-11-10/privateLinkScopes.json",
    "Microsoft.HybridCompute/2024-07-10/HybridCompute.json",
    "Microsoft.HybridCompute/2024-07-10/privateLinkScopes.json",
    "Microsoft.HybridConnectivity/2023-03-15/hybridconnectivity.json",
    "Microsoft.GuestConfiguration/2022-01-25/guestconfiguration.json",
    "Microsoft.Authorization/2015-07-01/authorization-ClassicAdminCalls.json",
    "Microsoft.Authorization/2015-07-01/authorization-ElevateAccessCalls.json",
    "Microsoft.Authorization/2015-07-01/authorization-ProviderOperationsCalls.json",
    "Microsoft.Authorization/2015-07-01/authorization-RoleAssignmentsCalls.json",
    "Microsoft.Authorization/2015-07-01/authorization-RoleDefinitionsCalls.json",
    "Microsoft.Authorization/2022-04-01/authorization-DenyAssignmentCalls.json",
    "Microsoft.Authorization/2022-04-01/authorization-ProviderOperationsCalls.json",
    "Microsoft.Authorization/2022-04-01/authorization-RoleAssignmentsCalls.json",
    "Microsoft.Authorization/2022-04-01/authorization-RoleDefinitionsCalls.json",
    "Microsoft.Authorization/2016-09-01/locks.json",
    "Microsoft.Features/2015-12-01/features.json",
    "Microsoft.Features/2021-07-01/SubscriptionFeatureRegistration.json",
    "Microsoft.Features/2021-07-01/features.json",
    "Microsoft.Resources/2016-06-01/subscriptions.json",
    "Microsoft.Resources/2016-09-01/links.json",
    "Microsoft.Resources/2018-05-01/resources.json",
    "Microsoft.Resources/2021-04-01/resources.json",
    "Microsoft.Resources/2022-09-01/resources.json",
    "Microsoft.Resources/2022-12-01/subscriptions.json",
    "Microsoft.Insights/2015-04-01/activityLogs_API.json",
    "Microsoft.Insights/2015-04-01/eventCategories_API.json",
    "Microsoft.Insights/2015-04-01/tenantActivityLogs_API.json",
)

LEFT_OUT = re.compile(r"Deployment|ExportTemplate", re.IGNORECASE)
"""Operations that are not in scope at all: deployments, and the export of a template for one."""

NOT_OFFERED: tuple[tuple[str, str], ...] = (
    (r"HybridCompute/.*/privateLinkScopes\.json ", "private link scopes are not registered"),
    (r" License", "licenses are not registered"),
    (r" GuestConfigurationAssignment(Report)?s(VMSS)?_(?!RGList|SubscriptionList)", "no virtual machines"),
    (r" GuestConfigurationConnectedVMware", "no VMware machines"),
    (r" Subscriptions_CheckZonePeers", "no availability zones"),
    (r" GlobalAdministrator_ElevateAccess", "no directory roles that could be elevated"),
    (r" ResourceLinks_", "resource links are not registered"),
    (r" Providers_RegisterAtManagementGroupScope", "no management groups"),
)
"""What answers InvalidResourceType: an expression over ``document operation``, and the reason."""

REFUSALS = ("InvalidResourceType", "InvalidResourceNamespace")
"""How a type that is not offered is refused; the second where not even its namespace is there."""


def not_offered(document: str, operation: str) -> str:
    """Return why an operation is not offered; empty when it is."""
    name = f"{document} {operation}"
    return next((reason for pattern, reason in NOT_OFFERED if re.search(pattern, name)), "")
