from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from landbridge_server.ca.authority import public_key_text
from landbridge_server.ca.profiles import name
from landbridge_wire import agent_api

VERSION = "2024-07-10"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Machine:
    """The agent's half of the conversation, with a key of its own."""

    def __init__(self, cloud, name: str = "web1") -> None:
        self.cloud = cloud
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = (
            f"{cloud.subscription}/resourceGroups/servers/providers/Microsoft.HybridCompute/machines/{name}"
        )
        self.enrollment: agent_api.Enrollment | None = None

    def csr(self) -> str:
        builder = x509.CertificateSigningRequestBuilder().subject_name(name("m"))
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    async def put(self, **more):
        body = {
            "location": "local",
            "identity": {"type": "SystemAssigned"},
            "properties": {
                "vmId": str(uuid.uuid4()),
                "clientPublicKey": public_key_text(self.key.public_key()),
            },
        }
        return await self.cloud.arm("PUT", self.id, body, version=VERSION, **more)

    async def enroll(self, csr: str = "", token: str = ""):
        token = token or await self.cloud.token()
        message = agent_api.EnrollmentRequest(self.id, csr or self.csr(), "1.61.0.0")
        answer = await self.cloud.client.post(
            agent_api.ENROLLMENTS, json=message.to_json(), headers={"authorization": f"Bearer {token}"}
        )
        if answer.status_code == 201:
            self.enrollment = agent_api.Enrollment.from_json(answer.json())
        return answer

    def assertion(self, **claims) -> str:
        leaf = x509.load_pem_x509_certificate(self.enrollment.certificate.encode())
        digest = hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).digest()
        now = int(self.cloud.clock())
        body = {
            "iss": self.enrollment.clientId,
            "sub": self.enrollment.clientId,
            "aud": self.enrollment.tokenEndpoint,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + 300,
        } | claims
        head = {"alg": "ES256", "typ": "JWT", "x5t#S256": b64(digest)}
        signed = ".".join(b64(json.dumps(part).encode()) for part in (head, body))
        r, s = utils.decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return signed + "." + b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    async def token(self, assertion: str = "") -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.enrollment.clientId,
            "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
            "client_assertion": assertion or self.assertion(),
            "scope": agent_api.AUDIENCE + "/.default",
        }
        path = self.enrollment.tokenEndpoint.removeprefix(self.cloud.config.endpoints.login)
        answer = await self.cloud.client.post(path, data=form)
        answer.raise_for_status()
        return answer.json()["access_token"]

    async def call(self, path: str, body, token: str = "", method: str = "POST"):
        headers = {"authorization": f"Bearer {token or await self.token()}"}
        return await self.cloud.client.request(method, path, json=body, headers=headers)


@pytest.fixture
async def machine(cloud):
    await cloud.arm("PUT", cloud.subscription + "/resourcegroups/servers", {"location": "local"})
    return Machine(cloud)


@pytest.fixture
async def enrolled(machine):
    assert (await machine.put()).status_code in (200, 201)
    assert (await machine.enroll()).status_code == 201
    return machine


async def test_a_machine_gets_its_identity_and_speaks_with_its_own_key(enrolled):
    answer = await enrolled.call(agent_api.SESSION, {"agentVersion": "1.61.0.0"})
    session = agent_api.Session.from_json(answer.json())
    assert answer.status_code == 200
    assert session.resourceId == enrolled.id
    assert enrolled.enrollment.principalId in session.listenAddress
    assert session.listenToken.startswith("SharedAccessSignature ")


async def test_a_heartbeat_makes_it_connected_and_asks_for_facts_once(cloud, enrolled):
    facts = {"agentVersion": "1.61.0.0", "detectedProperties": {"coreCount": "2"}}
    beat = {"agentVersion": "1.61.0.0", "sequence": 1, "factsDigest": agent_api.facts_digest(facts)}
    first = await enrolled.call(agent_api.HEARTBEAT, beat)
    assert first.json()["factsWanted"] is True
    assert (await enrolled.call(agent_api.FACTS, facts, method="PUT")).status_code == 204
    assert (await enrolled.call(agent_api.HEARTBEAT, beat)).json()["factsWanted"] is False
    shown = (await cloud.arm("GET", enrolled.id, version=VERSION)).json()["properties"]
    assert shown["status"] == "Connected"
    assert shown["detectedProperties"] == {"coreCount": "2"}
    assert shown["agentVersion"] == "1.61.0.0"


