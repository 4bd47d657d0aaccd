"""The control plane connects to no address that a caller has given it.

A canary listens on loopback; its URL is put into every member, parameter and header that looks as if
it wanted an address. Nothing may connect, neither at once nor from a task in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from relay_rehearsal import Refused

from landbridge_server.arm.resource_type import ResourceType
from landbridge_server.edge.routes import table

COMPUTE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines"
ENDPOINT = "providers/Microsoft.HybridConnectivity/endpoints/default"
ASSIGNMENT = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/one"
GRAPH = "/providers/Microsoft.ResourceGraph/resources"


class Canary:
    """Counts who connects."""

    def __init__(self) -> None:
        self.port = 0
        self.visits = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/canary"

    @property
    def spellings(self) -> list[str]:
        """The same address as different parsers of addresses read it."""
        where = f"127.0.0.1:{self.port}"
        return [
            self.url,
            f"https://{where}/canary",
            f"wss://{where}/$hc/x",
            f"//{where}/canary",
            f"{where}",
            f"https://user@{where}/",
            f"http://localhost:{self.port}/",
            f"file://{where}/etc/passwd",
        ]

    async def sings(self) -> None:
        """Prove that it would notice."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.close()
        async with asyncio.timeout(5):
            while not self.visits:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[Canary]:
    canary = Canary()

    async def visited(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        canary.visits += 1
        writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    canary.port = server.sockets[0].getsockname()[1]
    async with server:
        yield canary


@pytest.fixture
async def canary(cloud) -> AsyncIterator[Canary]:
    async with listening() as made:
        yield made
        await cloud.plane.plane.settle()
        await asyncio.sleep(0.2)
        assert made.visits == 0
        await made.sings()


def bodies(url: str) -> dict[str, dict]:
    """Bodies that each type accepts, with the URL wherever a type takes an address."""
    return {
        COMPUTE + "/web1": {
            "privateLinkScopeResourceId": url,
            "parentClusterResourceId": url,
            "clientPublicKey": url,
            "mssqlDiscovered": url,
            "locationData": {"name": url, "city": url},
        },
        COMPUTE + "/web1/extensions/one": {
            "publisher": "P",
            "type": "CustomScript",
            "typeHandlerVersion": "1.0",
            "settings": {"fileUris": [url], "commandToExecute": f"curl {url}"},
            "protectedSettings": {"storageAccountUrl": url, "script": url},
        },
        COMPUTE + "/web1/runCommands/one": {
            "source": {"scriptUri": url, "scriptUriManagedIdentity": {"clientId": url}},
            "outputBlobUri": url,
            "errorBlobUri": url,
        },
        f"{COMPUTE}/web1/{ASSIGNMENT}": {
            "context": url,
            "guestConfiguration": {
                "name": "one",
                "assignmentType": "Audit",
                "contentUri": url,
                "contentHash": "00",
                "contentManagedIdentity": url,
                "kind": "DSC",
            },
        },
        f"{COMPUTE}/web1/{ENDPOINT}": {"type": "custom", "resourceId": url},
        f"{COMPUTE}/web1/{ENDPOINT}/serviceConfigurations/SSH": {
            "serviceName": "SSH",
            "port": 22,
            "resourceId": url,
        },
    }


async def test_no_member_of_a_resource_is_fetched(cloud, canary):
    await cloud.machine()
    for url in canary.spellings:
        for path, properties in bodies(url).items():
            body = {"location": "local", "tags": {"callback": url}, "properties": properties}
            for method in ("PUT", "PATCH"):
                answer = await cloud.arm(method, path, body)
                assert answer.status_code < 500, answer.text
    assert canary.visits == 0


async def test_members_that_nobody_knows_are_not_fetched_for_any_type(cloud, canary):
    await cloud.machine()
    names = (
        "redirect_uri",
        "nextLink",
        "callback",
        "callbackUrl",
        "uri",
        "url",
        "href",
        "$schema",
        "proxyUrl",
    )
    for kind in cloud.plane.plane.resources.registry.types():
        if not isinstance(kind, ResourceType):
            continue
        body = {"location": "local", "properties": {name: canary.url for name in names}}
        body |= {name: canary.url for name in names}
        path = f"{COMPUTE}/web1/providers/{kind.full_type}/one"
        for method in ("PUT", "PATCH", "POST", "GET"):
            await cloud.arm(method, path, body if method != "GET" else None)


async def test_no_route_follows_a_parameter_or_a_header(cloud, canary):
    url = canary.url
    query = "&".join(
        f"{name}={url}"
        for name in ("redirect_uri", "callback", "nextLink", "$skiptoken", "url", "return_to", "resource")
    )
    headers = {
        "authorization": f"Bearer {await cloud.admin_token()}",
        "x-forwarded-host": f"127.0.0.1:{canary.port}",
        "x-forwarded-for": "127.0.0.1",
        "forwarded": f"host=127.0.0.1:{canary.port}",
        "origin": url,
        "referer": url,
        "azure-asyncnotification": url,
        "x-ms-referer": url,
        "link": f"<{url}>; rel=next",
    }
    walked = 0
    for path, methods in table(cloud.plane.plane).items():
        filled = path.replace("{rest:path}", "x").replace("{tenant}", "common").replace("{user}", url)
        for method in methods:
            answer = await cloud.http.request(
                method, f"{filled}?api-version=2024-07-10&{query}", headers=headers
            )
            assert answer.status_code < 500, (method, path, answer.text)
            assert answer.status_code not in (301, 302, 303, 307, 308), (method, path)
            walked += 1
    assert walked > 25


async def test_a_host_header_decides_where_nothing_goes(cloud, canary):
    reader, writer = await cloud.raw()
    writer.write(
        f"GET /metadata/endpoints?api-version=2022-09-01 HTTP/1.1\r\nHost: 127.0.0.1:{canary.port}\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 200")
    assert str(canary.port).encode() not in answer  # nor does it send others there


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk_uri", "iss", "kid"])
async def test_no_header_of_a_token_is_fetched(cloud, canary, sign, name):
    for algorithm in ("RS256", "ES256", "none"):
        head = {"alg": algorithm, "typ": "JWT", "kid": "x", name: canary.url}
        token = f"{sign.segment(head)}.{sign.segment({'iss': canary.url, 'aud': cloud.url})}.AAAA"
        answer = await cloud.http.get(
            "/subscriptions?api-version=2022-12-01", headers={"authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 401


@pytest.mark.parametrize("name", ["jku", "x5u"])
async def test_no_header_of_an_assertion_is_fetched(cloud, canary, name):
    machine = await cloud.machine()
    assert (await machine.ask(machine.assertion({name: canary.url}))).status_code in (200, 401)
    lone = {name: canary.url, "x5t#S256": "x"}
    assert (await machine.ask(machine.assertion(lone, iss=canary.url))).status_code == 401


async def test_no_member_of_a_sign_in_is_fetched(cloud, canary):
    form = {
        "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "scope": f"{canary.url}/.default",
        "redirect_uri": canary.url,
        "resource": canary.url,
        "request_uri": canary.url,
        "login_hint": canary.url,
        "claims": json.dumps({"access_token": {"url": canary.url}}),
    }
    for grant in ("password", "authorization_code", "refresh_token", "client_credentials", "x"):
        for path in ("/common/oauth2/v2.0/token", "/common/oauth2/token", "/common/oauth2/v2.0/devicecode"):
            answer = await cloud.http.post(path, data=form | {"grant_type": grant})
            assert 400 <= answer.status_code < 500
    answer = await cloud.http.get(
        f"/common/oauth2/v2.0/authorize?client_id=x&redirect_uri={canary.url}&response_type=code"
    )
    assert answer.status_code == 400
    assert canary.url not in answer.headers.get("location", "")


async def test_a_request_that_revokes_or_enrols_fetches_no_certificate(cloud, canary):
    """A signing request may carry addresses of lists, issuers and responders: they are left alone."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    from landbridge_server.ca.profiles import name
    from landbridge_wire import agent_api

    machine = await cloud.machine()
    where = x509.UniformResourceIdentifier(canary.url)
    access = x509.AuthorityInformationAccess(
        [x509.AccessDescription(method, where) for method in (
            x509.AuthorityInformationAccessOID.OCSP, x509.AuthorityInformationAccessOID.CA_ISSUERS
        )]
    )  # fmt: skip
    points = x509.CRLDistributionPoints([x509.DistributionPoint([where], None, None, None)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("m"))
    builder = builder.add_extension(access, False).add_extension(points, False)
    pem = builder.sign(machine.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    headers = {"authorization": f"Bearer {await machine.token()}"}
    answer = await cloud.http.post(
        agent_api.CERTIFICATES, json={"certificateSigningRequest": pem}, headers=headers
    )
    assert answer.status_code in (200, 201, 400), answer.text
    assert canary.url not in answer.text


async def test_the_relay_dials_nobody(cloud, canary):
    machine = await cloud.machine()
    listener = await machine.listen()
    key = await cloud.send_token(machine)
    target = f"127.0.0.1:{canary.port}"
    headers = {"Microsoft-Guestgateway-Target": target, "Host": target, "X-Forwarded-Host": target}
    dialling = asyncio.ensure_future(cloud.relay.connect(machine.path, key, headers))
    call = json.loads((await listener.message())[1])["accept"]
    assert call["address"].startswith(f"wss://127.0.0.1:{cloud.port}/")  # never where the sender says
    with pytest.raises(Refused):
        await cloud.relay.dial(call["address"] + "&sb-hc-statusCode=403")
    with pytest.raises(Refused):
        await dialling
