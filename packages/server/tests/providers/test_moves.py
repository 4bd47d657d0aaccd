"""Moving resources from one group to another."""

from __future__ import annotations

import pytest

from landbridge_server.arm.registrations import create_subscription
from landbridge_server.store import machines, principals, resources

TYPE = "providers/Microsoft.HybridCompute/machines"
FROM, TO = "resourceGroups/from", "resourceGroups/to"
OLD, NEW = f"{FROM}/{TYPE}/Web1", f"{TO}/{TYPE}/Web1"
ENDPOINT = "providers/Microsoft.HybridConnectivity/endpoints/default"
LOCK = "providers/Microsoft.Authorization/locks/keep"
OTHER = "11111111-2222-3333-4444-555555555555"


def code(answer):
    return answer.json()["error"]["code"] if answer.status_code >= 400 else answer.status_code


@pytest.fixture
async def place(arm):
    """Two groups, and two machines in the first."""
    await arm("PUT", FROM, {"location": "local"})
    await arm("PUT", TO, {"location": "local"})
    await arm.machine("Web1", "from", tags={"a": "b"})
    await arm.machine("web2", "from")
    await arm("POST", "providers/Microsoft.HybridConnectivity/register")
    return arm


def wanted(cloud, *ids, target=TO):
    below = [one if one.startswith("/") else f"{cloud.subscription}/{one}" for one in ids or (OLD,)]
    target = target if target.startswith("/") else f"{cloud.subscription}/{target}"
    return {"resources": below, "targetResourceGroup": target}


async def move(arm, body, verb="moveResources", **more):
    return await arm("POST", f"{FROM}/{verb}", body, **more)


async def test_a_machine_moves_with_everything_that_belongs_to_it(place, cloud):
    before = (await place("GET", OLD)).json()
    friend = await place.principal("friend", ("Reader", OLD), ("Reader", f"{OLD}/{ENDPOINT}"))
    await place("PUT", f"{OLD}/{LOCK}", {"properties": {"level": "CanNotDelete"}})
    key, new_key = [f"{cloud.subscription}/{path}".lower() for path in (OLD, NEW)]
    cloud.plane.presence.heartbeat(key, "1.2", cloud.clock())
    await cloud.plane.settle()
    answer = await move(place, wanted(cloud, OLD.upper().replace("SUBSCRIPTIONS", "subscriptions")))
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["retry-after"]
    for _ in range(2):
        result = await place("GET", answer.headers["location"], version="")
        assert (result.status_code, result.content) == (204, b"")
    assert code(await place("GET", OLD)) == "ResourceNotFound"
    after = (await place("GET", NEW)).json()
    assert after.pop("id") == f"{cloud.subscription}/{NEW}"
    assert after["properties"]["status"] == "Connected"
    before["properties"] |= {name: after["properties"][name] for name in ("status", "lastStatusChange")}
    assert {"id": before["id"]} | after == before
    listed = (await place("GET", f"{TO}/{TYPE}")).json()["value"]
    assert listed == [(await place("GET", NEW)).json()]
    endpoint = (await place("GET", f"{NEW}/{ENDPOINT}")).json()
    assert endpoint["id"] == f"{cloud.subscription}/{NEW}/{ENDPOINT}"
    services = (await place("GET", f"{NEW}/{ENDPOINT}/serviceConfigurations")).json()["value"]
    assert [one["id"] for one in services] == [
        f"{cloud.subscription}/{NEW}/{ENDPOINT}/serviceConfigurations/SSH"
    ]
    assert (await place("POST", f"{NEW}/{ENDPOINT}/listCredentials")).status_code == 200
    assert (await place("GET", f"{NEW}/{LOCK}")).json()["id"] == f"{cloud.subscription}/{NEW}/{LOCK}"
    assert code(await place("DELETE", NEW)) == "ScopeLocked"
    assert code(await place("GET", NEW, by="friend")) == 200
    assert code(await place("GET", f"{NEW}/{ENDPOINT}", by="friend")) == 200
    assigned = await place("GET", f"{NEW}/providers/Microsoft.Authorization/roleAssignments")
    scopes = [one["properties"]["scope"] for one in assigned.json()["value"] if friend in str(one)]
    assert sorted(scopes) == [f"{cloud.subscription}/{NEW}", f"{cloud.subscription}/{NEW}/{ENDPOINT}"]
    found = (await place("GET", "resources?$filter=tagName eq 'a'")).json()["value"]
    assert [one["id"] for one in found] == [f"{cloud.subscription}/{NEW}"]
    listed = (await place("GET", f"{FROM}/resources")).json()["value"]
    assert [one["name"] for one in listed] == ["web2"]
    with cloud.plane.db.reading() as connection:
        assert resources.below(connection, key) == []
        assert machines.get(connection, key) is None
        assert machines.get(connection, new_key) is not None
        identity = principals.get(connection, after["identity"]["principalId"])
        assert identity.resource_key == new_key
        assert [one.machine_key for one in machines.all_seen(connection)] == [new_key]


