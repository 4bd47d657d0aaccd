"""The life of a machine's extension, told as requests, answers, and what its machine reports."""

from __future__ import annotations

import json

import pytest

from landbridge_server.store import protected, role_assignments
from landbridge_wire.errors import ArmError

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
EXTENSION = f"{MACHINE}/extensions/script"
SECRET = "hunter2-and-more"
BODY = {
    "location": "local",
    "tags": {"site": "lab"},
    "properties": {
        "publisher": "Microsoft.Azure.Extensions",
        "type": "CustomScript",
        "typeHandlerVersion": "2.1",
        "autoUpgradeMinorVersion": True,
        "settings": {"commandToExecute": "id"},
        "protectedSettings": {"storageAccountKey": SECRET},
    },
}
VIEW = {"name": "script", "status": {"code": "0", "level": "Information", "message": "done"}}


def code(answer):
    return answer.json()["error"]["code"]


async def status_of(arm, answer):
    return (await arm("GET", answer.headers["azure-asyncoperation"], version="")).json()


async def test_a_creation_is_accepted_with_an_empty_body_and_both_addresses(arm, cloud, agent):
    answer = await arm("PUT", EXTENSION, BODY)
    assert (answer.status_code, answer.content) == (202, b"")
    base = f"{cloud.config.endpoints.resource_manager}{cloud.subscription}"
    base += "/providers/Microsoft.HybridCompute/locations/local/"
    status, result = answer.headers["azure-asyncoperation"], answer.headers["location"]
    assert status.startswith(base + "operationstatus/")
    assert result.startswith(base + "operationresults/")
    assert "api-version=2024-07-10" in status
    assert int(answer.headers["retry-after"]) > 0


async def test_until_the_machine_reports_everything_says_that_it_waits(arm, agent):
    accepted = await arm("PUT", EXTENSION, BODY)
    for _ in range(2):
        polled = await arm("GET", accepted.headers["azure-asyncoperation"], version="")
        assert polled.json()["status"] == "InProgress"
        assert polled.headers["azure-asyncoperation"] == accepted.headers["azure-asyncoperation"]
        assert polled.headers["location"] == accepted.headers["location"]
        assert (await arm("GET", accepted.headers["location"], version="")).status_code == 202
        shown = (await arm("GET", EXTENSION)).json()
        assert shown["properties"]["provisioningState"] == "Creating"
        agent.fetch()


async def test_what_was_written_comes_back_without_what_is_protected(arm, cloud, agent):
    await arm("PUT", EXTENSION, BODY)
    for path in (EXTENSION, f"{MACHINE}/extensions", "resources", f"{MACHINE}?$expand=instanceView"):
        answer = await arm("GET", path)
        assert answer.status_code == 200
        assert SECRET not in answer.text
        assert "protectedSettings" not in answer.text
    shown = (await arm("GET", EXTENSION)).json()
    written = {k: v for k, v in BODY["properties"].items() if k != "protectedSettings"}
    assert {name: shown["properties"][name] for name in written} == written
    assert shown["type"] == "Microsoft.HybridCompute/machines/extensions"
    assert (shown["name"], shown["location"], shown["tags"]) == ("script", "local", {"site": "lab"})


async def test_protected_settings_are_sealed_in_the_store_and_open_for_the_machine(arm, cloud, agent):
    await arm("PUT", EXTENSION, BODY)
    key = f"{agent.key}/extensions/script"
    kind = cloud.plane.resources.registry.find("Microsoft.HybridCompute/machines/extensions")
    with cloud.plane.db.reading() as connection:
        sealed = protected.get(connection, key)
        assert SECRET not in sealed
        assert len(sealed) > 0
        assert kind.secrets_of(connection, key) == {"protectedSettings": {"storageAccountKey": SECRET}}


async def test_a_report_of_success_ends_the_operation_with_the_resource(arm, agent):
    accepted = await arm("PUT", EXTENSION, BODY)
    (item,) = agent.fetch()
    agent.report(item, instanceView=VIEW)
    status = await status_of(arm, accepted)
    assert (status["status"], "endTime" in status) == ("Succeeded", True)
    shown = (await arm("GET", EXTENSION)).json()
    assert shown["properties"]["provisioningState"] == "Succeeded"
    assert shown["properties"]["instanceView"] == VIEW
    result = await arm("GET", accepted.headers["location"], version="")
    assert (result.status_code, result.json()) == (200, shown)
    assert agent.fetch() == []