async def test_a_silent_machine_is_disconnected_and_later_expired(cloud, enrolled):
    await enrolled.call(agent_api.HEARTBEAT, {"agentVersion": "1.61.0.0", "sequence": 1})
    for days, status in ((0, "Connected"), (1, "Disconnected"), (91, "Expired")):
        cloud.clock.advance(days * 86400)
        assert (await cloud.arm("GET", enrolled.id, version=VERSION)).json()["properties"]["status"] == status


async def test_another_key_cannot_take_over_a_machine(cloud, enrolled):
    thief = Machine(cloud)
    answer = await thief.enroll()
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "PropertyChangeNotAllowed"


async def test_enrolling_needs_the_right_to_write_the_machine(cloud, machine):
    await machine.put()
    _, client, secret = cloud.create_service_principal("reader", "Reader")
    answer = await machine.enroll(token=await cloud.token(client, secret))
    assert answer.status_code == 403


async def test_the_refusal_does_not_say_whether_the_machine_exists(cloud, machine):
    _, client, secret = cloud.create_service_principal("reader", "Reader")
    token = await cloud.token(client, secret)
    absent = (await machine.enroll(token=token)).json()
    await machine.put()
    assert (await machine.enroll(token=token)).json() == absent


@pytest.mark.parametrize("csr", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----"])
async def test_a_signing_request_that_is_none_is_refused(machine, csr):
    await machine.put()
    answer = await machine.enroll(csr=csr or " ")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "InvalidCertificateSigningRequest"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"resourceId": 5}',
        b"[" * 10000,
        b'{"resourceId":"x","certificateSigningRequest":"y"}',
    ],
)
async def test_a_malformed_enrolment_is_refused(cloud, body):
    headers = {"authorization": f"Bearer {await cloud.token()}"}
    answer = await cloud.client.post(agent_api.ENROLLMENTS, content=body, headers=headers)
    assert answer.status_code == 400


async def test_a_failed_connect_is_undone_with_the_onboarding_role_alone(cloud, machine):
    _, client, secret = cloud.create_service_principal("onboarding", "Azure Connected Machine Onboarding")
    token = await cloud.token(client, secret)
    assert (await machine.put(token=token)).status_code in (200, 201)
    message = {"resourceId": machine.id, "clientPublicKey": public_key_text(machine.key.public_key())}
    headers = {"authorization": f"Bearer {token}"}
    answer = await cloud.client.post(agent_api.WITHDRAWALS, json=message, headers=headers)
    assert answer.status_code == 204
    assert (await cloud.arm("GET", machine.id, version=VERSION)).status_code == 404


async def test_a_machine_that_was_heard_from_cannot_be_withdrawn(cloud, enrolled):
    await enrolled.call(agent_api.HEARTBEAT, {"agentVersion": "1.61.0.0", "sequence": 1})
    message = {"resourceId": enrolled.id, "clientPublicKey": public_key_text(enrolled.key.public_key())}
    headers = {"authorization": f"Bearer {await cloud.token()}"}
    answer = await cloud.client.post(agent_api.WITHDRAWALS, json=message, headers=headers)
    assert answer.status_code == 409


async def withdraw(cloud, machine, token):
    message = {"resourceId": machine.id, "clientPublicKey": public_key_text(machine.key.public_key())}
    headers = {"authorization": f"Bearer {token}"}
    return await cloud.client.post(agent_api.WITHDRAWALS, json=message, headers=headers)


async def test_whoever_may_onboard_cannot_withdraw_what_somebody_else_has_created(cloud, enrolled):
    _, app, secret = cloud.create_service_principal("other", "Azure Connected Machine Onboarding")
    answer = await withdraw(cloud, enrolled, await cloud.token(app, secret))
    assert answer.status_code == 409
    assert "not created by this connect" in answer.json()["error"]["message"]
    assert (await withdraw(cloud, enrolled, await cloud.token())).status_code == 204


async def test_a_machine_of_an_earlier_connect_cannot_be_withdrawn(cloud, enrolled):
    cloud.clock.advance(3601)
    assert (await withdraw(cloud, enrolled, await cloud.token())).status_code == 409


