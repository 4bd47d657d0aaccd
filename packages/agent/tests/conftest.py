"""A small real cloud for the agent's tests: TLS with a CA of its own, HTTP/1.1, a relay's listener side.

It answers what the agent asks, over real sockets, and keeps what it was asked. The real control
plane is met in the tests across packages.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import io
import ipaddress
import json
import os
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from landbridge_agent.cli.run import run
from landbridge_agent.paths import Paths
from landbridge_wire import agent_api
from landbridge_wire.hybrid_connections import accept_message
from landbridge_wire.upgrade import accept_head, check_request, parse_head
from landbridge_wire.websocket import CLOSE, PING, PONG, TEXT, Control, FrameReader, Piece, encode

TENANT = "11111111-1111-4111-8111-111111111111"
SUBSCRIPTION = "22222222-2222-4222-8222-222222222222"
CLIENT, SECRET = "33333333-3333-4333-8333-333333333333", "s3cret"
KEY = b"k" * 32


class Issuer:
    """A CA on P-256."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.issue("Test CA", self.key.public_key(), ca=True)

    def issue(
        self, name: str, public: Any, ca: bool = False, days: float = 90.0, age: float = 0.01
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        issuer = name if ca else "Test CA"
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=age))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        if ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            names = x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.DNSName("cloud.test"), address]
            )
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def pem(self, certificate: x509.Certificate) -> str:
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    def server_context(self, folder: Path) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        pair = folder / "server.pem"
        pair.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + self.issue("localhost", key.public_key()).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        return context


class Asked(NamedTuple):
    """A request that came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Break a connection. Before Python 3.11.4 asyncio raises where TLS has ended already."""
    with suppress(AttributeError):
        writer.transport.abort()


