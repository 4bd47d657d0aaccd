from __future__ import annotations

import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from landbridge_server.ca import authority as ca
from landbridge_server.ca.keyring import new_key
from landbridge_server.ca.profiles import name

NOW = 1_800_000_000.0
NAMES = ("localhost", "127.0.0.1", "::1", "management.cloud.example")


@pytest.fixture
def opened(tmp_path):
    return ca.CertificateAuthority.open(tmp_path / "ca", NOW)


def request_pem(key) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("anything"))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_openssl_verifies_the_server_chain_strictly(tmp_path, opened):
    leaf, _key, made = ca.ensure_server_certificate(opened, tmp_path / "tls", NAMES, NOW)
    command = ["openssl", "verify", "-x509_strict", "-attime", str(int(NOW)), "-purpose", "sslserver"]
    command += ["-CAfile", str(opened.root_file), "-untrusted", str(leaf), str(leaf)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert made
    assert result.returncode == 0, result.stderr


def test_a_certificate_from_the_future_is_issued_anew(tmp_path, opened):
    """The clock was years ahead when it was issued, and has been put right since."""
    wrong = NOW + 3 * 365 * 86400
    ahead = ca.CertificateAuthority.open(tmp_path / "ca", wrong)
    ca.ensure_server_certificate(ahead, tmp_path / "tls", NAMES, wrong)
    again = ca.CertificateAuthority.open(tmp_path / "ca", NOW)
    leaf, _key, made = ca.ensure_server_certificate(again, tmp_path / "tls", NAMES, NOW)
    assert made
    for path in (leaf, tmp_path / "ca" / "issuing.pem"):
        begins = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_before_utc.timestamp()
        assert begins <= NOW
    assert not ca.ensure_server_certificate(again, tmp_path / "tls", NAMES, NOW)[2]


def test_a_clock_that_is_behind_the_root_stops_nothing_and_issues_nothing_anew(tmp_path):
    first = ca.CertificateAuthority.open(tmp_path / "ca", NOW + 3600)
    again = ca.CertificateAuthority.open(tmp_path / "ca", NOW)
    assert again.issuing.pem == first.issuing.pem


def test_python_connects_with_strict_and_partial_chain_checks(tmp_path):
    import time

    now = time.time()
    opened = ca.CertificateAuthority.open(tmp_path / "ca", now)
    leaf, key, _ = ca.ensure_server_certificate(opened, tmp_path / "tls", NAMES, now)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(leaf, key)
    client = ssl.create_default_context(cafile=str(opened.root_file))
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    for host in NAMES:
        assert handshake(client, server, host) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, server, "other.example")


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> str | None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname=host)
    right = server.wrap_bio(to_server, to_client, server_side=True)
    done = False
    while not done:
        try:
            left.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            pass
        try:
            right.do_handshake()
        except ssl.SSLWantReadError:
            pass
    return left.version()


def test_keys_are_readable_by_their_owner_only(tmp_path, opened):
    ca.ensure_server_certificate(opened, tmp_path / "tls", NAMES, NOW)
    for path in (tmp_path / "ca/root.key", tmp_path / "ca/issuing.key", tmp_path / "tls/server.key"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_opening_again_keeps_the_root_and_the_issuing_authority(tmp_path, opened):
    again = ca.CertificateAuthority.open(tmp_path / "ca", NOW + 1000)
    assert again.root == opened.root
    assert again.issuing.certificate == opened.issuing.certificate


def test_a_server_certificate_is_kept_until_thirty_days_before_its_end(tmp_path, opened):
    first = ca.ensure_server_certificate(opened, tmp_path / "tls", NAMES, NOW)
    kept = ca.ensure_server_certificate(opened, tmp_path / "tls", NAMES, NOW + 59 * ca.DAY)
    renewed = ca.ensure_server_certificate(opened, tmp_path / "tls", NAMES, NOW + 61 * ca.DAY)
    assert (first[2], kept[2], renewed[2]) == (True, False, True)


def test_a_new_name_makes_a_new_server_certificate(tmp_path, opened):
    ca.ensure_server_certificate(opened, tmp_path / "tls", NAMES, NOW)
    assert ca.ensure_server_certificate(opened, tmp_path / "tls", (*NAMES, "relay.example"), NOW)[2]


def test_a_crash_between_key_and_certificate_is_mended(tmp_path, opened):
    _leaf, key, _ = ca.ensure_server_certificate(opened, tmp_path / "tls", NAMES, NOW)
    key.unlink()
    assert ca.ensure_server_certificate(opened, tmp_path / "tls", NAMES, NOW)[2]


def test_an_issuing_key_without_its_certificate_is_made_anew(tmp_path, opened):
    (tmp_path / "ca/issuing.key").unlink()
    again = ca.CertificateAuthority.open(tmp_path / "ca", NOW)
    assert again.issuing.certificate != opened.issuing.certificate
    again.issuing.certificate.verify_directly_issued_by(opened.root)


def test_without_the_root_key_an_ended_issuing_authority_is_refused(tmp_path, opened):
    (tmp_path / "ca/root.key").unlink()
    ca.CertificateAuthority.open(tmp_path / "ca", NOW + 4 * 365 * ca.DAY)
    with pytest.raises(ca.CaError, match=r"root\.key"):
        ca.CertificateAuthority.open(tmp_path / "ca", NOW + 6 * 365 * ca.DAY)


def test_a_machine_certificate_lives_ninety_days_and_names_its_resource(opened):
    issued = opened.machine_certificate("client", "/subscriptions/s/x y", new_key().public_key(), NOW)
    leaf = x509.load_pem_x509_certificate(issued.pem.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert issued.not_after - NOW == 90 * ca.DAY
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "urn:landbridge:resource:/subscriptions/s/x%20y"
    ]
    assert issued.thumbprint == ca.thumbprint(leaf)


def test_a_request_is_believed_only_with_its_own_signature():
    key = new_key()
    assert ca.public_key_text(ca.verified_request(request_pem(key))) == ca.public_key_text(key.public_key())


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_text_that_is_no_request_is_refused(text):
    with pytest.raises(ca.BadRequest, match="PKCS#10"):
        ca.verified_request(text)


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())]
)
def test_a_request_with_another_kind_of_key_is_refused(key):
    with pytest.raises(ca.BadRequest, match="P-256"):
        ca.verified_request(request_pem(key))


def test_a_request_with_a_key_or_a_signature_that_nobody_knows_is_refused():
    import base64

    def altered(old: bytes, new: bytes) -> str:
        der = base64.b64decode("".join(request_pem(new_key()).splitlines()[1:-1]))
        text = base64.b64encode(der.replace(old, new)).decode()
        return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n"

    curve, ecdsa_with_sha256 = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d040302")
    with pytest.raises(ca.BadRequest):
        ca.verified_request(altered(curve, bytes.fromhex("2a8648ce3d03017f")))
    with pytest.raises(ca.BadRequest, match="does not match its key"):
        ca.verified_request(altered(ecdsa_with_sha256, bytes.fromhex("2a8648ce3d04037f")))


def test_a_request_whose_signature_was_altered_is_refused():
    import base64

    body = "".join(request_pem(new_key()).splitlines()[1:-1])
    der = bytearray(base64.b64decode(body))
    der[-1] ^= 1
    pem = "-----BEGIN CERTIFICATE REQUEST-----\n" + base64.b64encode(der).decode()
    with pytest.raises(ca.BadRequest):
        ca.verified_request(pem + "\n-----END CERTIFICATE REQUEST-----\n")
