from __future__ import annotations

import pytest

READ = "Microsoft.HybridCompute/machines/read"


def code(answer):
    return answer.json()["error"]["code"]


@pytest.fixture
async def place(arm):
    await arm.group()
    return arm


async def test_provider_operations_name_every_action_that_the_types_ask_for(place, cloud):
    path = "/providers/Microsoft.Authorization/providerOperations"
    answer = await place("GET", f"{path}/microsoft.hybridcompute?$expand=resourceTypes")
    shown = answer.json()
    assert (shown["name"], shown["type"]) == ("Microsoft.HybridCompute", path.removeprefix("/providers/"))
    machines = next(one for one in shown["resourceTypes"] if one["name"] == "machines")
    assert {one["name"] for one in machines["operations"]} >= {
        READ,
        f"{READ[:-4]}write",
        f"{READ[:-4]}delete",
    }
    listed = (await place("GET", path)).json()["value"]
    assert shown in listed
    assert code(await place("GET", f"{path}/Nobody.Knows")) == "InvalidResourceNamespace"


async def test_what_rows_of_the_table_serve_is_listed_with_its_types(place):
    path = "/providers/Microsoft.Authorization/providerOperations/Microsoft.Features"
    shown = (await place("GET", path)).json()
    features = next(one for one in shown["resourceTypes"] if one["name"] == "providers/features")
    assert {one["name"].rpartition("providers/features/")[2] for one in features["operations"]} == {
        "read",
        "register/action",
        "unregister/action",
    }
    listed = (await place("GET", "/providers/Microsoft.Features/operations")).json()["value"]
    names = {operation["name"] for one in shown["resourceTypes"] for operation in one["operations"]}
    assert {one["name"] for one in listed} == names
    one = next(one for one in listed if one["name"].endswith("/unregister/action"))
    assert one["display"]["resource"] == "providers/features"
    assert one["display"]["operation"] == "unregister/action"
