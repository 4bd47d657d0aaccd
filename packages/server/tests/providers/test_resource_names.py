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
