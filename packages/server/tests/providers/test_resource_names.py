from __future__ import annotations

import pytest

PATH = "/providers/Microsoft.Resources/checkResourceName"
MACHINES = "Microsoft.HybridCompute/machines"


async def test_a_name_that_every_rule_lets_pass_is_allowed(arm):
    for full_type in (MACHINES, "Nobody.Knows/things"):
        body = {"name": "isxbox", "type": full_type}
        answer = await arm("POST", PATH, body)
        assert (answer.status_code, answer.json()) == (200, body | {"status": "Allowed"})


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"name": "a/b", "type": MACHINES}, "InvalidResourceName"),
        ({"name": "x" * 55, "type": MACHINES}, "InvalidResourceName"),
        ({"name": "x" * 261, "type": "Nobody.Knows/things"}, "InvalidResourceName"),
        ({"type": MACHINES}, "InvalidRequestContent"),
        ({"name": "x"}, "InvalidRequestContent"),
        ({"name": ["x"], "type": MACHINES}, "InvalidRequestContent"),
    ],
)
async def test_a_name_that_breaks_a_rule_is_refused_with_the_rule(arm, body, wanted):
    answer = await arm("POST", PATH, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, wanted)


async def test_locations_have_no_zones_in_common(arm, cloud):
    path = "providers/Microsoft.Resources/checkZonePeers"
    own = cloud.admin["subscriptionId"]
    for given in ([], [own], [f"subscriptions/{own.upper()}"]):
        answer = await arm("POST", path, {"location": "LOCAL", "subscriptionIds": given})
        assert (answer.status_code, answer.json()) == (
            200,
            {"subscriptionId": own, "location": "local", "availabilityZonePeers": []},
        )
    for body, wanted in (
        ({}, "LocationRequired"),
        ({"location": "mars"}, "LocationNotAvailableForResourceType"),
        ({"location": "local", "subscriptionIds": 1}, "InvalidRequestContent"),
        ({"location": "local", "subscriptionIds": ["x"]}, "InvalidSubscriptionId"),
        ({"location": "local", "subscriptionIds": [own[:-4] + "0000"]}, "SubscriptionNotFound"),
    ):
        assert (await arm("POST", path, body)).json()["error"]["code"] == wanted
    await arm.principal("reader", ("Reader", ""))
    refused = await arm("POST", path, {"location": "local"}, by="reader")
    assert refused.json()["error"]["code"] == "AuthorizationFailed"
