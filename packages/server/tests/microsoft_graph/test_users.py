from __future__ import annotations

import pytest

NEW = {
    "accountEnabled": True,
    "displayName": "Anna Berg",
    "mailNickname": "anna",
    "passwordProfile": {"password": "Correct-Horse-1", "forceChangePasswordNextSignIn": False},
}


@pytest.fixture
def new(domain):
    return NEW | {"userPrincipalName": f"Anna@{domain}"}


async def test_a_user_that_was_created_signs_in(graph, new, domain):
    made = await graph.ok("POST", "/users", new)
    assert (made["displayName"], made["userPrincipalName"]) == ("Anna Berg", f"Anna@{domain}")
    assert made["@odata.context"].endswith("/graph/v1.0/$metadata#users/$entity")
    answer = await graph.sign_in(f"anna@{domain}", "Correct-Horse-1")
    assert answer.status_code == 200, answer.text
    me = await graph("GET", "/me", headers={"authorization": f"Bearer {answer.json()['access_token']}"})
    assert me.json()["id"] == made["id"]


async def test_a_user_is_read_by_id_and_by_name(graph, new, domain):
    made = await graph.ok("POST", "/users", new)
    for key in (made["id"], made["id"].upper(), f"ANNA@{domain}"):
        assert (await graph.ok("GET", f"/users/{key}"))["id"] == made["id"]
    assert (await graph.ok("GET", f"/users('anna@{domain}')"))["id"] == made["id"]
    chosen = await graph.ok("GET", f"/users/{made['id']}?$select=accountEnabled,MAILNICKNAME")
    assert {name for name in chosen if "@" not in name} == {"accountEnabled", "mailNickname"}


async def test_a_user_is_changed(graph, new, domain):
    made = await graph.ok("POST", "/users", new | {"jobTitle": "Captain"})
    await graph.ok(
        "PATCH", f"/users/{made['id']}", {"jobTitle": None, "surname": "Berg", "displayName": "A."}
    )
    shown = await graph.ok("GET", f"/users/{made['id']}")
    assert (shown["jobTitle"], shown["surname"], shown["displayName"]) == (None, "Berg", "A.")
    await graph.ok("PATCH", f"/users/{made['id']}", {"userPrincipalName": f"berg@{domain}"})
    assert (await graph.sign_in(f"berg@{domain}", "Correct-Horse-1")).status_code == 200
    assert (await graph.refused("GET", f"/users/anna@{domain}"))[0] == 404


async def test_a_new_password_ends_the_refresh_tokens(graph, new, domain, cloud):
    made = await graph.ok("POST", "/users", new)
    before = (await graph.sign_in(f"anna@{domain}", "Correct-Horse-1")).json()["refresh_token"]
    await graph.ok("PATCH", f"/users/{made['id']}", {"passwordProfile": {"password": "Another-Horse-2"}})
    assert (await graph.sign_in(f"anna@{domain}", "Correct-Horse-1")).status_code == 400
    assert (await graph.sign_in(f"anna@{domain}", "Another-Horse-2")).status_code == 200
    form = {
        "grant_type": "refresh_token",
        "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "refresh_token": before,
    }
    answer = await cloud.client.post(f"/{graph.tenant}/oauth2/v2.0/token", data=form)
    assert answer.json()["error_codes"] == [50173]


async def test_people_change_their_own_password_with_the_old_one(graph, domain):
    anna, olaf = graph.user("anna"), graph.user("olaf")
    body = {"currentPassword": "Correct-Horse-1", "newPassword": "Another-Horse-2"}
    for path, change, status in (
        ("/me/changePassword", {"currentPassword": "wrong"}, 400),
        ("/me/changePassword", {"newPassword": "short"}, 400),
        ("/me/changePassword", {"newPassword": None}, 400),
        (f"/users/{olaf}/changePassword", {}, 403),
    ):
        assert (await graph.refused("POST", path, body | change, by="anna"))[0] == status, path
    assert (await graph.sign_in(f"anna@{domain}", "Correct-Horse-1")).status_code == 200
    await graph.ok("POST", f"/users/{anna}/changePassword", body, by="anna", status=204)
    assert (await graph.sign_in(f"anna@{domain}", "Correct-Horse-1")).status_code == 400
    assert (await graph.sign_in(f"anna@{domain}", "Another-Horse-2")).status_code == 200


async def test_a_disabled_user_is_out_with_the_next_call(graph):
    object_id = graph.user("anna")
    await graph.ok("GET", "/me", by="anna")
    await graph.ok("PATCH", f"/users/{object_id}", {"accountEnabled": False})
    assert (await graph("GET", "/me", by="anna")).status_code == 401
    await graph.ok("PATCH", f"/users/{object_id}", {"accountEnabled": True})
    await graph.ok("GET", "/me", by="anna")


