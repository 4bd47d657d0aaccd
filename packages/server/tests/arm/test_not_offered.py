from __future__ import annotations

import pytest

from landbridge_server.arm import not_offered


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("providers/Microsoft.Compute", "Virtual machines and their images are not offered"),
        ("providers/microsoft.compute/virtualMachines", "Microsoft.HybridCompute/machines"),
        ("providers/Microsoft.Compute/locations/local/publishers", "Virtual machines and their images"),
        (
            "resourceGroups/demo/providers/Microsoft.Network/virtualNetworks/n",
            "Virtual machines and their networks",
        ),
        ("providers/Microsoft.Resources/links", "Links between resources are not offered"),
        ("resourceGroups/demo/providers/Microsoft.Resources/deployments/d", "Templates and deployments"),
        ("providers/Microsoft.Authorization/policyAssignments", "Policies are not offered"),
    ],
)
async def test_what_azure_has_and_this_cloud_has_not_is_told_so(arm, path, said):
    await arm.group()
    refused = await arm("GET", path)
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] in ("InvalidResourceNamespace", "InvalidResourceType")
    assert said in refused.json()["error"]["message"]


async def test_validating_a_deployment_is_told_so_too(arm):
    await arm.group()
    path = "resourceGroups/demo/providers/Microsoft.Resources/deployments/d/validate"
    refused = await arm("POST", path, {"properties": {}})
    assert "Templates and deployments are not offered" in refused.json()["error"]["message"]


async def test_what_nobody_has_is_refused_as_arm_does(arm):
    refused = await arm("GET", "providers/Contoso.Nothing/things")
    assert refused.json()["error"]["message"] == "The resource namespace 'Contoso.Nothing' is invalid."


def test_a_type_counts_before_its_namespace_and_children_as_their_parents():
    assert not_offered.reason("Microsoft.Resources/deployments/validate").startswith("Templates")
    assert not_offered.reason("Microsoft.Resources/resourceGroups") == ""
    assert not_offered.reason("") == ""
