"""Whatever JSON is sent to a path that is no resource: it is answered or refused, never an accident."""

from __future__ import annotations

import random
from typing import Any

import pytest

from landbridge_server.testing import ControlPlane

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
FEATURES = "providers/Microsoft.Features/featureProviders/Microsoft.HybridConnectivity"
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**70,
    1e308,
    "",
    "a" * 5000,
    "\ud7ff\uffff",
    "/subscriptions",
    "/subscriptions//x/..",
    [],
    [[]],
    [None],
    [{}],
    {},
    {"": {"": None}},
    {"name": []},
)
BODIES = {
    ("POST", "resourceGroups/demo/moveResources"): {
        "resources": ["/subscriptions/x/resourceGroups/demo/providers/a.b/c/d"],
        "targetResourceGroup": "/subscriptions/x/resourceGroups/y",
    },
    ("POST", "resourceGroups/demo/validateMoveResources"): {"resources": ["x"], "targetResourceGroup": "y"},
    ("POST", "/batch"): {
        "requests": [
            {"httpMethod": "GET", "url": "/subscriptions?api-version=2022-12-01", "name": "a"},
            {
                "httpMethod": "PUT",
                "url": "/subscriptions/x",
                "content": {"a": 1},
                "headers": {"if-match": "*"},
            },
        ]
    },
    ("POST", "/providers/Microsoft.ResourceGraph/resources"): {
        "query": "resources | where name == 'x' | limit 5",
        "subscriptions": ["00000000-0000-0000-0000-000000000000"],
        "options": {"$top": 5, "$skip": 1, "$skipToken": "e30=", "resultFormat": "table"},
        "facets": [{"expression": "x"}],
    },
    ("PUT", f"{FEATURES}/subscriptionFeatureRegistrations/SshUnderReadOnlyLock"): {
        "properties": {"metadata": {"a": "b"}, "description": "x", "shouldFeatureDisplayInPortal": True}
    },
    ("POST", "providers/Microsoft.Resources/checkZonePeers"): {"location": "local", "subscriptionIds": ["x"]},
    ("PUT", f"{MACHINE}/providers/Microsoft.Resources/tags/default"): {"properties": {"tags": {"a": "b"}}},
    ("PATCH", "providers/Microsoft.Resources/tags/default"): {
        "operation": "Merge",
        "properties": {"tags": {"a": "b"}},
    },
    ("PUT", f"{MACHINE}/providers/Microsoft.Authorization/locks/one"): {
        "properties": {"level": "CanNotDelete", "notes": "x", "owners": [{"applicationId": "x"}]}
    },
    ("PUT", "resourceGroups/other"): {
        "location": "local",
        "tags": {"a": "b"},
        "managedBy": "x",
        "properties": {},
    },
}


def spoilt(value: Any, chance: random.Random) -> Any:
    """Return JSON with something odd in one of its places."""
    if not value or not isinstance(value, dict | list) or chance.random() < 0.2:
        return chance.choice(ODD)
    if isinstance(value, list):
        at = chance.randrange(len(value))
        return [spoilt(one, chance) if index == at else one for index, one in enumerate(value)]
    name = chance.choice(list(value))
    if chance.random() < 0.1:
        return {one: inner for one, inner in value.items() if one != name}
    return value | {name: spoilt(value[name], chance)}


@pytest.mark.parametrize(("method", "path"), BODIES, ids=lambda one: one.rpartition("/")[2])
async def test_any_body_is_answered_or_refused(method, path, tmp_path, speaking_to):
    chance = random.Random(7)
    async with ControlPlane(tmp_path) as cloud:
        arm = speaking_to(cloud)
        await arm.group()
        await arm.machine()
        refused = 0
        for _ in range(60):
            body = spoilt(BODIES[method, path], chance)
            answer = await arm(method, path, body, version="2022-09-01")
            assert answer.status_code < 500, (body, answer.text)
            assert "InternalServerError" not in answer.text, (body, answer.text)
            refused += answer.status_code >= 400
        assert refused > 0
