"""The sign-in pages in a real browser: accessible, by keyboard alone, nothing from elsewhere."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import Chromium, unavailable
from examined_pages import Examined
from landbridge_server.identity.clients import AZURE_CLI
from landbridge_server.identity.second_factor import WRONG_CODES, code_at
from loopback_program import THANKS, Program
from real_az import Az
from running import ControlPlane
from sign_in_table import VERSIONS
from signing_in import prepare

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "-")

FORM = ["username", "password", "approve", "deny"]


@pytest.fixture
def program() -> Iterator[Program]:
    found = Program()
    yield found
    found.close()


@pytest.fixture(scope="module")
def window() -> Iterator[Chromium]:
    """One for all: it takes seconds to start."""
    found = Chromium()
    yield found
    found.close()


@pytest.fixture
def browser(window: Chromium) -> Chromium:
    window.forget()
    return window


@pytest.fixture
def examined(browser: Chromium, cloud: ControlPlane, program: Program) -> Iterator[Examined]:
    found = Examined(browser, cloud.admin.url, program.address)
    yield found
    found.nobody_else_was_asked()


@pytest.fixture
def authenticator(cloud: ControlPlane) -> Iterator[dict[str, Any]]:
    """The administrator's second factor, while a test lasts."""
    yield json.loads(cloud.landbridge("user", "mfa-enroll", cloud.admin.user_name, "-o", "json"))
    cloud.landbridge("user", "mfa-remove", cloud.admin.user_name)


def device_code(cloud: ControlPlane) -> str:
    """Ask for a code, as a program on another computer does."""
    form = {"client_id": AZURE_CLI, "scope": f"{cloud.admin.url}/.default offline_access openid"}
    url = f"{cloud.admin.url}/organizations/oauth2/v2.0/devicecode"
    with cloud.opener.open(urllib.request.Request(url, urllib.parse.urlencode(form).encode())) as answer:
        return str(json.load(answer)["user_code"])


def fill_in(browser: Chromium, *texts: str) -> None:
    """Type into one field after the other, then press Enter."""
    for number, text in enumerate(texts):
        if number:
            browser.press("Tab")
        browser.type(text)
    browser.press("Enter")


@pytest.mark.parametrize("mode", ["form_post", "query"])
def test_sign_in_by_keyboard_alone_reaches_the_program(
    browser: Chromium, cloud: ControlPlane, program: Program, examined: Examined, mode: str
) -> None:
    browser.open(program.url(cloud, mode))
    examined.page("sign-in", "username")
    assert examined.stops() == FORM
    browser.open(program.url(cloud, mode))
    fill_in(browser, cloud.admin.user_name, "wrong")
    browser.whole("The user name or the password is wrong")
    examined.page("sign-in-wrong", "password")
    assert examined.stops() == ["#password", *FORM]
    examined.from_the_top()
    browser.press("Tab")
    browser.press("Enter")  # the summary's link leads to the field
    fill_in(browser, cloud.password)
    browser.whole(THANKS)
    (answer,) = program.got
    assert answer["state"] == ["s"]
    assert len(answer["code"][0]) > 40


def test_the_page_that_goes_on_by_itself_works_without_scripts(
    browser: Chromium, cloud: ControlPlane, program: Program, examined: Examined
) -> None:
    browser.scripts(allowed=False)
    browser.open(program.url(cloud, "form_post"))
    fill_in(browser, cloud.admin.user_name, cloud.password)
    browser.whole("If it stays, press Continue")
    examined.page("form-post", "Continue")
    assert program.got == []
    browser.press("Enter")
    browser.whole(THANKS)
    assert "code" in program.got[0]


def test_cancelling_by_keyboard_tells_the_program(
    browser: Chromium, cloud: ControlPlane, program: Program, examined: Examined
) -> None:
    browser.scripts(allowed=False)
    browser.open(program.url(cloud, "form_post"))
    for _ in range(3):
        browser.press("Tab")
    assert browser.focused() == "deny"
    browser.press("Enter")
    browser.whole("You are not signed in")
    examined.page("form-post-cancelled", "Continue")
    browser.press("Enter")
    browser.whole(THANKS)
    assert program.got[0]["error"] == ["access_denied"]


