"""Renaming a machine in place: everything but its name stays."""

from __future__ import annotations

import pytest

from landbridge_server.store import former_names, machines, principals

TYPE = "providers/Microsoft.HybridCompute/machines"
HERE, THERE = "resourceGroups/from", "resourceGroups/to"
OLD, NEW = f"{HERE}/{TYPE}/Web1", f"{HERE}/{TYPE}/Front"
ENDPOINT = "providers/Microsoft.HybridConnectivity/endpoints/default"
LOCK = "providers/Microsoft.Authorization/locks/keep"


def code(answer):
    return answer.json()["error"]["code"] if answer.status_code >= 400 else answer.status_code


def said(answer):
    return answer.json()["error"]["message"]


@pytest.fixture
async def place(arm):
    """Two groups, and two machines in the first."""
    await arm("PUT", HERE, {"location": "local"})
    await arm("PUT", THERE, {"location": "local"})
    await arm.machine("Web1", "from", tags={"a": "b"})
    await arm.machine("web2", "from")
    return arm


async def rename(arm, name, old=OLD, **more):
    return await arm("POST", f"{old}/rename", {"newName": name}, **more)


async def test_a_machine_keeps_everything_but_its_name(place, cloud):
    before = (await place("GET", OLD)).json()
    friend = await place.principal("friend", ("Reader", OLD))
    await place("PUT", f"{OLD}/{LOCK}", {"properties": {"level": "CanNotDelete"}})
    key, new_key = [f"{cloud.subscription}/{path}".lower() for path in (OLD, NEW)]
    cloud.plane.presence.heartbeat(key, "1.2", cloud.clock())
    await cloud.plane.settle()
    answer = await rename(place, "Front")
    assert answer.status_code == 200
    after = answer.json()
    assert (after["id"], after["name"]) == (f"{cloud.subscription}/{NEW}", "Front")
    assert after["properties"]["vmId"] == before["properties"]["vmId"]
    assert after["properties"]["status"] == "Connected"
    assert (after["identity"], after["tags"]) == (before["identity"], before["tags"])
    assert (await place("GET", NEW)).json() == after
    listed = (await place("GET", f"{HERE}/{TYPE}")).json()["value"]
    assert [one["name"] for one in listed] == ["Front", "web2"]
    endpoint = (await place("GET", f"{NEW}/{ENDPOINT}")).json()
    assert endpoint["id"] == f"{cloud.subscription}/{NEW}/{ENDPOINT}"
    assert (await place("POST", f"{NEW}/{ENDPOINT}/listCredentials")).status_code == 200
    assert code(await place("DELETE", NEW)) == "ScopeLocked"
    assert code(await place("GET", NEW, by="friend")) == 200
    assigned = await place("GET", f"{NEW}/providers/Microsoft.Authorization/roleAssignments")
    assert friend in str(assigned.json())
    found = (await place("GET", "resources?$filter=name eq 'Front'")).json()["value"]
    assert [one["id"] for one in found] == [f"{cloud.subscription}/{NEW}"]
    identity = cloud.plane.db.read(lambda c: principals.get(c, before["identity"]["principalId"]))
    assert identity.display_name == "Front"
    assert cloud.plane.db.read(lambda c: machines.get(c, new_key)) is not None
    assert cloud.plane.db.read(lambda c: machines.get(c, key)) is None


ASKED = (
    ("GET", OLD),
    ("GET", OLD.replace("Web1", "WEB1")),
    ("PATCH", OLD),
    ("POST", f"{OLD}/rename"),
    ("GET", f"{OLD}/{ENDPOINT}"),
    ("POST", f"{OLD}/{ENDPOINT}/listCredentials"),
    ("PUT", f"{OLD}/extensions/x"),
)


