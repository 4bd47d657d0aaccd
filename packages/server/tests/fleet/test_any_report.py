"""Whatever JSON a machine says, and whatever is asked about output: taken or refused, never an accident."""

from __future__ import annotations

import copy
import json
import random
import uuid

import pytest

from landbridge_server.testing import ControlPlane
from landbridge_wire import work_api
from working_machine import WorkingMachine

ODD = (None, True, 0, -1, 2**70, 1.5, 1e308, "", "a" * 5000, "\0", "\ud800", [], {}, [[]], [None], {"": 1})
VIEW = {
    "executionState": "Running",
    "executionMessage": "m",
    "exitCode": 1,
    "output": "o",
    "startTime": "2027-01-15T08:00:00Z",
    "statuses": [{"code": "c", "level": "Info", "displayStatus": "d", "message": "m", "time": "t"}],
}
REPORT = {"properties": {"instanceView": VIEW}, "ended": False, "errorCode": "Conflict", "errorMessage": "m"}
COMPLIANCE = {
    "complianceStatus": "Compliant",
    "configurationVersion": "1",
    "startTime": "2027-01-15T08:00:00Z",
    "details": {
        "operationType": "Initial",
        "resources": [
            {"complianceStatus": "Compliant", "resourceId": "r", "reasons": [{"phrase": "p", "code": "c"}]}
        ],
    },
}
ASKED = {"stream": "output", "offset": 0, "count": 10}


def bent(whole, chance):
    """Return a copy in which one member, at any depth, is something odd, is gone, or has company."""
    result = copy.deepcopy(whole)
    place = result
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return result
        key = chance.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.7:
            place = place[key]
            continue
        if chance.random() < 0.2 and isinstance(place, dict):
            place["more"] = chance.choice(ODD)
        place[key] = chance.choice(ODD)
        return result


def text(body):
    return json.dumps(body).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("seed", range(4))
async def test_no_report_and_no_question_is_an_accident(tmp_path, speaking_to, seed):
    chance = random.Random(seed)
    async with ControlPlane(tmp_path / "cloud") as cloud:
        arm, machine = speaking_to(cloud), WorkingMachine(cloud)
        await machine.enrol()
        command = f"{machine.id}/runCommands/one"
        await arm("PUT", command, {"location": "local", "properties": {"source": {"script": "a"}}})
        below = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/Motd"
        wanted = {"properties": {"guestConfiguration": {"name": "Motd"}}}
        await arm("PUT", f"{machine.id}/{below}", wanted, version="2024-04-05")
        (item,) = await machine.fetch()
        for _ in range(60):
            path = work_api.WORK_REPORT.format(id=item.id)
            answer = await machine.call("POST", path, content=text(bent(REPORT, chance)))
            assert answer.status_code in (204, 400, 404), answer.text
            path = work_api.ASSIGNMENT_REPORT.format(name="Motd", id=uuid.uuid4())
            answer = await machine.call("PUT", path, content=text(bent(COMPLIANCE, chance)))
            assert answer.status_code in (204, 400), answer.text
            headers = {"authorization": f"Bearer {arm.tokens['']}", "content-type": "application/json"}
            path = f"{command}/readOutput?api-version=2024-07-10"
            asked = text(bent(ASKED, chance))
            answer = await cloud.client.post(path, content=asked, headers=headers)
            assert answer.status_code in (200, 400), answer.text
            for shown in (command, f"{machine.id}/{below}"):
                version = "2024-07-10" if shown is command else "2024-04-05"
                assert (await arm("GET", shown, version=version)).status_code == 200
