"""A machine fetches its work, reports, and sends what its scripts print; callers see it."""

from __future__ import annotations

import json

import pytest

from landbridge_wire import work_api
from landbridge_wire.work_api import OUTPUT_CHUNK, OUTPUT_LIMIT
from working_machine import WorkingMachine

SCRIPT = {"location": "local", "properties": {"source": {"script": "echo hello"}}}
SECRET = {"name": "TOKEN", "value": "protected-token"}


def code(answer):
    return answer.json()["error"]["code"]


@pytest.fixture
async def machine(cloud):
    made = WorkingMachine(cloud)
    await made.enrol()
    return made


@pytest.fixture
def command(machine):
    return f"{machine.id}/runCommands/hello"


async def polled(arm, answer):
    return (await arm("GET", answer.headers["azure-asyncoperation"], version="")).json()


async def read(arm, command, stream="output", offset=0, count=1024):
    body = {"stream": stream, "offset": offset, "count": count}
    return await arm("POST", f"{command}/readOutput", body)


async def shown(arm, path):
    return (await arm("GET", path)).json()["properties"]


async def test_a_run_command_goes_to_its_machine_and_its_end_comes_back(arm, machine, command):
    body = {
        "location": "local",
        "properties": SCRIPT["properties"] | {"protectedParameters": [SECRET], "timeoutInSeconds": 60},
    }
    accepted = await arm("PUT", command, body)
    (item,) = await machine.fetch()
    assert (item.kind, item.type, item.name) == ("apply", work_api.RUN_COMMAND, "hello")
    assert item.target == command
    assert item.properties == {"source": {"script": "echo hello"}, "timeoutInSeconds": 60}
    assert item.protected == {"protectedParameters": [SECRET]}
    assert "BEGIN CERTIFICATE" in machine.roots
    assert (await machine.fetch()) == [item]
    assert (await machine.report(item, ended=False, executionState="Running")).status_code == 204
    assert (await shown(arm, command))["instanceView"] == {"executionState": "Running"}
    assert (await polled(arm, accepted))["status"] == "InProgress"
    assert (await machine.output(item, b"hello\n")).json() == {"offset": 6}
    await machine.report(item, executionState="Succeeded", exitCode=0, output="hello\n")
    assert (await polled(arm, accepted))["status"] == "Succeeded"
    assert (await shown(arm, command))["instanceView"]["output"] == "hello\n"
    assert await machine.fetch() == []
    page = (await read(arm, command)).json()
    assert page == {
        "stream": "output",
        "offset": 0,
        "content": "hello\n",
        "nextOffset": 6,
        "totalLength": 6,
        "truncated": False,
        "complete": True,
    }


async def test_a_report_twice_and_one_of_an_unknown_item_change_nothing(arm, machine, command):
    accepted = await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    assert (await machine.report(item, executionState="Succeeded")).status_code == 204
    again = await machine.report(item, errorCode="Conflict", errorMessage="no")
    assert (again.status_code, code(again)) == (404, "NotFound")
    assert (await polled(arm, accepted))["status"] == "Succeeded"
    assert (await machine.output(item, b"late")).status_code == 404


async def test_a_machine_has_nothing_to_do_with_the_work_of_another(arm, cloud, machine, command):
    other = WorkingMachine(cloud, "web2")
    await other.enrol()
    await arm("PUT", command, SCRIPT)
    assert await other.fetch() == []
    (item,) = await machine.fetch()
    assert (await other.report(item, executionState="Failed")).status_code == 404
    assert (await other.output(item, b"x")).status_code == 404
    assert (await shown(arm, command))["instanceView"] == {"executionState": "Pending"}


