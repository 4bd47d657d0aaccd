"""What systemd is told, over a socket as systemd has it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from landbridge_server.app.supervision import Supervisor


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path):
    """A socket that takes messages, and its address as the environment has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        if request.param == "abstract":
            sock.bind("")  # the kernel chooses one
            address = "@" + sock.getsockname()[1:].decode()
        else:
            address = str(tmp_path / "notify")
            sock.bind(address)
        yield sock, address


def test_what_is_told_arrives_as_lines(manager):
    sock, address = manager
    Supervisor.of({"NOTIFY_SOCKET": address}, 1).tell("READY=1", "STATUS=Serving")
    assert sock.recv(100) == b"READY=1\nSTATUS=Serving"


async def test_the_watchdog_hears_of_the_event_loop_until_the_block_ends(manager):
    sock, address = manager
    supervisor = Supervisor.of({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "7"}, 7)
    with supervisor.watching():
        first = await asyncio.to_thread(sock.recv, 100)
        second = await asyncio.to_thread(sock.recv, 100)
    assert first == second == b"WATCHDOG=1"
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            sock.recv(100)  # what came before the end
    await asyncio.sleep(0.05)
    with pytest.raises(BlockingIOError):
        sock.recv(100)


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "8"}, {"WATCHDOG_USEC": "0"}],
)
async def test_a_watchdog_that_is_not_for_us_hears_nothing(manager, environment):
    sock, address = manager
    with Supervisor.of({"NOTIFY_SOCKET": address, **environment}, 7).watching():
        await asyncio.sleep(0.05)
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.recv(100)


def test_nobody_who_listens_is_no_error(tmp_path):
    Supervisor().tell("READY=1")
    Supervisor(str(tmp_path / "gone")).tell("READY=1")
