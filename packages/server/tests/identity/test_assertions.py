from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jws
from joserfc.jwk import ECKey
from sqlalchemy import text

from landbridge_server.ca import profiles
from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.ca.keyring import certificate_pem, new_key
from landbridge_server.identity import directory
from landbridge_server.identity.keys import unverified_parts
from landbridge_server.store import machines, sign_in_limits
from landbridge_server.store.schema import used_assertions
from landbridge_wire import agent_api


def segment(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


class Machine:
    def __init__(self, cloud, folder, name="/machine") -> None:
        self.cloud = cloud
        self.key = new_key()
        now = cloud.clock()
        with cloud.db.writing() as connection:
            self.principal = directory.create_managed_identity(connection, cloud.tenant, name, "m", now)
            authority = CertificateAuthority.open(folder, now)
            issued = authority.machine_certificate(
                self.principal.app_id, "/subscriptions/s", self.key.public_key(), now
            )
            self.thumbprint = issued.thumbprint
            self.row = machines.Certificate(
                issued.serial,
                self.principal.object_id,
                issued.thumbprint,
                issued.pem,
                issued.not_before,
                issued.not_after,
                None,
            )
            machines.add_certificate(connection, self.row)

    def claims(self, **changes) -> dict:
        app_id = self.principal.app_id
        return {
            "iss": app_id,
            "sub": app_id,
            "aud": f"{self.cloud.endpoints.login}/{self.cloud.tenant}/oauth2/v2.0/token",
            "exp": self.cloud.clock() + 300,
            "jti": "once",
            **changes,
        }

    def sign(self, claims: dict, key=None, **header) -> str:
        key = key or self.key
        full = {"alg": "ES256", "typ": "JWT", "x5t#S256": self.thumbprint, **header}
        return jws.serialize_compact(full, json.dumps(claims).encode(), ECKey(key, key), registry=LENIENT)

    async def ask(self, claims=None, **changes):
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
            "client_assertion": self.sign(claims or self.claims()),
            "scope": agent_api.AUDIENCE + "/.default",
        }
        return await self.cloud.token({**form, **changes})


LENIENT = jws.JWSRegistry(strict_check_header=False)


@pytest.fixture
def machine(cloud, tmp_path):
    return Machine(cloud, tmp_path / "ca")


async def test_a_machine_gets_a_token_for_the_agent_api_for_eight_hours(cloud, machine):
    answer = await machine.ask()
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_in"] == 8 * 3600
    caller = cloud.authenticator.caller(f"Bearer {answer.json()['access_token']}", {agent_api.AUDIENCE})
    assert (caller.kind, caller.resource_key, caller.object_id) == (
        "ManagedIdentity",
        "/machine",
        machine.principal.object_id,
    )


async def test_a_machine_gets_a_token_for_arm_for_a_day(cloud, machine):
    answer = await machine.ask(scope=cloud.arm_scope, client_id=machine.principal.app_id.upper())
    claims = unverified_parts(answer.json()["access_token"])[1]
    assert (claims["aud"], claims["xms_mirid"], claims["idtyp"]) == (
        cloud.endpoints.audience,
        "/machine",
        "app",
    )
    assert answer.json()["expires_in"] == 24 * 3600 - 1


@pytest.mark.parametrize("end", ["oauth2/token", "adfs"])
async def test_each_of_our_token_endpoints_is_an_audience(cloud, machine, end):
    audience = f"{cloud.endpoints.login}/{cloud.tenant}/{end}"
    if end == "adfs":
        audience = cloud.endpoints.adfs + "/oauth2/token"
    assert (await machine.ask(machine.claims(aud=["x", audience]))).status_code == 200


async def test_an_assertion_counts_once(cloud, machine, refused):
    assert (await machine.ask()).status_code == 200
    refused(await machine.ask(), 700027, "invalid_client", 401)
    cloud.clock.advance(10)
    assert (await machine.ask(machine.claims(jti="twice"))).status_code == 200


async def test_a_thumbprint_may_be_padded(machine):
    assertion = machine.sign(machine.claims(), **{"x5t#S256": machine.thumbprint + "="})
    assert (await machine.ask(client_assertion=assertion)).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"},
        {"sub": "other"},
        {"sub": None},
        {"aud": "https://elsewhere/token"},
        {"aud": None},
        {"aud": 5},
        {"aud": [["x"]]},
        {"exp": 1_800_000_000.0},
        {"exp": 1_800_000_000 + 700},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": 10**400},
        {"nbf": 1_800_000_100},
        {"nbf": "x"},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 300},
        {"jti": 5},
    ],
)
async def test_a_wrong_claim_is_refused(machine, refused, changes):
    out_of_time = (
        changes.get("exp") in (1_800_000_000.0, 1_800_000_700) or changes.get("nbf") == 1_800_000_100
    )
    number = 700024 if out_of_time else 700027
    refused(await machine.ask(machine.claims(**changes)), number, "invalid_client", 401)
    assert (await machine.ask()).status_code == 200


async def test_another_key_is_refused(machine, refused):
    assertion = machine.sign(machine.claims(), key=new_key())
    refused(await machine.ask(client_assertion=assertion), 700027, "invalid_client", 401)


async def test_a_machine_cannot_speak_for_another(cloud, machine, tmp_path, refused):
    other = Machine(cloud, tmp_path / "ca", "/other")
    claims = machine.claims(iss=other.principal.app_id, sub=other.principal.app_id)
    refused(await machine.ask(claims), 700027, "invalid_client", 401)
    named = await machine.ask(client_id=other.principal.app_id)
    refused(named, 700027, "invalid_client", 401)


