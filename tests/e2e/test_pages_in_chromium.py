"""The sign-in pages in a real browser: accessible, by keyboard alone, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from chromium import Chromium, unavailable
from landbridge_server.identity.clients import AZURE_CLI
from landbridge_server.identity.second_factor import code_at
from running import ControlPlane

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "-")

SCREENSHOTS = os.environ.get("LANDBRIDGE_SCREENSHOTS", "")
"""A folder to keep screenshots in; docs/sign-in holds some."""


class Program:
    """What az does: listens on loopback for the form that the browser posts."""

    def __init__(self) -> None:
        self.got: list[dict[str, list[str]]] = []
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                got.append(parse_qs(self.rfile.read(length).decode()))
                self._thank()

            def do_GET(self) -> None:
                if self.path != "/favicon.ico":
                    got.append(parse_qs(urlsplit(self.path).query))
                self._thank()

            def _thank(self) -> None:
                body = b"<!doctype html><title>Done</title><p>The program has your answer.</p>"
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, cloud: ControlPlane, mode: str) -> str:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": AZURE_CLI,
            "response_type": "code",
            "response_mode": mode,
            "redirect_uri": self.address,
            "scope": f"{cloud.admin.url}/.default offline_access openid profile",
            "state": "s",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{cloud.admin.url}/organizations/oauth2/v2.0/authorize?{urlencode(asked)}"


@pytest.fixture
def program() -> Iterator[Program]:
    found = Program()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def browser() -> Iterator[Chromium]:
    found = Chromium()
    yield found
    found.close()


def examine(browser: Chromium, name: str) -> None:
    """Have axe look at the page in light and dark, and keep screenshots where asked."""
    for scheme in ("light", "dark"):
        browser.look(scheme)
        assert browser.violations() == []
        if SCREENSHOTS:
            browser.screenshot(Path(SCREENSHOTS) / f"{name}-{scheme}.png")


def by_keyboard(browser: Chromium, cloud: ControlPlane, password: str) -> None:
    assert browser.focused() == "username"
    browser.type(cloud.admin.user_name)
    browser.press("Tab")
    assert browser.focused() == "password"
    browser.type(password)
    browser.press("Enter")


def only_from(browser: Chromium, *hosts: str) -> None:
    assert browser.asked
    assert {urlsplit(url).netloc for url in browser.asked if url.startswith("http")} <= set(hosts)


@pytest.mark.parametrize("mode", ["form_post", "query"])
def test_sign_in_by_keyboard_alone_reaches_the_program(
    browser: Chromium, cloud: ControlPlane, program: Program, mode: str
) -> None:
    browser.open(program.url(cloud, mode))
    examine(browser, "sign-in")
    by_keyboard(browser, cloud, "wrong")
    browser.whole("The user name or the password is wrong")
    examine(browser, "sign-in-wrong")
    assert browser.focused() == "password"
    browser.type(cloud.password)
    browser.press("Enter")
    browser.whole("The program has your answer")
    (answer,) = program.got
    assert answer["state"] == ["s"]
    assert len(answer["code"][0]) > 40
    only_from(browser, urlsplit(cloud.admin.url).netloc, urlsplit(program.address).netloc)


def test_the_second_factor_and_the_device_pages(
    browser: Chromium, cloud: ControlPlane, program: Program
) -> None:
    browser.open(f"{cloud.admin.url}/devicelogin")
    examine(browser, "device-code")
    made = json.loads(cloud.landbridge("user", "mfa-enroll", cloud.admin.user_name, "-o", "json"))
    try:
        browser.open(program.url(cloud, "form_post"))
        by_keyboard(browser, cloud, cloud.password)
        browser.whole("authenticator")
        examine(browser, "second-factor")
        assert browser.focused() == "otp"
        browser.type(code_at(made["secret"], int(time.time() // 30)))
        browser.press("Enter")
        browser.whole("The program has your answer")
        assert "code" in program.got[0]
    finally:
        cloud.landbridge("user", "mfa-remove", cloud.admin.user_name)
