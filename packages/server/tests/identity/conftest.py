"""A cloud with its first tenant, copied for every test from one that was made once."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

import postgresql_server
from landbridge_server.config import Config
from landbridge_server.identity import bootstrap, directory, second_factor
from landbridge_server.identity.authentication import Authenticator
from landbridge_server.identity.clients import AZURE_CLI
from landbridge_server.identity.http import IdentityHttp
from landbridge_server.identity.keys import SigningKeys
from landbridge_server.identity.service import IdentityService
from landbridge_server.identity.tokens import TokenVerifier
from landbridge_server.store import principals
from landbridge_server.store.database import Database
from landbridge_server.store.schema import metadata

START = 1_800_000_000.0
MASTER = b"shared by all nodes"
BACK = "http://localhost:39811"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Form(HTMLParser):
    """The form of a page: where it goes, and its fields."""

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


def _routes(identity: IdentityHttp) -> list[Route]:
    found = [
        Route("/common/userrealm/{user}", identity.user_realm),
        Route("/devicelogin", identity.device_page_get, methods=["GET"]),
        Route("/devicelogin", identity.device_page_post, methods=["POST"]),
    ]
    for version in ("", "/v2.0"):
        discovery = "/{tenant}" + version + "/.well-known/openid-configuration"
        oauth = "/{tenant}/oauth2" + version
        found += [
            Route(discovery, identity.openid_configuration),
            Route("/{tenant}/discovery" + version + "/keys", identity.keys),
            Route(oauth + "/authorize", identity.authorize, methods=["GET"]),
            Route(oauth + "/authorize", identity.authorize_post, methods=["POST"]),
            Route(oauth + "/token", identity.token, methods=["POST"]),
            Route(oauth + "/devicecode", identity.device_authorization, methods=["POST"]),
        ]
    return found


class Cloud:
    """The token service in process, and what a client of it does."""

    def __init__(
        self, folder: Path, keys_folder: Path, first: bootstrap.FirstStart, other: str, store: str = ""
    ) -> None:
        self.clock = Clock()
        self.first = first
        self.other_tenant = other
        self.config = Config(folder, store=store)
        self.endpoints = self.config.endpoints
        self.db = Database(self.config.database_url)
        self.keys = SigningKeys.open(keys_folder, self.clock)
        self.service = IdentityService(self.db, self.endpoints, self.keys, self.clock)
        self.pauses: list[float] = []
        self.service.addresses.pause = self.pause
        self.verifier = TokenVerifier(self.keys, self.endpoints, self.clock, f"{self.endpoints.login}/t")
        self.authenticator = Authenticator(self.db, self.verifier)
        identity = IdentityHttp(self.service, MASTER)
        transport = httpx.ASGITransport(Starlette(routes=_routes(identity)))
        self.http = httpx.AsyncClient(transport=transport, base_url=self.endpoints.login)
        self.arm_scope = self.endpoints.audience + "/.default"

    def opened_again(self, keys_folder: Path) -> Cloud:
        """The same store in another process: after a restart, or another node."""
        store = self.config.database_url
        return Cloud(self.config.data, keys_folder, self.first, self.other_tenant, store)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    @property
    def tenant(self) -> str:
        return self.first.tenant_id

    async def token(self, form: dict[str, str], where: str | None = None, **options) -> httpx.Response:
        path = where or f"/{self.tenant}/oauth2/v2.0/token"
        return await self.http.post(path, data=form, **options)

    def secret_form(self, **changes: str) -> dict[str, str]:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.first.client_id,
            "client_secret": self.first.client_secret,
            "scope": self.arm_scope,
        }
        return {**form, **changes}

    def password_form(self, **changes: str) -> dict[str, str]:
        form = {
            "grant_type": "password",
            "client_id": AZURE_CLI,
            "client_info": "1",
            "username": self.first.user_name,
            "password": self.first.password,
            "scope": f"{self.arm_scope} offline_access openid profile",
        }
        return {**form, **changes}

    def refresh_form(self, token: str, **changes: str) -> dict[str, str]:
        form = {
            "grant_type": "refresh_token",
            "client_id": AZURE_CLI,
            "refresh_token": token,
            "scope": f"{self.arm_scope} offline_access openid profile",
        }
        return {**form, **changes}

    async def begin_device(self, **changes: str) -> dict:
        form = {"client_id": AZURE_CLI, "scope": f"{self.arm_scope} offline_access openid profile"}
        answer = await self.http.post("/organizations/oauth2/v2.0/devicecode", data={**form, **changes})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def poll(self, code: dict, **changes: str) -> httpx.Response:
        form = {"grant_type": DEVICE_GRANT, "client_id": AZURE_CLI, "device_code": code["device_code"]}
        return await self.token({**form, "client_info": "1", **changes})

    async def submit(self, page: httpx.Response, **values: str) -> httpx.Response:
        """Fill in the form of a page as a browser does, and send it."""
        return await self.http.post("/devicelogin", data={**Form(page.text).fields, **values})

    async def approve(self, code: dict, **values: str) -> httpx.Response:
        page = await self.submit(await self.http.get("/devicelogin"), user_code=code["user_code"])
        answers = {"username": self.first.user_name, "password": self.first.password, "action": "approve"}
        return await self.submit(page, **{**answers, **values})


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

    def form(self, page) -> Form:
        return Form(page.text)

    def enroll(self) -> second_factor.Enrollment:
        """Give the person an authenticator."""
        with self.cloud.db.writing() as connection:
            user = principals.by_user_name(connection, self.user["username"])
            seals = second_factor.sealer(MASTER)
            return second_factor.enroll(connection, seals, user, self.cloud.clock())

    def otp(self, found: second_factor.Enrollment) -> str:
        """Read the authenticator."""
        return second_factor.code_at(found.secret, int(self.cloud.clock() // second_factor.STEP))

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


def _refused(answer: httpx.Response, number: int, error: str, status: int = 400) -> dict:
    """Check the whole body of a refusal."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error"] == error
    assert body["error_codes"] == [number]
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", body["timestamp"])
    assert {"trace_id", "correlation_id"} < body.keys()
    return body


