from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest

from landbridge_server.identity import directory, redirects, second_factor
from landbridge_server.identity.clients import AZCMAGENT, AZURE_CLI
from landbridge_server.identity.csrf import COOKIE
from landbridge_server.identity.keys import unverified_parts

BACK = "http://localhost:39811"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
MASTER = b"shared by all nodes"


class Form(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "form":
            self.action = found["action"]
        elif tag == "input":
            self.fields[found["name"]] = found.get("value") or ""


class Browser:
    """A person's browser, and the program that opened it."""

    def __init__(self, cloud) -> None:
        self.cloud = cloud
        self.user = {"username": cloud.first.user_name, "password": cloud.first.password}

    def asked(self, **changes) -> dict[str, str]:
        asked = {
            "client_id": AZURE_CLI,
            "response_type": "code",
            "redirect_uri": BACK,
            "scope": f"{self.cloud.arm_scope} offline_access openid profile",
            "state": "a state & more",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "nonce": "a nonce",
            "client_info": "1",
            "claims": "{}",
            "prompt": "select_account",
        }
        return {name: value for name, value in (asked | changes).items() if value is not None}

    async def open(self, where="organizations/oauth2/v2.0", **changes):
        return await self.cloud.http.get(f"/{where}/authorize", params=self.asked(**changes))

    async def send(self, page, **values):
        form = Form(page.text)
        return await self.cloud.http.post(form.action, data={**form.fields, "action": "approve", **values})

    async def code(self, where="organizations/oauth2/v2.0", **changes) -> str:
        answer = await self.send(await self.open(where, **changes), **self.user)
        assert answer.status_code == 303, answer.text
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    async def redeem(self, code, where=None, /, **changes):
        form = {
            "grant_type": "authorization_code",
            "client_id": AZURE_CLI,
            "client_info": "1",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
            "scope": f"{self.cloud.arm_scope} offline_access openid profile",
        }
        return await self.cloud.token({**form, **changes}, where)


@pytest.fixture
def browser(cloud):
    return Browser(cloud)


def enrolled(cloud, user_name=""):
    with cloud.db.writing() as connection:
        (user,) = [
            one
            for one in directory.list_users(connection)
            if one.user_name == (user_name or cloud.first.user_name)
        ]
        return second_factor.enroll(connection, second_factor.sealer(MASTER), user, cloud.clock())


def code_of(cloud, found) -> str:
    return second_factor.code_at(found.secret, int(cloud.clock() // second_factor.STEP))


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
    form = Form(answer.text)
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
    assert Form(page.text).fields["state"] == '"><script>x'
    assert Form(page.text).fields["username"] == '"><b>me'


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
        assert redirects.allowed(AZURE_CLI, uri)
    assert not redirects.allowed(AZCMAGENT, "http://localhost:8400")
    assert not redirects.allowed("x", "http://localhost:8400")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "https://elsewhere/.default"}, "invalid_resource"),
        ({"scope": None}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"request": "x"}, "invalid_request"),
    ],
)
async def test_the_program_is_told_what_it_asked_wrongly(browser, changes, error):
    answer = await browser.open(**changes)
    assert answer.status_code == 303
    sent = parse_qs(urlsplit(answer.headers["location"]).query)
    assert sent["error"] == [error]
    assert sent["error_description"][0].startswith("AADSTS")
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
    assert Form(answer.text).fields["error"] == "access_denied"


async def test_a_wrong_password_shows_the_form_again_with_the_name(browser):
    page = await browser.send(await browser.open(), username="a@cloud.example", password="wrong")
    assert page.status_code == 400
    assert "The user name or the password is wrong" in page.text
    assert Form(page.text).fields["username"] == "a@cloud.example"
    assert "wrong" not in Form(page.text).fields.values()
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


async def test_a_code_counts_once_and_one_that_comes_twice_ends_what_it_gave(cloud, browser, refused):
    code = await browser.code()
    first = (await browser.redeem(code)).json()
    refused(await browser.redeem(code), 54005, "invalid_grant")
    refused(await cloud.token(cloud.refresh_form(first["refresh_token"])), 50173, "invalid_grant")