async def test_a_report_of_failure_ends_the_operation_with_its_message(arm, agent):
    accepted = await arm("PUT", EXTENSION, BODY)
    (item,) = agent.fetch()
    said = "Extension returned non-zero exit code for Install: 3"
    agent.report(item, error=ArmError("OperationNotAllowed", said))
    status = await status_of(arm, accepted)
    assert (status["status"], status["error"]["message"]) == ("Failed", said)
    assert (await arm("GET", EXTENSION)).json()["properties"]["provisioningState"] == "Failed"


async def test_a_report_about_another_machines_work_is_refused(arm, cloud, agent, agent_side):
    await arm.machine("web2")
    await arm("PUT", EXTENSION, BODY)
    (item,) = agent.fetch()
    other = agent_side(cloud, MACHINE.replace("web1", "web2"))
    assert other.fetch() == []
    with pytest.raises(ArmError) as refused:
        other.report(item)
    assert refused.value.code == "NotFound"


async def test_what_a_machine_reports_is_held_against_a_shape(arm, agent):
    await arm("PUT", EXTENSION, BODY)
    (item,) = agent.fetch()
    agent.report(item, publisher="Evil", provisioningState="Odd", instanceView=VIEW | {"more": 1})
    properties = (await arm("GET", EXTENSION)).json()["properties"]
    assert properties["publisher"] == "Microsoft.Azure.Extensions"
    assert properties["provisioningState"] == "Succeeded"
    assert properties["instanceView"] == VIEW


async def test_the_same_write_while_it_waits_is_the_same_operation(arm, agent):
    first = await arm("PUT", EXTENSION, BODY)
    agent.fetch()
    second = await arm("PUT", EXTENSION, BODY)
    assert second.headers["location"] == first.headers["location"]
    assert len(agent.fetch()) == 1


async def test_the_same_write_after_success_asks_the_machine_for_nothing(arm, agent):
    await arm("PUT", EXTENSION, BODY)
    agent.report(agent.fetch()[0], instanceView=VIEW)
    answer = await arm("PUT", EXTENSION, BODY)
    assert (answer.status_code, answer.json()["properties"]["instanceView"]) == (200, VIEW)
    assert agent.fetch() == []


async def test_the_same_write_after_a_failure_tries_again(arm, agent):
    await arm("PUT", EXTENSION, BODY)
    agent.report(agent.fetch()[0], error=ArmError("OperationNotAllowed", "no"))
    assert (await arm("PUT", EXTENSION, BODY)).status_code == 202
    assert len(agent.fetch()) == 1
    assert (await arm("GET", EXTENSION)).json()["properties"]["provisioningState"] == "Updating"


async def test_another_protected_setting_alone_is_a_change(arm, agent):
    await arm("PUT", EXTENSION, BODY)
    agent.report(agent.fetch()[0])
    changed = json.loads(json.dumps(BODY).replace(SECRET, "another"))
    assert (await arm("PUT", EXTENSION, changed)).status_code == 202
    assert (await arm("GET", EXTENSION)).json()["properties"]["provisioningState"] == "Updating"


async def test_a_patch_merges_and_leaves_protected_settings_as_they_are(arm, cloud, agent):
    await arm("PUT", EXTENSION, BODY)
    agent.report(agent.fetch()[0])
    answer = await arm("PATCH", EXTENSION, {"properties": {"settings": {"timestamp": 1}}})
    assert (answer.status_code, answer.content) == (202, b"")
    shown = (await arm("GET", EXTENSION)).json()
    assert shown["properties"]["settings"] == {"commandToExecute": "id", "timestamp": 1}
    kind = cloud.plane.resources.registry.find("Microsoft.HybridCompute/machines/extensions")
    with cloud.plane.db.reading() as connection:
        kept = kind.secrets_of(connection, f"{agent.key}/extensions/script")
    assert kept == {"protectedSettings": {"storageAccountKey": SECRET}}


async def test_a_put_without_protected_settings_removes_them(arm, cloud, agent):
    await arm("PUT", EXTENSION, BODY)
    properties = {k: v for k, v in BODY["properties"].items() if k != "protectedSettings"}
    await arm("PUT", EXTENSION, BODY | {"properties": properties})
    with cloud.plane.db.reading() as connection:
        assert protected.get(connection, f"{agent.key}/extensions/script") == ""


