"""What a token costs the server, by the way in which a client proves who it is."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import ssl
import time
import urllib.parse
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import NameOID

from benchmarks.cloud import SQLITE, Cloud
from benchmarks.measuring import cpu_seconds
from benchmarks.report import Table, number
from landbridge_server.identity import directory, key_credentials
from landbridge_server.store.database import Database
from landbridge_wire import agent_api

TOKENS = 250
"""Of one client: so many assertions of one owner count at a time."""
Form = Callable[[], dict[str, str]]


def table() -> Table:
    """Measure and return the table; on SQLite, for a token reads little and writes at most one row."""
    with Cloud(SQLITE, 1) as cloud:
        ways = {
            "client secret": _secret(cloud),
            "assertion of a service principal, RS256": _application(cloud),
            "assertion of a machine, ES256": _machine(cloud),
        }
        made = Table(
            "Tokens, by what a client proves itself with",
            ("Client credentials by", "server CPU us", "per second of a core"),
        )
        for name, form in ways.items():
            cpu = _cpu(cloud, form)
            made.rows.append([name, number(cpu), number(1e6 / cpu)])
    made.notes = [
        "Every token is signed RS256, which all clients can verify. One kept connection, one request after "
        f"the other, {TOKENS} tokens; an assertion counts once, which is one row on the disk.",
    ]
    return made


def _cpu(cloud: Cloud, form: Form) -> float:
    context = ssl.create_default_context(cafile=str(cloud.admin.ca_file))
    link = http.client.HTTPSConnection("localhost", cloud.port, context=context)
    path = f"/{cloud.admin.tenant}/oauth2/v2.0/token"
    bodies = [urllib.parse.urlencode(form()) for _ in range(TOKENS)]
    before = cpu_seconds(cloud.pids)
    for body in bodies:
        link.request("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = link.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"The token was refused: {said.decode()}")
    spent = cpu_seconds(cloud.pids) - before
    link.close()
    return spent * 1e6 / TOKENS


def _secret(cloud: Cloud) -> Form:
    admin = cloud.admin
    form = {"grant_type": "client_credentials", "scope": f"{admin.url}/.default"}
    return lambda: form | {"client_id": admin.client_id, "client_secret": admin.client_secret}


def _application(cloud: Cloud) -> Form:
    """Give a service principal a certificate and return what makes its forms."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "benchmark")]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    db = Database(cloud.database_url)
    with db.writing() as connection:
        _, app_id, _ = directory.create_service_principal(
            connection, cloud.admin.tenant, "benchmark", time.time()
        )
        app = directory.service_principal(connection, app_id)
        key_credentials.add(connection, app, certificate, time.time())
    db.close()
    header = {"alg": "RS256", "x5t#S256": _text(certificate.fingerprint(hashes.SHA256()))}

    def form() -> dict[str, str]:
        signed = _segments(
            header, _claims(app_id, f"{cloud.admin.url}/{cloud.admin.tenant}/oauth2/v2.0/token")
        )
        signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return _form(f"{signed}.{_text(signature)}", f"{cloud.admin.url}/.default") | {"client_id": app_id}

    return form


def _machine(cloud: Cloud) -> Form:
    """Enrol the first machine and return what makes its forms."""
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(cloud.key, hashes.SHA256())
    )
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    message = agent_api.EnrollmentRequest(cloud.path(0), pem, "1.61.0.0").to_json()
    answer = cloud.arm("POST", agent_api.ENROLLMENTS, message)
    if answer.status != 201:
        raise RuntimeError(f"The machine was not enrolled: {answer.body}")
    enrolled = agent_api.Enrollment.from_json(answer.body)
    leaf = x509.load_pem_x509_certificate(enrolled.certificate.encode())
    header = {"alg": "ES256", "typ": "JWT", "x5t#S256": _text(leaf.fingerprint(hashes.SHA256()))}

    def form() -> dict[str, str]:
        signed = _segments(header, _claims(enrolled.clientId, enrolled.tokenEndpoint))
        r, s = utils.decode_dss_signature(cloud.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return _form(f"{signed}.{_text(signature)}", f"{agent_api.AUDIENCE}/.default")

    return form


def _claims(client_id: str, audience: str) -> dict[str, object]:
    now = int(time.time())
    ends = {"nbf": now - 5, "iat": now, "exp": now + 300}
    return {"iss": client_id, "sub": client_id, "aud": audience, "jti": str(uuid.uuid4()), **ends}


def _form(assertion: str, scope: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
        "client_assertion": assertion,
        "scope": scope,
        "nonce": secrets.token_hex(4),
    }


def _segments(header: dict[str, str], claims: dict[str, object]) -> str:
    return ".".join(_text(json.dumps(one).encode()) for one in (header, claims))


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
