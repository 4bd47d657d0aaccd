"""A user of one tenant is a guest of another: what it sees and may do in each."""

from __future__ import annotations

import uuid

import pytest

from landbridge_server.arm.grants import grant
from landbridge_server.arm.registrations import create_subscription
from landbridge_server.arm.roles import OWNER, READER
from landbridge_server.identity import bootstrap, directory, directory_roles, guests
from landbridge_server.identity.clients import AZURE_CLI
from landbridge_server.store import role_assignments

ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"


class Two:
    """A second tenant with a subscription and an owner, and a user of the first tenant."""

    def __init__(self, cloud) -> None:
        self.cloud = cloud
        self.home = cloud.admin["tenantId"]
        now = cloud.clock()
        with cloud.plane.db.writing() as connection:
            self.tenant = bootstrap.create_tenant(connection, "other.example", "Other", now).tenant_id
            self.subscription = str(uuid.uuid4())
            create_subscription(connection, self.subscription, self.tenant, "Theirs", now)
            owner = directory.create_service_principal(connection, self.tenant, "owner", now)
            scope = f"/subscriptions/{self.subscription}"
            grant(
                connection,
                tenant_id=self.tenant,
                principal_id=owner[0],
                principal_type="ServicePrincipal",
                role=OWNER,
                scope=scope,
                now=now,
                by=owner[0],
            )
            self.owner = owner[1:]
            domain = cloud.admin["userName"].rpartition("@")[2]
            self.name = f"anna@{domain}"
            anna = directory.create_user(connection, self.home, self.name, "", "a good password", now)
            self.anna = anna.object_id

    def invite(self) -> None:
        with self.cloud.plane.db.writing() as connection:
            guests.invite(connection, self.tenant, self.name, self.cloud.clock())

    def turn_out(self) -> None:
        with self.cloud.plane.db.writing() as connection:
            guests.turn_out(connection, self.tenant, self.name)

    async def token(self, tenant: str, **form: str) -> str:
        form = {"scope": f"{self.cloud.config.endpoints.audience}/.default", **form}
        answer = await self.cloud.client.post(f"/{tenant}/oauth2/v2.0/token", data=form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def owners(self) -> str:
        client_id, secret = self.owner
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        return await self.token(self.tenant, **form)

    async def annas(self, tenant: str) -> str:
        form = {"grant_type": "password", "client_id": AZURE_CLI, "username": self.name}
        return await self.token(tenant, **form, password="a good password")

    async def give(self, role=READER):
        """The owner gives Anna a role in its subscription."""
        scope = f"/subscriptions/{self.subscription}"
        properties = {
            "roleDefinitionId": f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{role.guid}",
            "principalId": self.anna,
            "principalType": "User",
        }
        path = f"{scope}/{ASSIGNMENTS}/{uuid.uuid4()}"
        return await self.cloud.arm("PUT", path, {"properties": properties}, token=await self.owners())


@pytest.fixture
def two(cloud):
    return Two(cloud)


async def values(cloud, path, token):
    answer = await cloud.arm("GET", path, token=token, version="2022-12-01")
    assert answer.status_code == 200, answer.text
    return [one.get("subscriptionId") or one["tenantId"] for one in answer.json()["value"]]


async def test_who_is_no_guest_cannot_be_given_a_role(two):
    refused = await two.give()
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "PrincipalNotFound")


async def test_a_guest_sees_both_tenants_and_in_each_what_its_roles_show(cloud, two):
    two.invite()
    home, there = await two.annas(two.home), await two.annas(two.tenant)
    assert await values(cloud, "/tenants", home) == [two.home, two.tenant]
    assert await values(cloud, "/subscriptions", there) == []
    made = await two.give()
    assert (made.status_code, made.json()["properties"]["principalId"]) == (201, two.anna)
    assert await values(cloud, "/subscriptions", there) == [two.subscription]
    assert await values(cloud, "/subscriptions", home) == []
    path = f"/subscriptions/{two.subscription}/resourcegroups"
    assert (await cloud.arm("GET", path, token=there)).status_code == 200
    refused = await cloud.arm("GET", path, token=home)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "InvalidAuthenticationTokenTenant")
    written = await cloud.arm("PUT", f"{path}/x", {"location": "local"}, token=there)
    assert (written.status_code, written.json()["error"]["code"]) == (403, "AuthorizationFailed")


