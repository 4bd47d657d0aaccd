"""The agent's half of the agent API for one machine, in process: enrols, fetches, reports, sends output."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from landbridge_server.ca.authority import public_key_text
from landbridge_server.ca.profiles import name
from landbridge_server.testing import ControlPlane
from landbridge_wire import agent_api, work_api
from landbridge_wire.work_api import Assignments, Work, WorkItem

VERSION = "2024-07-10"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class WorkingMachine:
    """A machine of one cloud, with a key of its own."""

    def __init__(self, cloud: ControlPlane, machine: str = "web1", group: str = "demo") -> None:
        """Name it; nothing is asked yet."""
        self.cloud = cloud
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.group_id = f"{cloud.subscription}/resourceGroups/{group}"
        self.id = f"{self.group_id}/providers/Microsoft.HybridCompute/machines/{machine}"
        self.enrollment: agent_api.Enrollment | None = None
        self.roots = ""
        self._token = ""

    async def enrol(self) -> None:
        """Create the group and the machine, and get its certificate and its first token."""
        cloud = self.cloud
        await cloud.arm("PUT", self.group_id, {"location": "local"})
        properties = {
            "vmId": str(uuid.uuid4()),
            "clientPublicKey": public_key_text(self.key.public_key()),
        }
        body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": properties}
        (await cloud.arm("PUT", self.id, body, version=VERSION)).raise_for_status()
        builder = x509.CertificateSigningRequestBuilder().subject_name(name("m"))
        request = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        message = agent_api.EnrollmentRequest(self.id, request, "1.61.0.0").to_json()
        headers = {"authorization": f"Bearer {await cloud.token()}"}
        answer = await cloud.client.post(agent_api.ENROLLMENTS, json=message, headers=headers)
        answer.raise_for_status()
        self.enrollment = agent_api.Enrollment.from_json(answer.json())
        await self.renew_token()

    async def renew_token(self) -> str:
        """Sign in with the machine's key (RFC 7523)."""
        enrollment = self.enrollment
        if enrollment is None:
            raise RuntimeError("The machine has not enrolled.")
        form = {
            "grant_type": "client_credentials",
            "client_id": enrollment.clientId,
            "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
            "client_assertion": self._assertion(enrollment),
            "scope": agent_api.AUDIENCE + "/.default",
        }
        path = enrollment.tokenEndpoint.removeprefix(self.cloud.config.endpoints.login)
        answer = await self.cloud.client.post(path, data=form)
        answer.raise_for_status()
        self._token = str(answer.json()["access_token"])
        return self._token

    def _assertion(self, enrollment: agent_api.Enrollment) -> str:
        leaf = x509.load_pem_x509_certificate(enrollment.certificate.encode())
        digest = hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).digest()
        now = int(self.cloud.plane.clock())
        head = {"alg": "ES256", "typ": "JWT", "x5t#S256": _b64(digest)}
        claims = {
            "iss": enrollment.clientId,
            "sub": enrollment.clientId,
            "aud": enrollment.tokenEndpoint,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + 300,
        }
        signed = ".".join(_b64(json.dumps(part).encode()) for part in (head, claims))
        r, s = utils.decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return signed + "." + _b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Call the agent API with the machine's token."""
        headers = {"authorization": f"Bearer {self._token}"}
        return await self.cloud.client.request(method, path, headers=headers, **more)

    async def fetch(self) -> list[WorkItem]:
        """Return what there is to do."""
        answer = await self.call("POST", work_api.WORK, json={})
        answer.raise_for_status()
        work = Work.from_json(answer.json())
        self.roots = work.roots
        return list(work.items)

    async def report(self, item: WorkItem, *, ended: bool = True, **more: Any) -> httpx.Response:
        """Report; further words are ``instanceView``'s, but for ``errorCode`` and ``errorMessage``."""
        error = {word: more.pop(word) for word in ("errorCode", "errorMessage") if word in more}
        properties = {"instanceView": more} if more else {}
        body = work_api.WorkReport(properties, ended, **error).to_json()
        return await self.call("POST", work_api.WORK_REPORT.format(id=item.id), json=body)

    async def output(
        self, item: WorkItem, data: bytes, offset: int = 0, stream: str = "stdout"
    ) -> httpx.Response:
        """Send a part of what a run has printed."""
        path = work_api.WORK_OUTPUT.format(id=item.id, stream=stream)
        return await self.call("POST", path, content=data, params={"offset": str(offset)})

    async def assignments(self) -> Assignments:
        """Return the machine's guest configuration assignments."""
        answer = await self.call("GET", work_api.ASSIGNMENTS)
        answer.raise_for_status()
        return Assignments.from_json(answer.json())

    async def beat(self) -> agent_api.HeartbeatReply:
        """Say over HTTPS that the machine lives."""
        message = agent_api.Heartbeat("1.61.0.0", 1, "").to_json()
        answer = await self.call("POST", agent_api.HEARTBEAT, json=message)
        answer.raise_for_status()
        return agent_api.HeartbeatReply.from_json(answer.json())