async def test_what_was_reported_in_memory_only_moves_too(place, cloud):
    key, new_key = [f"{cloud.subscription}/{path}".lower() for path in (OLD, NEW)]
    cloud.plane.presence.heartbeat(key, "1.2", cloud.clock())
    await move(place, wanted(cloud))
    await cloud.plane.settle()
    with cloud.plane.db.reading() as connection:
        assert [one.machine_key for one in machines.all_seen(connection)] == [new_key]


async def test_a_moved_machine_can_move_back_and_be_deleted(place, cloud):
    await move(place, wanted(cloud))
    back = await place("POST", f"{TO}/moveResources", wanted(cloud, NEW, target=FROM))
    assert back.status_code == 202
    assert code(await place("GET", OLD)) == 200
    assert code(await place("DELETE", OLD)) == 200
    left = cloud.plane.db.read(lambda c: principals.of_kind(c, principals.MANAGED_IDENTITY))
    assert [one.display_name for one in left] == ["web2"]


async def test_validation_moves_nothing(place, cloud):
    answer = await move(place, wanted(cloud), "validateMoveResources")
    assert answer.status_code == 202
    assert (await place("GET", answer.headers["location"], version="")).status_code == 204
    assert code(await place("GET", OLD)) == 200
    assert code(await place("GET", NEW)) == "ResourceNotFound"


@pytest.mark.parametrize("verb", ["moveResources", "validateMoveResources"])
async def test_every_refusal_leaves_all_where_it_is(place, cloud, verb):
    await place.machine("web2", "to")
    child = f"{OLD}/{ENDPOINT}"
    twice = [OLD, OLD.lower()]
    many = [f"{FROM}/{TYPE}/m{number}" for number in range(801)]
    for body, expected in (
        ({}, "InvalidRequestContent"),
        (wanted(cloud) | {"resources": []}, "InvalidRequestContent"),
        (wanted(cloud) | {"resources": [1]}, "InvalidRequestContent"),
        (wanted(cloud) | {"resources": ["web1"]}, "InvalidRequestContent"),
        (wanted(cloud) | {"targetResourceGroup": "to"}, "InvalidRequestContent"),
        (wanted(cloud) | {"targetResourceGroup": cloud.subscription}, "InvalidRequestContent"),
        (wanted(cloud, target=FROM.upper().replace("RESOURCEGROUPS", "resourcegroups")), "BadRequest"),
        (wanted(cloud, f"{TO}/{TYPE}/web2"), "BadRequest"),
        (wanted(cloud, OLD, child), "BadRequest"),
        (wanted(cloud, FROM), "BadRequest"),
        (wanted(cloud, *twice), "BadRequest"),
        (wanted(cloud, *many), "BadRequest"),
        (wanted(cloud, OLD, f"{FROM}/{TYPE}/none"), "ResourceNotFound"),
        (wanted(cloud, OLD, f"{FROM}/providers/Microsoft.None/things/x"), "InvalidResourceNamespace"),
        (wanted(cloud, target="resourceGroups/none"), "ResourceGroupNotFound"),
        (wanted(cloud, OLD, f"{FROM}/{TYPE}/web2"), "Conflict"),
    ):
        answer = await move(place, body, verb)
        assert code(answer) == expected, (body, answer.text[:300])
    assert code(await place("POST", f"resourceGroups/none/{verb}", wanted(cloud))) == "BadRequest"
    assert len((await place("GET", f"{FROM}/resources")).json()["value"]) == 2