@pytest.mark.parametrize("version", ["\\ud800", "x" * 257])
async def test_what_a_heartbeat_says_can_always_be_stored(cloud, enrolled, version):
    # On the control channel JSON is read by another parser: one that lets half a surrogate pass.
    body = json.loads(f'{{"agentVersion": "{version}", "sequence": 1}}')
    with pytest.raises(agent_api.MalformedMessage):
        agent_api.Heartbeat.from_json(body)


async def test_a_machine_that_is_removed_loses_access_with_the_next_call(cloud, enrolled):
    token = await enrolled.token()
    assert (await cloud.arm("DELETE", enrolled.id, version=VERSION)).status_code == 200
    answer = await enrolled.call(agent_api.SESSION, {"agentVersion": "1"}, token=token)
    assert answer.status_code == 401


async def test_a_certificate_is_renewed_and_the_new_one_counts(cloud, enrolled):
    answer = await enrolled.call(agent_api.CERTIFICATES, {"certificateSigningRequest": enrolled.csr()})
    assert answer.status_code == 200
    cloud.clock.advance(80 * 86400)
    renewed = agent_api.Certificate.from_json(answer.json()).certificate
    enrolled.enrollment = agent_api.Enrollment(**(enrolled.enrollment.to_json() | {"certificate": renewed}))
    assert (await enrolled.call(agent_api.SESSION, {"agentVersion": "1"})).status_code == 200


async def test_a_certificate_from_the_future_gets_its_machine_another(cloud, enrolled):
    """The cloud's clock was weeks ahead for a while, and the machine renewed more than once."""

    async def renew() -> float:
        answer = await enrolled.call(agent_api.CERTIFICATES, {"certificateSigningRequest": enrolled.csr()})
        assert answer.status_code == 200
        made = agent_api.Certificate.from_json(answer.json()).certificate
        enrolled.enrollment = agent_api.Enrollment(**(enrolled.enrollment.to_json() | {"certificate": made}))
        return x509.load_pem_x509_certificate(made.encode()).not_valid_before_utc.timestamp()

    right = cloud.clock()
    for _ in range(4):
        cloud.clock.advance(20 * 86400)
        assert await renew() > right
    cloud.clock.advance(right - cloud.clock())
    assert await renew() <= right
    assert (await enrolled.call(agent_api.SESSION, {"agentVersion": "1"})).status_code == 200


async def test_facts_over_their_bound_are_refused(enrolled):
    answer = await enrolled.call(agent_api.FACTS, {"detectedProperties": {"x": "y" * 70000}}, method="PUT")
    assert answer.status_code == 413


async def test_the_clock_of_the_process_does_not_matter(cloud):
    assert abs(cloud.clock() - time.time()) > 1


async def test_the_session_of_a_machine_that_was_moved_goes_on(enrolled, cloud):
    token = await enrolled.token()
    before = (await enrolled.call(agent_api.SESSION, {"agentVersion": "1.61.0.0"}, token)).json()
    target = f"{cloud.subscription}/resourceGroups/elsewhere"
    await cloud.arm("PUT", target, {"location": "local"})
    body = {"resources": [enrolled.id], "targetResourceGroup": target}
    moved = await cloud.arm("POST", f"{cloud.subscription}/resourceGroups/servers/moveResources", body)
    assert moved.status_code == 202
    for usable in (token, await enrolled.token()):
        after = (await enrolled.call(agent_api.SESSION, {"agentVersion": "1.61.0.0"}, usable)).json()
        assert after["resourceId"] == before["resourceId"].replace("/servers/", "/elsewhere/")
        assert after["listenAddress"] == before["listenAddress"]
    beat = {"agentVersion": "1.61.0.0", "sequence": 1}
    assert (await enrolled.call(agent_api.HEARTBEAT, beat, token)).status_code == 200
    shown = await cloud.arm("GET", after["resourceId"], version=VERSION)
    assert shown.json()["properties"]["status"] == "Connected"
    csr = {"certificateSigningRequest": enrolled.csr()}
    assert (await enrolled.call(agent_api.CERTIFICATES, csr, token)).status_code == 200


