"""Machines that come back with their own key, come first with one, or are given another."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from landbridge_server.ca.authority import public_key_text
from landbridge_server.ca.profiles import name
from landbridge_server.relay.pending import Refusal
from landbridge_server.testing import ControlPlane
from landbridge_wire import agent_api

DAY = 86400.0
VERSION = "2024-07-10"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def request_of(key) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("m"))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def thumbprint(chain: str) -> str:
    leaf = x509.load_pem_x509_certificate(chain.encode())
    return b64(hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).digest())


def signed(key, header: dict, claims: dict) -> str:
    text = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
    if isinstance(key, rsa.RSAPrivateKey):
        return f"{text}.{b64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"
    r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Machine:
    """A machine with a key, and what it was told."""

    def __init__(self, cloud, key, public_key: str, label: str = "web1") -> None:
        self.cloud, self.key, self.public_key = cloud, key, public_key
        self.id = (
            f"{cloud.subscription}/resourceGroups/servers/providers/Microsoft.HybridCompute/machines/{label}"
        )
        self.chain = ""

    async def put(self):
        properties = {"vmId": str(uuid.uuid4()), "clientPublicKey": self.public_key}
        body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": properties}
        answer = await self.cloud.arm("PUT", self.id, body, version=VERSION)
        assert answer.status_code == 200, answer.text

    async def enroll(self) -> None:
        message = agent_api.EnrollmentRequest(self.id, request_of(self.key), "1")
        headers = {"authorization": f"Bearer {await self.cloud.token()}"}
        answer = await self.cloud.client.post(agent_api.ENROLLMENTS, json=message.to_json(), headers=headers)
        assert answer.status_code == 201
        self.chain = answer.json()["certificate"]

    def rejoin(self, new_key=None, header=None, signer=None, **claims) -> agent_api.RejoinRequest:
        csr = request_of(new_key or ec.generate_private_key(ec.SECP256R1()))
        now = int(self.cloud.clock())
        rsa_key = isinstance(self.key, rsa.RSAPrivateKey)
        head = {"alg": "RS256" if rsa_key else "ES256"}
        if self.chain:
            head["x5t#S256"] = thumbprint(self.chain)
        body = {
            "iss": self.id,
            "aud": self.cloud.config.endpoints.resource_manager,
            "csr": b64(hashlib.sha256(csr.encode()).digest()),
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + 300,
        }
        proof = signed(signer or self.key, head | (header or {}), body | claims)
        return agent_api.RejoinRequest(self.id, csr, proof, "1")

    async def send(self, message: agent_api.RejoinRequest):
        return await self.cloud.client.post(agent_api.REJOINS, json=message.to_json())

    async def reconnect(self, key, token: str = ""):
        message = agent_api.EnrollmentRequest(self.id, request_of(key), "1")
        headers = {"authorization": f"Bearer {token or await self.cloud.token()}"}
        return await self.cloud.client.post(agent_api.RECONNECTS, json=message.to_json(), headers=headers)

    async def speaks(self, key, chain: str) -> bool:
        """Whether a token is given for this key and certificate."""
        return (await self.ask(key, chain)).status_code == 200

    async def ask(self, key, chain: str):
        """Ask for a token of the agent API with this key and certificate."""
        leaf = x509.load_pem_x509_certificate(chain.encode())
        client = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
        path = f"/{self.cloud.admin['tenantId']}/oauth2/v2.0/token"
        now = int(self.cloud.clock())
        claims = {
            "iss": client,
            "sub": client,
            "aud": self.cloud.config.endpoints.login + path,
            "jti": str(uuid.uuid4()),
            "exp": now + 300,
        }
        form = {
            "grant_type": "client_credentials",
            "client_id": client,
            "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
            "client_assertion": signed(key, {"alg": "ES256", "x5t#S256": thumbprint(chain)}, claims),
            "scope": agent_api.AUDIENCE + "/.default",
        }
        return await self.cloud.client.post(path, data=form)


async def made(cloud, key=None, public_key: str = "") -> Machine:
    await cloud.arm("PUT", cloud.subscription + "/resourcegroups/servers", {"location": "local"})
    key = key or ec.generate_private_key(ec.SECP256R1())
    machine = Machine(cloud, key, public_key or public_key_text(key.public_key()))
    await machine.put()
    return machine


@pytest.fixture
async def machine(cloud):
    machine = await made(cloud)
    await machine.enroll()
    return machine


async def created_first(cloud) -> Machine:
    """A machine that was created in the cloud with the key of ``azcmagent genkey``."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    return await made(cloud, key, base64.b64encode(der).decode())


