"""The true control plane behind its true TLS port, and strangers, users and machines in front of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib.util
import json
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from landbridge_server.ca.authority import public_key_text
from landbridge_server.ca.profiles import name
from landbridge_server.config import Address
from landbridge_server.edge.connections import Room
from landbridge_server.edge.http_protocol import Deadlines
from landbridge_server.testing import ControlPlane
from landbridge_wire import agent_api
from landbridge_wire import hybrid_connections as wire

ROOT = Path(__file__).resolve().parents[2]


def _load(module_name: str, file: Path) -> Any:
    """Make the relay's harness importable: test folders are not packages."""
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, file)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
    return sys.modules[module_name]


rehearsal = _load("relay_rehearsal", ROOT / "packages/server/tests/relay/rehearsal.py")

GROUP = "resourceGroups/demo"
ENDPOINT = "providers/Microsoft.HybridConnectivity/endpoints/default"


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def json_segment(value: Any) -> str:
    return b64(json.dumps(value).encode())


class Cloud:
    """A served control plane; ``arm`` and ``http`` go over TLS, ``relay`` dials WebSockets."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.url = plane.config.endpoints.resource_manager
        self.port = plane.config.listen.port
        self.admin = plane.admin
        self.subscription = plane.subscription
        self.trust = plane.trusting()
        self.http = httpx.AsyncClient(base_url=self.url, verify=self.trust, timeout=30)
        app = plane.plane
        self.broker = app.broker
        self.relay = rehearsal.Relay(
            app.broker, app.relay, None, app.clock, self.port, Path(self.admin["caFile"]), self.trust
        )
        self._token = ""

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a TLS connection that says nothing yet."""
        opened: tuple[asyncio.StreamReader, asyncio.StreamWriter] = await self.relay.raw()
        return opened

    async def admin_token(self) -> str:
        self._token = self._token or await self.plane.token()
        return self._token

    async def arm(
        self, method: str, path: str, body: Any = None, token: str = "", version: str = "2024-07-10"
    ) -> httpx.Response:
        """Call ARM as the administrator or with a token; a path without ``/`` is in the subscription."""
        if not path.startswith(("/", "https://")):
            path = f"{self.subscription}/{path}".rstrip("/")
        path += ("&" if "?" in path else "?") + f"api-version={version}"
        headers = {"authorization": f"Bearer {token or await self.admin_token()}"}
        return await self.http.request(method, path, json=body, headers=headers)

    async def principal(self, label: str, role: str = "", scope: str = "") -> tuple[str, str]:
        """Create a service principal with a role below the subscription; return object id and token."""
        scope = f"{self.subscription}/{scope}".rstrip("/")
        made, app_id, secret = self.plane.create_service_principal(label, role, scope)
        return made, await self.plane.token(app_id, secret)

    async def machine(self, label: str = "web1") -> Machine:
        """Create and enrol a machine as an agent does."""
        assert (await self.arm("PUT", GROUP, {"location": "local"})).status_code in (200, 201)
        machine = Machine(self, label)
        await machine.enroll()
        return machine

    async def send_token(self, machine: Machine, token: str = "") -> str:
        """Return the access key that listCredentials gives."""
        answer = await self.arm("POST", f"{machine.id}/{ENDPOINT}/listCredentials", {}, token)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["relay"]["accessKey"])


class Machine:
    """An agent's half of the conversation, with a key of its own."""

    def __init__(self, cloud: Cloud, label: str) -> None:
        self.cloud = cloud
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = f"{cloud.subscription}/{GROUP}/providers/Microsoft.HybridCompute/machines/{label}"
        self.enrollment: agent_api.Enrollment

    async def enroll(self) -> None:
        properties = {
            "vmId": str(uuid.uuid4()),
            "clientPublicKey": public_key_text(self.key.public_key()),
        }
        made = await self.cloud.arm("PUT", self.id, {"location": "local", "properties": properties})
        assert made.status_code in (200, 201), made.text
        request = x509.CertificateSigningRequestBuilder().subject_name(name("m"))
        pem = request.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        message = agent_api.EnrollmentRequest(self.id, pem, "1.61.0.0")
        headers = {"authorization": f"Bearer {await self.cloud.admin_token()}"}
        answer = await self.cloud.http.post(agent_api.ENROLLMENTS, json=message.to_json(), headers=headers)
        assert answer.status_code == 201, answer.text
        self.enrollment = agent_api.Enrollment.from_json(answer.json())

    @property
    def path(self) -> str:
        """The machine's hybrid connection."""
        return f"microsoft.hybridcompute/machines/{self.enrollment.principalId}"

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.enrollment.certificate.encode())

    def assertion(
        self,
        header: dict[str, Any] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
        **claims: Any,
    ) -> str:
        """Return a signed assertion; ``header`` and ``claims`` replace members."""
        now = int(time.time())
        body = {
            "iss": self.enrollment.clientId,
            "sub": self.enrollment.clientId,
            "aud": self.enrollment.tokenEndpoint,
            "jti": str(uuid.uuid4()),
            "exp": now + 300,
        } | claims
        head = {"alg": "ES256", "typ": "JWT", "x5t#S256": thumbprint(self.leaf)} | (header or {})
        signed = f"{json_segment(head)}.{json_segment(body)}"
        r, s = utils.decode_dss_signature((key or self.key).sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    async def ask(self, assertion: str = "") -> httpx.Response:
        """Ask for a token for the agent API."""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
            "client_assertion": assertion or self.assertion(),
            "scope": agent_api.AUDIENCE + "/.default",
        }
        return await self.cloud.http.post(self.enrollment.tokenEndpoint, data=form)

    async def token(self) -> str:
        return str((await self.ask()).json()["access_token"])

    async def session(self) -> str:
        """Return the Listen token that the agent API gives."""
        headers = {"authorization": f"Bearer {await self.token()}"}
        answer = await self.cloud.http.post(
            agent_api.SESSION, json={"agentVersion": "1.61.0.0"}, headers=headers
        )
        assert answer.status_code == 200, answer.text
        found: Any = answer.json()
        return agent_api.Session.from_json(found).listenToken

    async def listen(self) -> Any:
        """Open the control channel."""
        return await self.cloud.relay.listen(self.path, await self.session())


def thumbprint(certificate: x509.Certificate) -> str:
    return b64(hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Serve = Callable[..., AbstractAsyncContextManager[Cloud]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serves a control plane: ``async with serve(deadlines, room) as cloud``."""

    @asynccontextmanager
    async def serving(deadlines: Deadlines | None = None, room: Room | None = None) -> AsyncIterator[Cloud]:
        address = Address("127.0.0.1", free_port())
        async with ControlPlane(tmp_path / "cloud", clock=time.time, listen=address) as plane:
            plane.clock.now = time.time()  # secrets that it makes begin now
            async with plane.serving(deadlines, room):
                cloud = Cloud(plane)
                try:
                    yield cloud
                finally:
                    await cloud.http.aclose()
                    await cloud.relay.hang_up()

    return serving


@pytest.fixture
async def cloud(serve: Serve) -> AsyncIterator[Cloud]:
    async with serve() as served:
        yield served


@pytest.fixture
def sign() -> Any:
    """How tests forge assertions: thumbprints, segments, base64url."""

    class Tools:
        thumbprint = staticmethod(thumbprint)
        segment = staticmethod(json_segment)
        b64 = staticmethod(b64)

    return Tools


@pytest.fixture
def token_header() -> str:
    return wire.TOKEN_HEADER
