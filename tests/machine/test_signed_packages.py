"""What the cloud signs is what the agent takes: through a rotation of the root, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from landbridge_agent.extensions import signature
from landbridge_agent.extensions.built_in import CUSTOM_SCRIPT
from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_server.ca import profiles, rotation
from landbridge_server.ca.authority import DAY, CertificateAuthority
from landbridge_server.ca.code_signing import CodeSigner
from landbridge_server.ca.keyring import new_key
from landbridge_server.providers.hybrid_compute.catalogue import SHIPPED
from landbridge_server.testing import ControlPlane
from landbridge_wire.work_api import ExtensionPackage

CLAIMS = {"publisher": "Contoso", "type": "Motd", "version": "1.0.0", "digest": "ab" * 32, "size": 7}


def pem(*certificates: x509.Certificate) -> str:
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates)


def signed(signer: CodeSigner, **claims: object) -> ExtensionPackage:
    return ExtensionPackage(**CLAIMS, signature=signer.sign(CLAIMS | claims))


def takes(package: ExtensionPackage, roots: str, now: float) -> bool:
    try:
        signature.verify(package, roots, now)
    except ExtensionFailed as error:
        assert "ExtensionSignatureInvalid" in error.message
        return False
    return True


def test_what_is_built_in_is_the_same_on_both_sides() -> None:
    assert tuple(CUSTOM_SCRIPT) in [tuple(one) for one in SHIPPED]


async def test_the_agent_takes_what_either_root_of_a_rotation_vouches_for(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "cloud") as cloud:
        signer, authority, now = cloud.plane.extensions.signer, cloud.plane.authority, cloud.clock()
        seal = rotation.sealer((cloud.config.data / "keys/relay.key").read_bytes())
        old, stranger = authority.root, CertificateAuthority.open(tmp_path / "other", now).root
        assert takes(signed(signer), pem(old), now)
        assert not takes(signed(signer), pem(stranger), now)
        with cloud.plane.db.writing() as connection:
            rotation.prepare(connection, authority.folder, authority, seal, now)
            rotation.activate(connection, now)
        await cloud.plane.settle()
        new = authority.root
        assert new != old
        for trusted in ((old,), (new,), (old, new), (new, old), (stranger, new)):
            assert takes(signed(signer), pem(*trusted), now)
        with cloud.plane.db.writing() as connection:
            rotation.finish(connection)
        await cloud.plane.settle()
        assert takes(signed(signer), pem(new), now)
        assert not takes(signed(signer), pem(old), now)


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_the_agent_refuses_what_was_signed_of_something_else(tmp_path: Path, name: str) -> None:
    now = 1_800_000_000.0
    authority = CertificateAuthority.open(tmp_path / "ca", now)
    signer, roots = CodeSigner(authority, lambda: now), pem(authority.root)
    assert takes(signed(signer), roots, now)
    assert not takes(signed(signer, **{name: 8 if name == "size" else "other"}), roots, now)
    changed = dataclasses.replace(signed(signer), **{name: 8 if name == "size" else "other"})
    assert not takes(changed, roots, now)


def test_the_agent_refuses_a_signer_that_has_ended_or_is_for_something_else(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    authority = CertificateAuthority.open(tmp_path / "ca", now)
    signer, roots = CodeSigner(authority, lambda: now), pem(authority.root)
    package = signed(signer)
    assert takes(package, roots, now + 89 * DAY)
    assert not takes(package, roots, now + 91 * DAY)
    assert not takes(package, roots, now - DAY)
    key = new_key()
    server = profiles.server(["cloud.example"], key.public_key(), authority.issuing, now, 90)
    signer._key = type(signer._current()).import_key(_text(key))
    signer._header = signer._header | {"x5c": [_base64(server), *signer._header["x5c"][1:]]}
    assert not takes(signed(signer), roots, now)


def _text(key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _base64(certificate: x509.Certificate) -> str:
    return pem(certificate).replace("\n", "").split("-----")[2]
