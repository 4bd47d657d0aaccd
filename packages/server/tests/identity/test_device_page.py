from __future__ import annotations

import re

import pytest

from landbridge_server.identity import device_page, directory
from landbridge_server.identity.csrf import COOKIE


async def test_a_person_approves_a_code_with_user_name_and_password(cloud, refused):
    code = await cloud.begin_device()
    page = await cloud.submit(await cloud.http.get("/devicelogin"), user_code=code["user_code"])
    assert page.status_code == 200
    assert "Azure CLI" in page.text
    assert "the resource manager of this cloud (https://localhost:9443)" in page.text
    refused(await cloud.poll(code), 70016, "authorization_pending")
    done = await cloud.submit(page, username=cloud.first.user_name, password=cloud.first.password)
    assert done.status_code == 200
    assert "You are signed in" in done.text
    assert (await cloud.poll(code)).status_code == 200


@pytest.mark.parametrize("written", [str.lower, lambda code: f" {code[:3]}-{code[3:6]} {code[6:]} "])
async def test_a_code_may_be_typed_in_small_letters_and_groups(cloud, written):
    code = await cloud.begin_device()
    page = await cloud.submit(
        await cloud.http.get("/devicelogin"), user_code=written(code["user_code"]), action="continue"
    )
    assert code["user_code"] in page.text
    assert "Password" in page.text


async def test_pages_cannot_be_framed_cached_or_scripted(cloud):
    page = await cloud.http.get("/devicelogin")
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert (page.headers["x-frame-options"], page.headers["cache-control"]) == ("DENY", "no-store")
    assert "<script" not in page.text
    cookie = page.headers["set-cookie"]
    assert cookie.startswith(COOKIE + "=")
    for attribute in ("Path=/", "Secure", "HttpOnly", "SameSite=strict"):
        assert attribute in cookie


async def test_every_field_has_a_label_and_errors_are_announced(cloud):
    code = await cloud.begin_device()
    first = await cloud.http.get("/devicelogin")
    second = await cloud.submit(first, user_code=code["user_code"])
    wrong = await cloud.submit(second, username="a@cloud.example", password="wrong")
    for page in (first, second, wrong):
        fields = re.findall(r'<input[^>]* id="(\w+)"', page.text)
        assert fields
        assert all(f'<label for="{field}">' in page.text for field in fields)
        assert '<html lang="en">' in page.text
    assert 'role="alert"' in wrong.text
    assert "<title>Error: " in wrong.text


async def test_a_form_without_the_cookie_or_with_another_ones_token_is_stale(cloud):
    code = await cloud.begin_device()
    page = await cloud.http.get("/devicelogin")
    cloud.http.cookies.clear()
    answer = await cloud.submit(page, user_code=code["user_code"])
    assert answer.status_code == 403
    assert "Enter the code again" in answer.text
    for planted in ("a" * 43, "é", "short", "a;b"):
        answer = await cloud.http.post(
            "/devicelogin",
            data={"user_code": code["user_code"], "csrf": planted},
            headers={"cookie": f"{COOKIE}={planted}".encode("latin-1")},
        )
        assert answer.status_code == 403


async def test_an_unknown_code_says_what_to_do_and_gives_the_text_back_escaped(cloud):
    page = await cloud.submit(await cloud.http.get("/devicelogin"), user_code='"><b>x')
    assert page.status_code == 400
    assert "This code is not known or has ended" in page.text
    assert "<b>" not in page.text
    assert "&lt;b&gt;" in page.text


async def test_a_code_that_ended_is_not_known(cloud, refused):
    code = await cloud.begin_device()
    cloud.clock.advance(900)
    page = await cloud.submit(await cloud.http.get("/devicelogin"), user_code=code["user_code"])
    assert page.status_code == 400
    refused(await cloud.poll(code), 70020, "expired_token")


async def test_a_code_is_approved_once(cloud):
    code = await cloud.begin_device()
    page = await cloud.submit(await cloud.http.get("/devicelogin"), user_code=code["user_code"])
    values = {"username": cloud.first.user_name, "password": cloud.first.password}
    assert (await cloud.submit(page, **values)).status_code == 200
    assert (await cloud.submit(page, **values)).status_code == 400


async def test_a_code_that_ends_while_the_password_is_checked_is_not_approved(cloud, refused):
    code = await cloud.begin_device()
    page = await cloud.submit(await cloud.http.get("/devicelogin"), user_code=code["user_code"])
    check = cloud.service.check_password

    async def cancelled_meanwhile(*both):
        await cloud.submit(page, action="deny")
        return await check(*both)

    cloud.service.check_password = cancelled_meanwhile
    answer = await cloud.submit(page, username=cloud.first.user_name, password=cloud.first.password)
    assert answer.status_code == 400
    refused(await cloud.poll(code), 65004, "access_denied")


