from __future__ import annotations

from landbridge_server.reconcile.delete_groups import BATCH, DeleteGroups
from landbridge_server.store import operations, principals
from landbridge_server.testing import ControlPlane
from landbridge_wire.errors import ArmError

MACHINES = BATCH * 2 + 3


async def test_a_deletion_that_was_accepted_goes_on_after_a_restart(tmp_path, speaking_to):
    async with ControlPlane(tmp_path) as cloud:
        arm = speaking_to(cloud)
        await arm.group()
        for number in range(MACHINES):
            await arm.machine(f"m{number}")
        location = (await arm("DELETE", "resourcegroups/demo")).headers["location"]
        task = DeleteGroups(cloud.plane.db, cloud.plane.resources.registry, cloud.clock)
        (operation,) = cloud.plane.db.read(lambda c: operations.running(c, "deleteGroup"))
        assert (await task.step(operation, {}, operation.target_id.lower())).removed == BATCH
    async with ControlPlane(tmp_path) as cloud:
        arm = speaking_to(cloud)
        assert len((await arm("GET", "resources")).json()["value"]) == MACHINES - BATCH
        assert (await arm("GET", location, version="")).status_code == 202
        await cloud.plane.settle()
        assert (await arm("GET", location, version="")).status_code == 200
        assert (await arm("GET", "resources")).json() == {"value": []}
        left = cloud.plane.db.read(lambda c: principals.of_kind(c, principals.MANAGED_IDENTITY))
        assert left == []


async def test_everybody_who_wants_to_hears_of_each_machine_that_is_gone(cloud, arm):
    heard = []
    cloud.plane.resources.registry.find("Microsoft.HybridCompute/machines").on_removed = [
        lambda key, principal_id: heard.append((key.rpartition("/")[2], principal_id))
    ]
    await arm.group()
    made = {name: (await arm.machine(name)).json()["identity"]["principalId"] for name in ("a", "b")}
    await arm("DELETE", "resourcegroups/demo")
    assert heard == []
    await cloud.plane.settle()
    assert sorted(heard) == sorted(made.items())


async def test_results_of_operations_are_forgotten_after_a_week(cloud, arm):
    await arm.group("one")
    location = (await arm("DELETE", "resourcegroups/one")).headers["location"]
    await cloud.plane.settle()
    cloud.clock.advance(8 * 86400)
    arm.tokens.clear()
    await arm.group("two")
    await arm("DELETE", "resourcegroups/two")
    await cloud.plane.settle()
    assert (await arm("GET", location, version="")).status_code == 404


def code(answer):
    return answer.json()["error"]["code"]


async def test_a_deletion_that_fails_ends_as_failed_and_does_not_keep_others_from_theirs(
    cloud, arm, monkeypatch
):
    await arm.group("bad")
    await arm.machine("m", "bad")
    await arm.group("good")
    locations = [
        (await arm("DELETE", f"resourcegroups/{name}")).headers["location"] for name in ("bad", "good")
    ]
    machines = cloud.plane.resources.registry.find("Microsoft.HybridCompute/machines")
    with monkeypatch.context() as broken:
        broken.setattr(machines, "on_delete", lambda *_: 1 / 0)
        await cloud.plane.settle()
    failed, done = [await arm("GET", where, version="") for where in locations]
    assert (failed.status_code, code(failed), done.status_code) == (409, "ResourceGroupDeletionBlocked", 200)
    text = failed.json()["error"]["message"]
    assert text.startswith(
        "Deletion of resource group 'bad' failed as resources with identifiers "
        "'Microsoft.HybridCompute/machines/m' could not be deleted. "
    )
    status = (await arm("GET", locations[0].replace("results", "statuses"), version="")).json()
    assert (status["status"], status["error"]["code"]) == ("Failed", "ResourceGroupDeletionBlocked")
    assert (await arm("GET", "resourcegroups/bad")).json()["properties"] == {"provisioningState": "Succeeded"}
    assert (await arm.machine("n", "bad")).status_code == 200
    again = (await arm("DELETE", "resourcegroups/bad")).headers["location"]
    assert again != locations[0]
    await cloud.plane.settle()
    assert (await arm("GET", again, version="")).status_code == 200
    assert (await arm("GET", locations[0], version="")).status_code == 409


async def test_what_is_in_use_by_another_resource_is_deleted_after_it(cloud, arm, monkeypatch):
    await arm.group()
    for name in ("a", "b", "c"):
        await arm.machine(name)
    machines = cloud.plane.resources.registry.find("Microsoft.HybridCompute/machines")
    removal = machines.on_delete
    gone = []

    def guarded(connection, stored, effects):
        if stored.name_key == "a" and "c" not in gone:
            raise ArmError("OperationNotAllowed", "a is in use by c.")
        removal(connection, stored, effects)
        effects.after.append(lambda: gone.append(stored.name_key))

    monkeypatch.setattr(machines, "on_delete", guarded)
    location = (await arm("DELETE", "resourcegroups/demo")).headers["location"]
    await cloud.plane.settle()
    assert (await arm("GET", location, version="")).status_code == 200
    assert gone == ["b", "c", "a"]
    assert (await arm("GET", "resources")).json() == {"value": []}


async def test_only_what_cannot_be_deleted_is_left_and_each_says_why(cloud, arm, monkeypatch):
    await arm.group()
    for number in range(BATCH + 5):
        await arm.machine(f"m{number}")
    last = f"m{BATCH + 4}"
    machines = cloud.plane.resources.registry.find("Microsoft.HybridCompute/machines")
    removal = machines.on_delete

    def guarded(connection, stored, effects):
        if stored.name_key in ("m1", last):
            raise ArmError("OperationNotAllowed", f"{stored.name_key} is in use.")
        removal(connection, stored, effects)

    monkeypatch.setattr(machines, "on_delete", guarded)
    location = (await arm("DELETE", "resourcegroups/demo")).headers["location"]
    await cloud.plane.settle()
    left = [one["name"] for one in (await arm("GET", "resources")).json()["value"]]
    assert left == ["m1", last]
    details = (await arm("GET", location, version="")).json()["error"]["details"]
    assert [(one["code"], one["message"]) for one in details] == [
        ("OperationNotAllowed", "m1 is in use."),
        ("OperationNotAllowed", f"{last} is in use."),
    ]
