from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from landbridge_server.identity import directory, key_credentials
from landbridge_server.identity.keys import unverified_parts
from landbridge_wire.agent_api import CLIENT_ASSERTION_TYPE

START = 1_800_000_000.0
KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]


def segment(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def certificate(key=KEYS[0], days=30, starts=START - 60, name="deploy"):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = datetime.fromtimestamp(starts, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )


class App:
    """A service principal with a certificate, and what msal sends for it."""

    def __init__(self, cloud, name="deploy") -> None:
        self.cloud = cloud
        self.certificate = certificate()
        with cloud.db.writing() as connection:
            object_id, self.app_id, _ = directory.create_service_principal(
                connection, cloud.tenant, name, cloud.clock()
            )
            self.principal = directory.service_principal(connection, object_id)
            key_credentials.add(connection, self.principal, self.certificate, cloud.clock())

    def claims(self, **changes) -> dict:
        return {
            "iss": self.app_id,
            "sub": self.app_id,
            "aud": f"{self.cloud.endpoints.login}/{self.cloud.tenant}/oauth2/v2.0/token",
            "exp": self.cloud.clock() + 600.25,
            "iat": self.cloud.clock() + 0.25,
            "jti": "once",
            **changes,
        }

    def thumbprint(self, name="x5t") -> str:
        return key_credentials.thumbprints(self.certificate)[name]

    def sign(self, claims=None, key=KEYS[0], alg="RS256", **header) -> str:
        full = {"alg": alg, "typ": "JWT", **(header or {"x5t": self.thumbprint() + "="})}
        text = ".".join(segment(json.dumps(part).encode()) for part in (full, claims or self.claims()))
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if alg == "PS256" else padding.PKCS1v15()
        digest = hashes.SHA384() if alg == "RS384" else hashes.SHA256()
        return f"{text}.{segment(key.sign(text.encode(), scheme, digest))}"

    async def ask(self, assertion="", where=None, **changes):
        form = {
            "grant_type": "client_credentials",
            "client_id": self.app_id,
            "client_assertion_type": CLIENT_ASSERTION_TYPE,
            "client_assertion": assertion or self.sign(),
            "scope": self.cloud.arm_scope,
        }
        return await self.cloud.token({**form, **changes}, where)

    def x5c(self) -> list[str]:
        """As msal writes it: line ends inside the base64."""
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ["".join(pem.splitlines(keepends=True)[1:-1])]


@pytest.fixture
def app(cloud):
    return App(cloud)


@pytest.mark.parametrize(
    "path", ["/{tenant}/oauth2/v2.0/token", "/{tenant}/oauth2/token", "/adfs/oauth2/token"]
)
async def test_a_certificate_gives_a_token_in_every_style(cloud, app, path):
    where = path.format(tenant=cloud.tenant)
    answer = await app.ask(app.sign(app.claims(aud=cloud.endpoints.login + where)), where)
    assert answer.status_code == 200, answer.text
    caller = cloud.authenticator.caller(f"Bearer {answer.json()['access_token']}", cloud.endpoints.audiences)
    assert (caller.kind, caller.label) == ("ServicePrincipal", app.app_id)
    assert unverified_parts(answer.json()["access_token"])[1]["appidacr"] == "2"


async def test_the_tenant_may_be_named_by_its_domain(cloud, app):
    where = "/cloud.example/oauth2/v2.0/token"
    answer = await app.ask(app.sign(app.claims(aud=cloud.endpoints.login + where)), where)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("alg", ["RS256", "PS256"])
@pytest.mark.parametrize("name", ["x5t", "x5t#S256"])
async def test_both_algorithms_and_thumbprints_count(app, alg, name):
    assertion = app.sign(alg=alg, **{name: app.thumbprint(name)})
    assert (await app.ask(assertion)).status_code == 200


async def test_the_leaf_of_a_chain_must_be_the_registered_certificate(app, refused):
    assert (await app.ask(app.sign(x5c=app.x5c()))).status_code == 200
    both = app.sign(app.claims(jti="2"), x5c=app.x5c(), x5t=app.thumbprint())
    assert (await app.ask(both)).status_code == 200
    registered = app.certificate
    app.certificate = certificate(name="same key, another certificate")
    body = refused(await app.ask(app.sign(x5c=app.x5c())), 700027, "invalid_client", 401)
    assert "not registered on application" in body["error_description"]
    mixed = app.sign(x5c=app.x5c(), x5t=key_credentials.thumbprints(registered)["x5t"])
    refused(await app.ask(mixed), 700027, "invalid_client", 401)


@pytest.mark.parametrize("chain", ["x", [], [5], ["é"], ["*"], ["AAAA"], [["x"]], {"0": "x"}, ["AAAA"] * 20])
async def test_a_chain_that_is_none_is_refused(app, refused, chain):
    refused(await app.ask(app.sign(x5c=chain)), 700027, "invalid_client", 401)


@pytest.mark.parametrize("header", [{"x5t": 5}, {"x5t": "é"}, {"x5t": ""}, {"kid": "x"}, {"x5t#S256": ["a"]}])
async def test_a_header_that_names_no_certificate_is_refused(app, refused, header):
    refused(await app.ask(app.sign(**header)), 700027, "invalid_client", 401)


async def test_another_key_is_refused(app, refused):
    refused(await app.ask(app.sign(key=KEYS[1])), 700027, "invalid_client", 401)


async def test_an_assertion_counts_once(app, refused):
    assertion = app.sign()
    assert (await app.ask(assertion)).status_code == 200
    refused(await app.ask(assertion), 700027, "invalid_client", 401)
    answers = await asyncio.gather(*(app.ask(app.sign(app.claims(jti="many"))) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"aud": "https://elsewhere/token"}, 700027),
        ({"aud": None}, 700027),
        ({"sub": "other"}, 700027),
        ({"iss": 5, "sub": 5}, 700027),
        ({"exp": START}, 700024),
        ({"exp": START + 700}, 700024),
        ({"nbf": START + 100}, 700024),
        ({"exp": "soon"}, 700027),
        ({"exp": float("nan")}, 700027),
        ({"jti": None}, 700027),
    ],
)
async def test_a_wrong_claim_is_refused(app, refused, changes, number):
    refused(await app.ask(app.sign(app.claims(**changes))), number, "invalid_client", 401)
    assert (await app.ask()).status_code == 200


