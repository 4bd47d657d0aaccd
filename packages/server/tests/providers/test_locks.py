"""Locks: how they are kept, and that nothing gets around them."""

from __future__ import annotations

import pytest

from landbridge_server.arm.resource_type import Kind, ResourceType

LOCKS = "providers/Microsoft.Authorization/locks"
GROUP = "resourceGroups/demo"
MACHINE = f"{GROUP}/providers/Microsoft.HybridCompute/machines/web1"
ENDPOINT = f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints/default"
VERSION = "2016-09-01"


def code(answer):
    return answer.json()["error"]["code"] if answer.status_code >= 400 else answer.status_code


@pytest.fixture
async def place(arm):
    """A group with a machine, everything registered."""
    await arm.group()
    await arm.machine()
    await arm("POST", "providers/Microsoft.HybridConnectivity/register")
    return arm


async def lock(arm, scope, level="CanNotDelete", name="keep", **more):
    path = f"{scope}/{LOCKS}/{name}".lstrip("/")
    answer = await arm("PUT", path, {"properties": {"level": level} | more}, version=VERSION)
    assert answer.status_code in (200, 201), answer.text
    return answer


async def test_a_lock_is_made_changed_shown_and_removed_at_each_kind_of_scope(place, cloud):
    for scope in ("", GROUP, MACHINE, ENDPOINT):
        made = await lock(place, scope)
        at = f"{cloud.subscription}/{scope}".rstrip("/")
        assert (made.status_code, made.json()) == (
            201,
            {
                "id": f"{at}/{LOCKS}/keep",
                "name": "keep",
                "type": "Microsoft.Authorization/locks",
                "properties": {"level": "CanNotDelete"},
            },
        )
        more = {"notes": "why", "owners": [{"applicationId": "someone"}]}
        changed = await lock(place, scope, "readonly", **more)
        assert (changed.status_code, changed.json()["properties"]) == (200, {"level": "ReadOnly"} | more)
        path = f"{scope}/{LOCKS}/KEEP".lstrip("/")
        assert (await place("GET", path, version=VERSION)).json() == changed.json()
        newer = (await place("GET", path, version="2020-05-01")).json()
        assert newer["systemData"]["createdByType"] == "Application"
        assert [(await place("DELETE", path, version=VERSION)).status_code for _ in "ab"] == [200, 204]
        assert code(await place("GET", path, version=VERSION)) == "LockNotFound"


async def test_bad_locks_are_refused(place):
    for body in ({}, {"properties": {}}, {"properties": {"level": "NotSpecified"}}, {"properties": []}):
        assert code(await place("PUT", f"{LOCKS}/a", body)) == "InvalidRequestContent"
    notes = {"level": "ReadOnly", "notes": "x" * 513}
    assert code(await place("PUT", f"{LOCKS}/a", {"properties": notes})) == "InvalidRequestContent"
    body = {"properties": {"level": "ReadOnly"}}
    assert code(await place("PUT", f"{LOCKS}/a%3Ab", body)) == "InvalidResourceName"
    assert code(await place("PUT", f"/{LOCKS}/a", body)) == "BadRequest"
    assert code(await place("PUT", f"resourceGroups/none/{LOCKS}/a", body)) == "ResourceGroupNotFound"
    gone = MACHINE.replace("web1", "none")
    assert code(await place("PUT", f"{gone}/{LOCKS}/a", body)) == "ParentResourceNotFound"
    assert (await place("GET", LOCKS)).json() == {"value": []}


async def test_a_list_holds_what_is_above_at_and_below_and_at_scope_only_what_holds_there(place, cloud):
    await place.group("other")
    for scope in ("", GROUP, MACHINE, "resourceGroups/other"):
        await lock(place, scope)

    async def listed(scope, query=""):
        answer = await place("GET", f"{scope}/{LOCKS}{query}".lstrip("/"), version=VERSION)
        assert answer.status_code == 200, answer.text
        return [one["id"].removeprefix(cloud.subscription) for one in answer.json()["value"]]

    at = {name: f"/{scope}/{LOCKS}/keep" for name, scope in (("g", GROUP), ("m", MACHINE))}
    assert len(await listed("")) == 4
    assert await listed("", "?$filter=atScope()") == [f"/{LOCKS}/keep"]
    assert await listed(GROUP) == [f"/{LOCKS}/keep", at["g"], at["m"]]
    assert await listed(GROUP, "?$filter=atScope()") == [f"/{LOCKS}/keep", at["g"]]
    assert await listed(MACHINE) == [f"/{LOCKS}/keep", at["g"], at["m"]]
    assert code(await place("GET", f"{LOCKS}?$filter=level eq 'x'")) == "InvalidFilterInQueryString"
    page = (await place("GET", f"{LOCKS}?$top=3")).json()
    rest = (await place("GET", page["nextLink"], version="")).json()
    assert (len(page["value"]), len(rest["value"]), "nextLink" in rest) == (3, 1, False)


async def test_the_refusal_has_arms_words(place, cloud):
    await lock(place, GROUP)
    answer = await place("DELETE", MACHINE)
    assert answer.status_code == 409
    assert answer.json()["error"] == {
        "code": "ScopeLocked",
        "message": f"The scope '{cloud.subscription}/{MACHINE}' cannot perform delete operation because "
        f"following scope(s) are locked: '{cloud.subscription}/{GROUP}'. "
        "Please remove the lock and try again.",
    }


