"""Whatever bytes come in, the local server answers in its own words and never with a defect."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_agent.daemon import local_http
from landbridge_agent.daemon.challenge import Challenges
from landbridge_agent.daemon.control_plane import Granted
from landbridge_agent.daemon.local_http import LocalServer, Reply, encode, read_request
from landbridge_agent.daemon.log import Log
from landbridge_agent.daemon.machine_tokens import BURST, Tokens
from landbridge_agent.daemon.metadata_service import REFUSALS_LOGGED, MetadataService
from landbridge_agent.machine import AgentConfig

PEER, LOCAL = ("127.0.0.1", 50000), ("127.0.0.1", 40342)
CONFIG = AgentConfig(*AgentConfig._fields)


class World:
    """A connected machine without a cloud; perhaps with tokens."""

    def __init__(self, held=None):
        self.held = held

    def machine(self):
        return CONFIG

    def tokens(self):
        return self.held

    async def tags(self):
        return {"a": "b"}

    def status(self):
        return {"status": "Connected"}

    def system(self):
        return "Debian"


@pytest.fixture
def service(tmp_path):
    log = Log(tmp_path / "himds.log", io.StringIO(), lambda: 0.0)
    return MetadataService(World(), Challenges(tmp_path, None), log, lambda: 0.0)


@given(st.binary(max_size=300))
def test_any_head_is_read_or_refused(data):
    try:
        request = read_request(data, PEER, LOCAL)
    except ValueError:
        return
    assert request.path.startswith("/") or request.path == ""


@given(st.text(max_size=80), st.text(max_size=40), st.sampled_from(["GET", "PUT", "get", "G ET", ""]))
def test_any_target_is_read_or_refused(path, query, method):
    try:
        request = read_request(f"{method} /{path}?{query} HTTP/1.1\r\n\r\n".encode(), PEER, LOCAL)
    except ValueError:
        return
    assert request.method == method


WORDS = st.text("".join(chr(code) for code in range(256) if code not in (10, 13)), max_size=30)
PATHS = st.sampled_from(
    ["/metadata/instance", "/metadata/identity/oauth2/token", "/agentstatus", "/metadata/instance/compute"]
)


@given(
    PATHS,
    st.dictionaries(
        st.sampled_from(["api-version", "resource", "format", "client_id", "msi_res_id", "bypass_cache"]),
        st.sampled_from(["2020-06-01", "json", "text", "https://x/", "true", "clientId", "", "\x00", "é"])
        | WORDS,
    ),
    st.dictionaries(
        st.sampled_from(["Metadata", "Host", "Authorization", "Client-Id", "X-Forwarded-For"]),
        st.sampled_from(["true", "localhost", "localhost:40342", "Basic x", "Basic", "[::1]:40342"]) | WORDS,
    ),
)
async def test_no_request_meets_a_defect_or_gets_a_token_unproven(tmp_path_factory, path, query, headers):
    from urllib.parse import urlencode

    folder = tmp_path_factory.mktemp("tokens")
    log = Log(folder / "himds.log", io.StringIO(), lambda: 0.0)
    challenges = Challenges(folder, None)
    service = MetadataService(World(), challenges, log, lambda: 0.0)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"GET {path}?{urlencode(query)} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
    try:
        request = read_request(head, PEER, LOCAL)
    except ValueError:
        return
    reply = await service.answer(request)
    challenges.clear()
    assert reply.status in (200, 400, 401, 404, 405)
    assert "access_token" not in str(reply.body)
    if reply.status == 200 and path != "/agentstatus":
        assert headers.get("Metadata", "").strip().lower() == "true"
    encode(reply)


async def test_an_answer_is_json_unless_it_is_plain(service):
    head = b"GET /agentstatus HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    reply = await service.answer(read_request(head, PEER, LOCAL))
    top, _, body = encode(reply).partition(b"\r\n\r\n")
    assert json.loads(body) == {"status": "Connected"}
    assert b"Connection: close" in top and b"Cache-Control: no-store" in top
    assert encode(Reply(200, "x", plain=True)).endswith(b"\r\n\r\nx")


async def test_too_many_new_tokens_have_to_wait_and_the_key_stays_good(tmp_path):
    now = [0.0]

    async def fetch(audience):
        return Granted("t", 3600.0)

    log = Log(tmp_path / "himds.log", io.StringIO(), lambda: 0.0)
    held = Tokens(fetch, lambda: now[0], lambda: now[0])
    service = MetadataService(World(held), Challenges(tmp_path, None), log, lambda: now[0])
    path = b"/metadata/identity/oauth2/token?api-version=2020-06-01&resource=x&bypass_cache=true"
    head = b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nMetadata: true\r\n"

    async def ask(key=""):
        more = f"Authorization: Basic {key}\r\n\r\n" if key else "\r\n"
        return await service.answer(read_request(head + more.encode(), PEER, LOCAL))

    async def key():
        return Path(dict((await ask()).headers)["Www-Authenticate"].partition("=")[2]).read_text()

    for _ in range(BURST):
        assert (await ask(await key())).status == 200
    last = await key()
    late = await ask(last)
    assert late.status == 429
    now[0] += int(dict(late.headers)["Retry-After"])
    assert (await ask(last)).status == 200
    assert (await ask(last)).status == 401


async def test_a_flood_of_refusals_does_not_flood_the_audit(tmp_path):
    now = [0.0]
    log = Log(tmp_path / "himds.log", io.StringIO(), lambda: now[0])
    service = MetadataService(World(), Challenges(tmp_path, None), log, lambda: now[0])
    head = b"GET /metadata/instance HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    for _ in range(REFUSALS_LOGGED + 40):
        await service.answer(read_request(head, PEER, LOCAL))
    assert len((tmp_path / "himds.log").read_text().splitlines()) == REFUSALS_LOGGED
    now[0] = 61.0
    await service.answer(read_request(head, PEER, LOCAL))
    assert "40 more requests" in (tmp_path / "himds.log").read_text()


@contextlib.asynccontextmanager
async def listening(server):
    """Serve on a free port of loopback; yield its address."""
    sock = socket.create_server(("127.0.0.1", 0))
    address = sock.getsockname()
    await server.listen(sock)
    try:
        yield address
    finally:
        server.close()
        await asyncio.sleep(0.02)


async def test_a_client_that_says_nothing_is_told_so_and_let_go(monkeypatch):
    monkeypatch.setattr(local_http, "HEAD_SECONDS", 0.05)
    server = LocalServer(lambda request: None, print)
    async with listening(server) as address:
        reader, writer = await asyncio.open_connection(*address)
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_defect_of_a_handler_is_a_500_that_tells_nothing():
    seen = []

    async def broken(request):
        raise RuntimeError("secret detail")

    server = LocalServer(broken, seen.append)
    async with listening(server) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        said = await asyncio.wait_for(reader.read(), 10)
        assert said.startswith(b"HTTP/1.1 500 ") and b"secret" not in said
        assert str(seen[0]) == "secret detail"
        writer.close()


def test_a_header_of_an_answer_cannot_end_its_line():
    assert b"\r\nX-B" not in encode(Reply(200, {}, (("X-A", "1\r\nX-B: 2"),)))
