"""A server certificate of the operator's own: a public CA's chain, renewed under a running server."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import time

import pytest
from cryptography.hazmat.primitives import hashes

from landbridge_server.ca import profiles
from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.ca.keyring import certificate_pem, key_pem, new_key
from landbridge_server.config import Address
from landbridge_server.edge.tls import ServerTls
from landbridge_server.testing import ControlPlane


class PublicCa:
    """Another authority than ours, with an intermediate, that puts what it issues into two files."""

    def __init__(self, folder) -> None:
        self.authority = CertificateAuthority.open(folder / "public", time.time(), "Public Root")
        self.certificate, self.key = folder / "fullchain.pem", folder / "privkey.pem"

    def pair(self, days: int = 90) -> tuple[bytes, bytes]:
        key = new_key()
        leaf = profiles.server(["localhost"], key.public_key(), self.authority.issuing, time.time(), days)
        return certificate_pem(leaf, self.authority.issuing.certificate), key_pem(key)

    def write(self, chain: bytes | None, key: bytes | None) -> None:
        for path, content in ((self.certificate, chain), (self.key, key)):
            if content is not None:
                path.write_bytes(content)
                os.utime(path, ns=(time.time_ns(), time.time_ns()))


@pytest.fixture
def public(tmp_path):
    found = PublicCa(tmp_path)
    found.write(*found.pair())
    return found


@pytest.fixture
async def served(tmp_path, public):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {"tls_cert": public.certificate, "tls_key": public.key, "listen": Address("127.0.0.1", port)}
    async with ControlPlane(tmp_path / "cloud", clock=time.time, **settings) as cloud, cloud.serving():
        yield cloud


async def shown(cloud: ControlPlane, root: str) -> bytes:
    """Return the certificate that a client gets which trusts one root only."""
    context = ssl.create_default_context(cadata=root)
    _, writer = await asyncio.open_connection("localhost", cloud.config.listen.port, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return bytes(found)


async def test_clients_of_a_public_ca_need_no_step_of_trust(served, public):
    assert await shown(served, public.authority.bundle)
    with pytest.raises(ssl.SSLCertVerificationError):
        await shown(served, served.plane.authority.bundle)


async def test_a_renewed_pair_is_shown_without_a_restart(served, public):
    before = await shown(served, public.authority.bundle)
    public.write(*public.pair())
    await served.plane.settle()
    assert await shown(served, public.authority.bundle) != before


async def test_a_pair_of_which_half_is_copied_changes_nothing_and_is_logged_once(served, public, caplog):
    before = await shown(served, public.authority.bundle)
    chain, key = public.pair()
    public.write(chain, None)
    with caplog.at_level(logging.ERROR, "landbridge"):
        await served.plane.settle()
        await served.plane.settle()
    assert [record.message for record in caplog.records].count(
        "a new server certificate cannot be used; the old one stays"
    ) == 1
    assert await shown(served, public.authority.bundle) == before
    public.write(None, key)
    await served.plane.settle()
    assert await shown(served, public.authority.bundle) != before


@pytest.mark.parametrize("content", [b"", b"nonsense"])
async def test_a_damaged_or_missing_file_changes_nothing(served, public, content):
    before = await shown(served, public.authority.bundle)
    public.write(content, None)
    await served.plane.settle()
    public.certificate.unlink()
    await served.plane.settle()
    assert await shown(served, public.authority.bundle) == before


async def test_a_key_that_alone_changes_back_is_noticed(tmp_path, public):
    """A rollback of one of two files is a change, too, though the other one stays."""
    settings = {"tls_cert": public.certificate, "tls_key": public.key}
    async with ControlPlane(tmp_path / "cloud", clock=time.time, **settings) as cloud:
        tls: ServerTls = cloud.plane.tls
        chain, key = public.pair()
        public.write(None, key)
        assert not tls.renew(time.time())
        public.write(chain, None)
        assert tls.renew(time.time())


async def test_machines_certificates_still_come_from_the_clouds_own_authority(served, public):
    roots, _ = served.plane.fleet.trust()
    assert roots == ""  # whom machines trust is the operator's business then
    issued = served.plane.authority.machine_certificate(
        "app", "/machine", new_key().public_key(), time.time()
    )
    ours = served.plane.authority.issuing.certificate
    assert ours.fingerprint(hashes.SHA256()) != public.authority.issuing.certificate.fingerprint(
        hashes.SHA256()
    )
    assert issued.chain.endswith(certificate_pem(ours).decode())