@pytest.mark.parametrize("scope", ["", GROUP, MACHINE])
async def test_cannotdelete_keeps_from_deletion_and_lets_changes_pass(place, scope):
    await lock(place, scope)
    assert code(await place("DELETE", MACHINE)) == "ScopeLocked"
    assert code(await place("DELETE", GROUP)) == "ScopeLocked"
    assert code(await place("PATCH", MACHINE, {"tags": {"a": "b"}})) == 200
    assert code(await place.machine(tags={"a": "c"})) == 200
    assert code(await place("POST", f"{ENDPOINT}/listCredentials")) == 200
    assert code(await place("DELETE", f"{scope}/{LOCKS}/keep".lstrip("/"))) == 200
    assert code(await place("DELETE", MACHINE)) == 200


@pytest.mark.parametrize("scope", ["", GROUP, MACHINE])
async def test_readonly_keeps_from_every_change_and_action(place, scope):
    shown = (await place("GET", MACHINE)).json()
    await lock(place, scope, "ReadOnly")
    assert code(await place("DELETE", MACHINE)) == "ScopeLocked"
    assert code(await place("PATCH", MACHINE, {"tags": {"a": "b"}})) == "ScopeLocked"
    assert code(await place.machine(tags={"a": "c"})) == "ScopeLocked"
    assert code(await place("PUT", ENDPOINT, {"properties": {"type": "default"}})) == "ScopeLocked"
    assert code(await place("POST", f"{ENDPOINT}/listCredentials")) == "ScopeLocked"
    assert code(await place("DELETE", f"{ENDPOINT}/serviceConfigurations/SSH")) == "ScopeLocked"
    assert (await place("GET", MACHINE)).json() == shown
    wanted = "ScopeLocked" if scope != MACHINE else 200
    assert code(await place("PATCH", GROUP, {"tags": {"a": "b"}})) == wanted
    assert code(await place.machine("web2")) == wanted


async def test_what_contains_something_locked_cannot_be_deleted_and_what_is_beside_it_can(place):
    await place.machine("web2")
    await place.group("other")
    await lock(place, ENDPOINT)
    assert code(await place("DELETE", MACHINE)) == "ScopeLocked"
    assert code(await place("DELETE", GROUP)) == "ScopeLocked"
    assert code(await place("DELETE", MACHINE.replace("web1", "web2"))) == 200
    assert code(await place("DELETE", "resourceGroups/other")) == 202


async def test_role_assignments_are_locked_too(place, cloud):
    someone = await place.principal("someone")
    reader = f"{cloud.subscription}/providers/Microsoft.Authorization/roleDefinitions/"
    body = {"properties": {"roleDefinitionId": reader + "acdd72a7-3385-48ef-bd42-f606fba81ae7"}}
    body["properties"]["principalId"] = someone
    path = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/11111111-1111-1111-1111-111111111111"
    assert code(await place("PUT", path, body)) == 201
    await lock(place, GROUP)
    assert code(await place("DELETE", path)) == "ScopeLocked"
    await lock(place, GROUP, "ReadOnly")
    assert code(await place("PUT", path.replace("1111-1", "2222-2"), body)) == "ScopeLocked"
    await place("DELETE", f"{GROUP}/{LOCKS}/keep")
    assert code(await place("DELETE", path)) == 200


async def test_a_lock_goes_with_what_it_was_put_on_when_that_is_unlocked_by_another(place):
    await lock(place, MACHINE)
    await place("DELETE", f"{MACHINE}/{LOCKS}/keep")
    await place("DELETE", MACHINE)
    await place.machine()
    assert (await place("GET", f"{MACHINE}/{LOCKS}")).json()["value"] == []


async def test_only_who_may_write_locks_can_put_or_remove_them(place):
    await place.principal("contributor", ("Contributor", GROUP))
    await place.principal("gatekeeper", ("User Access Administrator", GROUP))
    body = {"properties": {"level": "ReadOnly"}}
    assert code(await place("PUT", f"{GROUP}/{LOCKS}/a", body, by="contributor")) == "AuthorizationFailed"
    assert code(await place("PUT", f"{GROUP}/{LOCKS}/a", body, by="gatekeeper")) == 201
    assert code(await place("DELETE", f"{GROUP}/{LOCKS}/a", by="contributor")) == "AuthorizationFailed"
    assert code(await place("GET", f"{GROUP}/{LOCKS}/a", by="contributor")) == 200
    assert code(await place("PUT", f"{LOCKS}/a", body, by="gatekeeper")) == "AuthorizationFailed"
    assert code(await place("DELETE", f"{GROUP}/{LOCKS}/a", by="gatekeeper")) == 200


def below_the_machine(kind):
    """Return the path of a resource of a type in the locked group, its parents being there."""
    known = {"machines": "web1", "endpoints": "default"}
    pairs = "/".join(f"{word}/{known.get(word, 'x')}" for word in kind.type.split("/"))
    extends = kind.kind in (Kind.EXTENSION, Kind.CHILD) and not kind.type.startswith("machines")
    return f"{MACHINE if extends else GROUP}/providers/{kind.namespace}/{pairs}"


async def test_no_type_gets_around_a_read_only_lock(place, cloud):
    """A walk over the registry: every write and every action of every type that the engine keeps."""
    registry = cloud.plane.resources.registry
    for provider in registry.providers:
        await place("POST", f"providers/{provider.namespace}/register")
    cloud.clock.advance(5)
    await lock(place, GROUP, "ReadOnly")
    walked = 0
    for kind in registry.types():
        if not isinstance(kind, ResourceType) or kind.kind is Kind.GROUP:
            continue
        path = below_the_machine(kind)
        if "PUT" in kind.verbs:
            assert code(await place("PUT", path, {"location": "local"})) == "ScopeLocked", path
        for action in kind.actions:
            assert code(await place("POST", f"{path}/{action}", {})) == "ScopeLocked", (path, action)
        walked += 1
    assert walked > 5
