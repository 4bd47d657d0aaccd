"""The codes and texts of errors, as the catalogue of real answers has them.

Each test provokes an error here and holds status, code and text against what was recorded of
the real service under that code. Names, ids and times in quotes are other ones here; a text of
ours may go on where the recorded one ends, or the other way round.
"""

from __future__ import annotations

import json
import re
import uuid

import pytest

from tests.conformance import openapi, world
from tests.conformance.prerequisites import MACHINE, RECIPES
from tests.conformance.world import READER

pytestmark = pytest.mark.skipif(
    openapi.folder() is None, reason="the catalogue is not here: set LANDBRIDGE_SPECS to its folder"
)
GUID = r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|\b[0-9a-f]{32}\b|<guid>|<upn>"
NOBODY = "11111111-2222-3333-4444-555555555555"


def plain(text):
    """Return a text without what differs from one cloud to the next."""
    text = re.sub(r"'[^']*'", "'_'", text)
    return re.sub(GUID, "_", text, flags=re.IGNORECASE).strip(" .")


def recorded(code):
    """Return the statuses and the texts that were recorded under a code."""
    catalogue = json.loads((openapi.folder() / "arm-errors.json").read_text())["errors"]
    found = [one for one in catalogue if one["code"] == code]
    assert found, f"the catalogue has no {code}"
    texts = {plain(example["message"]) for one in found for example in one["examples"]}
    return {one["status"] for one in found}, texts


def is_as_recorded(answer, code):
    """Check status, code and text of an answer."""
    statuses, texts = recorded(code)
    assert answer.code == code, answer.body
    assert answer.status in statuses
    ours = plain(answer.body["error"]["message"])
    assert any(ours.startswith(one) or one.startswith(ours) for one in texts), (ours, texts)


@pytest.fixture
async def cloud(tmp_path):
    async with world.opened(tmp_path / "cloud") as opened:
        opened.under = f"subscriptions/{opened.subscription}"
        opened.group = f"{opened.under}/resourceGroups/demo"
        opened.machine = f"{opened.group}/providers/Microsoft.HybridCompute/machines/web1"
        await opened.send("PUT", opened.group, {"location": "eastus"})
        await opened.send("PUT", opened.machine, MACHINE, "2024-07-10")
        yield opened
        assert opened.taken() == []


def assignment(cloud, principal, **more):
    role = f"/{cloud.under}/providers/Microsoft.Authorization/roleDefinitions/{READER}"
    path = f"{cloud.group}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    return path, {"properties": {"roleDefinitionId": role, "principalId": principal} | more}


async def principal_of(cloud):
    shown = await cloud.send("GET", cloud.machine, version="2024-07-10")
    return shown.body["identity"]["principalId"]


async def test_a_resource_that_is_not_there(cloud):
    answer = await cloud.send("GET", f"{cloud.machine}-absent", version="2024-07-10")
    is_as_recorded(answer, "ResourceNotFound")


async def test_a_group_that_is_not_there(cloud):
    path = f"{cloud.group}-absent/providers/Microsoft.HybridCompute/machines/web1"
    is_as_recorded(await cloud.send("PUT", path, MACHINE, "2024-07-10"), "ResourceGroupNotFound")


async def test_a_parent_that_is_not_there(cloud):
    path = f"{cloud.machine}-absent/extensions/one"
    body = {"location": "eastus", "properties": {"publisher": "P", "type": "T"}}
    is_as_recorded(await cloud.send("PUT", path, body, "2024-07-10"), "ParentResourceNotFound")


async def test_a_type_that_is_not_there(cloud):
    path = f"{cloud.group}/providers/Microsoft.HybridCompute/licenses/one"
    is_as_recorded(await cloud.send("GET", path, version="2024-07-10"), "InvalidResourceType")


async def test_a_namespace_that_is_not_registered(cloud):
    space = "Microsoft.GuestConfiguration"
    await cloud.send("POST", f"{cloud.under}/providers/{space}/unregister")
    cloud.cloud.clock.advance(1)
    version, body = RECIPES["microsoft.guestconfiguration/guestconfigurationassignments"]
    path = f"{cloud.machine}/providers/{space}/guestConfigurationAssignments/one"
    answer = await cloud.send("PUT", path, body, version)
    is_as_recorded(answer, "MissingSubscriptionRegistration")
    detail = answer.body["error"]["details"][0]
    assert (detail["code"], detail["target"]) == ("MissingSubscriptionRegistration", space)


async def test_a_caller_without_a_role(cloud):
    _, client, secret = cloud.cloud.create_service_principal("nobody")
    cloud.token = await cloud.cloud.token(client, secret)
    is_as_recorded(await cloud.send("GET", cloud.machine, version="2024-07-10"), "AuthorizationFailed")


async def test_a_token_that_has_expired(cloud):
    cloud.cloud.clock.advance(86_400)
    answer = await cloud.send("GET", cloud.machine, version="2024-07-10")
    is_as_recorded(answer, "ExpiredAuthenticationToken")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_principal_that_is_not_there(cloud):
    path, body = assignment(cloud, NOBODY)
    is_as_recorded(await cloud.send("PUT", path, body, "2022-04-01"), "PrincipalNotFound")


