from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from landbridge_server.identity import directory, redirects
from landbridge_server.identity.clients import AZCMAGENT, AZURE_CLI
from landbridge_server.identity.csrf import COOKIE
from landbridge_server.identity.keys import unverified_parts

BACK = "http://localhost:39811"


@pytest.mark.parametrize(
    "where", ["organizations/oauth2/v2.0", "common/oauth2", "adfs/oauth2", "{tenant}/oauth2/v2.0"]
)
async def test_a_person_signs_in_and_the_program_gets_its_tokens(cloud, browser, where):
    where = where.format(tenant=cloud.tenant)
    page = await browser.open(where)
    assert page.status_code == 200
    assert "Azure CLI" in page.text
    assert "the resource manager of this cloud (https://localhost:9443)" in page.text
    answer = await browser.send(page, **browser.user)
    assert answer.status_code == 303
    location = urlsplit(answer.headers["location"])
    assert f"{location.scheme}://{location.netloc}" == BACK
    sent = parse_qs(location.query)
    assert sent["state"] == ["a state & more"]
    token = await browser.redeem(sent["code"][0], f"/{where}/token")
    assert token.status_code == 200, token.text
    body = token.json()
    claims = unverified_parts(body["id_token"])[1]
    assert (claims["nonce"], claims["aud"], claims["tid"]) == ("a nonce", AZURE_CLI, cloud.tenant)
    assert cloud.authenticator.caller(f"Bearer {body['access_token']}", cloud.endpoints.audiences)
    assert (await cloud.token(cloud.refresh_form(body["refresh_token"]))).status_code == 200


async def test_form_post_answers_with_a_form_that_posts_itself(browser):
    answer = await browser.send(await browser.open(response_mode="form_post"), **browser.user)
    assert answer.status_code == 200
    form = browser.form(answer)
    assert form.action == BACK
    assert set(form.fields) == {"code", "state"}
    assert "<button" in answer.text  # for a browser that runs no script
    script = re.search("<script>(.*)</script>", answer.text)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"script-src 'sha256-{digest}'" in policy
    assert f"form-action {BACK};" in policy
    assert (await browser.redeem(form.fields["code"])).status_code == 200


async def test_the_page_cannot_be_framed_or_scripted_and_needs_no_script(browser):
    page = await browser.open()
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert f"form-action 'self' {BACK};" in policy
    assert "<script" not in page.text
    assert page.headers["cache-control"] == "no-store"
    fields = re.findall(r'<input[^>]* id="(\w+)"', page.text)
    assert fields == ["username", "password"]
    assert all(f'<label for="{field}">' in page.text for field in fields)


async def test_what_was_asked_is_escaped(browser):
    page = await browser.open(state='"><script>x', login_hint='"><b>me')
    assert "<script" not in page.text
    assert "<b>" not in page.text
    assert browser.form(page).fields["state"] == '"><script>x'
    assert browser.form(page).fields["username"] == '"><b>me'


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example",
        "http://localhost.evil.example:80",
        "http://localhost@evil.example",
        "http://localhost:1@evil.example",
        "http://localhost:39811/elsewhere",
        "http://localhost:39811?x",
        "http://localhost:39811#x",
        "http://localhost:0",
        "http://localhost:65536",
        "http://localhost:999999",
        "https://localhost:39811",
        "HTTP://LOCALHOST:1",
        "javascript:alert(1)",
        "//evil.example",
        "http://localhost\\@evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost:1\nx",
    ],
)
async def test_nothing_is_ever_sent_to_a_foreign_address(browser, uri):
    page = await browser.open(redirect_uri=uri)
    assert page.status_code == 400
    assert "AADSTS50011" in page.text
    assert "location" not in page.headers
    good = await browser.open()
    sent = await browser.send(good, **browser.user, redirect_uri=uri)
    assert sent.status_code == 400
    assert "location" not in sent.headers


def test_programs_are_answered_on_the_loopback_interface_only():
    for uri in ("http://localhost", "http://localhost:8400", "http://127.0.0.1:1/", "http://localhost/"):
        assert redirects.allowed(AZURE_CLI, uri) and redirects.allowed(AZCMAGENT, uri)
    assert not redirects.allowed("x", "http://localhost:8400")


