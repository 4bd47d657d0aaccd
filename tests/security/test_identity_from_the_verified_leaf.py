"""Identity is read from the verified leaf only: the certificate that we issued, found by its hash.

A machine shows no certificate in TLS; it signs assertions (RFC 7523). Whatever else a header says
about certificates, keys or where to find them is not looked at.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.store.database import Connection

CODE = 700027


async def refused(machine, assertion):
    answer = await machine.ask(assertion)
    assert answer.status_code == 401, answer.text
    assert answer.json()["error_codes"] == [CODE]
    assert (await machine.ask()).status_code == 200  # the machine itself still may
    return answer.json()["error_description"]


def twin(machine, issuer=None, issuer_key=None):
    """Return a certificate with the subject, serial and times of the machine's, and its foreign key."""
    leaf, key = machine.leaf, ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(leaf.subject)
        .issuer_name(issuer or leaf.issuer)
        .public_key(key.public_key())
        .serial_number(leaf.serial_number)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=90))
    )
    for extension in leaf.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(issuer_key or key, hashes.SHA256()), key


def der(certificate):
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


async def test_a_forged_x5c_header_is_not_where_the_key_comes_from(cloud):
    machine = await cloud.machine()
    forged, key = twin(machine)
    await refused(machine, machine.assertion({"x5c": [der(forged)]}, key))
    await refused(machine, machine.assertion({"x5c": [der(forged), der(machine.leaf)]}, key))


async def test_a_forged_x5t_names_a_certificate_that_nobody_knows(cloud, sign):
    machine = await cloud.machine()
    forged, key = twin(machine)
    await refused(machine, machine.assertion({"x5t#S256": sign.thumbprint(forged)}, key))
    await refused(
        machine, machine.assertion({"x5t#S256": sign.thumbprint(forged), "x5c": [der(forged)]}, key)
    )


@pytest.mark.parametrize("value", ["", None, 5, ["x"], {"a": 1}, "x" * 5000, "é", "\0"])
async def test_an_x5t_that_is_none_is_refused(cloud, value):
    machine = await cloud.machine()
    await refused(machine, machine.assertion({"x5t#S256": value}))


async def test_the_sha_1_x5t_finds_nothing(cloud, sign):
    machine = await cloud.machine()
    sha1 = sign.b64(machine.leaf.fingerprint(hashes.SHA1()))
    await refused(machine, machine.assertion({"x5t": sha1, "x5t#S256": ""}))


async def test_a_key_in_the_header_is_not_used(cloud, sign):
    machine = await cloud.machine()
    _, key = twin(machine)
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256"}
    jwk |= {axis: sign.b64(getattr(numbers, axis).to_bytes(32, "big")) for axis in "xy"}
    await refused(machine, machine.assertion({"jwk": jwk}, key))
    await refused(machine, machine.assertion({"jwk": jwk, "kid": sign.thumbprint(machine.leaf)}, key))


async def test_the_thumbprint_of_one_machine_with_the_key_of_another_is_refused(cloud, sign):
    machine, other = await cloud.machine("web1"), await cloud.machine("web2")
    await refused(machine, other.assertion({"x5t#S256": sign.thumbprint(machine.leaf)}))
    ids = {"iss": machine.enrollment.clientId, "sub": machine.enrollment.clientId}
    await refused(machine, other.assertion(**ids))


async def test_a_certificate_of_another_authority_with_the_same_subject_is_unknown(cloud, sign, tmp_path):
    machine = await cloud.machine()
    key = ec.generate_private_key(ec.SECP256R1())
    authority = CertificateAuthority.open(tmp_path / "other", datetime.now(UTC).timestamp())
    issued = authority.machine_certificate(
        machine.enrollment.clientId, machine.id, key.public_key(), datetime.now(UTC).timestamp()
    )
    leaf = x509.load_pem_x509_certificate(issued.pem.encode())
    assert leaf.subject == machine.leaf.subject
    await refused(machine, machine.assertion({"x5t#S256": sign.thumbprint(leaf)}, key))


async def test_a_leaf_signed_with_a_machines_own_key_is_unknown(cloud, sign):
    machine = await cloud.machine()
    forged, key = twin(machine, machine.leaf.subject, machine.key)  # the machine plays authority
    chain = {"x5t#S256": sign.thumbprint(forged), "x5c": [der(forged), der(machine.leaf)]}
    await refused(machine, machine.assertion(chain, key))


@pytest.mark.parametrize("which", ["root", "issuing"])
async def test_the_certificates_of_the_authority_itself_are_nobodys_identity(cloud, sign, which):
    machine = await cloud.machine()
    chain = x509.load_pem_x509_certificates(machine.enrollment.certificate.encode())
    root = x509.load_pem_x509_certificate((await cloud.http.get("/ca.pem")).content)
    found = root if which == "root" else chain[-1]
    assert found.public_bytes(serialization.Encoding.DER) != machine.leaf.public_bytes(
        serialization.Encoding.DER
    )
    await refused(machine, machine.assertion({"x5t#S256": sign.thumbprint(found)}))


async def changed(machine, statement):
    """Change the machine's certificate in the store as time or an operator would, and ask."""

    def work(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    await machine.cloud.plane.plane.db.write(work)
    answer = await machine.ask()
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [CODE])
    return answer.json()["error_description"]


async def test_a_revoked_certificate_is_refused(cloud):
    machine = await cloud.machine()
    assert "revoked" in await changed(machine, "UPDATE certificates SET revoked_at = 1")


async def test_an_expired_certificate_is_refused(cloud):
    machine = await cloud.machine()
    assert "has ended" in await changed(machine, "UPDATE certificates SET not_after = 1")


async def test_a_removed_machine_has_no_identity_left(cloud):
    machine = await cloud.machine()
    token = await machine.token()
    assert (await cloud.arm("DELETE", machine.id)).status_code in (200, 204)
    assert (await machine.ask()).status_code == 401
    headers = {"authorization": f"Bearer {token}"}
    answer = await cloud.http.post("/agent/v1/session", json={}, headers=headers)
    assert answer.status_code == 401


async def test_a_client_certificate_shown_in_tls_proves_nothing(cloud, tmp_path):
    import ssl

    machine = await cloud.machine()
    pem = machine.enrollment.certificate.encode() + machine.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    tmp_path.joinpath("client.pem").write_bytes(pem)
    trust: ssl.SSLContext = cloud.plane.trusting()
    trust.load_cert_chain(tmp_path / "client.pem")
    import httpx

    async with httpx.AsyncClient(base_url=cloud.url, verify=trust) as client:
        answer = await client.post("/agent/v1/session", json={})
        assert answer.status_code == 401
        for header in ("x-client-cert", "x-arr-clientcert", "x-forwarded-client-cert", "ssl-client-cert"):
            answer = await client.post("/agent/v1/session", json={}, headers={header: der(machine.leaf)})
            assert answer.status_code == 401