async def test_a_principal_of_another_type(cloud):
    path, body = assignment(cloud, await principal_of(cloud), principalType="Group")
    is_as_recorded(await cloud.send("PUT", path, body, "2022-04-01"), "UnmatchedPrincipalType")


async def test_a_role_that_is_held_already(cloud):
    principal = await principal_of(cloud)
    first, body = assignment(cloud, principal)
    assert (await cloud.send("PUT", first, body, "2022-04-01")).status == 201
    second, body = assignment(cloud, principal)
    is_as_recorded(await cloud.send("PUT", second, body, "2022-04-01"), "RoleAssignmentExists")


# Not in the catalogue, but known word for word from clients and their tests.
@pytest.mark.parametrize(
    ("path", "version", "status", "code", "text"),
    [
        (
            "subscriptions/{s}/resourcegroups",
            "",
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        ),
        (
            "subscriptions/{s}/resourcegroups",
            "nonsense",
            400,
            "InvalidApiVersionParameter",
            "The api-version 'nonsense' is invalid. The supported versions are '",
        ),
        (
            f"subscriptions/{NOBODY}/resourcegroups",
            "2022-09-01",
            404,
            "SubscriptionNotFound",
            f"The subscription '{NOBODY}' could not be found.",
        ),
        (
            "subscriptions/nonsense/resourcegroups",
            "2022-09-01",
            400,
            "InvalidSubscriptionId",
            "The provided subscription identifier 'nonsense' is malformed or invalid.",
        ),
        (
            "subscriptions/{s}/resourceGroups/demo/providers/Nobody.Knows/things/one",
            "2022-09-01",
            404,
            "InvalidResourceNamespace",
            "The resource namespace 'Nobody.Knows' is invalid.",
        ),
    ],
)
async def test_a_request_that_names_nothing(cloud, path, version, status, code, text):
    path = path.replace("{s}", cloud.subscription)
    answer = await cloud.send("GET", path, version=version)
    assert (answer.status, answer.code) == (status, code)
    assert answer.body["error"]["message"].startswith(text)


async def test_a_location_that_is_not_there(cloud):
    answer = await cloud.send("PUT", f"{cloud.machine}2", {"location": "nowhere"}, "2024-07-10")
    assert (answer.status, answer.code) == (400, "LocationNotAvailableForResourceType")
    assert re.fullmatch(
        r"The provided location 'nowhere' is not available for resource type "
        r"'Microsoft.HybridCompute/machines'. List of available regions for the resource type is '.+'\.",
        answer.body["error"]["message"],
    )


async def test_a_lock_that_is_in_the_way(cloud):
    lock = f"{cloud.group}/providers/Microsoft.Authorization/locks/keep"
    await cloud.send("PUT", lock, {"properties": {"level": "CanNotDelete"}}, "2016-09-01")
    answer = await cloud.send("DELETE", cloud.machine, version="2024-07-10")
    assert (answer.status, answer.code) == (409, "ScopeLocked")
    assert answer.body["error"]["message"] == (
        f"The scope '/{cloud.machine}' cannot perform delete operation because following scope(s) are "
        f"locked: '/{cloud.group}'. Please remove the lock and try again."
    )


async def test_an_etag_that_is_not_the_present_one(cloud):
    answer = await cloud.cloud.client.request(
        "PUT",
        f"/{cloud.machine}?api-version=2024-07-10",
        json=MACHINE,
        headers={"authorization": f"Bearer {cloud.token}", "if-match": '"another"'},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "PreconditionFailed")


async def test_a_move_to_where_the_caller_may_not_write(cloud):
    principal, client, secret = cloud.cloud.create_service_principal(
        "mover", "Contributor", f"/{cloud.group}"
    )
    cloud.token = await cloud.cloud.token(client, secret)
    target = f"/{cloud.group}-other"
    body = {"resources": [f"/{cloud.machine}"], "targetResourceGroup": target}
    answer = await cloud.send("POST", f"{cloud.group}/moveResources", body, "2021-04-01")
    statuses, _ = recorded("LinkedAuthorizationFailed")
    assert (answer.code, {answer.status}) == ("LinkedAuthorizationFailed", statuses)
    assert answer.body["error"]["message"] == (
        f"The client '{client}' with object id '{principal}' has permission to perform action "
        f"'Microsoft.Resources/subscriptions/resourceGroups/moveResources/action' on scope '/{cloud.group}'; "
        "however, it does not have permission to perform action "
        f"'Microsoft.Resources/subscriptions/resourceGroups/write' on the linked scope(s) '{target}' "
        "or the linked scope(s) are invalid."
    )


async def test_a_query_that_cannot_be_understood(cloud):
    body = {"subscriptions": [cloud.subscription], "query": "project id-this-is-nothing"}
    answer = await cloud.send("POST", "providers/Microsoft.ResourceGraph/resources", body, "2021-03-01")
    assert (answer.status, answer.code) == (400, "BadRequest")
    detail = answer.body["error"]["details"][0]
    assert detail["code"] == "InvalidQuery"
    assert detail["message"].startswith("Query is invalid. Please refer to the documentation")
