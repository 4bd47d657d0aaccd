from __future__ import annotations

import pytest

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
BODY = {"location": "local"}


@pytest.mark.parametrize(
    ("method", "headers", "there", "missing"),
    [
        ("PUT", {}, 200, 200),
        ("PUT", {"if-match": "*"}, 200, 412),
        ("PUT", {"if-match": '"other"'}, 412, 412),
        ("PUT", {"if-none-match": "*"}, 412, 200),
        ("PUT", {"if-none-match": '"other"'}, 200, 200),
        ("PATCH", {"if-match": "*"}, 200, 404),
        ("PATCH", {"if-match": '"other"'}, 412, 404),
        ("DELETE", {"if-match": "*"}, 200, 204),
        ("DELETE", {"if-match": '"other"'}, 412, 204),
    ],
)
async def test_the_table_of_conditional_requests(arm, method, headers, there, missing):
    await arm.group()
    assert (await arm(method, MACHINE, BODY, headers=headers)).status_code == missing
    await arm("PUT", MACHINE, BODY)
    assert (await arm(method, MACHINE, BODY, headers=headers)).status_code == there


async def test_the_etag_of_an_answer_is_accepted_and_changes_with_the_resource(arm):
    await arm.group()
    first = (await arm("PUT", MACHINE, BODY)).headers["etag"]
    assert (await arm("GET", MACHINE)).headers["etag"] == first
    changed = await arm("PATCH", MACHINE, {"tags": {"a": "b"}}, headers={"if-match": f'"x", {first}'})
    assert changed.status_code == 200
    assert changed.headers["etag"] != first
    assert (await arm("PATCH", MACHINE, {"tags": {}}, headers={"if-match": first})).status_code == 412


async def test_groups_have_etags_too(arm):
    first = (await arm.group()).headers["etag"]
    refused = await arm("PUT", "resourcegroups/demo", BODY, headers={"if-none-match": "*"})
    assert refused.json()["error"]["code"] == "PreconditionFailed"
    assert (await arm("PUT", "resourcegroups/demo", BODY, headers={"if-match": first})).status_code == 200


async def test_a_write_that_changes_nothing_keeps_etag_and_time(arm, cloud):
    await arm.group()
    first = await arm("PUT", MACHINE, BODY)
    cloud.clock.advance(60)
    again = await arm("PUT", MACHINE, BODY)
    assert again.headers["etag"] == first.headers["etag"]
    assert again.json() == first.json()
