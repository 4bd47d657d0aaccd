"""The HTTPS listener: what is bounded before anybody has said who they are."""

from __future__ import annotations

import asyncio
import importlib.util
import ssl
import sys
import time
from pathlib import Path

import pytest

from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.ca.keyring import key_pem, new_key
from landbridge_server.edge.listener import Deadlines, listening, reload_certificate, server_context


def _harness() -> object:
    name, file = "relay_rehearsal", Path(__file__).parents[1] / "relay" / "rehearsal.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


serving = _harness().serving  # type: ignore[attr-defined]
Clock = _harness().Clock  # type: ignore[attr-defined]


@pytest.fixture(scope="module", params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


async def answer(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(), 10)


async def test_serves_the_application_and_says_the_date(tmp_path: Path) -> None:
    async with serving(tmp_path) as relay:
        reader, writer = await relay.raw()
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        text = await answer(reader)
    assert text.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"date: Fri, 15 Jan 2027 08:00:00 GMT\r\n" in text
    assert b"server:" not in text.lower()


async def test_a_plain_request_to_the_relay_is_told_what_is_spoken_there(tmp_path: Path) -> None:
    async with serving(tmp_path) as relay:
        reader, writer = await relay.raw()
        writer.write(b"GET /$hc/a/b?sb-hc-action=listen HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        text = await answer(reader)
    assert text.startswith(b"HTTP/1.1 400 ")
    assert b"speaks WebSocket only" in text


async def test_an_unfinished_tls_handshake_is_ended(tmp_path: Path) -> None:
    async with serving(tmp_path, deadlines=Deadlines(handshake=0.1)) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        try:
            assert await answer(reader) == b""
        except ConnectionResetError:
            pass
        writer.close()


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHost: h\r\n"])
async def test_an_unfinished_request_head_is_408(tmp_path: Path, start: bytes) -> None:
    async with serving(tmp_path, deadlines=Deadlines(head=0.1)) as relay:
        reader, writer = await relay.raw()
        writer.write(start)
        assert (await answer(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_second_head_on_the_connection_has_its_own_deadline(tmp_path: Path) -> None:
    async with serving(tmp_path, deadlines=Deadlines(head=0.3)) as relay:
        reader, writer = await relay.raw()
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET / HTTP/1.1\r\n")
        assert (await answer(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_does_not_come_ends_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path, deadlines=Deadlines(body=0.1)) as relay:
        reader, writer = await relay.raw()
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n1")
        await answer(reader)


@pytest.mark.parametrize("line_ends", [False, True])
async def test_a_head_larger_than_the_limit_is_refused(tmp_path: Path, line_ends: bool) -> None:
    async with serving(tmp_path, deadlines=Deadlines(head_size=4096)) as relay:
        reader, writer = await relay.raw()
        line = b"X: " + b"x" * 1000 + b"\r\n" if line_ends else b"x" * 1000
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nA: " + line * 10)
        text = await answer(reader)
    assert text.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


async def test_garbage_is_400(tmp_path: Path) -> None:
    async with serving(tmp_path) as relay:
        reader, writer = await relay.raw()
        writer.write(b"\x00\xff garbage\r\n\r\n")
        assert (await answer(reader)).startswith(b"HTTP/1.1 400 ")


async def test_a_reloaded_certificate_serves_the_next_handshake(tmp_path: Path) -> None:
    authority = CertificateAuthority.open(tmp_path / "ca", time.time())
    key = new_key()
    files = tmp_path / "tls.pem", tmp_path / "tls.key"
    files[1].write_bytes(key_pem(key))

    def renew() -> bytes:
        pem = authority.server_certificate(["localhost", "127.0.0.1"], key.public_key(), time.time())
        files[0].write_bytes(pem)
        return ssl.PEM_cert_to_DER_cert(
            pem.decode().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
        )

    async def app(scope: object, receive: object, send: object) -> None:
        raise NotImplementedError

    trust = ssl.create_default_context(cafile=authority.root_file)

    async def served(port: int) -> bytes:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
        return der

    first = renew()
    context = server_context(*files)
    harness = _harness()
    broker = harness.Broker(harness.Directory(), b"m" * 32, Clock())  # type: ignore[attr-defined]
    async with listening(app, broker, context, "127.0.0.1", 0, Clock()) as listener:
        assert await served(listener.port) == first
        second = renew()
        reload_certificate(context, *files)
        assert await served(listener.port) == second != first
        files[1].write_bytes(key_pem(new_key()))  # an operator has copied one of the two files
        with pytest.raises(ssl.SSLError):
            reload_certificate(context, *files)
        assert await served(listener.port) == second


async def test_an_answer_that_nobody_reads_ends_the_connection(tmp_path: Path) -> None:
    harness = _harness()
    broker = harness.Broker(harness.Directory(), b"m" * 32, Clock())  # type: ignore[attr-defined]
    ended = asyncio.Event()

    async def app(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1024):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        ended.set()  # uvicorn lets an application write into the void once its peer has left

    limits = Deadlines(body=0.2)
    async with listening(app, broker, None, "127.0.0.1", 0, Clock(), limits) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(ended.wait(), 30)
        writer.close()


async def test_the_port_is_free_again_after_the_end(tmp_path: Path) -> None:
    async with serving(tmp_path) as relay:
        port = relay.port
        reader, _ = await relay.raw()  # an idle connection must not hold up the end
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", port)
    server.close()
    assert reader


async def test_the_end_does_not_wait_for_an_answer_that_never_comes(tmp_path: Path) -> None:
    harness = _harness()
    broker = harness.Broker(harness.Directory(), b"m" * 32, Clock())  # type: ignore[attr-defined]
    asked, cancelled = asyncio.Event(), asyncio.Event()

    async def app(scope: object, receive: object, send: object) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    short = Deadlines(grace=0.05)
    async with listening(app, broker, None, "127.0.0.1", 0, Clock(), short) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await asked.wait()
    assert cancelled.is_set()
    writer.close()
