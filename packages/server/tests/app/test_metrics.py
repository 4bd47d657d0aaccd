"""What /metrics tells of a true control plane, who may read it, and that nothing of it grows without end."""

from __future__ import annotations

import asyncio
import re
import socket
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from landbridge_server.app import metrics as collected
from landbridge_server.config import Address, Config, ConfigError
from landbridge_server.edge.metrics_listener import AT_ONCE, metrics_listening
from landbridge_server.identity.sign_in_log import Asking, SignIn
from landbridge_server.relay.sessions import ENDED, OPENED, SessionNews
from landbridge_server.store import load
from landbridge_server.store.database import StoreUnavailable
from landbridge_server.testing import ControlPlane

TOKEN = b"0123456789abcdef"


@pytest.fixture
def told(cloud):
    """All samples: (name, labels as a sorted tuple) -> value."""

    async def told():
        text = (await cloud.plane.metrics.exposition()).decode()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    return told


def one(samples, name, **labels):
    return samples[name, tuple(sorted(labels.items()))]


async def test_requests_are_counted_by_route_method_and_class_of_status(cloud, arm, told):
    await arm.group()
    await arm("GET", "resourcegroups/demo")
    await arm("GET", "resourcegroups/none")
    await cloud.client.get("/nowhere/at/all")
    await cloud.client.get("/healthz")
    name = "landbridge_http_request_duration_seconds_count"
    samples = await told()
    rest = "/subscriptions/{rest:path}"
    assert one(samples, name, route=rest, method="PUT", status="2xx") == 1
    assert one(samples, name, route=rest, method="GET", status="2xx") == 1
    assert one(samples, name, route=rest, method="GET", status="4xx") == 1
    assert one(samples, name, route="none", method="GET", status="4xx") == 1
    assert one(samples, name, route="/healthz", method="GET", status="2xx") == 1


async def test_sign_ins_are_counted_by_grant_and_outcome_of_closed_lists(cloud, told):
    await cloud.token()
    for grant, number in (("password", 50126), ("made up by a stranger", 50126), ("password", 123456789)):
        cloud.plane.metrics.signed_in(SignIn(number, "no", grant, "app", "t", "who", Asking()))
    samples, name = await told(), "landbridge_sign_ins_total"
    assert one(samples, name, grant="client_credentials", outcome="succeeded") == 1
    assert one(samples, name, grant="password", outcome="AADSTS50126") == 1
    assert one(samples, name, grant="other", outcome="AADSTS50126") == 1
    assert one(samples, name, grant="password", outcome="other") == 1


async def test_machines_relay_operations_work_and_store_are_told(cloud, arm, told):
    plane = cloud.plane
    plane.presence.issued("never-came", cloud.clock() + 1000)
    plane.presence.heartbeat("here", "1", cloud.clock())
    plane.presence.heartbeat("silent", "1", cloud.clock() - 10_000)
    plane.presence.heartbeat("ended", "1", cloud.clock() - 10_000)
    plane.presence.issued("ended", cloud.clock() - 1)
    news = SessionNews(OPENED, "p", "w", "a", "id")
    plane.metrics.session(news)
    plane.metrics.session(news._replace(what=ENDED, bytes=1234))
    await arm.group()
    samples = await told()
    statuses = {status: one(samples, "landbridge_machines", status=status) for status in collected.STATUSES}
    assert statuses == {"Connected": 1, "Disconnected": 1, "Expired": 1, "AwaitingConnection": 1}
    assert one(samples, "landbridge_relay_sessions_total", event="opened") == 1
    assert one(samples, "landbridge_relay_bytes_total") == 1234
    assert one(samples, "landbridge_relay_sessions") == 0
    assert {one(samples, "landbridge_operations", state=state) for state in load.STATES} == {0}
    assert one(samples, "landbridge_work_items", state="waiting") == 0
    assert one(samples, "landbridge_database_write_duration_seconds_count") >= 1
    assert one(samples, "landbridge_database_up") == 1
    for certificate in ("root", "issuing", "server"):
        assert one(samples, "landbridge_certificate_days_left", certificate=certificate) > 1
    build = next(dict(labels) for name, labels in samples if name == "landbridge_build_info")
    assert build["store"] == ("postgresql" if plane.db.shared else "sqlite")


async def test_what_waits_for_machines_is_counted(cloud, arm, told):
    await arm.group()
    await arm.machine()
    path = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1/extensions/one"
    body = {"location": "local", "properties": {"publisher": "p", "type": "t"}}
    assert (await arm("PUT", path, body)).status_code in (200, 201, 202)
    samples = await told()
    assert one(samples, "landbridge_work_items", state="waiting") == 1
    assert one(samples, "landbridge_operations", state="InProgress") == 1