async def test_who_is_turned_out_loses_its_roles_there_and_comes_back_without(cloud, two):
    two.invite()
    await two.give()
    there = await two.annas(two.tenant)
    two.turn_out()
    assert (await cloud.arm("GET", "/subscriptions", token=there)).status_code == 401
    with cloud.plane.db.reading() as connection:
        assert role_assignments.held(connection, two.anna) == []
    two.invite()
    assert await values(cloud, "/subscriptions", await two.annas(two.tenant)) == []


async def test_an_administrator_of_the_directory_is_none_where_it_is_a_guest(cloud, two):
    graph = f"{cloud.config.endpoints.graph}/.default"
    with cloud.plane.db.writing() as connection:
        holder = directory_roles.holder(connection, two.anna)
        directory_roles.assign(connection, holder, directory_roles.GLOBAL_ADMINISTRATOR, cloud.clock())
    two.invite()
    form = {"grant_type": "password", "client_id": AZURE_CLI, "username": two.name}
    form |= {"password": "a good password", "scope": graph}
    wanted = {"displayName": "Mine", "mailEnabled": False, "mailNickname": "mine", "securityEnabled": True}
    made = {}
    for tenant in (two.home, two.tenant):
        token = await two.token(tenant, **form)
        headers = {"authorization": f"Bearer {token}"}
        address = f"{cloud.config.endpoints.graph.rstrip('/')}/v1.0"
        made[tenant] = [
            (await cloud.client.post(f"{address}/groups", json=wanted, headers=headers)).status_code,
            (await cloud.client.get(f"{address}/users", headers=headers)).status_code,
        ]
    assert made == {two.home: [201, 200], two.tenant: [403, 403]}


async def test_a_guest_reaches_machines_by_its_roles_there_as_long_as_it_is_one(cloud, two):
    scope = f"/subscriptions/{two.subscription}"
    owner = await two.owners()
    await cloud.arm("PUT", f"{scope}/resourcegroups/g", {"location": "local"}, token=owner)
    machine = f"{scope}/resourceGroups/g/providers/Microsoft.HybridCompute/machines/m"
    body = {"location": "local", "properties": {"vmId": str(uuid.uuid4()), "clientPublicKey": "MFkw"}}
    made = await cloud.arm("PUT", machine, body, token=owner, version="2024-07-10")
    assert made.status_code in (200, 201), made.text
    path = f"microsoft.hybridcompute/machines/{made.json()['identity']['principalId']}"
    reaches = cloud.plane.rendezvous.may_send
    two.invite()
    assert not reaches(two.anna, path)
    await two.give(OWNER)
    assert reaches(two.anna, path)
    two.turn_out()
    assert not reaches(two.anna, path)


async def test_why_a_guest_may_is_told_in_the_tenant_of_the_scope(cloud, two):
    two.invite()
    await two.give()
    scope = f"/subscriptions/{two.subscription}"
    path = f"{scope}/providers/Microsoft.Authorization/landbridgeExplainAccess"
    for action, allowed in (
        ("Microsoft.Resources/tags/read", True),
        ("Microsoft.Resources/tags/write", False),
    ):
        for token, more in (
            (await two.annas(two.tenant), {}),
            (await two.owners(), {"principal": two.name}),
        ):
            answer = await cloud.arm(
                "POST", path, {"action": action, **more}, token=token, version="2022-04-01"
            )
            assert (answer.status_code, answer.json().get("allowed")) == (200, allowed), answer.text
    two.turn_out()
    body = {"action": "Microsoft.Resources/tags/read", "principal": two.name}
    gone = await cloud.arm("POST", path, body, token=await two.owners(), version="2022-04-01")
    assert gone.json()["error"]["code"] == "PrincipalNotFound"


async def test_at_the_root_a_guest_is_told_what_counts_there_and_not_at_home(cloud, two):
    two.invite()
    with cloud.plane.db.writing() as connection:
        cloud.plane.assign_role(connection, two.anna, "User", READER.name, "/")  # of the home tenant
    path = "/providers/Microsoft.Authorization/landbridgeExplainAccess"
    for tenant, allowed in ((two.home, True), (two.tenant, False)):
        answer = await cloud.arm(
            "POST",
            path,
            {"action": "Microsoft.Resources/tags/read"},
            token=await two.annas(tenant),
            version="2022-04-01",
        )
        assert answer.json()["allowed"] is allowed