async def test_the_public_key_is_no_secret_and_no_other_algorithm_counts(app, refused):
    public = app.certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for alg in ("HS256", "none"):
        header = {"alg": alg, "x5t": app.thumbprint()}
        parts = [json.dumps(part).encode() for part in (header, app.claims())]
        text = ".".join(segment(part) for part in parts)
        mac = hmac.new(public, text.encode(), hashlib.sha256).digest() if alg == "HS256" else b""
        forged = f"{text}.{segment(mac)}"
        refused(await app.ask(forged), 700027, "invalid_client", 401)
    refused(await app.ask(app.sign(alg="RS384", x5t=app.thumbprint())), 700027, "invalid_client", 401)


async def test_a_signature_of_one_algorithm_is_not_one_of_the_other(app, refused):
    header, _, rest = app.sign().partition(".")
    changed = json.loads(base64.urlsafe_b64decode(header + "==")) | {"alg": "PS256"}
    header = segment(json.dumps(changed).encode())
    refused(await app.ask(f"{header}.{rest}"), 700027, "invalid_client", 401)


async def test_an_application_cannot_speak_for_another(cloud, app, refused):
    other = App(cloud, "other")
    claims = app.claims(iss=other.app_id, sub=other.app_id)
    with cloud.db.writing() as connection:
        key_credentials.remove(connection, other.principal, other.thumbprint("x5t#S256"))
    refused(await app.ask(app.sign(claims), client_id=other.app_id), 700027, "invalid_client", 401)
    refused(await app.ask(client_id=other.app_id), 700027, "invalid_client", 401)


async def test_an_unknown_application_is_named(app, refused):
    body = refused(await app.ask(app.sign(app.claims(iss="x", sub="x"))), 700016, "unauthorized_client")
    assert "'x' was not found" in body["error_description"]


async def test_a_certificate_that_ended_is_refused(cloud, app, refused):
    cloud.clock.advance(31 * 86400)
    body = refused(await app.ask(), 700027, "invalid_client", 401)
    assert "The key used is expired" in body["error_description"]


async def test_a_disabled_application_is_refused(cloud, app, refused):
    with cloud.db.writing() as connection:
        directory.set_enabled(connection, app.principal.object_id, False, cloud.clock())
    refused(await app.ask(), 7000112, "invalid_client", 401)


async def test_an_application_of_another_tenant_is_not_found(cloud, app, refused):
    where = f"/{cloud.other_tenant}/oauth2/v2.0/token"
    refused(await app.ask(where=where), 700016, "unauthorized_client")


async def test_secret_and_assertion_at_once_are_refused(app, refused):
    refused(await app.ask(client_secret="x"), 9002313, "invalid_request")


def test_a_certificate_is_read_from_pem_or_der_beside_its_key():
    made = certificate()
    pem = made.public_bytes(serialization.Encoding.PEM)
    key = KEYS[0].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for content in (pem, key + pem, key_credentials.der(made)):
        assert key_credentials.read_certificate(content) == made


@pytest.mark.parametrize("content", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nx", b"x" * 100_000])
def test_a_file_without_a_certificate_is_refused(content):
    with pytest.raises(directory.DirectoryError):
        key_credentials.read_certificate(content)


def test_a_key_that_clients_cannot_sign_with_is_refused():
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    for key in (ec.generate_private_key(ec.SECP256R1()), weak):
        with pytest.raises(directory.DirectoryError, match="RSA key"):
            key_credentials.read_certificate(key_credentials.der(certificate(key)))


def test_certificates_are_bounded_unique_and_not_over(cloud, app, connection):
    with pytest.raises(directory.DirectoryError, match="already"):
        key_credentials.add(connection, app.principal, app.certificate, START)
    with pytest.raises(directory.DirectoryError, match="ended"):
        key_credentials.add(connection, app.principal, certificate(days=1), START + 90_000)
    for _ in range(key_credentials.PER_APPLICATION - 1):
        key_credentials.add(connection, app.principal, certificate(), START)
    with pytest.raises(directory.DirectoryError, match="remove one first"):
        key_credentials.add(connection, app.principal, certificate(), START)
    user = directory.list_users(connection)[0]
    with pytest.raises(directory.DirectoryError, match="not a service principal"):
        key_credentials.add(connection, user, certificate(), START)
