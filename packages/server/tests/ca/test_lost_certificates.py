"""Certificates that were issued after the backup: whose they are is proven by their chain, once."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from landbridge_server.backup.making import make
from landbridge_server.backup.restoring import restore
from landbridge_server.ca import lost_certificates
from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.ca.keyring import certificate_pem, new_key
from landbridge_server.identity import directory
from landbridge_server.store import machines
from landbridge_server.testing import ControlPlane
from landbridge_wire import agent_api

HOUR = 3600.0
DAY = 24 * HOUR


def quiet(what, done, total):
    """A progress that nobody hears."""


def signed(key, header, claims):
    """Return an ES256 JWT, whatever its header says."""
    text = b".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)
    )
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return (text + b"." + base64.urlsafe_b64encode(raw).rstrip(b"=")).decode()


class Machine:
    """An identity in a cloud, and the certificate that it got last."""

    def __init__(self, cloud, name):
        with cloud.plane.db.writing() as connection:
            tenant = cloud.plane.tenant.tenant_id
            self.principal = directory.create_managed_identity(connection, tenant, name, name, cloud.clock())
        self.issue(cloud, cloud.plane.authority)

    def issue(self, cloud, authority):
        self.key = new_key()
        self.issued = authority.machine_certificate(
            self.principal.app_id, "/machine", self.key.public_key(), cloud.clock()
        )
        self.row = machines.Certificate(
            self.issued.serial, self.principal.object_id, self.issued.thumbprint, self.issued.pem,
            self.issued.not_before, self.issued.not_after, None,
        )  # fmt: skip
        with cloud.plane.db.writing() as connection:
            machines.add_certificate(connection, self.row)
        chain = x509.load_pem_x509_certificates(self.issued.chain.encode())
        self.x5c = [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain]

    async def ask(self, cloud, jti="once", **header):
        url = f"{cloud.config.endpoints.login}/{self.principal.tenant_id}/oauth2/v2.0/token"
        claims = {"iss": self.principal.app_id, "sub": self.principal.app_id, "aud": url, "jti": jti,
                  "exp": cloud.clock() + 300}  # fmt: skip
        full = {"alg": "ES256", "typ": "JWT", "x5t#S256": self.issued.thumbprint, "x5c": self.x5c, **header}
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
            "client_assertion": signed(
                self.key, {name: one for name, one in full.items() if one is not None}, claims
            ),
            "scope": agent_api.AUDIENCE + "/.default",
        }
        return (await cloud.client.post(url, data=form)).status_code


@pytest.fixture
async def restored(tmp_path):
    """Return a function that loses what a cloud did since now: it yields the cloud as restored."""
    opened = []

    async def go(before, after):
        old = ControlPlane(tmp_path / "old")
        async with old:
            kept = before(old)
            make(old.config.data, old.config.database_url, tmp_path / "b", None, old.clock, quiet)
            old.clock.advance(HOUR)
            after(old, kept)
            old.clock.advance(HOUR)
        restore(tmp_path / "b", tmp_path / "new", "", None, old.clock, quiet)
        new = ControlPlane(tmp_path / "new")
        new.clock.now = old.clock.now + 10
        opened.append(new)
        return new, kept

    yield go
    for one in opened:
        await one.__aexit__(None, None, None)


def renewed(cloud, machine):
    machine.issue(cloud, cloud.plane.authority)


async def test_a_machine_goes_on_with_a_certificate_that_came_after_the_backup(restored):
    cloud, machine = await restored(lambda old: Machine(old, "m"), renewed)
    assert await machine.ask(cloud) == 200
    with cloud.plane.db.reading() as connection:
        assert machines.certificate_by_thumbprint(connection, machine.issued.thumbprint) == machine.row
    assert await machine.ask(cloud, jti="next", x5c=None) == 200  # known again, by its thumbprint


async def test_a_replayed_assertion_is_refused_with_such_a_certificate_too(restored):
    cloud, machine = await restored(lambda old: Machine(old, "m"), renewed)
    assert [await machine.ask(cloud), await machine.ask(cloud)] == [200, 401]


async def test_without_its_chain_it_is_not_known(restored):
    cloud, machine = await restored(lambda old: Machine(old, "m"), renewed)
    for x5c in (None, [], machine.x5c[1:], machine.x5c[:1], ["AAAA"], [5], "x", machine.x5c * 3):
        assert await machine.ask(cloud, x5c=x5c) == 401


async def test_another_authority_of_the_same_name_is_not_believed(restored, tmp_path):
    def forged(cloud, machine):
        machine.issue(cloud, CertificateAuthority.open(tmp_path / "foreign", cloud.clock()))

    cloud, machine = await restored(lambda old: Machine(old, "m"), forged)
    assert await machine.ask(cloud) == 401


async def test_the_signature_must_be_of_the_certificates_key(restored):
    cloud, machine = await restored(lambda old: Machine(old, "m"), renewed)
    machine.key = new_key()
    assert await machine.ask(cloud) == 401


async def test_a_certificate_of_another_machine_is_not_taken_for_this_one(restored):
    cloud, (one, other) = await restored(
        lambda old: (Machine(old, "a"), Machine(old, "b")), lambda old, both: renewed(old, both[0])
    )
    one.principal = other.principal
    assert await one.ask(cloud) == 401


async def test_a_machine_that_was_made_after_the_backup_is_not_known(restored):
    made = []
    cloud, _ = await restored(lambda old: None, lambda old, _: made.append(Machine(old, "late")))
    assert await made[0].ask(cloud) == 401


async def test_once_a_machine_has_another_certificate_the_lost_one_is_over(restored):
    cloud, machine = await restored(lambda old: Machine(old, "m"), renewed)
    assert await machine.ask(cloud) == 200
    with cloud.plane.db.writing() as connection:  # as 'azcmagent reconnect' does
        machines.remove_certificates(connection, machine.principal.object_id)
        new = cloud.plane.authority.machine_certificate("x", "/m", new_key().public_key(), cloud.clock())
        machines.add_certificate(
            connection,
            machine.row._replace(serial=new.serial, thumbprint=new.thumbprint, not_before=new.not_before),
        )
        assert not lost_certificates.write(connection, machine.row)
    assert await machine.ask(cloud, jti="again") == 401


async def test_what_was_taken_back_before_the_backup_does_not_return(restored):
    def before(old):
        machine = Machine(old, "m")
        with old.plane.db.writing() as connection:
            machines.remove_certificates(connection, machine.principal.object_id)
        old.clock.advance(HOUR)
        return machine

    cloud, machine = await restored(before, lambda old, machine: None)
    assert await machine.ask(cloud) == 401


async def test_a_certificate_has_its_time_as_any_other(restored):
    cloud, machine = await restored(lambda old: Machine(old, "m"), renewed)
    cloud.clock.advance(91 * DAY)
    assert await machine.ask(cloud) == 401


def test_authorities_are_read_from_a_folder_with_other_files_too(tmp_path):
    authority = CertificateAuthority.open(tmp_path, 1_800_000_000.0)
    (tmp_path / "notes.pem").write_text("no certificate")
    assert lost_certificates.authorities(tmp_path) == [certificate_pem(authority.root).decode()]


async def test_one_that_was_replaced_just_before_the_backup_does_not_return(restored):
    """The backup is taken seconds after the machine got another key: within the slack of clocks."""

    def before(old):
        machine = Machine(old, "m")
        stolen = (machine.key, machine.issued, machine.x5c)
        old.clock.advance(10)
        with old.plane.db.writing() as connection:
            machines.remove_certificates(connection, machine.principal.object_id)
        renewed(old, machine)
        machine.key, machine.issued, machine.x5c = stolen
        old.clock.advance(10)
        return machine

    cloud, machine = await restored(before, lambda old, machine: None)
    assert await machine.ask(cloud) == 401


@pytest.mark.parametrize("common_name", ["a\0b", "é" * 32, " "])
async def test_a_strangers_certificate_with_an_odd_name_is_refused(restored, common_name):
    cloud, machine = await restored(lambda old: Machine(old, "m"), renewed)
    key = new_key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.fromtimestamp(cloud.clock() - HOUR, dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=9))
        .sign(key, hashes.SHA256())
    )
    der = made.public_bytes(Encoding.DER)
    wanted = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    machine.key = key
    assert await machine.ask(cloud, x5c=[base64.b64encode(der).decode()], **{"x5t#S256": wanted}) == 401