async def test_groups_that_are_leaving_and_read_only_locks_refuse(place, cloud):
    for scope in (FROM, TO, OLD, f"{OLD}/{ENDPOINT}"):
        await place("PUT", f"{scope}/{LOCK}", {"properties": {"level": "ReadOnly"}})
        assert code(await move(place, wanted(cloud))) == "ScopeLocked", scope
        await place("DELETE", f"{scope}/{LOCK}")
    await place("PUT", f"{FROM}/{TYPE}/web2/{LOCK}", {"properties": {"level": "ReadOnly"}})
    assert code(await move(place, wanted(cloud))) == 202
    await place("DELETE", TO)
    assert code(await place("POST", f"{FROM}/moveResources", wanted(cloud, f"{FROM}/{TYPE}/web2"))) == (
        "ResourceGroupBeingDeleted"
    )


async def test_a_move_needs_rights_at_both_groups(place, cloud):
    await place.principal("source", ("Contributor", FROM))
    await place.principal("both", ("Contributor", FROM), ("Contributor", TO))
    await place.principal("reader", ("Reader", FROM), ("Owner", TO))
    assert code(await move(place, wanted(cloud), by="reader")) == "AuthorizationFailed"
    assert code(await move(place, wanted(cloud), by="source")) == "LinkedAuthorizationFailed"
    missing = wanted(cloud, target="resourceGroups/none")
    assert code(await move(place, missing, by="source")) == "LinkedAuthorizationFailed"
    assert code(await move(place, wanted(cloud), by="both")) == 202


async def test_a_machine_moves_to_another_subscription_that_is_registered(place, cloud):
    with cloud.plane.db.writing() as connection:
        create_subscription(connection, OTHER, cloud.admin["tenantId"], "other", cloud.clock())
    group = f"/subscriptions/{OTHER}/resourceGroups/There"
    await place("PUT", group, {"location": "local"})
    await place("POST", f"/subscriptions/{OTHER}/providers/Microsoft.HybridCompute/unregister")
    cloud.clock.advance(5)
    body = wanted(cloud, target=group.lower())
    assert code(await move(place, body)) == "MissingSubscriptionRegistration"
    await place("POST", f"/subscriptions/{OTHER}/providers/Microsoft.HybridCompute/register")
    assert code(await move(place, body)) == 202
    shown = await place("GET", f"{group}/{TYPE}/web1")
    assert shown.json()["id"] == f"{group}/{TYPE}/Web1"
    listed = await place("GET", f"/subscriptions/{OTHER}/{TYPE}")
    assert [one["name"] for one in listed.json()["value"]] == ["Web1"]


async def test_hundreds_of_machines_move_at_once(place, cloud):
    names = [f"m{number}" for number in range(120)]
    for name in names:
        await place.machine(name, "from")
    assert code(await move(place, wanted(cloud, *(f"{FROM}/{TYPE}/{name}" for name in names)))) == 202
    listed = (await place("GET", f"{TO}/resources")).json()["value"]
    assert sorted(one["name"] for one in listed) == sorted(names)
    assert len((await place("GET", f"{FROM}/resources")).json()["value"]) == 2


async def test_a_machine_with_something_under_way_stays_and_one_whose_extensions_have_ended_takes_them_along(
    place, cloud
):
    extension = {"location": "local", "properties": {"publisher": "p", "type": "t"}}
    assert code(await place("PUT", f"{OLD}/extensions/one", extension)) == 202
    for verb in ("moveResources", "validateMoveResources"):
        refused = await move(place, wanted(cloud), verb)
        assert code(refused) == "Conflict"
        assert "in the state 'Creating'" in refused.json()["error"]["message"]
    assert code(await place("DELETE", f"{OLD}/extensions/one")) in (200, 202, 204)
    assert code(await move(place, wanted(cloud))) == 202