async def test_an_expired_certificate_brings_its_machine_back_but_gives_no_token(cloud, machine):
    cloud.clock.advance(91 * DAY)
    assert not await machine.speaks(machine.key, machine.chain)
    new_key = ec.generate_private_key(ec.SECP256R1())
    answer = await machine.send(machine.rejoin(new_key))
    assert answer.status_code == 201, answer.text
    assert answer.json()["resourceId"] == machine.id
    assert await machine.speaks(new_key, answer.json()["certificate"])


async def test_beyond_the_grace_a_person_has_to_sign_in(tmp_path):
    async with ControlPlane(tmp_path, return_grace_days=10) as cloud:
        machine = await made(cloud)
        await machine.enroll()
        cloud.clock.advance(101 * DAY)
        answer = await machine.send(machine.rejoin())
        assert answer.status_code == 401
        assert "azcmagent reconnect" in answer.json()["error"]["message"]


async def test_a_machine_that_was_created_first_joins_with_its_rsa_key_and_no_token(cloud):
    machine = await created_first(cloud)
    identity = ec.generate_private_key(ec.SECP256R1())
    answer = await machine.send(machine.rejoin(identity))
    assert answer.status_code == 201, answer.text
    assert await machine.speaks(identity, answer.json()["certificate"])


async def test_the_first_key_counts_once(cloud):
    machine = await created_first(cloud)
    assert (await machine.send(machine.rejoin())).status_code == 201
    assert (await machine.send(machine.rejoin())).status_code == 401


async def test_a_proof_is_taken_once(machine):
    message = machine.rejoin()
    assert (await machine.send(message)).status_code == 201
    answer = await machine.send(message)
    assert answer.status_code == 401
    assert "used before" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "/subscriptions/x"},
        {"aud": "https://elsewhere.example"},
        {"csr": "AAAA"},
        {"exp": 1},
        {"exp": 4e9},
        {"jti": ""},
    ],
)
async def test_a_proof_of_something_else_is_refused(machine, claims):
    answer = await machine.send(machine.rejoin(**claims))
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "AuthenticationFailed"


async def test_another_key_is_refused_in_the_words_for_an_unknown_machine(cloud, machine):
    wrong = await machine.send(machine.rejoin(signer=ec.generate_private_key(ec.SECP256R1())))
    missing = Machine(cloud, machine.key, "", "nobody")
    missing.chain = machine.chain
    unknown = await missing.send(missing.rejoin())
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256"])
async def test_another_algorithm_is_refused(machine, algorithm):
    assert (await machine.send(machine.rejoin(header={"alg": algorithm}))).status_code == 401


@pytest.mark.parametrize("proof", ["", "a.b", "a.b.c", "é.é.é", "." * 100])
async def test_what_is_no_proof_is_refused(machine, proof):
    message = machine.rejoin().to_json() | {"proof": proof}
    assert (await machine.cloud.client.post(agent_api.REJOINS, json=message)).status_code == 401


async def test_the_certificate_of_another_machine_is_refused(cloud, machine):
    other = Machine(cloud, machine.key, public_key_text(machine.key.public_key()), "web2")
    await other.put()
    other.chain = machine.chain
    assert (await other.send(other.rejoin())).status_code == 401