@pytest.mark.parametrize(
    "assertion",
    ["", "x", "a.b.c", "e30.e30.e30", "é.é.é", "W10.W10.AA", "." * 5, "eyJhbGciOiJFUzI1NiJ9.e30.AA"],
)
async def test_nonsense_is_refused(machine, refused, assertion):
    answer = await machine.ask(client_assertion=assertion)
    if assertion:
        refused(answer, 700027, "invalid_client", 401)
    else:  # an empty parameter counts as not sent
        refused(answer, 900144, "invalid_request")


async def test_other_algorithms_are_refused(machine, refused):
    def assertion(algorithm: str, mac: bool) -> str:
        header = {"alg": algorithm, "x5t#S256": machine.thumbprint}
        parts = [segment(json.dumps(part).encode()) for part in (header, machine.claims())]
        text = ".".join(parts)
        signature = hmac.new(machine.row.pem.encode(), text.encode(), hashlib.sha256).digest() if mac else b""
        return f"{text}.{segment(signature)}"

    for unverified in (assertion("HS256", True), assertion("none", False), assertion("ES256", False)):
        answer = await machine.ask(client_assertion=unverified)
        refused(answer, 700027, "invalid_client", 401)
    body = (await machine.ask(client_assertion=assertion("RS256", True))).json()
    assert body["error_codes"] == [700016]  # a machine is no service principal


async def test_a_certificate_with_another_kind_of_key_is_refused(cloud, machine, refused):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = profiles.name("rsa")
    now = datetime.fromtimestamp(cloud.clock(), UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    pem = certificate_pem(builder.sign(key, hashes.SHA256())).decode()
    with cloud.db.writing() as connection:
        connection.execute(text("UPDATE certificates SET pem = :pem"), {"pem": pem})
    refused(await machine.ask(), 700027, "invalid_client", 401)


async def test_a_revoked_certificate_is_refused(cloud, machine, refused):
    with cloud.db.writing() as connection:
        connection.exec_driver_sql("UPDATE certificates SET revoked_at = 1")
    refused(await machine.ask(), 700027, "invalid_client", 401)


async def test_a_certificate_that_ended_is_refused(cloud, machine, refused):
    cloud.clock.now = machine.row.not_after
    refused(await machine.ask(), 700027, "invalid_client", 401)


async def test_a_removed_machine_is_refused(cloud, machine, refused):
    with cloud.db.writing() as connection:
        directory.delete_principal(connection, machine.principal.object_id)
    refused(await machine.ask(), 700027, "invalid_client", 401)


async def test_a_disabled_machine_is_refused(cloud, machine, refused):
    with cloud.db.writing() as connection:
        directory.set_enabled(connection, machine.principal.object_id, False, cloud.clock())
    refused(await machine.ask(), 7000112, "invalid_client", 401)


async def test_the_type_of_the_assertion_must_be_named(machine, refused):
    refused(await machine.ask(client_assertion_type="x"), 700027, "invalid_client", 401)
    refused(await machine.ask(client_assertion_type=""), 900144, "invalid_request")


async def test_a_machine_cannot_ask_at_another_tenant(cloud, machine, refused):
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
        "client_assertion": machine.sign(machine.claims()),
        "scope": agent_api.AUDIENCE + "/.default",
    }
    answer = await cloud.token(form, f"/{cloud.other_tenant}/oauth2/v2.0/token")
    refused(answer, 700016, "unauthorized_client")


async def test_an_assertion_that_was_used_is_refused_at_another_node_and_after_a_restart(
    cloud, machine, keys_folder, refused
):
    assertion = machine.sign(machine.claims())
    assert (await machine.ask(client_assertion=assertion)).status_code == 200
    again = cloud.opened_again(keys_folder)
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
        "client_assertion": assertion,
        "scope": agent_api.AUDIENCE + "/.default",
    }
    refused(await again.token(form), 700027, "invalid_client", 401)
    form["client_assertion"] = machine.sign(machine.claims(jti="another"))
    assert (await again.token(form)).status_code == 200
    again.db.close()


async def test_one_assertion_that_comes_many_times_at_once_counts_once(machine):
    answers = await asyncio.gather(*(machine.ask() for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


async def test_an_assertion_that_was_refused_for_another_reason_is_not_used_up(cloud, machine, refused):
    refused(await machine.ask(client_id="x"), 700027, "invalid_client", 401)
    assert (await machine.ask()).status_code == 200


def used(connection, owner, jti, ends, now):
    return sign_in_limits.use_assertion(connection, owner, jti, ends, now, 3)


def test_used_assertions_are_bounded_for_each_owner(connection):
    assert [used(connection, "one", str(number), 100.0, 0.0) for number in range(4)] == [True] * 3 + [False]
    assert used(connection, "two", "3", 100.0, 0.0)
    assert used(connection, "one", "3", 200.0, 100.0)


def test_used_assertions_that_ended_are_removed_a_while_later(connection):
    for number in range(3):
        used(connection, str(number), "j", 10.0, 0.0)
    assert not used(connection, "0", "j", 10.0, 11.0)  # another node's clock may say that it is valid
    later = 11.0 + sign_in_limits.KEPT
    used(connection, "0", "next", later + 9, later)
    kept = connection.execute(used_assertions.select()).all()
    assert [(row.owner, row.ends_at) for row in kept] == [("0", later + 9)]