async def test_a_deleted_user_is_out_with_the_next_call_and_leaves_nothing(graph, cloud):
    object_id = graph.user("anna", arm=[("Reader", cloud.subscription)])
    group = await graph.group()
    await graph.ok("POST", f"/groups/{group['id']}/members/$ref", graph.reference(object_id))
    await graph.ok("DELETE", f"/users/{object_id}")
    assert (await graph("GET", "/me", by="anna")).status_code == 401
    assert (await graph.ok("GET", f"/groups/{group['id']}/members"))["value"] == []
    status, code, message = await graph.refused("DELETE", f"/users/{object_id}")
    assert (status, code) == (404, "Request_ResourceNotFound")
    assert message.startswith(f"Resource '{object_id}' does not exist or one of its queried")
    listed = await cloud.arm("GET", f"{cloud.subscription}/providers/Microsoft.Authorization/roleAssignments")
    assert object_id not in listed.text


WRONG = [
    ({"userPrincipalName": "anna@elsewhere.example"}, "The domain portion of the userPrincipalName"),
    ({"userPrincipalName": "anna"}, "is not a user name"),
    ({"userPrincipalName": None}, "A value is required for property 'userPrincipalName'"),
    ({"displayName": ""}, "A value is required for property 'displayName'"),
    ({"displayName": 7}, "Invalid value specified for property 'displayName'"),
    ({"displayName": "a\nb"}, "printable characters"),
    ({"passwordProfile": {"password": "short"}}, "does not comply with password complexity"),
    ({"passwordProfile": {"password": 7}}, "Invalid value specified for property 'password'"),
    ({"passwordProfile": {}}, "A value is required for property 'password'"),
    (
        {"passwordProfile": {"password": "Correct-Horse-1", "forceChangePasswordNextSignIn": True}},
        "cannot have a user change the password",
    ),
    ({"passwordProfile": {"password": "Correct-Horse-1", "hint": "x"}}, "Invalid property 'hint'"),
    ({"userType": "Guest"}, "Only members are made here"),
    ({"shoeSize": 44}, "Invalid property 'shoeSize'"),
    ({"businessPhones": [1]}, "Invalid value specified for property 'businessPhones'"),
]


async def test_what_is_wrong_with_a_new_user_is_said_and_nothing_is_made(graph, new):
    for change, said in WRONG:
        status, code, message = await graph.refused("POST", "/users", new | change)
        assert (status, code) == (400, "Request_BadRequest"), change
        assert said in message
    assert len((await graph.ok("GET", "/users"))["value"]) == 1


async def test_a_name_is_given_once(graph, new):
    await graph.ok("POST", "/users", new)
    status, code, message = await graph.refused("POST", "/users", new)
    assert (status, code) == (400, "Request_BadRequest")
    assert message == "Another object with the same value for property userPrincipalName already exists."


async def test_users_are_filtered_as_az_asks(graph, new, domain):
    await graph.ok("POST", "/users", new)
    graph.user("olaf")

    async def found(text):
        return [one["displayName"] for one in (await graph.ok("GET", f"/users?$filter={text}"))["value"]]

    assert await found(f"userPrincipalName eq 'ANNA@{domain}'") == ["Anna Berg"]
    assert await found("startswith(displayName,'anna b')") == ["Anna Berg"]
    assert await found("startswith(displayName,'a') and accountEnabled eq true") == [
        "Administrator",
        "Anna Berg",
    ]
    assert await found("not (startswith(displayName,'a')) or displayName eq 'x'") == ["Olaf"]
    assert await found("displayName in ('olaf', 'Anna Berg')") == ["Anna Berg", "Olaf"]
    assert await found("displayName ne 'Olaf'") == ["Administrator", "Anna Berg"]
    assert await found("displayName eq 'it''s'") == []
    assert await found("accountEnabled eq 'true'") == []


async def test_a_user_reads_itself_as_me(graph):
    object_id = graph.user("anna")
    group = await graph.group()
    await graph.ok("POST", f"/groups/{group['id']}/members/$ref", graph.reference(object_id))
    assert (await graph.ok("GET", "/me", by="anna"))["id"] == object_id
    assert [one["id"] for one in (await graph.ok("GET", "/me/memberOf", by="anna"))["value"]] == [group["id"]]
    found = await graph.ok("POST", "/me/getMemberGroups", {"securityEnabledOnly": False}, by="anna")
    assert found["value"] == [group["id"]]
    status, _, message = await graph.refused("GET", "/me")
    assert (status, message) == (400, "/me request is only valid with delegated authentication flow.")
