"""The certificate that signs packages of extensions: renewed by itself, and after a rotation another's."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from landbridge_server.ca import rotation
from landbridge_server.ca.authority import DAY, CertificateAuthority
from landbridge_server.ca.code_signing import CodeSigner
from landbridge_server.testing import ControlPlane, HandClock


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "ca"


@pytest.fixture
def signer(folder, clock):
    return CodeSigner(CertificateAuthority.open(folder, clock()), clock)


def chain(signature):
    header = json.loads(base64.urlsafe_b64decode(signature.split(".")[0] + "=="))
    return [x509.load_der_x509_certificate(base64.b64decode(one)) for one in header["x5c"]]


def signed_by(signature, certificate):
    pem = certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    registry = jws.JWSRegistry(algorithms=["ES256"])
    registry.max_header_length = 16 * 1024
    try:
        jws.deserialize_compact(signature, ECKey.import_key(pem.decode()), registry=registry)
    except JoseError:
        return False
    return True


def leads_to(certificates, root):
    for below, above in zip(certificates, [*certificates[1:], root], strict=True):
        below.verify_directly_issued_by(above)


def test_what_is_signed_leads_to_the_root(signer):
    signature = signer.sign({"size": 1})
    leaf, issuing = chain(signature)
    leads_to([leaf, issuing], signer.authority.root)
    assert signed_by(signature, leaf)
    assert not signed_by(signature, issuing)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_key_and_certificate_stay_until_30_days_before_the_end(signer, folder, clock):
    first = chain(signer.sign({}))[0]
    assert (folder / "code-signing.key").stat().st_mode & 0o777 == 0o600
    clock.advance(59 * DAY)
    assert chain(signer.sign({}))[0] == first
    clock.advance(2 * DAY)
    second = chain(signer.sign({}))[0]
    assert second != first
    assert second.not_valid_after_utc.timestamp() == pytest.approx(clock() + 90 * DAY, abs=1)


def test_a_restart_goes_on_with_the_same(signer, folder, clock):
    first = chain(signer.sign({}))
    again = CodeSigner(CertificateAuthority.open(folder, clock()), clock)
    assert chain(again.sign({})) == first


@pytest.mark.parametrize("name", ["code-signing.key", "code-signing.pem"])
@pytest.mark.parametrize("content", [b"", b"no PEM", None])
def test_what_is_damaged_or_gone_is_made_anew(signer, folder, clock, name, content):
    signer.sign({})
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    again = CodeSigner(CertificateAuthority.open(folder, clock()), clock)
    signature = again.sign({})
    assert signed_by(signature, chain(signature)[0])
    leads_to(chain(signature), again.authority.root)


async def test_a_rotation_of_the_root_takes_the_signer_along(tmp_path):
    async with ControlPlane(tmp_path / "cloud") as cloud:
        signer, authority = cloud.plane.extensions.signer, cloud.plane.authority
        folder = cloud.config.data / "ca"
        seal = rotation.sealer((cloud.config.data / "keys/relay.key").read_bytes())
        old = authority.root
        leads_to(chain(signer.sign({})), old)
        with cloud.plane.db.writing() as connection:
            rotation.prepare(connection, folder, authority, seal, cloud.clock())
        await cloud.plane.settle()
        leads_to(chain(signer.sign({})), old)
        with cloud.plane.db.writing() as connection:
            rotation.activate(connection, cloud.clock())
        await cloud.plane.settle()
        during = chain(signer.sign({}))
        assert len(during) == 3
        leads_to(during, old)
        leads_to(during[:2], authority.root)
        assert authority.root != old
        with cloud.plane.db.writing() as connection:
            rotation.finish(connection)
        await cloud.plane.settle()
        leads_to(chain(signer.sign({})), authority.root)
        assert len(chain(signer.sign({}))) == 2
