"""A port is authorized for each channel, not once for a handshake: a real himdsd decides at each one.

What one sender was allowed, what the machine's administrator allowed a moment ago, and what a token says
about another port open nothing for the next sender.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from relay_rehearsal import Refused, Relay

from landbridge_wire.hybrid_connections import CONFIGURATION_HEADER, TARGET_HEADER, TOKEN_HEADER
from relay_client import Target, target_of
from running import GROUP, MACHINES, Agent, ControlPlane, short_folder

ENDPOINT = "providers/Microsoft.HybridConnectivity/endpoints/default"


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    """A connected machine with its daemon; no port is listed yet."""
    folder = short_folder()
    cloud = ControlPlane(folder)
    agent = None
    try:
        cloud.prepare()
        agent = Agent(cloud, "ports")
        agent.start_daemon()
        done = agent.connect()
        assert done.returncode == 0, done.stdout
        agent.wait_connected()
        yield agent
    finally:
        if agent is not None:
            agent.stop()
        cloud.stop()
        shutil.rmtree(folder)


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


@contextlib.contextmanager
def echoing() -> Iterator[int]:
    """Serve a TCP echo beside the event loop, which calls of azcmagent hold up; yields its port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Caller:
    """Dials the machine as a sender does."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.cloud = agent, agent.cloud
        self.target: Target = target_of(agent.cloud, agent.name, 0)
        self.relay = Relay(None, None, None, time.time, agent.cloud.port, None, self.target.trust)

    async def dial(self, target: str, service_token: str = ""):
        address = f"{self.relay.base}/$hc/{self.target.path}?sb-hc-action=connect&sb-hc-id=1"
        headers = {TOKEN_HEADER: self.target.token, TARGET_HEADER: target}
        if service_token:
            headers[CONFIGURATION_HEADER] = service_token
        return await asyncio.wait_for(self.relay.dial(address, headers), 20)

    async def works(self, port: int, service_token: str = ""):
        socket = await self.dial(f"localhost:{port}", service_token)
        await socket.send(b"ping")
        assert await socket.receive_bytes(4) == b"ping"
        return socket

    async def refused(self, target: int | str, service_token: str = "") -> str:
        with pytest.raises(Refused) as refused:
            await self.dial(f"localhost:{target}" if isinstance(target, int) else target, service_token)
        assert refused.value.status in (400, 403)
        return refused.value.reason

    def list_ports(self, *ports: int) -> None:
        words = ("set", "incomingconnections.ports", ",".join(map(str, ports))) if ports else (
            "clear", "incomingconnections.ports"
        )  # fmt: skip
        done = self.agent.run("config", *words)
        assert done.returncode == 0, done.stdout

    def service_token(self, port: int) -> str:
        """Have the cloud allow a port for SSH, and return the token that says so."""
        below = f"{self.cloud.subscription}/resourceGroups/{GROUP}/providers/{MACHINES}/{self.agent.name}"
        body = {"properties": {"serviceName": "SSH", "port": port}}
        path = f"{below}/{ENDPOINT}/serviceConfigurations/SSH"
        assert self.cloud.arm("PUT", path, body, "2023-03-15").status in (200, 201)
        answer = self.cloud.arm(
            "POST", f"{below}/{ENDPOINT}/listCredentials", {"serviceName": "SSH"}, "2023-03-15"
        )
        return str(answer.body["relay"]["serviceConfigurationToken"])


@pytest.fixture
async def caller(agent):
    made = Caller(agent)
    yield made
    await made.relay.hang_up()


async def test_a_port_that_was_opened_for_one_sender_opens_no_other_port_for_the_next(caller):
    with echoing() as listed, echoing() as other:
        caller.list_ports(listed)
        standing = await caller.works(listed)
        assert "not" in await caller.refused(other)
        await standing.send(b"on")
        assert await standing.receive_bytes(2) == b"on"


async def test_a_port_that_is_taken_off_the_list_is_closed_to_the_next_channel_without_a_reconnect(caller):
    with echoing() as first, echoing() as second:
        caller.list_ports(first)
        await caller.works(first)
        caller.list_ports(second)
        await caller.refused(first)
        await caller.works(second)


async def test_the_switch_for_everything_counts_at_the_next_channel(caller):
    with echoing() as port:
        caller.list_ports(port)
        await caller.works(port)
        assert caller.agent.run("config", "set", "incomingconnections.enabled", "false").returncode == 0
        await caller.refused(port)
        assert caller.agent.run("config", "set", "incomingconnections.enabled", "true").returncode == 0
        await caller.works(port)


async def test_a_token_for_one_port_opens_that_one_alone_each_time(caller):
    with echoing() as allowed, echoing() as other:
        caller.list_ports()
        token = caller.service_token(allowed)
        await caller.works(allowed, token)
        await caller.refused(other, token)
        await caller.refused(allowed)  # the next sender needs a token, too
        await caller.works(allowed, token)


async def test_the_machines_own_list_wins_over_a_token(caller):
    with echoing() as allowed, echoing() as other:
        token = caller.service_token(allowed)
        caller.list_ports(other)
        await caller.refused(allowed, token)
        await caller.works(other, token)


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-4] + "AAAA",
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: "eyJhbGciOiJub25lIn0" + token[token.index(".") :],
        lambda token: "x",
    ],
    ids=["signature", "no signature", "alg none", "nonsense"],
)
async def test_a_forged_token_opens_nothing(caller, change):
    with echoing() as port:
        caller.list_ports()
        await caller.refused(port, change(caller.service_token(port)))


@pytest.mark.parametrize(
    "target",
    [
        "10.0.0.1:{}",
        "0.0.0.0:{}",
        "example.com:{}",
        "localhost:{}@evil:22",
        "localhost:{}:22",
        "[::]:{}",
        "{}",
    ],
)
async def test_a_listed_port_of_another_host_is_not_dialled(caller, target):
    with echoing() as port:
        caller.list_ports(port)
        await caller.refused(target.format(port))