async def test_tags_alone_can_change_without_the_machine(arm, agent):
    await arm("PUT", EXTENSION, BODY)
    agent.report(agent.fetch()[0])
    answer = await arm("PATCH", EXTENSION, {"tags": {"a": "b"}})
    assert (answer.status_code, answer.json()["tags"]) == (200, {"a": "b"})
    assert agent.fetch() == []


@pytest.mark.parametrize(
    ("wrong", "target"),
    [
        ({"publisher": None}, "publisher"),
        ({"type": None}, "type"),
        ({"publisher": 1}, "properties.publisher"),
        ({"publisher": "a b"}, "publisher"),
        ({"typeHandlerVersion": "latest"}, "properties.typeHandlerVersion"),
        ({"typeHandlerVersion": "1.2.3.4.5"}, "properties.typeHandlerVersion"),
        ({"settings": "text"}, "properties.settings"),
        ({"settings": []}, "properties.settings"),
        ({"protectedSettings": "text"}, "properties.protectedSettings"),
        ({"autoUpgradeMinorVersion": "yes"}, "properties.autoUpgradeMinorVersion"),
        ({"enableAutomaticUpgrade": 1}, "properties.enableAutomaticUpgrade"),
    ],
)
async def test_what_no_extension_can_be_is_refused_and_changes_nothing(arm, agent, wrong, target):
    answer = await arm("PUT", EXTENSION, BODY | {"properties": BODY["properties"] | wrong})
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")
    assert answer.json()["error"]["target"] == target
    assert SECRET not in answer.text
    assert (await arm("GET", EXTENSION)).status_code == 404
    assert agent.fetch() == []


async def test_without_a_location_or_a_machine_it_is_refused(arm, agent):
    assert code(await arm("PUT", EXTENSION, {"properties": BODY["properties"]})) == "LocationRequired"
    elsewhere = EXTENSION.replace("web1", "absent")
    assert code(await arm("PUT", elsewhere, BODY)) == "ParentResourceNotFound"
    assert code(await arm("GET", f"{MACHINE}/extensions/absent")) == "ResourceNotFound"
    assert (await arm("DELETE", f"{MACHINE}/extensions/absent")).status_code == 204
    assert (
        code(await arm("GET", MACHINE.replace("web1", "absent") + "/extensions")) == "ParentResourceNotFound"
    )


async def test_extensions_of_a_machine_are_listed_and_expanded(arm, agent):
    for name in ("one", "two"):
        await arm("PUT", f"{MACHINE}/extensions/{name}", BODY)
    listed = (await arm("GET", f"{MACHINE}/extensions")).json()["value"]
    assert [one["name"] for one in listed] == ["one", "two"]
    plain = (await arm("GET", MACHINE)).json()
    assert "resources" not in plain
    shown = (await arm("GET", f"{MACHINE}?$expand=instanceView")).json()
    assert shown["resources"] == listed
    assert shown["properties"]["extensions"][0] == {
        "name": "one",
        "type": "CustomScript",
        "typeHandlerVersion": "2.1",
    }


async def test_an_upgrade_waits_for_the_machine(arm, agent):
    body = {"extensionTargets": {"Microsoft.Azure.Extensions.CustomScript": {"targetVersion": "2.1"}}}
    answer = await arm("POST", f"{MACHINE}/upgradeExtensions", body)
    assert (answer.status_code, answer.content) == (202, b"")
    assert (await status_of(arm, answer))["status"] == "InProgress"
    (item,) = agent.fetch()
    assert (item.kind, json.loads(item.content)) == ("upgradeExtensions", body)
    agent.report(item)
    assert (await status_of(arm, answer))["status"] == "Succeeded"
    assert (await arm("GET", answer.headers["location"], version="")).status_code == 200


async def test_after_an_upgrade_the_extension_shows_the_new_version(arm, agent):
    await arm("PUT", EXTENSION, BODY)
    (item,) = agent.fetch()
    view = {"name": "CustomScript", "type": "CustomScript", "typeHandlerVersion": "2.1.12"}
    agent.report(item, instanceView=view)
    name = "Microsoft.Azure.Extensions.CustomScript"
    for results, version in (
        ({name: {"status": "Failed", "message": "no", "version": "2.1.13"}}, "2.1.12"),
        ({name.upper(): {"status": "Succeeded", "version": "2.1.13"}, "other": 7}, "2.1.13"),
        ({name: {"status": "Succeeded", "version": "<script>"}}, "2.1.13"),
        ({name: {"status": "Succeeded", "version": ["2.1.14"]}}, "2.1.13"),
        ([], "2.1.13"),
    ):
        await arm("POST", f"{MACHINE}/upgradeExtensions", {"extensionTargets": {name: {}}})
        (item,) = agent.fetch()
        agent.report(item, extensionTargets=results)
        shown = (await arm("GET", EXTENSION)).json()["properties"]
        assert shown["instanceView"] == view | {"typeHandlerVersion": version}
        assert shown["provisioningState"] == "Succeeded"


