"""A body that comes before anybody has authenticated is bounded: the server's own memory is measured."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import ControlPlane, short_folder

MIB = 1024 * 1024
AT_ONCE = 40
EACH = 8 * MIB
ALLOWED = 48 * MIB
"""What the process may grow by while 40 strangers push 8 MiB each: 320 MiB, if all were kept."""

ARM = "/subscriptions/x/resourcegroups/y"
TOKEN = "/common/oauth2/v2.0/token"
AGENT = "/agent/v1/session"


@pytest.fixture(scope="module")
def process() -> Iterator[ControlPlane]:
    """A ``landbridge up`` of its own."""
    folder = short_folder()
    started = ControlPlane(folder)
    try:
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder)


def resident(process: ControlPlane) -> int:
    """Return the highest resident memory since it was last forgotten, in bytes."""
    status = Path(f"/proc/{process.child.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def forget(process: ControlPlane) -> None:
    Path(f"/proc/{process.child.process.pid}/clear_refs").write_text("5")


async def push(process: ControlPlane, head: str, chunked: bool, slowly: bool) -> bytes:
    """Send a body for as long as the server takes it; return what it answers."""
    trust = ssl.create_default_context(cafile=str(process.admin.ca_file))
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port, ssl=trust)
    block = b"x" * (1024 if slowly else 256 * 1024)
    piece = b"%x\r\n%b\r\n" % (len(block), block) if chunked else block
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {EACH}"
    writer.write(f"{head} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n".encode())

    async def pushing() -> None:
        sent = 0
        while sent < EACH:
            writer.write(piece)
            sent += len(block)
            await asyncio.wait_for(writer.drain(), 2)
            if slowly:
                await asyncio.sleep(0.01)
                if sent > 100 * len(block):
                    return

    with contextlib.suppress(OSError, TimeoutError, ssl.SSLError):
        await pushing()
    answer = b""
    with contextlib.suppress(OSError, TimeoutError, ssl.SSLError):
        answer = await asyncio.wait_for(reader.read(4096), 2)
    writer.transport.abort()
    return answer


@pytest.mark.parametrize("slowly", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [("PUT", ARM, {401, 413}), ("POST", TOKEN, {400, 413}), ("POST", AGENT, {401, 413})],
    ids=["arm", "token", "agent"],
)
async def test_the_server_does_not_keep_what_strangers_push(process, method, path, statuses, chunked, slowly):
    forget(process)
    before = resident(process)
    answers = await asyncio.gather(
        *(push(process, f"{method} {path}", chunked, slowly) for _ in range(AT_ONCE))
    )
    assert resident(process) - before < ALLOWED
    found = {int(answer.split(b" ", 2)[1]) for answer in answers if answer}
    assert found <= statuses
    assert slowly or found or not chunked


async def test_an_endless_head_is_not_kept(process):
    trust = ssl.create_default_context(cafile=str(process.admin.ca_file))
    forget(process)
    before = resident(process)

    async def one() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", process.port, ssl=trust)
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            for _ in range(64):
                writer.write(b"x" * 64 * 1024)
                await asyncio.wait_for(writer.drain(), 2)
        try:
            return await asyncio.wait_for(reader.read(64), 5)
        except (OSError, ssl.SSLError):
            return b""
        finally:
            writer.transport.abort()

    answers = await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    assert resident(process) - before < ALLOWED
    assert {answer.split(b" ", 2)[1] for answer in answers if answer} <= {b"431", b"400"}


async def test_after_all_of_it_the_server_serves(process):
    token = process.token(process.admin.client_id, process.admin.client_secret)
    assert process.arm("GET", process.subscription, token=token).status == 200


async def test_strangers_who_do_not_speak_tls_do_not_fill_the_log_with_errors(process):
    before = len(process.child.said())
    for first in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256))):
        _, writer = await asyncio.open_connection("127.0.0.1", process.port)
        writer.write(first)
        await asyncio.sleep(0.1)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    await asyncio.sleep(0.3)
    assert '"error"' not in process.child.said()[before:]