class SmallCloud:
    """The cloud. Set ``answers[(method, path prefix)]`` to override what it says."""

    def __init__(self, folder: Path) -> None:
        self.issuer = Issuer()
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_text(self.issuer.pem(self.issuer.certificate))
        self.context = self.issuer.server_context(folder)
        self.url = ""
        self.asked: list[Asked] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.machines: dict[str, Any] = {}
        self.channels: list[asyncio.StreamWriter] = []
        self.data: list[asyncio.StreamWriter] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.texts: asyncio.Queue[Any] = asyncio.Queue()
        self.rendezvous: asyncio.Queue[tuple[str, asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )
        self.certificate_days, self.certificate_age = 90.0, 0.01
        self.facts: Any = None
        self.relay_open = True

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=self.context)
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self.url
        finally:
            server.close()
            self.drop()
            for writer in self.writers:
                _abort(writer)
            await asyncio.sleep(0.05)  # for the transports to close their sockets

    def drop(self) -> None:
        """Break every control channel, as a killed process does."""
        while self.channels or self.data:
            _abort((self.channels or self.data).pop())

    def said(self, method: str, path: str) -> list[Asked]:
        return [one for one in self.asked if one.method == method and one.path.startswith(path)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
            head = parse_head(raw)
            method, target, _ = head.start.split(" ")
            if head.get("Upgrade"):
                await self._websocket(head, target, reader, writer)
                return
            body = await reader.readexactly(int(head.get("Content-Length", "0")))
            asked = Asked(method, target, {name.lower(): value for name, value in head.headers}, body)
            self.asked.append(asked)
            status, answer = self._answer(asked)
            content = json.dumps(answer).encode() if answer is not None else b""
            stamp = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
            writer.write(
                f"HTTP/1.1 {status} X\r\nDate: {stamp}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
                + content
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if writer not in self.data:
                writer.close()

    # -- what it says ----------------------------------------------------------------------------

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        path = urlsplit(asked.path).path
        for (method, prefix), answer in self.answers.items():
            if method == asked.method and path.startswith(prefix):
                return answer
        if path == "/metadata/endpoints":
            login = {"loginEndpoint": self.url, "audiences": [self.url]}
            return 200, {
                "name": "Small",
                "authentication": login,
                "resourceManager": self.url,
                "portal": self.url,
            }
        if path.endswith("/token"):
            return self._token({key: value[0] for key, value in parse_qs(asked.body.decode()).items()})
        if path == agent_api.REJOINS:
            return self._enrolled(asked)
        if asked.headers.get("authorization") != "Bearer token":
            return 401, {"error": {"code": "InvalidAuthenticationToken", "message": "no"}}
        if "/machines/" in path:
            return self._machine(asked, path)
        return self._agent(asked, path)

    def _token(self, form: dict[str, str]) -> tuple[int, Any]:
        if "client_assertion" in form or form.get("client_secret") == SECRET:
            return 200, {"access_token": "token", "expires_in": 3600, "token_type": "Bearer"}
        return 401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."}

    def _machine(self, asked: Asked, path: str) -> tuple[int, Any]:
        if asked.method == "PUT":
            if path in self.machines:
                return 412, {"error": {"code": "PreconditionFailed", "message": "exists"}}
            self.machines[path] = asked.json()
            return 201, self.machines[path]
        found = self.machines.get(path)
        if asked.method == "DELETE" and found is not None:
            del self.machines[path]
            return 200, None
        if found is None:
            return 404, {"error": {"code": "ResourceNotFound", "message": "not found"}}
        return 200, found

    def _agent(self, asked: Asked, path: str) -> tuple[int, Any]:
        if path == agent_api.WITHDRAWALS:
            self.machines.pop(asked.json()["resourceId"], None)
            return 204, None
        if path in (agent_api.ENROLLMENTS, agent_api.RECONNECTS):
            return self._enrolled(asked)
        if path == agent_api.CERTIFICATES:
            return 200, {"certificate": self.chain(asked.json()["certificateSigningRequest"])}
        if path == agent_api.SESSION:
            return 200, self.session().to_json()
        if path == agent_api.FACTS:
            self.facts = asked.json()
            return 204, None
        return 200, {"factsWanted": False, "heartbeatSeconds": 300}

    def _enrolled(self, asked: Asked) -> tuple[int, Any]:
        resource = asked.json()["resourceId"]
        vm_id = self.machines[resource]["properties"]["vmId"]
        chain = self.chain(asked.json()["certificateSigningRequest"])
        enrollment = agent_api.Enrollment(resource, TENANT, "p", "c", chain, f"{self.url}/t/token", vm_id)
        return 201, enrollment.to_json()

    def chain(self, request: str) -> str:
        public = x509.load_pem_x509_csr(request.encode()).public_key()
        return self.issuer.pem(
            self.issuer.issue("machine", public, days=self.certificate_days, age=self.certificate_age)
        )

    def session(self) -> agent_api.Session:
        now = int(time.time())
        return agent_api.Session(
            resourceId=next(iter(self.machines), "/none"),
            listenAddress=self.url.replace("https", "wss") + "/$hc/machine?sb-hc-action=listen",
            listenToken="sas",
            listenTokenExpiresOn=now + 3600,
            serviceConfigurationKey=base64.b64encode(KEY).decode(),
            heartbeatSeconds=300,
            serverTime=now,
        )

    # -- the relay's listener side ---------------------------------------------------------------

    async def _websocket(
        self, head: Any, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not self.relay_open:
            writer.write(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n")
            return
        if "sb-hc-statusCode" in target:
            writer.write(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
            await self.rendezvous.put((target, reader, writer))
            return
        writer.write(accept_head(check_request(head)))
        if "sb-hc-action=accept" in target:
            self.data.append(writer)
            await self.rendezvous.put((target, reader, writer))
            return
        self.channels.append(writer)
        await self._control(reader, writer)

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader(masked=True)
        while data := await reader.read(65536):
            for event in frames.feed(data):
                if isinstance(event, Control) and event.opcode == PING:
                    writer.write(encode(PONG, event.payload))
                elif isinstance(event, Control) and event.opcode == CLOSE:
                    writer.write(encode(CLOSE, event.payload))
                    await self.texts.put({"close": int.from_bytes(event.payload[:2], "big")})
                elif isinstance(event, Piece):
                    message = json.loads(bytes(event.data))
                    await self.texts.put(message)
                    if "heartbeat" in message:
                        self.send({"heartbeatReply": {"factsWanted": False, "heartbeatSeconds": 300}})
        await self.texts.put({"lost": True})

    def send(self, message: Any) -> None:
        """Send a control message on the newest channel."""
        self.channels[-1].write(encode(TEXT, json.dumps(message).encode()))

    def invite(self, headers: dict[str, str]) -> None:
        """Tell the listener of a sender."""
        address = self.url.replace("https", "wss") + "/$hc/machine?sb-hc-action=accept&sb-hc-id=1"
        self.channels[-1].write(encode(TEXT, accept_message(address, "1", headers).encode()))


def service_token(claims: dict[str, Any], key: bytes = KEY, algorithm: str = "HS256") -> str:
    """A Service-Configuration-Token."""

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signed = f"{part({'alg': algorithm})}.{part(claims)}"
    digest = hmac.digest(key, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


class Ran(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs ``azcmagent`` in a thread of this process, over one state folder."""

    def __init__(self, root: Path, cloud: SmallCloud) -> None:
        self.paths = Paths(root, True)
        self.cloud = cloud
        self.environment = {"LANDBRIDGE_AGENT_ROOT": str(root)}

    def run(self, *words: str) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        code = run(words, self.environment, time.time, out, err)
        return Ran(code, out.getvalue(), err.getvalue())

    async def __call__(self, *words: str) -> Ran:
        return await asyncio.to_thread(self.run, *words)

    async def connect(self, *more: str, name: str = "m1") -> Ran:
        return await self(
            "connect", "--cloud", self.cloud.url, "--ca-file", str(self.cloud.ca_file),
            "-i", CLIENT, "-p", SECRET, "--tenant-id", TENANT,
            "-s", SUBSCRIPTION, "-g", "rg", "-l", "local", "-n", name, *more,
        )  # fmt: skip


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def cloud(tmp_path: Path) -> SmallCloud:
    folder = tmp_path / "cloud"
    folder.mkdir()
    return SmallCloud(folder)


@pytest.fixture
def azcmagent(tmp_path: Path, cloud: SmallCloud) -> CommandLine:
    return CommandLine(tmp_path / "machine", cloud)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A loopback port that is bound and does not listen."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def make_service_token() -> Any:
    return service_token


@pytest.fixture
def himdsd(azcmagent: CommandLine) -> Any:
    """Runs the daemon of the test's machine as a process of its own, within a block."""

    @asynccontextmanager
    async def running() -> AsyncIterator[asyncio.subprocess.Process]:
        environment = {**os.environ, **azcmagent.environment}
        command = [sys.executable, "-I", "-m", "landbridge_agent.daemon.main", "-v"]
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            process._transport.close()

    return running
