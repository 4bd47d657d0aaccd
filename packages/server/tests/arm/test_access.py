"""Who may do what where; and that a refusal says nothing about what is there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from landbridge_server.arm import access, actions
from landbridge_server.arm.call import Call
from landbridge_server.arm.grants import grant
from landbridge_server.arm.holdings import enclosing
from landbridge_server.arm.resource_type import ResourceType, ServedType
from landbridge_server.arm.roles import BUILT_IN, OWNER
from landbridge_server.identity import directory
from landbridge_server.identity.caller import Caller
from landbridge_server.store import tenants
from landbridge_server.store.tenants import Tenant
from landbridge_wire.errors import ArmError

GROUP = "resourceGroups/demo"
MACHINE = f"{GROUP}/providers/Microsoft.HybridCompute/machines/web1"
ENDPOINT = f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints/default"
TABLE = Path(__file__).parent / "authz_matrix.txt"
VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


def code(answer):
    return answer.json()["error"]["code"]


@pytest.fixture
async def place(arm):
    """A group with a machine, and everything registered."""
    await arm.group()
    await arm.machine()
    await arm("POST", "providers/Microsoft.HybridConnectivity/register")
    return arm


def test_a_scope_is_enclosed_by_every_prefix_and_the_root():
    assert enclosing("/subscriptions/S/resourceGroups/g") == [
        "/",
        "/subscriptions",
        "/subscriptions/s",
        "/subscriptions/s/resourcegroups",
        "/subscriptions/s/resourcegroups/g",
    ]


async def test_the_refusal_has_arms_words(place, cloud):
    object_id = await place.principal("nobody")
    answer = await place("GET", MACHINE, by="nobody")
    client_id = answer.json()["error"]["message"].split("'")[1]
    assert answer.status_code == 403
    assert answer.json()["error"] == {
        "code": "AuthorizationFailed",
        "message": f"The client '{client_id}' with object id '{object_id}' does not have authorization to "
        f"perform action 'Microsoft.HybridCompute/machines/read' over scope '{cloud.subscription}/{MACHINE}' "
        "or the scope is invalid. If access was recently granted, please refresh your credentials.",
    }


def every_request(registry):
    """Yield method and path for each verb of each type, for what is there and for what is not."""
    scopes = {"web1": f"{GROUP}/providers", "absent": f"{GROUP}/providers"}
    for kind in registry.types():
        for name in scopes:
            if kind.full_type == "Microsoft.HybridCompute/machines":
                path = f"{GROUP}/providers/{kind.full_type}/{name}"
            elif kind.type == "machines/networkProfile":
                path = f"{GROUP}/providers/Microsoft.HybridCompute/machines/{name}/networkProfile"
            elif kind.full_type.startswith("Microsoft.HybridCompute/machines/"):
                path = f"{MACHINE}/{kind.type.partition('/')[2]}/{name}"
            elif kind.full_type.startswith("Microsoft.GuestConfiguration/"):
                tail = f"/reports/{name}" if kind.type.endswith("/reports") else ""
                path = f"{MACHINE}/providers/{kind.full_type.removesuffix('/reports')}/{name}{tail}"
            elif kind.type == "endpoints":
                path = f"{MACHINE}/providers/{kind.full_type}/{'default' if name == 'web1' else name}"
            elif kind.type == "endpoints/serviceConfigurations":
                path = f"{ENDPOINT}/serviceConfigurations/{'SSH' if name == 'web1' else name}"
            elif isinstance(kind, ServedType):
                path = f"{MACHINE}/providers/{kind.full_type}/{'0' * 8}-0000-0000-0000-{'0' * 12}"
            elif kind.type == "resourceGroups":
                path = f"resourceGroups/{'demo' if name == 'web1' else name}"
            else:
                continue
            # What is posted to a collection is walked in edge/test_every_route.py.
            for method in sorted(kind.verbs - {"POST"}):
                yield kind, method, path
            if isinstance(kind, ResourceType):
                for action in kind.actions:
                    yield kind, "POST", f"{path}/{action}"


async def test_without_a_role_every_verb_of_every_type_is_403_whether_it_is_there_or_not(place, cloud):
    await place.principal("nobody")
    walked = 0
    for _, method, path in every_request(cloud.plane.resources.registry):
        body = {"location": "local"} if method in ("PUT", "PATCH") else None
        answer = await place(method, path, body, by="nobody")
        assert answer.status_code == 403, (method, path)
        walked += 1
    assert walked > 30


async def test_the_lists_are_403_without_a_role_too(place):
    await place.principal("nobody")
    for path in (
        "",
        "locations",
        "resources",
        "resourcegroups",
        "providers",
        "providers/Microsoft.HybridCompute",
        f"{GROUP}/resources",
        "resourceGroups/absent/resources",
        "providers/Microsoft.HybridCompute/machines",
        f"{GROUP}/providers/Microsoft.HybridCompute/machines",
        "resourceGroups/absent/providers/Microsoft.HybridCompute/machines",
        f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints",
        f"{ENDPOINT}/serviceConfigurations",
        "providers/Microsoft.Authorization/roleAssignments",
        "operationresults/absent",
    ):
        answer = await place("GET", path, by="nobody")
        assert (answer.status_code, code(answer)) == (403, "AuthorizationFailed"), path
    for verb in ("register", "unregister"):
        assert (
            await place("POST", f"providers/Microsoft.HybridCompute/{verb}", by="nobody")
        ).status_code == 403
    assert (await place("GET", "/subscriptions", by="nobody")).json() == {"value": []}


async def test_a_reader_reads_everything_and_changes_nothing(place, cloud):
    await place.principal("reader", ("Reader", ""))
    for _, method, path in every_request(cloud.plane.resources.registry):
        body = {"location": "local"} if method in ("PUT", "PATCH") else None
        answer = await place(method, path, body, by="reader")
        assert (answer.status_code == 403) is (method not in ("GET", "HEAD")), (method, path)


async def test_without_a_token_nothing_is_answered(place, cloud):
    for _, method, path in every_request(cloud.plane.resources.registry):
        answer = await cloud.client.request(method, f"{cloud.subscription}/{path}?api-version=2024-07-10")
        assert answer.status_code == 401, (method, path)


@pytest.mark.parametrize(
    ("role", "scope", "action", "path", "allowed"),
    [
        ("Contributor", "/", "PATCH", MACHINE, True),
        ("Contributor", "", "PATCH", MACHINE, True),
        ("Contributor", GROUP.upper(), "PATCH", MACHINE, True),
        ("Contributor", MACHINE.upper(), "PATCH", MACHINE, True),
        ("Contributor", "resourceGroups/dem", "PATCH", MACHINE, False),
        ("Contributor", "resourceGroups/demo2", "PATCH", MACHINE, False),
        ("Contributor", MACHINE, "PATCH", GROUP, False),
        ("Owner", "/subscriptions/00000000-0000-0000-0000-000000000000", "PATCH", MACHINE, False),
    ],
)
async def test_a_role_counts_at_its_scope_and_below(place, role, scope, action, path, allowed):
    await place.principal("somebody", (role, scope))
    answer = await place(action, path, {"tags": {}}, by="somebody")
    assert (answer.status_code == 200) is allowed


async def test_a_role_that_is_taken_away_is_gone_with_the_next_call(place):
    await place.principal("somebody", ("Reader", ""))
    assert (await place("GET", MACHINE, by="somebody")).status_code == 200
    found = (await place("GET", "providers/Microsoft.Authorization/roleAssignments")).json()["value"]
    for one in found:
        if one["properties"]["scope"] != "/":
            assert (await place("DELETE", one["id"])).status_code == 200
    assert (await place("GET", MACHINE, by="somebody")).status_code == 403


async def test_the_onboarding_role_connects_but_does_not_disconnect(place):
    await place.principal("onboarding", ("Azure Connected Machine Onboarding", GROUP))
    path = MACHINE.replace("web1", "web2")
    assert (await place("PUT", path, {"location": "local"}, by="onboarding")).status_code == 200
    assert (await place("GET", path, by="onboarding")).status_code == 200
    assert (await place("DELETE", path, by="onboarding")).status_code == 403
    assert (await place("POST", f"{ENDPOINT}/listCredentials", by="onboarding")).status_code == 403


async def test_lists_show_what_the_caller_may_read(place):
    await place.group("other")
    await place.machine("web9", "other")
    await place.principal("limited", ("Reader", "resourceGroups/other"))
    for path, expected in (
        ("resources", ["web9"]),
        ("resourcegroups", ["other"]),
        ("providers/Microsoft.HybridCompute/machines", ["web9"]),
    ):
        answer = await place("GET", path, by="limited")
        assert [one["name"] for one in answer.json()["value"]] == expected
    (subscription,) = (await place("GET", "/subscriptions", by="limited")).json()["value"]
    assert subscription["state"] == "Enabled"
    assert (await place("GET", "", by="limited")).status_code == 200
    assert (await place("GET", "providers/Microsoft.HybridCompute", by="limited")).status_code == 200


async def test_a_caller_with_thousands_of_roles_still_gets_its_lists(place, cloud):
    object_id = await place.principal("busy", ("Reader", MACHINE))
    with cloud.plane.db.writing() as connection:
        for number in range(3000):
            scope = f"{cloud.subscription}/resourceGroups/g{number}"
            cloud.plane.assign_role(connection, object_id, "ServicePrincipal", "Reader", scope)
    answer = await place("GET", "resources", by="busy")
    assert [one["name"] for one in answer.json()["value"]] == ["web1"]
    assert (await place("GET", MACHINE, by="busy")).status_code == 200


async def test_the_root_of_one_tenant_reaches_no_subscription_of_another(arm, cloud):
    tenant = Tenant("11111111-2222-3333-4444-555555555555", "Other", "other.example", 0.0)
    with cloud.plane.db.writing() as connection:
        tenants.add(connection, tenant)
        made = directory.create_service_principal(connection, tenant.tenant_id, "foreign", cloud.clock())
        grant(
            connection,
            tenant_id=tenant.tenant_id,
            principal_id=made[0],
            principal_type="ServicePrincipal",
            role=OWNER,
            scope="/",
            now=cloud.clock(),
        )
    caller = Caller(made[0], tenant.tenant_id, "ServicePrincipal", made[1], made[1])
    gate = cloud.plane.access
    assert not gate.allows(caller, "Microsoft.Resources/subscriptions/read", cloud.subscription)
    assert cloud.plane.db.read(lambda connection: gate.subscriptions(connection, caller)) == []
    call = Call("GET", cloud.subscription, {"api-version": "2022-12-01"}, {}, caller, bytes)
    with pytest.raises(ArmError) as refused:
        await cloud.plane.resources.dispatch.answer(call)
    assert (refused.value.status, refused.value.code) == (401, "InvalidAuthenticationTokenTenant")
    listed = Call(
        "GET",
        "/providers/Microsoft.Authorization/roleAssignments",
        {"api-version": "2022-04-01"},
        {},
        caller,
        bytes,
    )
    shown = json.loads((await cloud.plane.resources.dispatch.answer(listed)).body)["value"]
    assert [one["properties"]["principalId"] for one in shown] == [made[0]]


async def test_the_order_of_the_checks_is_subscription_version_role_registration_group(arm):
    await arm.principal("nobody")
    await arm.principal("limited", ("Contributor", "resourceGroups/nope"))
    path = f"resourceGroups/nope/{MACHINE.partition('/')[2].partition('/')[2]}"
    other = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/x"
    assert code(await arm("GET", other, by="nobody", version="")) == "SubscriptionNotFound"
    assert code(await arm("GET", path, by="nobody", version="")) == "MissingApiVersionParameter"
    endpoint = f"{path}/providers/Microsoft.HybridConnectivity/endpoints/default"
    assert code(await arm("PUT", endpoint, {}, by="nobody")) == "AuthorizationFailed"
    assert code(await arm("PUT", endpoint, {}, by="limited")) == "MissingSubscriptionRegistration"
    assert code(await arm("PUT", path, {"location": "local"}, by="limited")) == "ResourceGroupNotFound"


def matrix(registry):
    """Return the printed table: each action of each type, and the roles that allow it."""
    lines = [
        "Which built-in role allows which action. To make it anew: LANDBRIDGE_MATRIX=write, and this test.",
        "",
    ]
    for action in sorted(actions.known(registry), key=str.lower):
        lines.append(action)
        lines += [f"    {role.name}" for role in BUILT_IN if role.allows(action)]
    lines += ["", "Data actions", ""]
    data = {one for role in BUILT_IN for one in role.data_actions}
    for action in sorted(data, key=str.lower):
        lines.append(action)
        lines += [f"    {role.name}" for role in BUILT_IN if role.allows(action, data=True)]
    return "\n".join(lines) + "\n"


async def test_the_printed_table_of_roles_and_actions_is_the_true_one(cloud):
    made = matrix(cloud.plane.resources.registry)
    if os.environ.get("LANDBRIDGE_MATRIX") == "write":
        TABLE.write_text(made)
    assert TABLE.read_text() == made, "Review what changed: LANDBRIDGE_MATRIX=write makes the table anew."


def test_deciding_sees_whether_the_question_was_asked():
    with access.Deciding() as decisions:
        assert not decisions.made
        access.decided()
        assert decisions.made
    access.decided()
