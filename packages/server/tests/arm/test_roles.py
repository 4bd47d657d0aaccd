from __future__ import annotations

import pytest

from landbridge_server.arm.roles import BUILT_IN, CONTRIBUTOR, ONBOARDING, OWNER, READER, by_guid, named


@pytest.mark.parametrize(
    ("role", "action", "allowed"),
    [
        (OWNER, "anything/at/all", True),
        (CONTRIBUTOR, "Microsoft.HybridCompute/machines/write", True),
        (CONTRIBUTOR, "microsoft.authorization/roleassignments/write", False),
        (CONTRIBUTOR, "Microsoft.Authorization/roleAssignments/read", True),
        (READER, "Microsoft.HybridCompute/machines/read", True),
        (READER, "Microsoft.HybridCompute/machines/readall", False),
        (READER, "Microsoft.HybridConnectivity/endpoints/listCredentials/action", False),
        (ONBOARDING, "MICROSOFT.HYBRIDCOMPUTE/MACHINES/WRITE", True),
        (ONBOARDING, "Microsoft.HybridCompute/machines/delete", False),
        (ONBOARDING, "Microsoft.HybridCompute/machines/extensions/write", False),
        (ONBOARDING, "Microsoft.HybridCompute/machines/write/more", False),
        (ONBOARDING, "XMicrosoft.HybridCompute/machines/read", False),
        (ONBOARDING, "MicrosoftxHybridCompute/machines/read", False),
    ],
)
def test_wildcards_match_and_not_actions_take_away(role, action, allowed):
    assert role.allows(action) is allowed


def test_roles_are_found_by_guid_and_by_name_in_any_casing():
    for role in BUILT_IN:
        assert by_guid(role.guid.upper()) is role
        assert named(role.name.upper()) is role
    assert named("King") is None
