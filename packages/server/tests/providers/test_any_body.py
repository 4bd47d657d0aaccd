"""Whatever JSON is written to a type: it is accepted or refused with a reason, never an accident."""

from __future__ import annotations

import random

import pytest

from landbridge_server.testing import ControlPlane

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
EXTENSION = {
    "publisher": "P",
    "type": "T",
    "typeHandlerVersion": "1.0",
    "settings": {},
    "protectedSettings": {},
    "enableAutomaticUpgrade": True,
    "forceUpdateTag": "",
    "instanceView": {},
    "provisioningState": "",
}
COMMAND = {
    "source": {"script": "a", "scriptUriManagedIdentity": {}},
    "parameters": [{"name": "a", "value": "b"}],
    "protectedParameters": [{"name": "a", "value": "b"}],
    "runAsUser": "u",
    "runAsPassword": "p",
    "timeoutInSeconds": 5,
    "outputBlobUri": "https://x",
}
ASSIGNMENT = {
    "context": "c",
    "guestConfiguration": {
        "name": "n",
        "kind": "DSC",
        "assignmentType": "Audit",
        "configurationParameter": [{"name": "a", "value": "b"}],
        "configurationProtectedParameter": [{"name": "a", "value": "b"}],
    },
}
MACHINE_PROPERTIES = {
    "vmId": "b7a098cc-b0b8-46e8-a205-62f301a62a8f",
    "locationData": {"name": "x"},
    "osProfile": {"linuxConfiguration": {"patchSettings": {"patchMode": "Manual"}}},
    "agentUpgrade": {"enableAutomaticUpgrade": True},
    "serviceStatuses": {"extensionService": {"status": "running"}},
}
ENDPOINTS = f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints"
TYPES = {
    "machine": (f"{MACHINE}x", MACHINE_PROPERTIES),
    "extension": (f"{MACHINE}/extensions/one", EXTENSION),
    "run command": (f"{MACHINE}/runCommands/one", COMMAND),
    "assignment": (
        f"{MACHINE}/providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/one",
        ASSIGNMENT,
    ),
    "endpoint": (f"{ENDPOINTS}/default", {"type": "default", "resourceId": ""}),
    "service": (f"{ENDPOINTS}/default/serviceConfigurations/SSH", {"serviceName": "SSH", "port": 22}),
}
ODD = (
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    1e308,
    "",
    "a" * 5000,
    "\ud7ff\uffff",
    "2.1",
    "default",
    [],
    [[]],
    [None],
    [{"name": None}],
    {},
    {"": {"": None}},
    {"name": []},
)
BODIES = 120


def mangled(chance, value):
    """Return a value with some of its parts replaced, removed or doubled."""
    if chance.random() < 0.15:
        return chance.choice(ODD)
    if isinstance(value, dict):
        kept = {name: mangled(chance, one) for name, one in value.items() if chance.random() < 0.9}
        return kept | ({"more": chance.choice(ODD)} if chance.random() < 0.1 else {})
    if isinstance(value, list):
        return [mangled(chance, one) for one in value] * chance.choice((0, 1, 1, 2))
    return value


@pytest.mark.parametrize("name", TYPES)
async def test_any_body_is_accepted_or_refused_with_a_reason(tmp_path, speaking_to, name):
    path, properties = TYPES[name]
    chance = random.Random(name)
    async with ControlPlane(tmp_path / "cloud") as cloud:
        arm = speaking_to(cloud)
        await arm.group()
        await arm.machine()
        await arm("POST", "providers/Microsoft.HybridConnectivity/register")
        statuses = set()
        for _ in range(BODIES):
            body = {"location": "local", "tags": {"a": "b"}, "properties": properties}
            method = chance.choice(("PUT", "PUT", "PATCH"))
            answer = await arm(method, path, mangled(chance, body))
            assert answer.status_code in (200, 201, 202, 400, 404, 409), answer.text
            if answer.status_code >= 400:
                assert answer.json()["error"]["message"]
            statuses.add(answer.status_code)
            shown = await arm("GET", path)
            assert shown.status_code in (200, 404)
        assert 400 in statuses
        assert statuses & {200, 201, 202}
        await cloud.plane.settle()
