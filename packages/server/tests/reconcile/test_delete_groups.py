from __future__ import annotations

from landbridge_server.reconcile.delete_groups import BATCH, DeleteGroups
from landbridge_server.store import operations, principals
from landbridge_server.testing import ControlPlane

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
        assert await task.step(operation) is True
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


async def test_a_deletion_that_fails_does_not_keep_others_from_theirs(cloud, arm, monkeypatch):
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
    assert [(await arm("GET", where, version="")).status_code for where in locations] == [202, 200]
    await cloud.plane.settle()
    assert (await arm("GET", locations[0], version="")).status_code == 200