@pytest.mark.parametrize(
    "targets",
    [
        {"Contoso.Tools.Motd": {"targetVersion": "1.0"}},
        {"Microsoft.Azure.Extensions.CustomScript": {"targetVersion": "2.2"}},
        {"Microsoft.Azure.Extensions.CustomScript": {}, "x": {}},
    ],
)
async def test_an_upgrade_to_what_is_not_shipped_is_refused(arm, agent, targets):
    answer = await arm("POST", f"{MACHINE}/upgradeExtensions", {"extensionTargets": targets})
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")
    assert "this cloud ships no" in answer.json()["error"]["message"]
    assert agent.fetch() == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"extensionTargets": {}},
        {"extensionTargets": {"a.b": {"targetVersion": "new"}}},
        {"extensionTargets": {"a.b": None}},
        {"extensionTargets": {"a.b": {"targetVersion": None}}},
        {"extensionTargets": {"": {}}},
        {"extensionTargets": ["a.b"]},
    ],
)
async def test_an_upgrade_of_nothing_is_refused(arm, agent, body):
    answer = await arm("POST", f"{MACHINE}/upgradeExtensions", body)
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")
    assert agent.fetch() == []


@pytest.mark.parametrize("action", ["assessPatches", "installPatches"])
async def test_patches_are_not_offered_because_nothing_would_carry_them_out(arm, agent, action):
    answer = await arm("POST", f"{MACHINE}/{action}", {})
    assert (answer.status_code, code(answer)) == (404, "InvalidResourceType")
    assert "neither assess nor install patches" in answer.json()["error"]["message"]


async def test_whoever_waits_long_is_asked_to_ask_less_often(arm, cloud, agent):
    accepted = await arm("PUT", EXTENSION, BODY)
    seconds = []
    for wait in (0, 40, 300):
        cloud.clock.advance(wait)
        seconds.append((await arm("GET", accepted.headers["location"], version="")).headers["retry-after"])
    assert seconds == ["1", "5", "15"]


async def test_the_address_of_an_operation_may_have_any_words(arm, agent):
    accepted = await arm("PUT", EXTENSION, BODY)
    path = accepted.headers["azure-asyncoperation"].replace("/local/", "/\N{SNOWMAN} x/")
    polled = await arm("GET", path, version="")
    assert polled.status_code == 200
    assert polled.headers["location"].isascii()


async def test_the_result_is_shown_to_whoever_may_still_read_the_resource(arm, cloud, agent):
    await arm.principal("writer", ("Contributor", "resourceGroups/demo"))
    accepted = await arm("PUT", EXTENSION, BODY, by="writer")
    agent.report(agent.fetch()[0])
    assert (await arm("GET", accepted.headers["location"], version="", by="writer")).status_code == 200
    with cloud.plane.db.writing() as connection:
        role_assignments.remove_below(connection, agent.key.rpartition("/providers/")[0])
    refused = await arm("GET", accepted.headers["location"], version="", by="writer")
    assert (refused.status_code, code(refused)) == (403, "AuthorizationFailed")


async def test_the_operation_of_another_is_not_to_be_read_without_a_role(arm, agent):
    accepted = await arm("PUT", EXTENSION, BODY)
    await arm.principal("nobody")
    for name in ("azure-asyncoperation", "location"):
        answer = await arm("GET", accepted.headers[name], version="", by="nobody")
        assert (answer.status_code, code(answer)) == (403, "AuthorizationFailed")


async def test_protected_settings_are_in_no_log(arm, agent, caplog):
    caplog.set_level("DEBUG")
    await arm("PUT", EXTENSION, BODY)
    wrong = BODY | {"properties": BODY["properties"] | {"typeHandlerVersion": "x"}}
    await arm("PUT", EXTENSION, wrong)
    await arm("PATCH", EXTENSION, {"properties": BODY["properties"]})
    agent.report(agent.fetch()[0])
    assert caplog.records
    assert SECRET not in caplog.text
    assert not any(SECRET in str(vars(one)) for one in caplog.records)
