"""Nothing of a sign-in follows what a request says of hosts, nor grows with what a stranger sends.

Password resets and sign-ins of others were sent to an attacker's host because links were built from
``Host`` or ``X-Forwarded-Host``. Ours come from the configuration alone.
"""

from __future__ import annotations

import pytest

EVIL = "evil.example"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
CHALLENGE = "x" * 43
TRICKS = {
    "host": EVIL,
    "host with our name": f"localhost.{EVIL}",
    "host with a name and a port": f"localhost@{EVIL}:443",
    "x-forwarded-host": EVIL,
    "x-forwarded-server": EVIL,
    "x-host": EVIL,
    "x-original-host": EVIL,
    "x-original-url": f"https://{EVIL}/",
    "x-rewrite-url": f"https://{EVIL}/",
    "x-forwarded-prefix": f"//{EVIL}",
    "forwarded": f"for=1.2.3.4;host={EVIL};proto=http",
    "referer": f"https://{EVIL}/",
    "origin": f"https://{EVIL}",
}


def asked(cloud) -> dict[str, str]:
    """What a program asks the authorization endpoint."""
    return {
        "client_id": AZURE_CLI,
        "response_type": "code",
        "redirect_uri": "http://localhost:8400",
        "scope": f"{cloud.url}/.default openid",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }


async def every_answer(cloud, headers):
    """Ask each endpoint of the token service that names an address, once."""
    scope = {"client_id": AZURE_CLI, "scope": f"{cloud.url}/.default openid"}
    wrong = {"grant_type": "password", **scope, "username": "a", "password": "b"}
    http = cloud.http
    for tenant in ("common", "adfs", cloud.admin["tenantId"]):
        version = "" if tenant == "adfs" else "/v2.0"
        yield await http.get(f"/{tenant}{version}/.well-known/openid-configuration", headers=headers)
        oauth = f"/{tenant}/oauth2{version}"
        yield await http.get(f"{oauth}/authorize", params=asked(cloud), headers=headers)
        yield await http.get(
            f"{oauth}/authorize", params=asked(cloud) | {"response_type": "x"}, headers=headers
        )
        yield await http.post(f"{oauth}/devicecode", data=scope, headers=headers)
        yield await http.post(f"{oauth}/token", data=wrong, headers=headers)
    yield await http.get("/common/userrealm/a@b?api-version=1.0", headers=headers)
    yield await http.get("/devicelogin", headers=headers)
    yield await http.post("/devicelogin", data={"user_code": "x"}, headers=headers)
    yield await http.get("/subscriptions?api-version=2022-12-01", headers=headers)


async def test_a_header_sends_nobody_elsewhere(cloud):
    answered = 0
    for trick, value in TRICKS.items():
        async for answer in every_answer(cloud, {trick.partition(" ")[0]: value}):
            answered += 1
            assert answer.status_code < 500, trick
            assert EVIL not in answer.text, trick
            assert EVIL not in str(answer.headers), trick
            assert "domain" not in answer.headers.get("set-cookie", "").lower(), trick
    assert answered == 19 * len(TRICKS)


async def test_discovery_reads_the_same_whatever_host_is_asked(cloud):
    path = "/common/v2.0/.well-known/openid-configuration"
    plain = (await cloud.http.get(path)).json()
    assert plain["token_endpoint"].startswith(cloud.url)
    for trick, value in TRICKS.items():
        answer = await cloud.http.get(path, headers={trick.partition(" ")[0]: value})
        assert answer.status_code >= 400 or answer.json() == plain


FORMS = ("/common/oauth2/v2.0/token", "/common/oauth2/v2.0/devicecode", "/devicelogin")
AUTHORIZE = "/common/oauth2/v2.0/authorize"


NO_FORMS = {
    b"&".join(b"f%d=1" % number for number in range(65)): "64 fields",
    b"client_id=a&client_id=b": "more than once",
    b"client_id=%ff": "UTF-8",
    b"client_id=a%00b": "NUL",
    b"client_id=a;b&&&c": "not a form",
}
AS_FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_a_form_that_is_too_large_is_refused_with_413(cloud, declared):
    body = b"client_id=" + b"x" * 70_000

    async def pieces():
        for start in range(0, len(body), 9_000):
            yield body[start : start + 9_000]

    for path in (*FORMS, AUTHORIZE):
        content = body if declared else pieces()
        answer = await cloud.http.post(path, content=content, headers=AS_FORM)
        assert answer.status_code == 413, path
        assert "65536 bytes" in answer.text


async def test_a_form_that_is_none_is_refused_in_words(cloud):
    for path in (*FORMS, AUTHORIZE):
        for content, says in NO_FORMS.items():
            answer = await cloud.http.post(path, content=content, headers=AS_FORM)
            assert (answer.status_code, says in answer.text) == (400, True), (path, content)


async def test_a_request_with_a_huge_parameter_is_refused_or_bounded(cloud):
    for name in ("scope", "state", "nonce", "login_hint", "redirect_uri", "prompt", "x"):
        answer = await cloud.http.get(AUTHORIZE, params=asked(cloud) | {name: "x" * 60_000})
        assert answer.status_code in (200, 303, 400), name
        assert len(answer.text) < 10_000, name
        assert len(answer.headers.get("location", "")) < 10_000, name