async def test_a_wrong_password_keeps_the_name_and_approves_nothing(cloud, refused):
    code = await cloud.begin_device()
    page = await cloud.approve(code, password="wrong")
    assert page.status_code == 400
    assert "The user name or the password is wrong." in page.text
    assert 'value="admin@cloud.example"' in page.text
    assert 'wrong"' not in page.text
    refused(await cloud.poll(code), 70016, "authorization_pending")


@pytest.mark.parametrize("values", [{"username": ""}, {"password": ""}])
async def test_an_empty_name_or_password_is_wrong(cloud, values):
    page = await cloud.approve(await cloud.begin_device(), **values)
    assert page.status_code == 400
    assert "user name or the password is wrong" in page.text


async def test_a_disabled_user_is_told_so(cloud):
    with cloud.db.writing() as connection:
        directory.set_enabled(connection, cloud.first.user_object_id, False, cloud.clock())
    page = await cloud.approve(await cloud.begin_device())
    assert "This account is disabled" in page.text


async def test_a_user_of_another_tenant_is_told_so(cloud, refused):
    form = {"client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46", "scope": cloud.arm_scope}
    answer = await cloud.http.post(f"/{cloud.tenant}/oauth2/v2.0/devicecode", data=form)
    page = await cloud.approve(answer.json(), username="eve@other.example", password="eves-password")
    assert "does not belong to the tenant" in page.text
    refused(await cloud.poll(answer.json()), 70016, "authorization_pending")


async def test_cancel_turns_the_program_away(cloud, refused):
    code = await cloud.begin_device()
    page = await cloud.approve(code, action="deny", username="", password="")
    assert "Sign-in was cancelled" in page.text
    refused(await cloud.poll(code), 65004, "access_denied")


async def test_after_ten_passwords_a_code_is_turned_away(cloud, refused):
    code = await cloud.begin_device()
    for number in range(10):
        page = await cloud.approve(code, username=f"u{number}@cloud.example", password="x")
        assert page.status_code == 400
    page = await cloud.approve(code)
    assert page.status_code == 429
    refused(await cloud.poll(code), 65004, "access_denied")


async def test_after_ten_passwords_a_user_name_waits(cloud):
    for _ in range(2):
        code = await cloud.begin_device()
        for _ in range(5):
            await cloud.approve(code, password="x")
    page = await cloud.approve(await cloud.begin_device())
    assert page.status_code == 429
    assert page.headers["retry-after"] == "300"


async def test_codes_cannot_be_guessed_without_end(cloud, monkeypatch):
    code = await cloud.begin_device()
    page = await cloud.http.get("/devicelogin")
    for number in range(device_page.WRONG_CODES):
        assert (await cloud.submit(page, user_code=f"X{number}")).status_code == 400
    blocked = await cloud.submit(page, user_code=code["user_code"])
    assert blocked.status_code == 429
    assert blocked.headers["retry-after"] == "60"
    cloud.clock.advance(60)
    assert (await cloud.submit(page, user_code=code["user_code"])).status_code == 200


async def test_whoever_has_entered_no_wrong_code_is_not_stopped_by_those_who_have(cloud, monkeypatch):
    monkeypatch.setattr(device_page, "WRONG_CODES", 2)
    guarded = device_page.DevicePage(cloud.service, b"shared by all nodes")
    first = guarded.start("")
    form = {"csrf": guarded._guard.token(first.cookie)}
    code = (await cloud.begin_device())["user_code"]
    for _ in range(2):
        assert (await guarded.submit(first.cookie, form | {"user_code": "X"}, "192.0.2.1")).status == 400
    assert (await guarded.submit(first.cookie, form | {"user_code": code}, "192.0.2.1")).status == 429
    assert (await guarded.submit(first.cookie, form | {"user_code": code}, "192.0.2.2")).status == 200


async def test_a_body_that_is_no_form_gets_the_page_with_an_error(cloud):
    answer = await cloud.http.post(
        "/devicelogin", content=b"{}", headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    big = await cloud.http.post("/devicelogin", data={"user_code": "x" * 70_000})
    assert big.status_code == 413


async def test_what_a_program_asks_for_is_named(cloud):
    for scope, text in (
        (f"{cloud.endpoints.graph}/.default", "the directory of users and groups"),
        ("openid profile", "your name and user name"),
    ):
        code = await cloud.begin_device(scope=scope)
        page = await cloud.submit(await cloud.http.get("/devicelogin"), user_code=code["user_code"])
        assert text in page.text


async def test_the_pages_of_one_node_are_taken_by_the_other(cloud, keys_folder):
    other = cloud.opened_again(keys_folder)
    code = await cloud.begin_device()
    page = await cloud.http.get("/devicelogin")
    for name, value in cloud.http.cookies.items():
        other.http.cookies.set(name, value)
    second = await other.submit(page, user_code=code["user_code"])
    assert (second.status_code, "Password" in second.text) == (200, True)
    done = await cloud.submit(second, username=cloud.first.user_name, password=cloud.first.password)
    assert "You are signed in" in done.text
    assert (await other.poll(code)).status_code == 200
    other.db.close()