@pytest.mark.parametrize(
    ("changes", "error", "number"),
    [
        ({"response_type": "token"}, "unsupported_response_type", 700054),
        ({"response_type": None}, "unsupported_response_type", 700054),
        ({"response_mode": "fragment"}, "invalid_request", 9002313),
        ({"code_challenge": None}, "invalid_request", 9002325),
        ({"code_challenge_method": "plain"}, "invalid_request", 9002325),
        ({"code_challenge_method": None}, "invalid_request", 9002325),
        ({"code_challenge": "short"}, "invalid_request", 9002325),
        ({"scope": "https://elsewhere/.default"}, "invalid_resource", 500011),
        ({"scope": None}, "invalid_request", 900144),
        ({"prompt": "none"}, "login_required", 50058),
        ({"request": "x"}, "invalid_request", 9002313),
        ({"login_hint": "x" * 4097}, "invalid_request", 9002313),
    ],
)
async def test_the_program_is_told_what_it_asked_wrongly(browser, changes, error, number):
    answer = await browser.open(**changes)
    assert answer.status_code == 303
    sent = parse_qs(urlsplit(answer.headers["location"]).query)
    assert sent["error"] == [error]
    assert sent["error_description"][0].startswith(f"AADSTS{number}: ")
    assert sent["state"] == ["a state & more"]


@pytest.mark.parametrize(
    ("changes", "number"),
    [({"client_id": "x"}, 700016), ({"client_id": None}, 900144), ({"redirect_uri": None}, 900144)],
)
async def test_a_request_that_cannot_be_answered_is_a_page(browser, changes, number):
    page = await browser.open(**changes)
    assert page.status_code == 400
    assert f"AADSTS{number}" in page.text


async def test_an_unknown_tenant_and_a_parameter_twice_are_pages(cloud, browser):
    assert "AADSTS90002" in (await browser.open("nowhere.example/oauth2/v2.0")).text
    twice = await cloud.http.get("/common/oauth2/authorize?client_id=a&client_id=b")
    assert (twice.status_code, "AADSTS90100" in twice.text) == (400, True)
    assert (await cloud.http.get("/common/oauth2/authorize")).status_code == 400


async def test_cancelling_tells_the_program(browser):
    answer = await browser.send(await browser.open(response_mode="form_post"), action="deny")
    assert browser.form(answer).fields["error"] == "access_denied"


async def test_a_wrong_password_shows_the_form_again_with_the_name(browser):
    page = await browser.send(await browser.open(), username="a@cloud.example", password="wrong")
    assert page.status_code == 400
    assert "The user name or the password is wrong" in page.text
    assert browser.form(page).fields["username"] == "a@cloud.example"
    assert "wrong" not in browser.form(page).fields.values()
    assert (await browser.send(page, **browser.user)).status_code == 303


async def test_many_wrong_passwords_lock_and_say_for_how_long(browser):
    page = await browser.open()
    for _ in range(10):
        await browser.send(page, username=browser.user["username"], password="wrong")
    answer = await browser.send(page, **browser.user)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_a_user_of_another_tenant_and_a_disabled_one_are_told(cloud, browser):
    page = await browser.open(f"{cloud.tenant}/oauth2/v2.0")
    answer = await browser.send(page, username="eve@other.example", password="eves-password")
    assert "does not belong to the tenant" in answer.text
    with cloud.db.writing() as connection:
        directory.set_enabled(connection, cloud.first.user_object_id, False, cloud.clock())
    assert "disabled" in (await browser.send(page, **browser.user)).text


async def test_a_form_without_the_cookie_is_shown_again_and_nobody_is_signed_in(cloud, browser):
    page = await browser.open()
    assert page.headers["set-cookie"].startswith(COOKIE + "=")
    cloud.http.cookies.clear()
    answer = await browser.send(page, **browser.user)
    assert answer.status_code == 403
    assert "Sign in again" in answer.text
