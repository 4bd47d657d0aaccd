"""Features: what a subscription can have on request, and that having it counts."""

from __future__ import annotations

import pytest

FEATURES = "providers/Microsoft.Features"
NAMESPACE = "Microsoft.HybridConnectivity"
NAME = "SshUnderReadOnlyLock"
OF_PROVIDER = f"{FEATURES}/providers/{NAMESPACE}/features"
REGISTRATIONS = f"{FEATURES}/featureProviders/{NAMESPACE}/subscriptionFeatureRegistrations"
MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
CREDENTIALS = f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints/default/listCredentials"


def code(answer):
    return answer.json()["error"]["code"] if answer.status_code >= 400 else answer.status_code


async def state(arm):
    return (await arm("GET", f"{OF_PROVIDER}/{NAME}")).json()["properties"]["state"]


async def test_features_are_listed_with_their_states(arm, cloud):
    shown = {
        "properties": {"state": "NotRegistered"},
        "id": f"{cloud.subscription}/{OF_PROVIDER}/{NAME}",
        "type": "Microsoft.Features/providers/features",
        "name": f"{NAMESPACE}/{NAME}",
    }
    assert (await arm("GET", f"{FEATURES}/features")).json() == {"value": [shown]}
    assert (await arm("GET", OF_PROVIDER)).json() == {"value": [shown]}
    assert (await arm("GET", f"{OF_PROVIDER}/{NAME.lower()}", version="2015-12-01")).json() == shown
    assert (await arm("GET", f"{FEATURES}/providers/Microsoft.HybridCompute/features")).json() == {
        "value": []
    }
    assert code(await arm("GET", f"{OF_PROVIDER}/none")) == "FeatureNotFound"
    assert code(await arm("POST", f"{OF_PROVIDER}/none/register")) == "FeatureNotFound"
    assert code(await arm("GET", f"{FEATURES}/providers/None.None/features")) == "InvalidResourceNamespace"
    assert code(await arm("GET", f"{FEATURES}/features", version="x")) == "InvalidApiVersionParameter"


async def test_a_feature_is_registered_and_given_up_by_the_passing_of_time(arm, cloud):
    seen = []
    for verb in ("register", "unregister", "register"):
        answer = await arm("POST", f"{OF_PROVIDER}/{NAME}/{verb}")
        seen.append(answer.json()["properties"]["state"])
        cloud.clock.advance(5)
        seen.append(await state(arm))
        assert (await arm("POST", f"{OF_PROVIDER}/{NAME}/{verb}")).json()["properties"]["state"] == seen[-1]
    assert seen == ["Registering", "Registered", "Unregistering", "Unregistered", "Registering", "Registered"]


async def test_a_registration_carries_words_and_can_be_deleted(arm, cloud):
    assert code(await arm("GET", f"{REGISTRATIONS}/{NAME}")) == "NotFound"
    assert (await arm("GET", f"{FEATURES}/subscriptionFeatureRegistrations")).json() == {"value": []}
    body = {
        "properties": {"metadata": {"a": "b"}, "description": "why", "shouldFeatureDisplayInPortal": True}
    }
    made = await arm("PUT", f"{REGISTRATIONS}/{NAME}", body)
    assert made.status_code == 200
    properties = made.json()["properties"]
    assert body["properties"].items() <= properties.items()
    assert properties["state"] == "Registering"
    assert properties["approvalType"] == "AutoApproval"
    cloud.clock.advance(5)
    assert await state(arm) == "Registered"
    shown = (await arm("GET", f"{REGISTRATIONS}/{NAME}")).json()
    assert shown == made.json() | {"properties": properties | {"state": "Registered"}}
    for path in (REGISTRATIONS, f"{FEATURES}/subscriptionFeatureRegistrations"):
        assert (await arm("GET", path)).json() == {"value": [shown]}
    changed = (await arm("PUT", f"{REGISTRATIONS}/{NAME}", {"properties": {}})).json()["properties"]
    assert (changed["state"], "metadata" in changed) == ("Registered", False)
    assert [(await arm("DELETE", f"{REGISTRATIONS}/{NAME}")).status_code for _ in "ab"] == [200, 204]
    bad = {"properties": {"metadata": {"a": 1}}}
    assert code(await arm("PUT", f"{REGISTRATIONS}/{NAME}", bad)) == "InvalidRequestContent"


async def test_a_registered_feature_does_what_it_says(arm, cloud):
    await arm.group()
    await arm.machine()
    lock = {"properties": {"level": "ReadOnly"}}
    await arm("PUT", "providers/Microsoft.Authorization/locks/keep", lock)
    assert code(await arm("POST", CREDENTIALS)) == "ScopeLocked"
    assert code(await arm("POST", f"{OF_PROVIDER}/{NAME}/register")) == "ScopeLocked"
    await arm("DELETE", "providers/Microsoft.Authorization/locks/keep")
    await arm("POST", f"{OF_PROVIDER}/{NAME}/register")
    cloud.clock.advance(5)
    await arm("PUT", "providers/Microsoft.Authorization/locks/keep", lock)
    assert code(await arm("POST", CREDENTIALS)) == 200
    assert code(await arm("PATCH", MACHINE, {"tags": {}})) == "ScopeLocked"


@pytest.mark.parametrize(
    ("method", "path"), [("POST", f"{OF_PROVIDER}/{NAME}/register"), ("PUT", f"{REGISTRATIONS}/{NAME}")]
)
async def test_readers_see_features_and_cannot_change_them(arm, method, path):
    await arm.principal("reader", ("Reader", ""))
    await arm.principal("nobody")
    assert code(await arm("GET", f"{FEATURES}/features", by="reader")) == 200
    assert code(await arm("GET", f"{FEATURES}/features", by="nobody")) == "AuthorizationFailed"
    assert code(await arm(method, path, {}, by="reader")) == "AuthorizationFailed"