async def test_people_and_programs_cannot_speak_for_a_machine(arm, cloud, machine):
    token = await cloud.token()
    for method, path in (
        ("POST", work_api.WORK),
        ("POST", work_api.WORK_REPORT.format(id="x")),
        ("POST", work_api.WORK_OUTPUT.format(id="x", stream="stdout")),
        ("GET", work_api.ASSIGNMENTS),
        ("PUT", work_api.ASSIGNMENT_REPORT.format(name="x", id="y")),
    ):
        answer = await cloud.client.request(method, path, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 401


async def test_output_is_read_while_it_grows_and_a_repetition_is_dropped(arm, machine, command):
    await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    empty = (await read(arm, command)).json()
    assert (empty["content"], empty["complete"], empty["totalLength"]) == ("", False, 0)
    await machine.output(item, b"one ")
    assert (await machine.output(item, b"one two ")).json() == {"offset": 8}
    assert (await machine.output(item, b"one ")).json() == {"offset": 8}
    await machine.output(item, b"oh", stream="stderr")
    page = (await read(arm, command, offset=4)).json()
    assert (page["content"], page["nextOffset"], page["complete"]) == ("two ", 8, False)
    assert (await read(arm, command, "error")).json()["content"] == "oh"
    await machine.report(item, executionState="Succeeded")
    ended = (await read(arm, command, offset=8)).json()
    assert (ended["content"], ended["complete"]) == ("", True)
    assert (await read(arm, command, count=3)).json()["complete"] is False


async def test_output_with_a_gap_is_refused_and_told_where_to_go_on(arm, machine, command):
    await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    await machine.output(item, b"abc")
    refused = await machine.output(item, b"xyz", offset=5)
    assert (refused.status_code, code(refused)) == (409, "Conflict")
    assert refused.json()["error"]["offset"] == 3
    assert (await read(arm, command)).json()["content"] == "abc"


async def test_a_megabyte_arrives_whole(arm, machine, command):
    await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    printed = "".join(f"line {number} äöü€\n" for number in range(60_000)).encode()
    for start in range(0, len(printed), 100_000):
        answer = await machine.output(item, printed[start : start + 100_000], start)
    assert answer.json() == {"offset": len(printed)}
    await machine.report(item, executionState="Succeeded")
    text, offset, complete = "", 0, False
    while not complete:
        page = (await read(arm, command, offset=offset, count=333_333)).json()
        assert page["nextOffset"] > offset
        text, offset, complete = text + page["content"], page["nextOffset"], page["complete"]
    assert text.encode() == printed


async def test_what_is_printed_beyond_the_limit_is_counted_and_thrown_away(
    arm, machine, command, monkeypatch
):
    monkeypatch.setattr("landbridge_server.fleet.work_http.OUTPUT_LIMIT", 10)
    await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    assert (await machine.output(item, b"0123456789abc")).json() == {"offset": 13}
    assert (await machine.output(item, b"", offset=1_000_000_000)).json() == {"offset": 1_000_000_000}
    await machine.report(item, executionState="Succeeded")
    page = (await read(arm, command)).json()
    assert (page["content"], page["truncated"], page["complete"]) == ("0123456789", True, True)
    assert page["totalLength"] == 1_000_000_000


async def test_output_that_is_no_utf8_is_shown_with_replacements(arm, machine, command):
    await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    await machine.output(item, b"a\xff\x00b\xe2\x82")
    page = (await read(arm, command)).json()
    assert (page["content"], page["nextOffset"]) == ("a\ufffd\x00b", 4)
    await machine.report(item, executionState="Succeeded", output="nul \x00 here")
    page = (await read(arm, command, offset=4)).json()
    assert (page["content"], page["complete"]) == ("\ufffd", True)
    assert (await shown(arm, command))["instanceView"]["output"] == "nul \ufffd here"


async def test_a_page_never_cuts_a_character(arm, machine, command):
    await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    await machine.output(item, "€€€".encode())
    await machine.report(item, executionState="Succeeded")
    for count in (1, 2, 3, 4, 5):
        text, offset = "", 0
        while offset < 9:
            page = (await read(arm, command, offset=offset, count=count)).json()
            text, offset = text + page["content"], page["nextOffset"]
        assert text == "€€€"


async def test_a_new_run_forgets_what_the_one_before_has_printed(arm, machine, command):
    await arm("PUT", command, SCRIPT)
    (first,) = await machine.fetch()
    await machine.output(first, b"first")
    await machine.report(first, ended=False, executionState="Running")
    await arm("PATCH", command, {"properties": {"source": {"script": "date"}}})
    assert (await read(arm, command)).json()["totalLength"] == 0
    old, new = await machine.fetch()
    assert (await machine.output(old, b" again", offset=5)).json() == {"offset": 11}
    await machine.report(old, executionState="Canceled")
    assert (await shown(arm, command))["instanceView"] == {"executionState": "Pending"}
    await machine.output(new, b"second")
    await machine.report(new, executionState="Succeeded")
    assert (await read(arm, command)).json()["content"] == "second"


async def test_what_is_said_about_an_earlier_run_once_a_newer_has_begun_is_not_shown(arm, machine, command):
    await arm("PUT", command, SCRIPT)
    (first,) = await machine.fetch()
    await machine.report(first, ended=False, executionState="Running")
    body = {"source": {"script": "date"}, "asyncExecution": True}
    accepted = await arm("PUT", command, {"location": "local", "properties": body})
    second = (await machine.fetch())[-1]
    await machine.report(second, ended=False, executionState="Running")
    assert (await polled(arm, accepted))["status"] == "Succeeded"
    await machine.output(second, b"second")
    assert (await machine.output(first, b"first")).json() == {"offset": 5}
    await machine.report(second, executionState="Succeeded", exitCode=0)
    await machine.report(first, executionState="Canceled")
    properties = await shown(arm, command)
    assert properties["instanceView"] == {"executionState": "Succeeded", "exitCode": 0}
    assert properties["provisioningState"] == "Succeeded"
    page = (await read(arm, command)).json()
    assert (page["content"], page["complete"]) == ("second", True)


async def test_what_was_printed_goes_with_the_run_command(arm, cloud, machine, command):
    await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    await machine.output(item, b"hello")
    await machine.report(item, executionState="Succeeded")
    await arm("DELETE", command)
    (removal,) = await machine.fetch()
    assert removal.kind == "remove"
    await machine.report(removal)
    assert (await arm("GET", command)).status_code == 404
    await arm("PUT", command, SCRIPT)
    assert (await read(arm, command)).json()["totalLength"] == 0


async def test_a_script_in_the_background_has_succeeded_for_its_caller_once_it_runs(arm, machine, command):
    body = {"location": "local", "properties": SCRIPT["properties"] | {"asyncExecution": True}}
    accepted = await arm("PUT", command, body)
    (item,) = await machine.fetch()
    await machine.report(item, ended=False, executionState="Running")
    assert (await polled(arm, accepted))["status"] == "Succeeded"
    assert (await shown(arm, command))["provisioningState"] == "Succeeded"
    assert await machine.fetch() == [item]
    await machine.output(item, b"still here")
    assert (await read(arm, command)).json()["complete"] is False
    assert (await arm("PUT", command, body)).status_code == 200
    assert await machine.fetch() == [item]
    await machine.report(item, executionState="Failed", exitCode=1)
    assert (await shown(arm, command))["instanceView"] == {"executionState": "Failed", "exitCode": 1}
    assert (await shown(arm, command))["provisioningState"] == "Succeeded"
    assert (await polled(arm, accepted))["status"] == "Succeeded"
    assert await machine.fetch() == []


async def test_a_script_in_the_background_that_its_machine_lost_has_failed_and_was_provisioned(
    arm, machine, command
):
    body = {"location": "local", "properties": SCRIPT["properties"] | {"asyncExecution": True}}
    accepted = await arm("PUT", command, body)
    (item,) = await machine.fetch()
    await machine.report(item, ended=False, executionState="Running")
    await machine.report(item, errorCode="WorkerKilled", errorMessage="The worker was killed.")
    properties = await shown(arm, command)
    assert properties["provisioningState"] == "Succeeded"
    assert properties["instanceView"]["executionState"] == "Failed"
    assert (await polled(arm, accepted))["status"] == "Succeeded"


async def test_an_error_that_only_the_machine_knows_reaches_the_caller(arm, machine, command):
    accepted = await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    await machine.report(item, errorCode="BlockedByRule", errorMessage="run commands are blocked")
    ended = await polled(arm, accepted)
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "Conflict")
    assert ended["error"]["message"] == "run commands are blocked (BlockedByRule)"
    view = (await shown(arm, command))["instanceView"]
    assert view["executionState"] == "Failed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 5000,
        b'{"ended": 1}',
        b'{"properties": []}',
        b'{"properties": {"instanceView": 5}, "ended": true}',
        b'{"properties": {"instanceView": {"exitCode": 1e400}}, "ended": true}',
        b'{"properties": {"instanceView": {"exitCode": 123456789012345678901234567890}}, "ended": true}',
        b'{"properties": {"instanceView": {"statuses": [5]}}, "ended": true}',
        b'{"errorMessage": "\\ud800"}',
        b'{"errorCode": 5}',
        b"\xff\xfe",
        json.dumps({"errorMessage": "x" * 70_000}).encode(),
        b'{"x": "' + b"y" * 300_000 + b'"}',
    ],
)
async def test_a_malformed_report_is_refused_and_changes_nothing(arm, machine, command, body):
    await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    answer = await machine.call("POST", work_api.WORK_REPORT.format(id=item.id), content=body)
    assert 400 <= answer.status_code < 500
    assert (await shown(arm, command))["provisioningState"] == "Creating"
    assert await machine.fetch() == [item]


