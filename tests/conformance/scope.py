"""Which documents and recordings count, what is left out or not offered, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
    "Microsoft.ResourceGraph/2021-03-01/resourcegraph.json",
)

LEFT_OUT = re.compile(r"Deployment|ExportTemplate", re.IGNORECASE)
"""Operations that are not in scope at all: deployments, and the export of a template for one."""


@dataclass(frozen=True)
class Absent:
    """Something that is not offered: an expression that finds it, the reason, how it is refused."""

    pattern: str
    reason: str
    codes: tuple[str, ...] = ("InvalidResourceType", "InvalidResourceNamespace")


NO_PARENT = ("ParentResourceNotFound", "InvalidResourceNamespace")
"""How something below a resource is refused whose own type is not there."""

QUERY = ("BadRequest",)
"""How a query is refused that asks for more than this cloud's part of the language."""

NOT_OFFERED = (
    Absent(r"ResourceGraph/.*: Basic management group query", "no management groups", QUERY),
    Absent(
        r"ResourceGraph/.*: (Summarize resources by|Complex query)", "no top, no summarize by alone", QUERY
    ),
    Absent(r"HybridCompute/.*/privateLinkScopes\.json ", "private link scopes are not registered"),
    Absent(r"\.json License", "licenses are not registered"),
    Absent(
        r" GuestConfigurationAssignment(Report)?s(VMSS)?_(?!RGList|SubscriptionList)",
        "no virtual machines",
        NO_PARENT,
    ),
    Absent(r" GuestConfigurationConnectedVMware", "no VMware machines", NO_PARENT),
    Absent(r" Machines_(Assess|Install)Patches", "no agent deals with the patches of its system"),
    Absent(r" Endpoints_ListIngressGatewayCredentials", "no ingress gateway"),
    Absent(r" Endpoints_ListManagedProxyDetails", "no managed proxy"),
    Absent(r" GlobalAdministrator_ElevateAccess", "no directory roles that could be elevated"),
    Absent(r" ResourceLinks_", "resource links are not registered"),
    Absent(r" Providers_RegisterAtManagementGroupScope", "no management groups"),
)
"""By ``document operation: title``. The namespace is refused where not even that is there."""


def not_offered(document: str, operation: str, title: str) -> Absent | None:
    """Return why an example of an operation is not offered; None when it is."""
    name = f"{document} {operation}: {title}"
    return next((one for one in NOT_OFFERED if re.search(one.pattern, name)), None)


RECORDED = ("connectedmachine", "guestconfig", "azcli/resource", "azcli/role")
"""The folders of recordings that every recording must be listed for, here or below."""

RECORDINGS = (
    "azcli/resource/hybrid_2018_03_01/test_cannotdelete_resource_group_lock",
    "azcli/resource/hybrid_2018_03_01/test_cannotdelete_resource_lock",
    "azcli/resource/hybrid_2018_03_01/test_provider_registration",
    "azcli/resource/hybrid_2018_03_01/test_resource_group",
    "azcli/resource/hybrid_2018_03_01/test_resource_group_no_wait",
    "azcli/resource/hybrid_2018_03_01/test_resource_id_scenario",
    "azcli/resource/hybrid_2018_03_01/test_resource_lock_commands",
    "azcli/resource/hybrid_2018_03_01/test_resource_move",
    "azcli/resource/hybrid_2018_03_01/test_subscription_locks",
    "azcli/resource/hybrid_2019_03_01/test_generic_subscription_locks",
    "azcli/resource/hybrid_2019_03_01/test_global_ids",
    "azcli/resource/hybrid_2019_03_01/test_lock_commands_with_ids",
    "azcli/resource/hybrid_2019_03_01/test_lock_with_resource_id",
    "azcli/resource/hybrid_2019_03_01/test_provider_operation",
    "azcli/resource/hybrid_2019_03_01/test_resource_group",
    "azcli/resource/hybrid_2019_03_01/test_resource_id_scenario",
    "azcli/resource/hybrid_2019_03_01/test_resource_lock_commands",
    "azcli/resource/hybrid_2019_03_01/test_subscription_locks",
    "azcli/resource/hybrid_2019_03_01/test_tag_scenario",
    "azcli/resource/latest/test_cannotdelete_resource_lock",
    "azcli/resource/latest/test_feature_list",
    "azcli/resource/latest/test_generic_subscription_locks",
    "azcli/resource/latest/test_global_ids",
    "azcli/resource/latest/test_group_lock_commands",
    "azcli/resource/latest/test_lock_with_resource_id",
    "azcli/resource/latest/test_readonly_resource_group_lock",
    "azcli/resource/latest/test_readonly_resource_lock",
    "azcli/resource/latest/test_resource_group",
    "azcli/resource/latest/test_resource_group_local_context",
    "azcli/resource/latest/test_resource_group_no_wait",
    "azcli/role/hybrid_2018_03_01/test_create_for_rbac_with_cert_with_assignment",
    "azcli/role/hybrid_2018_03_01/test_create_for_rbac_with_existing_kv_cert",
    "azcli/role/hybrid_2018_03_01/test_create_for_rbac_with_new_kv_cert",
    "connectedmachine/connectedmachine/latest/test_esu_license",
    "connectedmachine/connectedmachine/latest/test_private_link",
    "guestconfig/guestconfig/latest/test_guestconfig",
)

RECORDINGS_LEFT_OUT: tuple[tuple[str, str], ...] = (
    (r"deployment|invoke_action|delete_dependent_resources|what_if", "deployments"),
    (r"managementgroup|management_group|provider_registration_mg", "management groups"),
    (r"policy", "policy"),
    (r"managedapp", "managed applications"),
    (r"template_spec", "template specs"),
    (r"export_skip_resource_name_params", "the export of a template"),
    (r"test_resource_create_and_show", "App Service: plans, sites and their configuration"),
)
"""Names of recordings that are not in scope, and what they are about."""


def left_out(recording: str) -> str:
    """Return why a recording is not in scope; empty when it is."""
    name = recording.rpartition("/")[2]
    return next((reason for pattern, reason in RECORDINGS_LEFT_OUT if re.search(pattern, name)), "")


PATHS_NOT_OFFERED = (
    Absent(r"/Microsoft\.HybridCompute/licenses", "licenses are not registered"),
    Absent(r"/Microsoft\.HybridCompute/.*privateLinkScopes", "private link scopes are not registered"),
    Absent(r"/virtualMachines/.*GuestConfiguration/", "no virtual machines", NO_PARENT),
)
"""By recorded path."""


def not_offered_path(path: str) -> Absent | None:
    """Return why a recorded path is not offered; None when it is."""
    return next((one for one in PATHS_NOT_OFFERED if re.search(one.pattern, path, re.IGNORECASE)), None)