async def test_the_old_name_tells_the_new_one(place, cloud):
    await rename(place, "Front")
    await rename(place, "Door", NEW)
    for verb, path in ASKED:
        body = {"newName": "z"} if path.endswith("rename") else {"location": "local"}
        answer = await place(verb, path, None if verb == "GET" else body)
        assert answer.status_code == 404, answer.text
        assert f"it is '{cloud.subscription}/{HERE}/{TYPE}/Door' now" in said(answer)


async def test_the_old_name_is_free_and_then_means_the_new_machine(place):
    await rename(place, "Front")
    await place.machine("Web1", "from")
    assert (await place("GET", OLD)).json()["name"] == "Web1"
    await place("DELETE", OLD)
    answer = await place("GET", OLD)
    assert code(answer) == "ResourceNotFound" and "renamed" not in said(answer)


async def test_a_machine_can_have_its_old_name_back(place):
    first = (await place("GET", OLD)).json()
    await rename(place, "Front")
    assert (await rename(place, "Web1", NEW)).status_code == 200
    again = (await place("GET", OLD)).json()
    assert again["identity"] == first["identity"] and again["name"] == "Web1"
    assert "it is '" in said(await place("GET", NEW))


async def test_another_casing_of_the_same_name_is_a_rename_too(place):
    assert (await rename(place, "WEB1")).json()["name"] == "WEB1"
    assert (await place("GET", OLD)).json()["name"] == "WEB1"
    assert (await rename(place, "WEB1")).status_code == 200


async def test_what_a_removed_machine_was_called_is_forgotten(place, cloud):
    await rename(place, "Front")
    await place("DELETE", NEW)
    assert "renamed" not in said(await place("GET", OLD))
    key = f"{cloud.subscription}/{OLD}".lower()
    assert cloud.plane.db.read(lambda c: former_names.now_called(c, key)) is None


async def test_the_old_name_tells_nothing_of_another_group(place, cloud):
    await rename(place, "Front")
    body = {
        "resources": [f"{cloud.subscription}/{NEW}"],
        "targetResourceGroup": f"{cloud.subscription}/{THERE}",
    }
    assert (await place("POST", f"{HERE}/moveResources", body)).status_code == 202
    assert "renamed" not in said(await place("GET", OLD))


async def test_a_name_that_cannot_be_changes_nothing(place):
    before = (await place("GET", OLD)).json()
    for body in ({"newName": "web2"}, {"newName": "WEB2"}):
        answer = await place("POST", f"{OLD}/rename", body)
        assert (answer.status_code, code(answer)) == (409, "Conflict")
    wrong = [{"newName": name} for name in ("a/b", "", "x" * 55, 7, None)]
    for body in (*wrong, {}, {"newName": "ok", "force": True}):
        answer = await place("POST", f"{OLD}/rename", body)
        assert answer.status_code == 400, answer.text
    assert (await place("GET", OLD)).json() == before


async def test_read_only_locks_refuse(place):
    for at in (HERE, OLD, f"{OLD}/{ENDPOINT}"):
        await place("PUT", f"{at}/{LOCK}", {"properties": {"level": "ReadOnly"}})
        assert code(await rename(place, "Front")) == "ScopeLocked"
        await place("DELETE", f"{at}/{LOCK}")
    assert (await rename(place, "Front")).status_code == 200


async def test_who_may_write_only_the_machine_may_not_take_another_name(place):
    await place.principal("keeper", ("Contributor", OLD))
    assert code(await rename(place, "Front", by="keeper")) == "LinkedAuthorizationFailed"
    await place.principal("reader", ("Reader", HERE))
    assert code(await rename(place, "Front", by="reader")) == "AuthorizationFailed"
    await place.principal("owner", ("Contributor", HERE))
    assert (await rename(place, "Front", by="owner")).status_code == 200


async def test_who_may_not_see_the_group_learns_no_name(place):
    await place.principal("stranger", ("Reader", THERE))
    await rename(place, "Front")
    answer = await place("GET", OLD, by="stranger")
    assert code(answer) == "AuthorizationFailed" and "Front" not in answer.text