@pytest.mark.parametrize("offset", ["", "-1", "x", "1.5", "9" * 30])
async def test_an_offset_that_is_no_number_is_refused(arm, machine, command, offset):
    await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    path = work_api.WORK_OUTPUT.format(id=item.id, stream="stdout")
    answer = await machine.call("POST", path, content=b"x", params={"offset": offset})
    assert answer.status_code == 400


async def test_output_of_another_stream_too_much_at_once_or_of_an_extension_is_refused(arm, machine, command):
    await arm("PUT", command, SCRIPT)
    body = {"publisher": "Microsoft.Azure.Extensions", "type": "CustomScript"}
    await arm("PUT", f"{machine.id}/extensions/script", {"location": "local", "properties": body})
    run, extension = await machine.fetch()
    assert (await machine.output(run, b"x", stream="other")).status_code == 404
    assert (await machine.output(run, b"x" * (OUTPUT_CHUNK + 1))).status_code == 413
    assert code(await machine.output(extension, b"x")) == "OperationNotAllowed"
    assert OUTPUT_LIMIT > OUTPUT_CHUNK


@pytest.mark.parametrize(
    "asked",
    [{"stream": "stdin"}, {"stream": 5}, {"offset": -1}, {"offset": 1}, {"count": 0}, {"count": 2**21}, []],
)
async def test_a_part_of_the_output_that_cannot_be_is_refused(arm, machine, command, asked):
    await arm("PUT", command, SCRIPT)
    assert (await arm("POST", f"{command}/readOutput", asked)).status_code == 400


async def test_a_copy_on_another_computer_gets_no_work(arm, cloud, machine, command):
    await arm("PUT", command, SCRIPT)
    session = {"agentVersion": "1.61.0.0", "fingerprint": "first", "instance": "a"}
    assert (await machine.call("POST", "/agent/v1/session", json=session)).status_code == 200
    refused = await machine.call("POST", work_api.WORK, json={"fingerprint": "second"})
    assert (refused.status_code, code(refused)) == (409, "MachineCloned")
    configured = await machine.call("GET", work_api.ASSIGNMENTS, params={"fingerprint": "second"})
    assert (configured.status_code, code(configured)) == (409, "MachineCloned")
    answer = await machine.call("POST", work_api.WORK, json={"fingerprint": "first"})
    assert len(answer.json()["items"]) == 1
