"""The ways to sign in that need no person: a certificate's file; and the loopback half of the browser's."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from landbridge_agent.cli import browser
from landbridge_agent.cli.application_certificate import read
from landbridge_agent.codes import AgentError


def certified(key) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sp")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).serial_number(7)
    return builder.sign(key, hashes.SHA256())


@pytest.fixture(scope="module")
def pair():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key, certified(key)


def pem_of(key, certificate, encryption=None) -> bytes:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def pfx_of(key, certificate, encryption=None) -> bytes:
    return pkcs12.serialize_key_and_certificates(b"sp", key, certificate, None, encryption or NoEncryption())


@pytest.mark.parametrize("make", [pem_of, pfx_of])
async def test_a_certificate_signs_in(cloud, azcmagent, tmp_path, pair, make):
    file = tmp_path / "sp"
    file.write_bytes(make(*pair))
    async with cloud.serving():
        ran = await azcmagent(
            "connect", "--cloud", cloud.url, "--ca-file", str(cloud.ca_file), "--tenant-id", "t", "-i", "app",
            "--service-principal-cert", str(file), "-s", "22222222-2222-4222-8222-222222222222",
            "-g", "rg", "-l", "local", "-n", "m1",
        )  # fmt: skip
    assert ran.code == 0, ran.err
    form = parse_qs(cloud.said("POST", "/t/oauth2/v2.0/token")[0].body.decode())
    head, claims = (
        json.loads(base64.urlsafe_b64decode(part + "=="))
        for part in form["client_assertion"][0].split(".")[:2]
    )
    assert head["alg"] == "RS256" and len(head["x5t"]) == 27
    assert claims["iss"] == claims["sub"] == "app" and claims["aud"].startswith(cloud.url)
    assert "client_secret" not in form


@pytest.mark.parametrize("make", [pem_of, pfx_of])
def test_a_file_with_a_password_is_refused_with_what_to_do(tmp_path, pair, make):
    file = tmp_path / "sp"
    file.write_bytes(make(*pair, BestAvailableEncryption(b"x")))
    with pytest.raises(AgentError) as refused:
        read(str(file))
    assert refused.value.code == 107 and "without" in refused.value.remedy


@pytest.mark.parametrize("content", [None, b"", b"x", b"-----BEGIN X-----", b"-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_certificate_with_its_key_is_refused(tmp_path, content):
    file = tmp_path / "sp"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(AgentError) as refused:
        read(str(file))
    assert refused.value.code == 107


def test_keys_that_do_not_fit_are_refused(tmp_path, pair):
    other = ec.generate_private_key(ec.SECP256R1())
    for content in (pem_of(pair[0], certified(other)), pem_of(other, certified(other))):
        (tmp_path / "sp").write_bytes(content)
        with pytest.raises(AgentError):
            read(str(tmp_path / "sp"))


@pytest.mark.parametrize(
    "words",
    [
        ("-i", "app", "-p", "s", "--service-principal-cert", "f", "--tenant-id", "t"),
        ("--service-principal-cert", "f", "--tenant-id", "t"),
        ("-i", "app", "--service-principal-cert", "f"),
    ],
)
async def test_half_a_service_principal_is_refused(azcmagent, words):
    ran = await azcmagent("connect", "-s", "a", "-g", "b", "-l", "c", *words)
    assert ran.code in (16, 23)


async def test_use_azcli_without_az_says_so(cloud, azcmagent, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    async with cloud.serving():
        ran = await azcmagent(
            "connect", "--cloud", cloud.url, "--ca-file", str(cloud.ca_file), "--use-azcli",
            "-s", "a", "-g", "b", "-l", "c",
        )  # fmt: skip
    assert ran.code == 41
    assert "no az" in ran.err


# -- the browser -----------------------------------------------------------------------------------


async def answered(page: str, **changed: str) -> str:
    """Do what the browser does with the redirect of the sign-in page; return the status line."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}
    where = urlsplit(query["redirect_uri"])
    assert where.hostname == "localhost" and query["code_challenge_method"] == "S256"
    answer = {"code": "c", "state": query["state"]} | changed
    reader, writer = await asyncio.open_connection("127.0.0.1", where.port)
    writer.write(f"GET /?{urlencode(answer)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    status = (await reader.readline()).decode().strip()
    writer.close()
    return status


async def signed_in(*answers: dict[str, str]):
    statuses: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def visit(page: str) -> None:
        statuses.extend([await answered(page, **one) for one in answers])

    def open_page(page: str) -> bool:
        tasks.append(asyncio.ensure_future(visit(page)))
        return True

    try:
        found = await browser.sign_in("https://login/authorize", "client", "scope", lambda _: None, open_page)
    finally:
        await asyncio.gather(*tasks)
    return found, statuses


async def test_the_code_comes_back_on_the_loopback_interface():
    found, statuses = await signed_in({})
    assert found is not None and found.code == "c"
    assert statuses == ["HTTP/1.1 200 OK"]


async def test_an_answer_without_our_state_is_not_taken():
    found, statuses = await signed_in({"state": "another"}, {})
    assert found is not None and statuses == ["HTTP/1.1 400 Bad Request", "HTTP/1.1 200 OK"]


async def test_a_refused_sign_in_says_why():
    with pytest.raises(AgentError) as refused:
        await signed_in({"code": "", "error": "access_denied", "error_description": "AADSTS65004: no"})
    assert "AADSTS65004" in refused.value.detail


async def test_without_a_browser_the_device_code_is_next():
    assert await browser.sign_in("https://x", "c", "s", lambda _: None, lambda _: False) is None


@pytest.mark.parametrize(("environment", "desktop"), [({}, False), ({"DISPLAY": ":0"}, True)])
def test_a_desktop_is_where_a_window_can_be_shown(environment, desktop):
    assert browser.has_desktop(environment) is desktop


# -- join codes ------------------------------------------------------------------------------------


def code(**changed: str) -> str:
    content = {
        "clientId": "33333333-3333-4333-8333-333333333333",
        "secret": "once",
        "tenantId": "t",
        "subscriptionId": "22222222-2222-4222-8222-222222222222",
        "resourceGroup": "rg",
        "location": "local",
    } | changed
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


async def test_a_join_code_says_everything(cloud, azcmagent):
    cloud.answers[("POST", "/t/oauth2/v2.0/token")] = (200, {"access_token": "token"})
    async with cloud.serving():
        ran = await azcmagent(
            "connect",
            "--cloud",
            cloud.url,
            "--ca-file",
            str(cloud.ca_file),
            "-n",
            "m1",
            "--join-code",
            code(),
        )
    assert ran.code == 0, ran.err
    form = parse_qs(cloud.said("POST", "/t/oauth2/v2.0/token")[0].body.decode())
    assert form["join_code"] == ["once"]
    assert "/resourceGroups/rg/" in next(iter(cloud.machines))


async def test_a_join_code_is_read_from_stdin(cloud, azcmagent, monkeypatch):
    cloud.answers[("POST", "/t/oauth2/v2.0/token")] = (
        400,
        {"error": "x", "error_description": "AADSTS54005"},
    )
    monkeypatch.setattr("sys.stdin", io.StringIO(code() + "\n"))
    async with cloud.serving():
        ran = await azcmagent(
            "connect", "--cloud", cloud.url, "--ca-file", str(cloud.ca_file), "--join-code", "-"
        )
    assert ran.code == 41
    assert "AADSTS54005" in ran.err and "join-code create" in ran.err


@pytest.mark.parametrize("text", ["x", "e30", "é", "A" * 5000, base64.b64encode(b'{"clientId": 1}').decode()])
async def test_what_is_no_join_code_is_refused(azcmagent, text):
    assert (await azcmagent("connect", "--join-code", text)).code == 23
