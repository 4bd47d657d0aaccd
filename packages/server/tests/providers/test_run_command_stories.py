"""The life of a run command, told as requests, answers, and what its machine reports."""

from __future__ import annotations

import pytest

from landbridge_server.store import protected
from landbridge_wire.errors import ArmError

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
COMMAND = f"{MACHINE}/runCommands/hello"
PASSWORD, TOKEN = "run-as-password", "protected-token"
BODY = {
    "location": "local",
    "properties": {
        "source": {"script": "echo $1 $WHO"},
        "parameters": [{"name": "WHO", "value": "you"}, {"value": "hello"}],
        "protectedParameters": [{"name": "TOKEN", "value": TOKEN}],
        "asyncExecution": False,
        "runAsUser": "deploy",
        "runAsPassword": PASSWORD,
        "timeoutInSeconds": 60,
        "outputBlobUri": "https://store.example/out",
        "errorBlobUri": "https://store.example/err",
    },
}


def code(answer):
    return answer.json()["error"]["code"]


def key(cloud, path=COMMAND):
    return f"{cloud.subscription}/{path}".lower()


def report(agent, item, *, ended=True, failed=None, **view):
    agent.report(item, ended, failed, instanceView=view)


async def polled(arm, answer):
    return (await arm("GET", answer.headers["azure-asyncoperation"], version="")).json()


async def test_a_creation_answers_201_with_the_resource_and_where_to_poll(arm, agent):
    answer = await arm("PUT", COMMAND, BODY)
    assert answer.status_code == 201
    shown = answer.json()
    assert shown["type"] == "Microsoft.HybridCompute/machines/runCommands"
    assert shown["properties"]["provisioningState"] == "Creating"
    assert shown["properties"]["instanceView"] == {"executionState": "Pending"}
    assert (await polled(arm, answer))["status"] == "InProgress"
    assert (await arm("GET", COMMAND)).json() == shown


async def test_what_was_written_comes_back_without_password_and_protected_parameters(arm, cloud, agent):
    written = await arm("PUT", COMMAND, BODY)
    hidden = ("protectedParameters", "runAsPassword")
    expected = {k: v for k, v in BODY["properties"].items() if k not in hidden}
    assert {name: written.json()["properties"].get(name) for name in expected} == expected
    for path in (COMMAND, f"{COMMAND}?$expand=instanceView", f"{MACHINE}/runCommands", "resources"):
        text = (await arm("GET", path)).text
        assert not any(word in text for word in (*hidden, PASSWORD, TOKEN))
    kind = cloud.plane.resources.registry.find("Microsoft.HybridCompute/machines/runCommands")
    with cloud.plane.db.reading() as connection:
        assert PASSWORD not in protected.get(connection, key(cloud))
        assert kind.secrets_of(connection, key(cloud)) == {name: BODY["properties"][name] for name in hidden}


async def test_a_run_is_followed_until_its_end(arm, agent):
    accepted = await arm("PUT", COMMAND, BODY)
    (item,) = agent.fetch()
    report(agent, item, ended=False, executionState="running", startTime="2027-01-15T08:00:00Z")
    view = (await arm("GET", COMMAND)).json()["properties"]["instanceView"]
    assert view == {"executionState": "Running", "startTime": "2027-01-15T08:00:00Z"}
    assert (await polled(arm, accepted))["status"] == "InProgress"
    ended = {"executionState": "Failed", "exitCode": 3, "output": "hello you", "error": "oh"}
    report(agent, item, **ended)
    shown = (await arm("GET", COMMAND)).json()["properties"]
    assert (shown["provisioningState"], shown["instanceView"]) == ("Succeeded", ended)
    assert (await polled(arm, accepted))["status"] == "Succeeded"


async def test_a_run_that_could_not_begin_fails_the_operation(arm, agent):
    accepted = await arm("PUT", COMMAND, BODY)
    (item,) = agent.fetch()
    report(
        agent,
        item,
        failed=ArmError("OperationNotAllowed", "runCommands are blocked by the machine"),
        executionState="Failed",
    )
    assert (await polled(arm, accepted))["error"]["message"] == "runCommands are blocked by the machine"
    assert (await arm("GET", COMMAND)).json()["properties"]["provisioningState"] == "Failed"


async def test_the_same_command_is_not_run_twice_and_a_changed_one_is(arm, agent):
    await arm("PUT", COMMAND, BODY)
    report(agent, agent.fetch()[0], executionState="Succeeded", exitCode=0, output="first")
    again = await arm("PUT", COMMAND, BODY)
    assert (again.status_code, again.json()["properties"]["instanceView"]["output"]) == (200, "first")
    assert agent.fetch() == []
    changed = await arm("PATCH", COMMAND, {"properties": {"source": {"script": "date"}}})
    assert (changed.status_code, len(agent.fetch())) == (200, 1)
    assert changed.json()["properties"]["provisioningState"] == "Updating"
    assert changed.json()["properties"]["instanceView"] == {"executionState": "Pending"}


async def test_a_command_that_no_machine_has_goes_at_once(arm, agent):
    await arm("PUT", COMMAND, BODY)
    answer = await arm("DELETE", COMMAND)
    assert (answer.status_code, (await polled(arm, answer))["status"]) == (202, "Succeeded")
    assert (await arm("GET", COMMAND)).status_code == 404
    assert (await arm("DELETE", COMMAND)).status_code == 204


async def test_the_deletion_of_a_running_command_waits_for_the_machine_to_stop_it(arm, agent):
    accepted = await arm("PUT", COMMAND, BODY)
    (run,) = agent.fetch()
    report(agent, run, ended=False, executionState="Running")
    answer = await arm("DELETE", COMMAND)
    assert (await polled(arm, answer))["status"] == "InProgress"
    assert [one.kind for one in agent.fetch()] == ["apply", "remove"]
    report(agent, run, executionState="Canceled")
    assert (await polled(arm, accepted))["status"] == "Succeeded"
    assert (await arm("GET", COMMAND)).json()["properties"]["provisioningState"] == "Deleting"
    report(agent, agent.fetch()[0])
    assert (await arm("GET", COMMAND)).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": {}},
        {"source": None},
        {"source": {"script": "a", "commandId": "b"}},
        {"source": {"scriptUri": "ftp://x"}},
        {"source": {"script": ["a"]}},
        {"parameters": {"name": "a"}},
        {"parameters": [{"name": "a"}]},
        {"parameters": [{"name": 1, "value": "a"}]},
        {"protectedParameters": [{"name": "a"}]},
        {"timeoutInSeconds": 0},
        {"timeoutInSeconds": "60"},
        {"timeoutInSeconds": True},
        {"asyncExecution": "no"},
        {"runAsUser": None},
        {"outputBlobUri": "file:///etc/passwd"},
    ],
)
async def test_what_cannot_be_run_is_refused_without_telling_secrets(arm, agent, wrong):
    answer = await arm("PUT", COMMAND, BODY | {"properties": BODY["properties"] | wrong})
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")
    assert not any(word in answer.text for word in (PASSWORD, TOKEN))
    assert (await arm("GET", COMMAND)).status_code == 404


async def test_a_name_of_the_wrong_form_is_refused(arm, agent):
    for name in ("a" * 65, "with space", "ümlaut"):
        assert code(await arm("PUT", f"{MACHINE}/runCommands/{name}", BODY)) == "InvalidResourceName"
