"""Issuer and audience are checked on every route that takes a token: the real table is walked."""

from __future__ import annotations

import hashlib
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jws
from joserfc.jwk import RSAKey

from landbridge_server.edge.route import Bearer
from landbridge_server.edge.routes import table
from landbridge_server.identity import tenancy
from landbridge_wire import agent_api

OTHER_TENANT = "11111111-2222-3333-4444-555555555555"


class Forge:
    """Makes tokens: with the cloud's own key, to see that the claims count; and without it."""

    def __init__(self, cloud, sign):
        self.cloud, self.sign = cloud, sign
        self.keys = cloud.plane.plane.identity.service.keys
        self.public = next(iter(self.keys._keys.values()))

    def claims(self, audience, **changes):
        now = int(time.time())
        admin = self.cloud.admin
        found = self.cloud.plane.plane.db.read(
            lambda connection: connection.exec_driver_sql(
                "SELECT object_id FROM principals WHERE app_id = ?", (admin["clientId"],)
            ).scalar()
        )
        return {
            "aud": audience,
            "iss": tenancy.issuer(self.cloud.plane.plane.endpoints, admin["tenantId"]),
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            "oid": found,
            "sub": found,
            "tid": admin["tenantId"],
            "appid": admin["clientId"],
            "idtyp": "app",
            "ver": "1.0",
        } | changes

    def ours(self, audience, **changes):
        """Sign as the cloud would: only the claims are wrong."""
        return self.keys.sign(self.claims(audience, **changes))

    def with_header(self, audience, header, signature=b""):
        text = f"{self.sign.segment(header)}.{self.sign.segment(self.claims(audience))}"
        made = signature(text.encode()) if callable(signature) else signature
        return f"{text}.{self.sign.b64(made)}"


def bearer_routes(cloud):
    """Yield method, path and one accepted audience of each row that takes a token."""
    for path, methods in table(cloud.plane.plane).items():
        for method, endpoint in methods.items():
            if isinstance(endpoint.access, Bearer):
                yield method, path.replace("{rest:path}", "x"), endpoint.access


async def refused_everywhere(cloud, make):
    """Send a token that ``make(audience)`` made to every protected route; each must refuse it with 401."""
    walked = 0
    for method, path, access in bearer_routes(cloud):
        token = make(sorted(access.audiences)[0], path)
        headers = {"authorization": f"Bearer {token}"}
        answer = await cloud.http.request(method, f"{path}?api-version=2024-07-10", headers=headers)
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        if method != "HEAD":
            assert answer.json()["error"]["code"].startswith(("InvalidAuthenticationToken", "ExpiredAuth"))
        walked += 1
    assert walked > 10


@pytest.fixture
def forge(cloud, sign):
    return Forge(cloud, sign)


async def test_the_table_has_every_kind_of_protected_route(cloud):
    paths = {path for _, path, _ in bearer_routes(cloud)}
    assert {"/subscriptions", "/batch", agent_api.SESSION, agent_api.ENROLLMENTS} <= paths


async def test_a_token_like_those_of_this_test_is_accepted_when_nothing_is_wrong_with_it(cloud, forge):
    issuer = forge.cloud.plane.plane.identity.service
    with cloud.plane.plane.db.reading() as connection:
        from landbridge_server.store import principals

        admin = principals.by_app_id(connection, cloud.admin["clientId"])
    real = issuer.issuer.access_token(admin, cloud.admin["tenantId"], cloud.url, cloud.admin["clientId"])
    claims = json.loads(_decoded(real.split(".")[1]))
    assert set(forge.claims(cloud.url)) <= set(claims)
    answer = await cloud.arm("GET", "/subscriptions", token=forge.ours(cloud.url, iss=claims["iss"]))
    assert answer.status_code == 200, answer.text


def _decoded(segment):
    import base64

    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


async def issuer_of(cloud):
    return json.loads(_decoded((await cloud.admin_token()).split(".")[1]))["iss"]


@pytest.mark.parametrize(
    "audience",
    ["https://management.azure.com/", "", "*", "https://elsewhere.example", "api://landbridge"],
)
async def test_another_audience_is_refused_on_every_route(cloud, forge, audience):
    issuer = await issuer_of(cloud)
    await refused_everywhere(cloud, lambda _, path: forge.ours(audience, iss=issuer))


async def test_an_audience_that_is_a_list_or_lacks_is_refused_on_every_route(cloud, forge):
    issuer = await issuer_of(cloud)
    for wrong in ([cloud.url], None, 5, {"a": cloud.url}):
        await refused_everywhere(cloud, lambda _, path, wrong=wrong: forge.ours(wrong, iss=issuer))


async def test_the_audience_of_machines_opens_nothing_of_arm_and_the_other_way_round(cloud, forge):
    issuer = await issuer_of(cloud)

    def crossed(audience, path):
        machines = audience == agent_api.AUDIENCE
        return forge.ours(cloud.url if machines else agent_api.AUDIENCE, iss=issuer)

    await refused_everywhere(cloud, crossed)


