"""What the real process says: each line of its log is JSON, and Prometheus' parser reads its metrics."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families

from quickstart.ports import find_free
from running import ControlPlane, short_folder


@pytest.fixture
def metrics_port() -> int:
    return find_free()


@pytest.fixture
def talkative(metrics_port: int) -> Iterator[ControlPlane]:
    """A control plane that logs everything, with metrics."""
    folder = short_folder()
    control_plane = ControlPlane(
        folder, "--log-level", "debug", "--metrics-listen", f"127.0.0.1:{metrics_port}"
    )
    try:
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


def annoy(cloud: ControlPlane) -> None:
    """Do what makes TLS, the HTTP parser and the loop complain."""
    trusting = ssl.create_default_context(cafile=str(cloud.admin.ca_file))
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"", b"\x00" * 100):
        with socket.create_connection(("127.0.0.1", cloud.port), timeout=10) as plain:
            plain.sendall(sent)
    for sent in (b"nonsense\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", b"G" * 100_000):
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", cloud.port), timeout=10) as plain,
            trusting.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(sent)
            secure.recv(100)
    distrusting = ssl.create_default_context()
    with (
        suppress(ssl.SSLError),
        socket.create_connection(("127.0.0.1", cloud.port), timeout=10) as plain,
        distrusting.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass


def test_every_line_is_json_and_no_line_holds_a_secret(talkative: ControlPlane, metrics_port: int) -> None:
    assert talkative.arm("GET", "/subscriptions").status == 200
    assert talkative.arm("GET", "/subscriptions", token="not-a-token").status == 401
    annoy(talkative)
    assert talkative.arm("GET", "/tenants").status == 200
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10) as answer:
        families = {one.name for one in text_string_to_metric_families(answer.read().decode())}
    assert {"landbridge_http_request_duration_seconds", "landbridge_machines", "landbridge_build"} & families
    talkative.stop()
    said = talkative.child.said()
    lines = [line for line in said.splitlines() if not line.startswith("ready https://")]
    documents = [json.loads(line) for line in lines]
    events = {one["event"] for one in documents}
    assert {"request", "stopping", "a connection ended badly"} <= events, events
    requests = [one for one in documents if one["event"] == "request"]
    assert all({"requestId", "correlationId", "address", "status"} <= one.keys() for one in requests)
    admin = json.loads((talkative.data / "admin.json").read_text())
    for secret in (admin["clientSecret"], admin["password"], "not-a-token", "Bearer"):
        assert secret not in said