async def test_a_machine_reads_its_own_tags_and_location(enrolled):
    patch = {"tags": {"role": "web", "empty": ""}}
    assert (await enrolled.cloud.arm("PATCH", enrolled.id, patch, version=VERSION)).status_code == 200
    answer = await enrolled.call(agent_api.INSTANCE, None, method="GET")
    assert answer.status_code == 200, answer.text
    instance = agent_api.Instance.from_json(answer.json())
    assert instance == agent_api.Instance(enrolled.id, "local", {"role": "web", "empty": ""})


async def test_whoever_is_no_machine_reads_no_instance(enrolled):
    answer = await enrolled.call(agent_api.INSTANCE, None, await enrolled.cloud.token(), "GET")
    assert answer.status_code == 401


async def test_a_machine_gets_tokens_for_services_that_are_registered_in_its_tenant(enrolled):
    cloud = enrolled.cloud
    graph = cloud.config.endpoints.graph
    directory = {"authorization": f"Bearer {await cloud.token(scope=graph + '/.default')}"}

    async def post(path, body):
        made = await cloud.client.post(f"{graph}/v1.0{path}", json=body, headers=directory)
        assert made.status_code == 201, made.text
        return made.json()

    async def ask(resource):
        form = {
            "grant_type": "client_credentials",
            "client_id": enrolled.enrollment.clientId,
            "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
            "client_assertion": enrolled.assertion(),
            "resource": resource,
        }
        path = enrolled.enrollment.tokenEndpoint.removeprefix(cloud.config.endpoints.login)
        return (await cloud.client.post(path, data=form)).json()

    uri = "api://billing"
    app = await post("/applications", {"displayName": "billing", "identifierUris": [uri]})
    assert "AADSTS500011" in (await ask(uri))["error_description"]
    service = await post("/servicePrincipals", {"appId": app["appId"]})
    for audience in (uri, app["appId"]):
        token = (await ask(audience))["access_token"]
        middle = token.split(".")[1]
        assert json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))["aud"] == audience
        headers = {"authorization": f"Bearer {token}"}
        refused = await cloud.client.get(f"{enrolled.id}?api-version={VERSION}", headers=headers)
        assert refused.json()["error"]["code"] == "InvalidAuthenticationTokenAudience"
    where = f"{graph}/v1.0/servicePrincipals/{service['id']}"
    off = await cloud.client.patch(where, json={"accountEnabled": False}, headers=directory)
    assert off.status_code == 204, off.text
    assert "AADSTS500011" in (await ask(uri))["error_description"]
    assert "AADSTS500011" in (await ask("api://another"))["error_description"]


async def test_a_machines_token_for_the_resource_manager_names_it_and_counts_its_roles(enrolled):
    form = {
        "grant_type": "client_credentials",
        "client_id": enrolled.enrollment.clientId,
        "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
        "client_assertion": enrolled.assertion(),
        "resource": enrolled.cloud.config.endpoints.audience,
    }
    path = enrolled.enrollment.tokenEndpoint.removeprefix(enrolled.cloud.config.endpoints.login)
    answer = (await enrolled.cloud.client.post(path, data=form)).json()
    middle = answer["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    assert claims["xms_mirid"] == enrolled.id.replace("resourceGroups", "resourcegroups")
    assert claims["oid"] == claims["sub"] == enrolled.enrollment.principalId
    assert (claims["appid"], claims["idtyp"]) == (enrolled.enrollment.clientId, "app")
    assert (claims["tid"], claims["aud"]) == (enrolled.enrollment.tenantId, form["resource"])
    assert answer["expires_in"] == claims["exp"] - claims["nbf"] == 24 * 3600 - 1

    async def read():
        headers = {"authorization": f"Bearer {answer['access_token']}"}
        return await enrolled.cloud.client.get(f"{enrolled.id}?api-version={VERSION}", headers=headers)

    assert (await read()).status_code == 403
    reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    scope = enrolled.cloud.subscription
    properties = {
        "roleDefinitionId": f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{reader}",
        "principalId": enrolled.enrollment.principalId,
    }
    assignment = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    made = await enrolled.cloud.arm("PUT", assignment, {"properties": properties}, version="2022-04-01")
    assert made.status_code == 201, made.text
    assert (await read()).status_code == 200
