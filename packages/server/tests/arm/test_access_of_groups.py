"""Roles that come with a group: they count everywhere, and end with the membership."""

from __future__ import annotations

import uuid

import pytest

from landbridge_server.identity.caller import Caller
from landbridge_server.store import groups, tenants
from landbridge_server.store.groups import Group
from landbridge_server.store.tenants import Tenant

READ = "Microsoft.HybridCompute/machines/read"
GROUP = "resourceGroups/demo"
MACHINE = f"{GROUP}/providers/Microsoft.HybridCompute/machines/web1"
ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"


class Directory:
    """Groups of the cloud's tenant, by name."""

    def __init__(self, cloud):
        self.cloud, self.ids = cloud, {}

    def group(self, name, *, tenant=""):
        made = self.ids[name] = str(uuid.uuid4())
        tenant = tenant or self.cloud.admin["tenantId"]
        with self.cloud.plane.db.writing() as connection:
            groups.add(connection, Group(made, tenant, name, name, name, "{}", 0.0))
        return made

    def join(self, name, member):
        with self.cloud.plane.db.writing() as connection:
            groups.add_member(connection, self.ids[name], self.ids.get(member, member))

    def leave(self, name, member):
        with self.cloud.plane.db.writing() as connection:
            groups.remove_member(connection, self.ids[name], self.ids.get(member, member))

    def give(self, name, role, scope=""):
        path = "/" if scope == "/" else f"{self.cloud.subscription}/{scope}".rstrip("/")
        with self.cloud.plane.db.writing() as connection:
            self.cloud.plane.assign_role(connection, self.ids.get(name, name), "Group", role, path)


@pytest.fixture
def people(cloud):
    return Directory(cloud)


@pytest.fixture
async def place(arm):
    await arm.group()
    await arm.machine()
    return arm


async def test_a_role_of_a_group_counts_for_its_members_and_ends_with_the_membership(place, people):
    friend = await place.principal("friend")
    people.group("readers")
    people.give("readers", "Reader", GROUP)
    assert (await place("GET", MACHINE, by="friend")).status_code == 403
    people.join("readers", friend)
    assert (await place("GET", MACHINE, by="friend")).status_code == 200
    assert (await place("DELETE", MACHINE, by="friend")).status_code == 403
    people.leave("readers", friend)
    assert (await place("GET", MACHINE, by="friend")).status_code == 403


async def test_a_role_comes_down_through_nested_groups_and_not_up(place, people):
    inside, outside = await place.principal("inside"), await place.principal("outside")
    for name in ("outer", "middle", "inner"):
        people.group(name)
    people.join("outer", "middle")
    people.join("middle", "inner")
    people.join("inner", inside)
    people.join("outer", outside)
    people.give("middle", "Reader")
    assert (await place("GET", MACHINE, by="inside")).status_code == 200
    assert (await place("GET", MACHINE, by="outside")).status_code == 403
    people.leave("middle", "inner")
    assert (await place("GET", MACHINE, by="inside")).status_code == 403


async def test_groups_that_hold_each_other_end_the_question(place, people):
    friend = await place.principal("friend")
    for name in ("one", "two"):
        people.group(name)
    people.join("one", "two")
    people.join("two", "one")
    people.join("one", "one")
    people.join("one", friend)
    assert (await place("GET", MACHINE, by="friend")).status_code == 403
    people.give("two", "Reader", MACHINE)
    assert (await place("GET", MACHINE, by="friend")).status_code == 200


async def test_lists_and_subscriptions_show_what_a_group_may_see(place, people):
    await place.group("other")
    await place.machine("web9", "other")
    friend = await place.principal("friend")
    people.group("readers")
    people.join("readers", friend)
    assert (await place("GET", "/subscriptions", by="friend")).json() == {"value": []}
    people.give("readers", "Reader", "resourceGroups/other")
    for path, expected in (
        ("resources", ["web9"]),
        ("resourcegroups", ["other"]),
        ("providers/Microsoft.HybridCompute/machines", ["web9"]),
    ):
        answer = await place("GET", path, by="friend")
        assert [one["name"] for one in answer.json()["value"]] == expected, path
    assert len((await place("GET", "/subscriptions", by="friend")).json()["value"]) == 1
    body = {"query": "resources | project name"}
    path = "/providers/Microsoft.ResourceGraph/resources"
    answer = await place("POST", path, body, by="friend", version="2021-03-01")
    assert answer.json()["data"] == [{"name": "web9"}]


async def test_own_permissions_are_those_of_the_groups_too_and_each_role_once(place, people):
    friend = await place.principal("friend", ("Reader", GROUP))
    for name in ("one", "two"):
        people.group(name)
        people.join(name, friend)
        people.give(name, "Reader")
    answer = await place("GET", f"{GROUP}/providers/Microsoft.Authorization/permissions", by="friend")
    assert [one["actions"] for one in answer.json()["value"]] == [["*/read"]]


async def test_a_member_of_groups_with_thousands_of_roles_still_has_exactly_those(place, people, cloud):
    friend = await place.principal("friend")
    for number in range(50):
        people.group(f"g{number}")
        people.join(f"g{number}", friend if number < 10 else f"g{number - 10}")
    with cloud.plane.db.writing() as connection:
        for number in range(1000):
            scope = f"{cloud.subscription}/resourceGroups/g{number}"
            cloud.plane.assign_role(connection, people.ids[f"g{number % 50}"], "Group", "Reader", scope)
    assert (await place("GET", MACHINE, by="friend")).status_code == 403
    people.give("g49", "Reader", MACHINE)
    assert (await place("GET", MACHINE, by="friend")).status_code == 200
    assert [one["name"] for one in (await place("GET", "resources", by="friend")).json()["value"]] == ["web1"]
    people.leave("g9", friend)
    assert (await place("GET", MACHINE, by="friend")).status_code == 403


async def test_a_group_of_another_tenant_gives_nothing_whoever_is_in_it(place, people, cloud):
    other = Tenant("11111111-2222-3333-4444-555555555555", "Other", "other.example", 0.0)
    with cloud.plane.db.writing() as connection:
        tenants.add(connection, other)
    friend = await place.principal("friend")
    foreign = people.group("foreign", tenant=other.tenant_id)
    people.join("foreign", friend)
    from landbridge_server.arm.grants import grant
    from landbridge_server.arm.roles import OWNER

    with cloud.plane.db.writing() as connection:
        for scope in ("/", cloud.subscription):
            grant(
                connection,
                tenant_id=other.tenant_id,
                principal_id=foreign,
                principal_type="Group",
                role=OWNER,
                scope=scope,
                now=0.0,
            )
    assert (await place("GET", MACHINE, by="friend")).status_code == 403
    caller = Caller(friend, cloud.admin["tenantId"], "ServicePrincipal", "", "")
    read = cloud.plane.db.read
    assert read(lambda connection: cloud.plane.access.subscriptions(connection, caller)) == []
    assert not cloud.plane.access.allows(caller, READ, "/")