async def test_a_code_that_comes_many_times_at_once_counts_once(browser):
    code = await browser.code()
    answers = await asyncio.gather(*(browser.redeem(code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


@pytest.mark.parametrize(
    ("changes", "number", "error"),
    [
        ({"code_verifier": "w" * 43}, 501481, "invalid_grant"),
        ({"code_verifier": "v"}, 501481, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, 501481, "invalid_grant"),
        ({"code_verifier": ""}, 900144, "invalid_request"),
        ({"redirect_uri": "http://localhost:39812"}, 50011, "invalid_request"),
        ({"redirect_uri": ""}, 50011, "invalid_request"),
        ({"client_id": AZCMAGENT}, 70000, "invalid_grant"),
        ({"code": "x"}, 70000, "invalid_grant"),
        ({"scope": "https://localhost:9443/graph/.default"}, None, None),
    ],
)
async def test_a_code_is_for_its_program_address_verifier_and_resource(
    browser, refused, changes, number, error
):
    code = await browser.code()
    answer = await browser.redeem(code, **changes)
    if number is None:
        assert answer.status_code == 400
    else:
        refused(answer, number, error)
    assert (await browser.redeem(code)).status_code == 200


async def test_a_code_ends_after_minutes(cloud, browser, refused):
    code = await browser.code()
    cloud.clock.advance(300)
    refused(await browser.redeem(code), 70008, "invalid_grant")


async def test_a_disabled_user_gets_nothing_for_a_code(cloud, browser, refused):
    code = await browser.code()
    with cloud.db.writing() as connection:
        directory.set_enabled(connection, cloud.first.user_object_id, False, cloud.clock())
    refused(await browser.redeem(code), 50057, "invalid_grant")


async def test_v1_asks_by_resource(cloud, browser):
    code = await browser.code("common/oauth2", scope=None, resource=cloud.endpoints.audience)
    answer = await browser.redeem(code, "/common/oauth2/token", scope="", resource=cloud.endpoints.audience)
    assert answer.json()["resource"] == cloud.endpoints.audience
    assert answer.json()["refresh_token"]


async def test_a_second_factor_is_asked_for_after_the_password(cloud, browser):
    found = enrolled(cloud)
    page = await browser.send(await browser.open(), **browser.user)
    assert page.status_code == 200
    assert Form(page.text).fields["otp"] == ""
    wrong = await browser.send(page, otp="000000")
    assert wrong.status_code == 400
    assert "This code is wrong" in wrong.text
    answer = await browser.send(wrong, otp=code_of(cloud, found))
    assert answer.status_code == 303
    again = await browser.send(page, otp=code_of(cloud, found))
    assert "was used before" in again.text


async def test_the_voucher_is_bound_to_browser_request_and_time(cloud, browser):
    found = enrolled(cloud)
    page = await browser.send(await browser.open(), **browser.user)
    voucher = Form(page.text).fields["voucher"]
    other = await browser.open(redirect_uri="http://localhost:1")
    assert (await browser.send(other, voucher=voucher, otp=code_of(cloud, found))).status_code == 400
    forged = await browser.send(page, voucher=voucher[:-1] + "0x", otp=code_of(cloud, found))
    assert forged.status_code == 400
    cloud.clock.advance(300)
    late = await browser.send(page, otp=code_of(cloud, found))
    assert (late.status_code, "location" in late.headers) == (400, False)


async def test_a_password_alone_is_refused_in_words_that_az_prints(cloud, refused):
    enrolled(cloud)
    body = refused(await cloud.token(cloud.password_form()), 50076, "interaction_required")
    assert "az login --use-device-code" in body["error_description"]


async def test_the_device_page_asks_for_the_code_too(cloud):
    found = enrolled(cloud)
    code = await cloud.begin_device()
    page = await cloud.approve(code)
    assert 'name="otp"' in page.text
    assert (await cloud.poll(code)).status_code == 400
    wrong = await cloud.submit(page, otp="000000")
    assert wrong.status_code == 400
    cloud.clock.advance(10)
    done = await cloud.submit(wrong, otp=code_of(cloud, found))
    assert "You are signed in" in done.text
    assert (await cloud.poll(code)).status_code == 200


async def test_a_recovery_code_counts_once(cloud, browser):
    found = enrolled(cloud)
    code = found.recovery_codes[0].upper()
    page = await browser.send(await browser.open(), **browser.user)
    assert (await browser.send(page, otp=code)).status_code == 303
    assert (await browser.send(page, otp=code)).status_code == 400
    assert (await browser.send(page, otp=found.recovery_codes[1])).status_code == 303


async def test_wrong_codes_are_bounded(cloud, browser):
    found = enrolled(cloud)
    page = await browser.send(await browser.open(), **browser.user)
    for _ in range(second_factor.WRONG_CODES):
        assert (await browser.send(page, otp="1")).status_code == 400
    assert (await browser.send(page, otp=code_of(cloud, found))).status_code == 429


async def test_enrolling_signs_out_and_a_tenant_can_demand_it(cloud, browser, refused):
    before = (await cloud.token(cloud.password_form())).json()["refresh_token"]
    with cloud.db.writing() as connection:
        second_factor.require(connection, cloud.tenant, True, cloud.clock())
    refused(await cloud.token(cloud.refresh_form(before)), 50173, "invalid_grant")
    refused(await cloud.token(cloud.password_form()), 50079, "interaction_required")
    page = await browser.send(await browser.open(), **browser.user)
    assert "needs a second factor" in page.text
    found = enrolled(cloud)
    page = await browser.send(await browser.open(), **browser.user)
    answer = await browser.send(page, otp=code_of(cloud, found))
    assert answer.status_code == 303
    with cloud.db.writing() as connection:
        second_factor.require(connection, cloud.tenant, False, cloud.clock())
    eve = cloud.password_form(username="eve@other.example", password="eves-password")
    where = "/other.example/oauth2/v2.0/token"
    assert (await cloud.token(eve, where)).status_code == 200


def test_codes_are_those_of_rfc_6238():
    secret = base64.b32encode(b"12345678901234567890").decode()
    for now, expected in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        assert second_factor.code_at(secret, now // 30) == expected
        assert second_factor.matching_step(secret, expected, now) == now // 30
        assert second_factor.matching_step(secret, expected, now + 61) is None


def test_the_secret_is_nowhere_in_the_database(cloud):
    found = enrolled(cloud)
    with cloud.db.reading() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM credentials").all())
    assert found.secret not in rows
    assert not any(code in rows for code in found.recovery_codes)