@pytest.fixture
def refused():
    return _refused


@pytest.fixture(scope="session")
def keys_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session")
def made(tmp_path_factory, keys_folder):
    folder = tmp_path_factory.mktemp("cloud")
    db = Database(Config(folder).database_url)
    metadata.create_all(db.engine)
    with db.writing() as connection:
        first = bootstrap.first_start(connection, START, "cloud.example")
        other = bootstrap.create_tenant(connection, "other.example", "Other", START + 1).tenant_id
        directory.create_user(connection, other, "eve@other.example", "Eve", "eves-password", START)
    db.close()
    return folder, first, other


def _copy(made, url):
    """Copy the rows of a store into an empty one of the other kind."""
    source, target = Database(Config(made).database_url), Database(url)
    with source.reading() as reading, target.writing() as writing:
        for table in metadata.sorted_tables:
            if rows := [row._asdict() for row in reading.execute(table.select())]:
                writing.execute(table.insert(), rows)
    source.close()
    target.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def cloud(request, tmp_path, made, keys_folder):
    folder, first, other = made
    with ExitStack() as stack:
        url = ""
        if request.param == "postgresql":
            server = request.getfixturevalue("postgresql")
            url = stack.enter_context(server.database(postgresql_server.TEMPLATE))
            _copy(folder, url)
        else:
            shutil.copy(folder / "landbridge.db", tmp_path / "landbridge.db")
        found = Cloud(tmp_path, keys_folder, first, other, url)
        yield found
        found.db.close()


@pytest.fixture
def browser(cloud):
    return Browser(cloud)


@pytest.fixture
def connection(cloud):
    with cloud.db.writing() as opened:
        yield opened


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"