@pytest.mark.parametrize("change", ["other", "http", "slash", "missing", "number", "evil"])
async def test_another_issuer_is_refused_on_every_route(cloud, forge, change):
    issuer = await issuer_of(cloud)
    wrong = {
        "other": issuer.replace(cloud.admin["tenantId"], OTHER_TENANT),
        "http": issuer.replace("https", "http"),
        "slash": issuer.rstrip("/") + "//",
        "missing": None,
        "number": 5,
        "evil": issuer + ".evil.example",
    }[change]
    await refused_everywhere(cloud, lambda audience, path: forge.ours(audience, iss=wrong))


async def test_another_tenant_is_refused_on_every_route(cloud, forge):
    issuer = await issuer_of(cloud)
    await refused_everywhere(cloud, lambda aud, path: forge.ours(aud, iss=issuer, tid=OTHER_TENANT))
    foreign = issuer.replace(cloud.admin["tenantId"], OTHER_TENANT)
    await refused_everywhere(cloud, lambda aud, path: forge.ours(aud, iss=foreign, tid=OTHER_TENANT))


async def test_a_token_that_has_ended_or_not_begun_is_refused_on_every_route(cloud, forge):
    issuer = await issuer_of(cloud)
    now = int(time.time())
    await refused_everywhere(cloud, lambda aud, path: forge.ours(aud, iss=issuer, exp=now - 1))
    await refused_everywhere(cloud, lambda aud, path: forge.ours(aud, iss=issuer, nbf=now + 600))


async def test_a_token_of_a_principal_that_is_nobody_is_refused_on_every_route(cloud, forge):
    issuer = await issuer_of(cloud)
    await refused_everywhere(cloud, lambda aud, path: forge.ours(aud, iss=issuer, oid=OTHER_TENANT))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None])
async def test_alg_none_is_refused_on_every_route(cloud, forge, algorithm):
    head = {"typ": "JWT", "alg": algorithm, "kid": forge.keys._signer_id}
    await refused_everywhere(cloud, lambda aud, path: forge.with_header(aud, head))


async def test_hs256_with_the_public_key_is_refused_on_every_route(cloud, forge):
    head = {"typ": "JWT", "alg": "HS256", "kid": forge.keys._signer_id}
    public = forge.public.public_key
    for secret in (
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        json.dumps(forge.keys.jwks()["keys"][0]).encode(),
        forge.keys.jwks()["keys"][0]["n"].encode(),
    ):

        def signature(text, secret=secret):
            return hmac.new(secret, text, hashlib.sha256).digest()

        await refused_everywhere(cloud, lambda aud, path, s=signature: forge.with_header(aud, head, s))


@pytest.mark.parametrize(
    "key_id", ["", "..", "../../../dev/null", "' OR '1'='1", "\0", None, 5, ["x"], {"a": 1}, "x" * 4000]
)
async def test_a_kid_that_is_none_of_ours_is_refused_on_every_route(cloud, forge, key_id):
    head = {"typ": "JWT", "alg": "RS256", "kid": key_id}
    await refused_everywhere(cloud, lambda aud, path: forge.with_header(aud, head, b"\0" * 256))


async def test_a_key_of_ones_own_is_refused_on_every_route_wherever_the_header_puts_it(cloud, forge):
    mine = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = RSAKey(mine, mine)
    issuer = await issuer_of(cloud)
    for more in (
        {"kid": forge.keys._signer_id},
        {"kid": key.thumbprint()},
        {"kid": forge.keys._signer_id, "jwk": key.as_dict(private=False)},
        {"kid": forge.keys._signer_id, "jku": f"{cloud.url}/common/discovery/keys"},
    ):
        head = {"typ": "JWT", "alg": "RS256"} | more

        def made(audience, path, head=head):
            body = json.dumps(forge.claims(audience, iss=issuer)).encode()
            lenient = jws.JWSRegistry(strict_check_header=False)
            return jws.serialize_compact(head, body, key, algorithms=["RS256"], registry=lenient)

        await refused_everywhere(cloud, made)


async def test_an_id_token_is_no_access_token_on_any_route(cloud):
    service = cloud.plane.plane.identity.service
    with cloud.plane.plane.db.reading() as connection:
        from landbridge_server.store import principals

        admin = principals.by_app_id(connection, cloud.admin["clientId"])

    def made(audience, path):
        return service.issuer.id_token(admin, cloud.admin["tenantId"], audience, adfs=False)

    await refused_everywhere(cloud, made)


async def test_a_token_in_the_query_or_in_a_cookie_is_no_token(cloud):
    token = await cloud.admin_token()
    for query, headers in (
        (f"&access_token={token}", {}),
        ("", {"cookie": f"access_token={token}"}),
        ("", {"x-ms-token-aad-access-token": token}),
        ("", {"authorization": token}),
        ("", {"authorization": f"Basic {token}"}),
    ):
        answer = await cloud.http.get(f"/subscriptions?api-version=2022-12-01{query}", headers=headers)
        assert answer.status_code == 401