async def test_reconnect_gives_a_new_key_and_ends_the_old_one(cloud, machine):
    new_key = ec.generate_private_key(ec.SECP256R1())
    answer = await machine.reconnect(new_key)
    assert answer.status_code == 201, answer.text
    assert await machine.speaks(new_key, answer.json()["certificate"])
    assert not await machine.speaks(machine.key, machine.chain)
    assert (await machine.send(machine.rejoin())).status_code == 401
    shown = (await cloud.arm("GET", machine.id, version=VERSION)).json()["properties"]
    assert shown["clientPublicKey"] == public_key_text(new_key.public_key())


async def test_the_onboarding_role_may_not_reconnect(cloud, machine):
    _, app_id, secret = cloud.create_service_principal(
        "onboarder", "Azure Connected Machine Onboarding", cloud.subscription
    )
    token = await cloud.token(app_id, secret)
    answer = await machine.reconnect(ec.generate_private_key(ec.SECP256R1()), token)
    assert answer.status_code == 403
    assert "machines/delete" in answer.json()["error"]["message"]
    assert await machine.speaks(machine.key, machine.chain)


async def test_a_machine_that_is_not_there_cannot_be_reconnected(cloud, machine):
    missing = Machine(cloud, machine.key, "", "nobody")
    answer = await missing.reconnect(machine.key)
    assert answer.status_code == 404


async def token_of(machine: Machine, key, chain: str) -> str:
    """A token for the agent API, by this key and certificate."""
    answer = await machine.ask(key, chain)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


async def renewed(machine: Machine, key, token: str):
    message = agent_api.CertificateRequest(request_of(key))
    headers = {"authorization": f"Bearer {token}"}
    return await machine.cloud.client.post(agent_api.CERTIFICATES, json=message.to_json(), headers=headers)


async def test_after_reconnect_a_token_of_the_old_key_does_not_renew_the_old_keys_certificate(cloud, machine):
    stolen = await token_of(machine, machine.key, machine.chain)
    assert (await renewed(machine, machine.key, stolen)).status_code == 200
    await machine.reconnect(ec.generate_private_key(ec.SECP256R1()))
    assert (await renewed(machine, machine.key, stolen)).status_code == 401


async def test_after_reconnect_the_new_key_has_tokens_in_the_same_second(cloud, machine):
    key = ec.generate_private_key(ec.SECP256R1())
    answer = await machine.reconnect(key)
    token = await token_of(machine, key, answer.json()["certificate"])
    assert (await renewed(machine, key, token)).status_code == 200


async def test_a_certificate_of_a_machine_that_was_deleted_and_made_anew_gives_no_token(cloud, machine):
    stolen = await token_of(machine, machine.key, machine.chain)
    assert (await cloud.arm("DELETE", machine.id, version=VERSION)).status_code == 200
    other = await made(cloud)
    await other.enroll()
    assert not await machine.speaks(machine.key, machine.chain)
    assert (await machine.send(machine.rejoin())).status_code == 401
    assert (await renewed(machine, machine.key, stolen)).status_code == 401


async def session(machine: Machine, token: str):
    headers = {"authorization": f"Bearer {token}"}
    message = {"agentVersion": "1"}
    answer = await machine.cloud.client.post(agent_api.SESSION, json=message, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def listens(cloud, given) -> bool:
    """Whether the relay lets in whoever brings what a session gave."""
    path = urlsplit(given["listenAddress"]).path.removeprefix("/$hc/")
    try:
        cloud.plane.broker.admit_listener(given["listenToken"], path)
    except Refusal as refusal:
        assert refusal.status == 403
        return False
    return True


async def test_after_reconnect_what_the_old_key_was_given_to_listen_with_is_refused(cloud, machine):
    given = await session(machine, await token_of(machine, machine.key, machine.chain))
    assert listens(cloud, given)
    key = ec.generate_private_key(ec.SECP256R1())
    chain = (await machine.reconnect(key)).json()["certificate"]
    assert not listens(cloud, given)
    assert listens(cloud, await session(machine, await token_of(machine, key, chain)))