def test_a_second_factor_by_keyboard_alone(
    browser: Chromium,
    cloud: ControlPlane,
    program: Program,
    examined: Examined,
    authenticator: dict[str, Any],
) -> None:
    browser.open(program.url(cloud, "form_post"))
    fill_in(browser, cloud.admin.user_name, cloud.password)
    browser.whole("Enter your authenticator's code")
    examined.page("second-factor", "otp")
    assert examined.stops() == ["otp", "approve", "deny"]
    browser.evaluate("document.getElementById('otp').focus()")
    fill_in(browser, "000000")
    browser.whole("This code is wrong")
    examined.page("second-factor-wrong", "otp")
    fill_in(browser, code_at(authenticator["secret"], int(time.time() // 30)))
    browser.whole(THANKS)
    assert "code" in program.got[0]


def test_many_wrong_codes_are_told_to_wait(
    browser: Chromium,
    cloud: ControlPlane,
    program: Program,
    examined: Examined,
    authenticator: dict[str, Any],
) -> None:
    browser.open(program.url(cloud, "form_post"))
    fill_in(browser, cloud.admin.user_name, cloud.password)
    browser.whole("Enter your authenticator's code")
    for _ in range(WRONG_CODES + 1):
        browser.evaluate("window.asked = true")
        fill_in(browser, "no code")
        browser.wait("the answer", lambda: not browser.evaluate("window.asked"))
        browser.whole()
    browser.whole("Please wait")
    examined.page("please-wait")


def test_the_device_pages_by_keyboard_alone(
    browser: Chromium, cloud: ControlPlane, examined: Examined
) -> None:
    browser.open(f"{cloud.admin.url}/devicelogin")
    examined.page("device-code", "user_code")
    assert examined.stops() == ["user_code", "continue"]
    browser.evaluate("document.getElementById('user_code').focus()")
    fill_in(browser, "bcd fgh jkl")
    browser.whole("This code is not known")
    examined.page("device-code-wrong", "user_code")
    browser.evaluate("document.activeElement.select()")
    fill_in(browser, device_code(cloud))
    browser.whole("Code that it shows")
    examined.page("device-sign-in", "username")
    assert examined.stops() == FORM
    browser.evaluate("document.getElementById('username').focus()")
    fill_in(browser, cloud.admin.user_name, "wrong")
    browser.whole("The user name or the password is wrong")
    examined.page("device-sign-in-wrong", "password")
    fill_in(browser, cloud.password)
    browser.whole("You can close this window")
    examined.page("device-signed-in")


def test_a_person_turns_a_program_away(browser: Chromium, cloud: ControlPlane, examined: Examined) -> None:
    browser.open(f"{cloud.admin.url}/devicelogin")
    fill_in(browser, device_code(cloud))
    browser.whole("Code that it shows")
    for _ in range(3):
        browser.press("Tab")
    browser.press("Enter")
    browser.whole("Sign-in was cancelled")
    examined.page("device-cancelled")


def test_a_request_that_can_be_answered_nowhere_is_told_to_the_person(
    browser: Chromium, cloud: ControlPlane, program: Program, examined: Examined
) -> None:
    browser.open(program.url(cloud, "query", redirect_uri="https://elsewhere.example/"))
    browser.whole("AADSTS50011")
    examined.page("cannot-start")
    assert program.got == []


@pytest.mark.az
@pytest.mark.soak
@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_az_signs_in_through_the_real_browser(
    cloud: ControlPlane, tmp_path: Path, version: str
) -> None:
    az = prepare(Az(version, tmp_path, cloud.admin.ca_file), "aad", cloud.admin.url)
    opened, program = tmp_path / "opened", tmp_path / "browser"
    program.write_text(f"#!/bin/sh\necho \"$1\" >'{opened}.part' && mv '{opened}.part' '{opened}'\n")
    program.chmod(0o700)
    az.environment["BROWSER"] = str(program)
    browser = Chromium()
    waiting = az.start("login", "-o", "json")
    try:
        browser.wait("the address that az opens", opened.exists, seconds=90)
        browser.open(opened.read_text().strip())
        fill_in(browser, cloud.admin.user_name, cloud.password)
        browser.whole("You have logged into Microsoft Azure!")
        assert browser.complaints == []
        browser.close()  # az answers one connection at a time: one that the browser keeps would hold it up
        said, _ = waiting.communicate(timeout=120)
        assert waiting.returncode == 0, said
        assert cloud.admin.subscription in said
    finally:
        browser.close()
        waiting.kill()
        waiting.communicate()