async def test_a_database_that_is_away_is_told_and_not_asked_again_at_once(cloud, told, monkeypatch):
    asked = []

    async def away(work):
        asked.append(work)
        raise StoreUnavailable("away")

    monkeypatch.setattr(cloud.plane.db, "read_aside", away)
    assert one(await told(), "landbridge_database_up") == 0
    await told()
    assert len(asked) == 1


async def test_no_label_holds_an_id_a_name_or_an_address(cloud, arm, told):
    await arm.group("secret-group")
    await arm.machine("secret-machine", "secret-group")
    await arm.principal("secret-name")
    await cloud.client.get("/secret-path/x")
    values = [value for _, labels in await told() for _, value in labels]
    guid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
    assert not [value for value in values if "secret" in value or guid.search(value) or "127.0" in value]


async def test_nothing_is_served_among_the_other_routes(cloud):
    assert (await cloud.client.get("/metrics")).status_code == 404


async def hello() -> bytes:
    return b"hello_total 1\n"


async def test_a_listener_on_loopback_serves_metrics_and_nothing_else():
    async with (
        metrics_listening(hello, Address("127.0.0.1", 0), None, b"") as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        answer = await client.get("/metrics?a=b")
        assert (answer.status_code, answer.text) == (200, "hello_total 1\n")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        head = await client.head("/metrics")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "14")
        assert (await client.get("/")).status_code == 404
        assert (await client.get("/subscriptions")).status_code == 404
        assert (await client.post("/metrics")).status_code == 405


async def test_a_token_is_asked_for_where_there_is_one():
    async with (
        metrics_listening(hello, Address("127.0.0.1", 0), None, TOKEN) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        for wrong in ({}, {"authorization": "Bearer no"}, {"authorization": f"Basic {TOKEN.decode()}"}):
            refused = await client.get("/metrics", headers=wrong)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert "hello" not in refused.text
        good = await client.get("/metrics", headers={"authorization": f"bearer {TOKEN.decode()}"})
        assert good.status_code == 200


async def test_nonsense_and_endless_heads_end_the_connection():
    async with metrics_listening(hello, Address("127.0.0.1", 0), None, b"") as port:
        for sent in (b"nonsense\r\n\r\n", b"x" * 20_000, b"\xff\xfe\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            assert b"hello" not in await reader.read()
            writer.close()


async def test_only_so_many_are_served_at_a_time():
    async with metrics_listening(hello, Address("127.0.0.1", 0), None, b"") as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(AT_ONCE)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        for _, other in [*idle, (reader, writer)]:
            other.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


async def test_the_served_control_plane_has_its_metrics_on_a_port_of_their_own(tmp_path):
    port = free_port()
    ports = {"listen": Address("127.0.0.1", free_port()), "metrics_listen": Address("127.0.0.1", port)}
    async with (
        ControlPlane(tmp_path, clock=time.time, **ports) as cloud,
        cloud.serving() as url,
        httpx.AsyncClient(verify=cloud.trusting()) as client,
    ):
        assert (await client.get(f"{url}/healthz")).status_code == 200
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        assert 'route="/healthz"' in answer.text
        assert (await client.get(f"{url}/metrics")).status_code == 404


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "metrics.example.org"])
def test_an_address_that_others_reach_needs_a_token(tmp_path, host):
    with pytest.raises(ConfigError, match="--metrics-token-file"):
        Config(data=tmp_path, metrics_listen=Address(host, 9464))
    Config(data=tmp_path, metrics_listen=Address(host, 9464), metrics_token_file=tmp_path / "token")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_none(tmp_path, host):
    assert Config(data=tmp_path, metrics_listen=Address(host, 9464)).metrics_token() == b""


@pytest.mark.parametrize("content", [b"", b"short", b"two words that are long", b"x" * 2000])
def test_a_token_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match="one word"):
        Config(data=tmp_path, metrics_token_file=tmp_path / "token").metrics_token()


async def test_elsewhere_than_on_loopback_it_speaks_tls(tmp_path):
    headers = {"authorization": f"Bearer {TOKEN.decode()}"}
    async with (
        ControlPlane(tmp_path, clock=time.time) as cloud,
        metrics_listening(hello, Address("127.0.0.1", 0), cloud.plane.tls.context, TOKEN) as port,
        httpx.AsyncClient(verify=cloud.trusting()) as client,
    ):
        answer = await client.get(f"https://localhost:{port}/metrics", headers=headers)
        assert answer.text == "hello_total 1\n"
