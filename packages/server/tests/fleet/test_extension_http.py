"""Packages as machines get them: which version, signed by whom, in which parts."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import uuid
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from joserfc import jws
from joserfc.jwk import ECKey
from sqlalchemy import update

from landbridge_server.ca.authority import public_key_text
from landbridge_server.ca.keyring import key_pem
from landbridge_server.ca.profiles import name
from landbridge_server.fleet import extension_packages
from landbridge_server.fleet.extension_packages import Refused
from landbridge_server.store import extensions
from landbridge_server.store.extensions import CHUNK
from landbridge_server.store.schema import extension_packages as table
from landbridge_wire import agent_api, work_api

CONTENT = bytes(range(256)) * 3000 + b"the end"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def publish(cloud, version, content=CONTENT, publisher="Contoso.Tools", kind="Motd"):
    seal = extension_packages.sealer((cloud.config.data / "keys/relay.key").read_bytes())
    names = (publisher, kind, version)
    return extension_packages.publish(
        cloud.plane.db, seal, io.BytesIO(content), names, cloud.clock, lambda _connection, _package: None
    )


def remove(cloud, version):
    names = ("Contoso.Tools", "motd", version)
    extension_packages.remove(cloud.plane.db, names, cloud.clock, lambda _connection, _package: None)


async def enrolled(cloud):
    """Connect a machine and return its token."""
    await cloud.arm("PUT", cloud.subscription + "/resourcegroups/servers", {"location": "local"})
    path = f"{cloud.subscription}/resourceGroups/servers/providers/Microsoft.HybridCompute/machines/web1"
    key = ec.generate_private_key(ec.SECP256R1())
    properties = {"vmId": str(uuid.uuid4()), "clientPublicKey": public_key_text(key.public_key())}
    body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": properties}
    await cloud.arm("PUT", path, body, version="2024-07-10")
    csr = x509.CertificateSigningRequestBuilder().subject_name(name("m")).sign(key, hashes.SHA256())
    request = agent_api.EnrollmentRequest(
        path, csr.public_bytes(serialization.Encoding.PEM).decode(), "1.61.0.0"
    )
    headers = {"authorization": f"Bearer {await cloud.token()}"}
    answer = await cloud.client.post(agent_api.ENROLLMENTS, json=request.to_json(), headers=headers)
    got = agent_api.Enrollment.from_json(answer.json())
    leaf = x509.load_pem_x509_certificate(got.certificate.encode())
    digest = base64.urlsafe_b64encode(leaf.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
    now = int(cloud.clock())
    claims = {"iss": got.clientId, "sub": got.clientId, "aud": got.tokenEndpoint, "jti": str(uuid.uuid4())}
    head = {"alg": "ES256", "typ": "JWT", "x5t#S256": digest}
    payload = json.dumps(claims | {"iat": now, "exp": now + 300}).encode()
    signer = ECKey.import_key(key_pem(key).decode())
    form = {
        "grant_type": "client_credentials",
        "client_id": got.clientId,
        "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
        "client_assertion": jws.serialize_compact(head, payload, signer, algorithms=["ES256"]),
        "scope": agent_api.AUDIENCE + "/.default",
    }
    path = got.tokenEndpoint.removeprefix(cloud.config.endpoints.login)
    return (await cloud.client.post(path, data=form)).json()["access_token"]


@pytest.fixture
async def get(cloud):
    token = await enrolled(cloud)

    async def call(version, more="", publisher="Contoso.Tools", kind="Motd", **headers):
        path = f"/agent/v1/extensions/{publisher}/{kind}/{version}{more}"
        fields = {field.replace("_", "-"): value for field, value in headers.items()}
        return await cloud.client.get(path, headers={"authorization": f"Bearer {token}"} | fields)

    return call


def test_the_paths_are_those_of_the_contract():
    assert work_api.EXTENSION_PACKAGE == "/agent/v1/extensions/{publisher}/{type}/{version}"
    assert work_api.EXTENSION_CONTENT == work_api.EXTENSION_PACKAGE + "/content"


async def test_a_machine_finds_a_package_signed_by_the_cloud(cloud, get):
    publish(cloud, "1.0.0")
    found = work_api.ExtensionPackage.from_json((await get("1.0.0", publisher="contoso.TOOLS")).json())
    assert (found.publisher, found.type, found.version) == ("Contoso.Tools", "Motd", "1.0.0")
    assert (found.digest, found.size) == (DIGEST, len(CONTENT))
    header = json.loads(base64.urlsafe_b64decode(found.signature.split(".")[0] + "=="))
    leaf, issuing = (x509.load_der_x509_certificate(base64.b64decode(one)) for one in header["x5c"])
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(
        x509.load_pem_x509_certificate((cloud.config.data / "ca/root.pem").read_bytes())
    )
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(purposes.value) == [ExtendedKeyUsageOID.CODE_SIGNING]
    pem = leaf.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    registry = jws.JWSRegistry(algorithms=["ES256"])
    registry.max_header_length = 16 * 1024
    verified = jws.deserialize_compact(found.signature, ECKey.import_key(pem.decode()), registry=registry)
    assert json.loads(verified.payload) == {
        "publisher": "Contoso.Tools",
        "type": "Motd",
        "version": "1.0.0",
        "digest": DIGEST,
        "size": len(CONTENT),
    }


async def test_the_newest_of_the_version_that_is_asked_for_is_given(cloud, get):
    for version in ("1.2.9", "1.10.2", "1.10.0", "1.2.0.0", "2.0.0.1"):
        publish(cloud, version, b"zip " + version.encode())
    for asked, given in {
        "1": "1.10.2",
        "1.2": "1.2.9",
        "1.10": "1.10.2",
        "1.2.9": "1.2.9",
        "2": "2.0.0.1",
        "2.0.0": "2.0.0.1",
        "1.2.0": "1.2.0.0",
        "latest": "2.0.0.1",
        "LATEST": "2.0.0.1",
    }.items():
        assert (await get(asked)).json()["version"] == given


async def test_what_is_not_published_is_404_and_says_what_is(cloud, get):
    publish(cloud, "1.2.9")
    for asked in ("3", "1.1", "1.2.8", "0", "10"):
        for more in ("", "/content"):
            answer = await get(asked, more)
            assert answer.status_code == 404
            assert "published are 1.2.9" in answer.json()["error"]["message"]
    assert "nothing of that publisher" in (await get("1", kind="Other")).json()["error"]["message"]


async def test_what_is_no_version_is_refused(get):
    for asked in ("x", "1.", "1.2.3.4.5", "-1", "1..2", "9999999999", "%C2%B2", "newest", "%2e%2e"):
        answer = await get(asked)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidParameter"), asked


async def test_the_zip_comes_whole_and_in_parts_that_fit(cloud, get):
    publish(cloud, "1.0.0")
    whole = await get("1", "/content")
    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert whole.headers["etag"] == f'"{DIGEST}"'
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-length"] == str(len(CONTENT))
    for first, last in ((0, 0), (CHUNK - 1, CHUNK), (5, 3 * CHUNK), (len(CONTENT) - 7, len(CONTENT) + 50)):
        part = await get("1", "/content", range=f"bytes={first}-{last}", if_range=f'"{DIGEST}"')
        end = min(last + 1, len(CONTENT))
        assert (part.status_code, part.content) == (206, CONTENT[first:end])
        assert part.headers["content-range"] == f"bytes {first}-{end - 1}/{len(CONTENT)}"
    assert (await get("1", "/content", range="bytes=-7")).content == b"the end"
    assert (await get("1", "/content", range="bytes=5-", if_range='"x"')).status_code == 200
    behind = await get("1", "/content", range=f"bytes={len(CONTENT)}-")
    assert (behind.status_code, behind.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")
    assert (await get("1", "/content", if_none_match=f'W/"{DIGEST}"')).status_code == 304


async def test_only_machines_get_packages(cloud):
    publish(cloud, "1.0.0")
    path = "/agent/v1/extensions/Contoso.Tools/Motd/1"
    assert (await cloud.client.get(path)).status_code == 401
    headers = {"authorization": f"Bearer {await cloud.token()}"}
    assert (await cloud.client.get(path, headers=headers)).status_code in (401, 403)


async def test_a_package_that_was_removed_is_gone_and_its_version_may_be_published_again(cloud, get):
    publish(cloud, "1.0.0")
    remove(cloud, "1.0.0")
    assert (await get("1")).status_code == 404
    assert cloud.plane.db.read(extensions.everyone) == []
    publish(cloud, "1.0.0", b"another")
    assert (await get("1", "/content")).content == b"another"
    with pytest.raises(Refused, match="not published"):
        remove(cloud, "1.0.1")


async def test_an_answer_that_is_under_way_ends_although_the_package_is_removed(cloud):
    made = publish(cloud, "1.0.0")
    body = cloud.plane.extensions._bytes(made, 0, made.size)
    found = await anext(body)
    remove(cloud, "1.0.0")
    async for more in body:
        found += more
    assert found == CONTENT


async def test_what_a_killed_publisher_left_is_never_seen_and_goes_after_an_hour(cloud, get):
    db = cloud.plane.db
    with db.writing() as connection:
        extensions.begin(connection, "half", "Contoso.Tools", "Motd", "1.0.0", cloud.clock())
    for number in range(40):
        with db.writing() as connection:
            assert extensions.add(connection, "half", number * CHUNK, b"x" * CHUNK, cloud.clock())
    assert (await get("1")).status_code == 404
    publish(cloud, "1.0.0")
    await cloud.plane.settle()
    assert db.read(lambda connection: extensions.get(connection, "half")) is not None
    cloud.clock.advance(extension_packages.FORGOTTEN_SECONDS + 1)
    await cloud.plane.settle()
    assert db.read(lambda connection: extensions.get(connection, "half")) is None
    assert db.read(lambda connection: extensions.chunk(connection, "half", 0)) is None
    assert db.read(lambda connection: extensions.chunk(connection, "half", 39 * CHUNK)) is None
    with db.writing() as connection:
        assert not extensions.add(connection, "half", 0, b"too late", cloud.clock())
    assert [one.version for one in db.read(extensions.everyone)] == ["1.0.0"]


async def test_a_package_that_nobody_with_the_clouds_keys_published_is_not_offered(cloud, get):
    made = publish(cloud, "1.0.0")
    forged = {"digest": "0" * 64, "size": 5, "version": "9.0.0", "seal": "bm90aGluZw=="}
    for column, value in forged.items():
        with cloud.plane.db.writing() as connection:
            connection.execute(update(table).values({column: value}))
        for more in ("", "/content"):
            answer = await get("latest", more)
            assert answer.status_code == 404
            assert "not published with this cloud's keys" in answer.json()["error"]["message"]
        with cloud.plane.db.writing() as connection:
            connection.execute(update(table).values({column: getattr(made, column)}))
    assert (await get("1")).status_code == 200


async def test_names_that_no_package_can_have_are_refused(cloud):
    versions = ("", "1", "1.0", "1.0.0.0.0", "1.0.x", "01.0.0", "1.0.0\n")
    for publisher, kind, version in (
        ("", "Motd", "1.0.0"),
        ("../x", "Motd", "1.0.0"),
        (".x", "Motd", "1.0.0"),
        ("Contoso", "a/b", "1.0.0"),
        ("Contoso", "Motd\n", "1.0.0"),
        ("Contoso", "x" * 129, "1.0.0"),
        *(("Contoso", "Motd", version) for version in versions),
    ):
        with pytest.raises(Refused):
            publish(cloud, version, publisher=publisher, kind=kind)
    assert cloud.plane.db.read(extensions.everyone) == []


async def test_a_version_is_published_once_however_it_is_written(cloud):
    publish(cloud, "1.0.0")
    for version, publisher in (("1.0.0", "Contoso.Tools"), ("1.0.0.0", "CONTOSO.tools")):
        with pytest.raises(Refused, match="published already"):
            publish(cloud, version, publisher=publisher)
    assert publish(cloud, "1.0.1", publisher="CONTOSO.tools").publisher == "Contoso.Tools"


ODD = (
    "",
    "..",
    "%00",
    "%2f",
    "%ff",
    "a b",
    "é",
    "x" * 3000,
    "1" * 400,
    "1.0.0",
    "*",
    "'--",
    "\u202e",
    "latest",
)
FIELDS = {
    "range": (
        "bytes=",
        "bytes=0-",
        "bytes=-1,2",
        "bytes=5-1",
        "bytes=" + "9" * 500,
        "items=0-1",
        "\xff",
        "bytes=0-0,",
    ),
    "if-range": ('"', 'W/"x"', "Sat, 21 Nov 2026 12:00:00 GMT", "\xff", "*"),
    "if-none-match": ("*", '"', ",,,", "W/", '"x", W/"y"', "\xff"),
}


async def test_whatever_is_asked_is_answered_without_a_fault(cloud, get):
    publish(cloud, "1.0.0")
    chance = random.Random(7)  # the same cases each time
    known = {200, 206, 304, 400, 404, 405, 416}
    for _ in range(150):
        version, publisher, kind = (quote(chance.choice(ODD), safe="%") for _ in range(3))
        if chance.random() < 0.5:
            publisher, kind, version = "contoso.tools", "motd", chance.choice(("1", "latest"))
        fields = {name: chance.choice(values).encode("latin-1") for name, values in FIELDS.items()}
        more = chance.choice(("", "/content", "/content/x", "/"))
        answer = await get(version, more, publisher, kind, **fields)
        assert answer.status_code in known, (answer.status_code, publisher, kind, version, fields)
