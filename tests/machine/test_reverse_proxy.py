"""A real nginx in front, with the configurations of the how-to page: TLS through it, or ended at it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from landbridge_server.ca import profiles
from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.ca.keyring import certificate_pem, key_pem, new_key
from landbridge_server.config import Address
from landbridge_server.testing import ControlPlane

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
DOCS = Path(__file__).parents[2] / "docs/how-to"

pytestmark = pytest.mark.skipif(
    NGINX is None or not MODULE.exists(),
    reason="needs nginx with its stream module: apt-get install nginx-light libnginx-mod-stream",
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Proxied:
    """A control plane behind nginx, and what its clients are to trust."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inner, self.outer = free_port(), free_port()
        self.public = CertificateAuthority.open(folder / "public", time.time(), "Public Root")

    @asynccontextmanager
    async def cloud(self, **settings: object) -> AsyncIterator[ControlPlane]:
        where = {
            "listen": Address("127.0.0.1", self.inner),
            "external_url": f"https://localhost:{self.outer}",
        }
        made = ControlPlane(self.folder / "cloud", clock=time.time, **where, **settings)
        async with made as plane, plane.serving():
            plane.clock.now = time.time()
            yield plane

    def configuration(self, cloud: ControlPlane, name: str) -> str:
        """The page's file with its names and ports replaced."""
        chain, key = self.folder / "fullchain.pem", self.folder / "privkey.pem"
        own = new_key()
        leaf = profiles.server(
            ["localhost", "127.0.0.1"], own.public_key(), self.public.issuing, time.time(), 30
        )
        chain.write_bytes(certificate_pem(leaf, self.public.issuing.certificate))
        key.write_bytes(key_pem(own))
        text = (DOCS / name).read_text()
        for before, after in (
            ("/etc/ssl/cloud.example.org/fullchain.pem", str(chain)),
            ("/etc/ssl/cloud.example.org/privkey.pem", str(key)),
            ("/etc/ssl/cloud.example.org/landbridge-root.pem", str(cloud.config.data / "ca/root.pem")),
            ("cloud.example.org", "localhost"),
            # The relay of "localhost" is 127.0.0.1, which no client names in its handshake.
            ("127.0.0.1:8443", f"127.0.0.1:{self.inner}"),
            ("127.0.0.1:9443", f"127.0.0.1:{self.inner}"),
            ("listen 443", f"listen 127.0.0.1:{self.outer}"),
        ):
            text = text.replace(before, after)
        return text

    @asynccontextmanager
    async def nginx(self, cloud: ControlPlane, name: str) -> AsyncIterator[None]:
        text = self.configuration(cloud, name)
        places = "".join(
            f"{kind}_temp_path {self.folder / kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        body = text if text.count("stream {") else f"http {{ access_log off;\n{places}{text} }}"
        file = self.folder / "nginx.conf"
        file.write_text(
            f"daemon off; master_process off; pid {self.folder}/pid; error_log stderr;\n"
            f"load_module {MODULE};\nevents {{}}\n{body}\n"
        )
        process = await asyncio.create_subprocess_exec(str(NGINX), "-p", str(self.folder), "-c", str(file))
        try:
            await self._answers(process)
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def _answers(self, process: asyncio.subprocess.Process) -> None:
        async with asyncio.timeout(20):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.outer)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return
        raise AssertionError("nginx did not start")


@pytest.fixture
def proxied(tmp_path: Path) -> Proxied:
    return Proxied(tmp_path)


async def session(agent: Any, ca_file: Path) -> bytes:
    """Send bytes through the relay to a service of the machine, and return what comes back."""

    served: set[asyncio.Task[None] | None] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        try:
            writer.write((await reader.read(4)).upper())  # the agent looks for host keys, and says nothing
        finally:
            writer.close()

    service = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = str(service.sockets[0].getsockname()[1])
    assert (await agent.run("config", "set", "incomingconnections.ports", port)).code == 0
    path = f"{agent.id}/providers/Microsoft.HybridConnectivity/endpoints/default/listCredentials"
    answer = await agent.cloud.arm("POST", path, {"serviceName": "SSH"}, version="2023-03-15")
    info = {"relay": answer.json()["relay"], "caFile": str(ca_file)}
    encoded = base64.b64encode(json.dumps(info).encode()).decode()
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "landbridge_client.main", "-p", port,
        env={**os.environ, "SSHPROXY_RELAY_INFO": encoded}, stdin=pipe, stdout=pipe, stderr=pipe,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"ping")
    await process.stdin.drain()
    async with asyncio.timeout(20):
        found = await process.stdout.read(4)
    async with asyncio.timeout(20):
        _, said = await process.communicate()
    service.close()
    for task in served - {None}:
        task.cancel()
    await asyncio.gather(*served - {None}, return_exceptions=True)
    assert found, said
    return found


async def connected(make_agent: Any, cloud: ControlPlane, proxied: Proxied, ca_file: Path) -> None:
    """Have a machine connect, listen and serve a session, all through nginx."""
    agent = make_agent(proxied.folder / "machine", cloud, "m1")
    words = [str(ca_file) if word == cloud.admin["caFile"] else word for word in agent.connecting()]
    ran = await agent.run(*words)
    assert ran.code == 0, ran.err
    async with agent.himdsd():
        await agent.until("Connected")
        async with asyncio.timeout(20):
            while not cloud.plane.broker.paths():
                await asyncio.sleep(0.1)
        assert await session(agent, ca_file) == b"PING"


async def test_tls_that_passes_through_needs_nothing_else(proxied, make_agent):
    async with proxied.cloud() as cloud, proxied.nginx(cloud, "nginx-passthrough.conf"):
        await connected(make_agent, cloud, proxied, cloud.config.data / "ca/root.pem")


async def test_tls_that_ends_at_the_proxy_serves_machines_and_sessions(proxied, make_agent):
    root = proxied.folder / "public/root.pem"
    async with (
        proxied.cloud(trusted_proxies=("127.0.0.1",)) as cloud,
        proxied.nginx(cloud, "nginx-terminating.conf"),
    ):
        await connected(make_agent, cloud, proxied, root)


@pytest.mark.parametrize(("trusted", "counted"), [(("127.0.0.1",), "127.0.0.2"), ((), "127.0.0.1")])
async def test_the_callers_own_address_is_what_counts(proxied, trusted, counted):
    """The caller comes from 127.0.0.2 and claims to be somebody else."""
    context = ssl.create_default_context(cafile=str(proxied.folder / "public/root.pem"))
    async with (
        proxied.cloud(trusted_proxies=trusted) as cloud,
        proxied.nginx(cloud, "nginx-terminating.conf"),
        httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=context, local_address="127.0.0.2")
        ) as client,
    ):
        form = {
            "grant_type": "password", "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
            "username": cloud.admin["userName"], "password": "wrong",
            "scope": f"{cloud.config.endpoints.audience}/.default",
        }  # fmt: skip
        url = f"https://localhost:{proxied.outer}/{cloud.admin['tenantId']}/oauth2/v2.0/token"
        answer = await client.post(url, data=form, headers={"x-forwarded-for": "198.51.100.66"})
        assert "AADSTS50126" in answer.text
        assert cloud.plane.addresses.suspicious(counted)
        assert not cloud.plane.addresses.suspicious("198.51.100.66")
