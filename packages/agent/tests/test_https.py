"""The HTTPS client and its dialer: trust, proxy, bounds."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from landbridge_agent import https
from landbridge_agent.dial import Dialer, Proxy, Unreachable, Untrusted, proxy_from, split_https, trust
from landbridge_agent.https import Client


def client(cloud, proxy=None):
    return Client(Dialer(trust(str(cloud.ca_file)), proxy or Proxy("", ())), "test")


@contextlib.asynccontextmanager
async def saying(cloud, answer, host="127.0.0.1"):
    """A TLS server that reads a request's head and says ``answer``."""
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=cloud.context)
    try:
        yield f"https://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n", b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_bodies_are_read_however_they_are_framed(cloud, answer, body):
    async with saying(cloud, answer) as url:
        assert (await client(cloud).request("GET", url)).body == body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"z" * (https.MAX_BODY + 1),
    ],
)
async def test_garbage_and_floods_are_refused_with_a_reason(cloud, answer):
    async with saying(cloud, answer) as url:
        with pytest.raises(Unreachable):
            await client(cloud).request("GET", url)


async def test_silence_ends_in_time(cloud, monkeypatch):
    monkeypatch.setattr(https, "REQUEST_SECONDS", 0.2)
    never = asyncio.Event()

    async def serve(reader, writer):
        await never.wait()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=cloud.context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(Unreachable, match="did not answer"):
        await client(cloud).request("GET", url)
    never.set()
    server.close()
    await asyncio.sleep(0.05)


async def test_a_server_without_tls_is_named(cloud):
    async def serve(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(Unreachable, match="TLS"):
        await client(cloud).request("GET", url)
    server.close()


async def test_a_name_that_the_certificate_lacks_is_untrusted(cloud):
    async with saying(cloud, b"", "127.0.0.2") as url:
        with pytest.raises(Untrusted, match="not trusted"):
            await client(cloud).request("GET", url)


def test_a_file_without_certificates_is_no_trust(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(Untrusted, match="cannot be used"):
        trust(str(tmp_path / "ca.pem"))


@pytest.mark.parametrize("url", ["http://x", "x", "https://", "https://x:99999", "ftp://x"])
def test_only_https_is_dialled(url):
    with pytest.raises(ValueError):
        split_https(url)


def test_the_environment_names_the_proxy():
    proxy = proxy_from({"https_proxy": "http://u:p@proxy:3128", "NO_PROXY": ".corp, 10.0.0.1"})
    assert proxy.serves("example.com")
    assert not proxy.serves("a.corp") and not proxy.serves("10.0.0.1")
    assert proxy.shown == "http://proxy:3128"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_never_proxied(host):
    assert not Proxy("http://proxy:3128", ()).serves(host)


async def through_a_proxy(cloud, monkeypatch, verdict):
    """Dial the cloud by way of a proxy; return what the proxy was asked."""
    asked = []
    monkeypatch.setattr("landbridge_agent.proxies._is_loopback", lambda name: False)

    async def pipe(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.decode())
        writer.write(verdict)
        if b" 200 " not in verdict:
            writer.close()
            return
        host, port = head.split(b" ")[1].decode().split(":")
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with cloud.serving() as url:
            proxy = Proxy(f"http://user:pass@127.0.0.1:{port}", ())
            answer = await client(cloud, proxy).request("GET", url + "/metadata/endpoints")
            assert answer.json()["name"] == "Small"
    finally:
        server.close()
        await asyncio.sleep(0.05)
    return asked


async def test_a_proxy_is_used_with_its_credentials(cloud, monkeypatch):
    (asked,) = await through_a_proxy(cloud, monkeypatch, b"HTTP/1.1 200 OK\r\n\r\n")
    assert asked.startswith(f"CONNECT {cloud.url.removeprefix('https://')} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in asked


async def test_a_proxy_that_refuses_is_named(cloud, monkeypatch):
    with pytest.raises(Unreachable, match="407"):
        await through_a_proxy(cloud, monkeypatch, b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
