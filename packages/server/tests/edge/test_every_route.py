"""A walk over every route there is, as those who may do little: what each is told, and what not.

Nothing is listed by hand but the exceptions. A row that is new is walked like the others; what
it answers to somebody without any role has to be a refusal, or stand below with its reason.
"""

from __future__ import annotations

import uuid

import pytest

from landbridge_server.arm import actions
from landbridge_server.arm.access import Access
from landbridge_server.arm.resource_type import Kind, ResourceType, ServedType
from landbridge_server.arm.roles import OWNER, READER
from landbridge_server.edge.route import Bearer, Public
from landbridge_server.edge.routes import REST, table
from landbridge_server.identity import directory
from landbridge_server.microsoft_graph.links import LINKS
from landbridge_server.microsoft_graph.table import KINDS, QUESTIONS
from landbridge_server.store import tenants
from landbridge_server.store.tenants import Tenant
from landbridge_wire import agent_api

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
GUID = "00000000-0000-0000-0000-000000000000"
OTHER = "11111111-2222-3333-4444-555555555555"
READS = ("GET", "HEAD")

FOR_EVERYBODY = {
    "GET tenants": "one's own tenant",
    "GET subscriptions": "those in which one holds a role: a list that may be empty",
    "GET providers": "what this cloud is made of",
    "GET providers/{namespace}": "what this cloud is made of",
    "GET providers/microsoft.authorization/provideroperations": "for those who write roles",
    "GET providers/microsoft.authorization/provideroperations/{namespace}": "for those who write roles",
    "GET providers/microsoft.insights/eventcategories": "the names of categories",
    "GET providers/microsoft.hybridcompute/locations/{location}/publishers": "the catalogue",
    "GET providers/microsoft.hybridcompute/locations/{location}/publishers/{publisher}/extensiontypes": (
        "the catalogue"
    ),
    "GET providers/microsoft.hybridcompute/locations/{location}/publishers/{publisher}/extensiontypes/"
    "{extension_type}/versions": "the catalogue",
    "GET providers/microsoft.hybridcompute/locations/{location}/publishers/{publisher}/extensiontypes/"
    "{extension_type}/versions/{version}": "the catalogue",
    "POST providers/microsoft.resourcegraph/resources": "finds what one may read: nothing",
    "POST providers/microsoft.resources/checkresourcename": "whether a name is a reserved word",
    "POST Microsoft.Authorization/landbridgeExplainAccess": "about oneself",
}
"""Rows and types that answer whoever has a token, and why that is right."""

READERS_MAY_POST = {
    "POST providers/microsoft.resourcegraph/resources",
    "POST providers/microsoft.resources/checkresourcename",
    "POST Microsoft.Authorization/landbridgeExplainAccess",
}
NOT_BELOW_THE_READERS_SCOPE = {"GET providers/microsoft.insights/eventtypes/management/values"}

QUESTIONS_ASKED = {
    "eventtypes/management/values": "&$filter=eventTimestamp ge '2027-01-15T00:00:00Z'",
}
BODIES = {
    "resourcegraph/resources": {"query": "resources"},
    "checkresourcename": {"name": "x", "type": "Microsoft.HybridCompute/machines"},
    "landbridgeExplainAccess": {"action": "Microsoft.HybridCompute/machines/read"},
}


def rows_of(cloud):
    """Yield name, method and path of every row of the resource manager that is no resource."""
    names = {
        "subscription": cloud.admin["subscriptionId"],
        "group": "demo",
        "namespace": "Microsoft.HybridCompute",
        "location": "local",
    }
    for pattern, row in cloud.plane.resources.dispatch.routes.rows():
        words = [part.strip("{}") if part.startswith("{") else "" for part in pattern.split("/")]
        path = pattern.format(**{word: names.get(word, "x") for word in words if word})
        for method in row:
            yield f"{method} {pattern}", method, f"/{path}"


def types_of(cloud):
    """Yield name, method and path of each verb and action of each type of the registry."""
    for kind in cloud.plane.resources.registry.types():
        if not isinstance(kind, ResourceType | ServedType) or getattr(kind, "kind", None) is Kind.GROUP:
            continue
        path = f"{cloud.subscription}/{_place(kind)}"
        collection = path.rpartition("/")[0]
        for method in sorted(kind.verbs):
            own = collection if method == "POST" else path
            yield f"{method} {kind.full_type}", method, own
        if "GET" in kind.verbs:
            yield f"GET {kind.full_type}", "GET", collection
        for action in getattr(kind, "actions", ()):
            yield f"POST {kind.full_type}/{action}", "POST", f"{path}/{action}"


def _place(kind):
    """Return where one of a type could lie."""
    namespace, *words = kind.full_type.split("/")
    if namespace == "Microsoft.HybridCompute":
        names = ["web1", *(["x"] * (len(words) - 1))]
        above = "resourceGroups/demo"
    else:
        names, above = [GUID] * len(words), MACHINE
    return f"{above}/providers/{namespace}/" + "/".join(
        f"{word}/{name}" for word, name in zip(words, names, strict=True)
    )


class Walker:
    """Goes everywhere with one token."""

    def __init__(self, cloud, token):
        self.cloud, self.token = cloud, token

    async def __call__(self, method, path):
        more = next((text for word, text in QUESTIONS_ASKED.items() if word in path), "")
        body = next((body for word, body in BODIES.items() if word.lower() in path.lower()), {})
        body = body or {"location": "local", "properties": {}}
        return await self.cloud.client.request(
            method,
            f"{path}?api-version=2022-04-01{more}",
            json=None if method in ("GET", "HEAD", "DELETE") else body,
            headers={"authorization": f"Bearer {self.token}"} if self.token else {},
        )


def code(answer):
    return answer.json()["error"]["code"] if answer.content else ""


def everywhere(cloud):
    yield from rows_of(cloud)
    yield from types_of(cloud)


@pytest.fixture
def store_url(tmp_path):
    """One kind of store: who may ask for what does not depend on it."""
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
async def place(arm):
    await arm.group()
    await arm.machine()
    return arm


@pytest.fixture
def foreign(cloud):
    """Somebody who owns all of another tenant: object id, application id, secret."""
    with cloud.plane.db.writing() as connection:
        tenants.add(connection, Tenant(OTHER, "Other", "other.example", 0.0))
        made = directory.create_service_principal(connection, OTHER, "stranger", cloud.clock())
        from landbridge_server.arm.grants import grant

        grant(
            connection,
            tenant_id=OTHER,
            principal_id=made[0],
            principal_type="ServicePrincipal",
            role=OWNER,
            scope="/",
            now=0.0,
        )
    return made


@pytest.fixture
async def stranger(cloud, foreign):
    form = {"grant_type": "client_credentials", "client_id": foreign[1], "client_secret": foreign[2]}
    form["scope"] = f"{cloud.config.endpoints.audience}/.default"
    answer = await cloud.client.post(f"/{OTHER}/oauth2/v2.0/token", data=form)
    return Walker(cloud, answer.json()["access_token"])


async def test_without_a_token_every_route_of_the_resource_manager_is_401(place, cloud):
    walker, walked = Walker(cloud, ""), 0
    for name, method, path in everywhere(cloud):
        answer = await walker(method, path)
        assert answer.status_code == 401, name
        walked += 1
    assert walked > 100


async def test_without_a_role_every_route_is_403_but_those_for_everybody(place, cloud):
    await place.principal("nobody")
    walker, met = Walker(cloud, place.tokens["nobody"]), set()
    for name, method, path in everywhere(cloud):
        answer = await walker(method, path)
        if name in FOR_EVERYBODY:
            met.add(name)
            assert answer.status_code in (200, 404), (name, answer.text)
            assert not _tells(cloud, answer, path), name
        else:
            assert (answer.status_code, code(answer)) in (
                (403, "AuthorizationFailed"),
                (403, ""),
            ), (name, answer.text)
    assert met == set(FOR_EVERYBODY)


async def test_a_reader_changes_nothing_anywhere(place, cloud):
    await place.principal("reader", (READER.name, ""))
    walker = Walker(cloud, place.tokens["reader"])
    for name, method, path in everywhere(cloud):
        answer = await walker(method, path)
        may = method in READS or name in READERS_MAY_POST
        if name in NOT_BELOW_THE_READERS_SCOPE:
            may = False
        assert (answer.status_code == 403) is not may, (name, answer.status_code, answer.text)
        assert answer.status_code < 500, name


async def test_an_owner_of_another_tenant_gets_nothing_of_this_one(place, cloud, stranger):
    for name, method, path in everywhere(cloud):
        answer = await stranger(method, path)
        if path.startswith("/subscriptions/"):
            assert answer.status_code == 401, name
            assert code(answer) in ("InvalidAuthenticationTokenTenant", ""), name
        else:
            assert answer.status_code < 500, name
            assert not _tells(cloud, answer, path), name


def _tells(cloud, answer, asked):
    """Say whether an answer holds anything of what is there, beyond what was asked with."""
    own = ("web1", "demo", cloud.admin["subscriptionId"])
    text = answer.text.lower().replace(asked.lower(), "")
    return [one for one in own if one in text and one not in asked.lower()]


async def test_what_the_gate_is_asked_is_in_the_printed_table(place, cloud, monkeypatch):
    """Walk as the administrator too, so that nothing ends before its last question."""
    await place.principal("reader", (READER.name, ""))
    asked, permits = set(), Access._permits

    def noted(self, caller, held, action, connection, data=False):
        asked.add(action.lower())
        return permits(self, caller, held, action, connection, data)

    monkeypatch.setattr(Access, "_permits", noted)
    for token in (place.tokens["reader"], place.tokens[""]):
        walker = Walker(cloud, token)
        for name, method, path in everywhere(cloud):
            if method != "DELETE" or token == place.tokens["reader"]:
                assert (await walker(method, path)).status_code < 500, name
    known = {one.lower() for one in actions.known(cloud.plane.resources.registry)}
    assert asked - known == set()
    assert len(asked) > 60


# -- what stands beside the resource manager

MACHINES_ONLY = {
    agent_api.CERTIFICATES,
    agent_api.SESSION,
    agent_api.HEARTBEAT,
    agent_api.FACTS,
    agent_api.INSTANCE,
}


def beside(cloud):
    """Yield method, path and endpoint of each row of the table that is not the resource manager's."""
    arm = cloud.plane.arm
    for path, methods in table(cloud.plane).items():
        for method, endpoint in methods.items():
            if endpoint.handler not in (arm.handle, arm.batch):
                yield method, path, endpoint


async def test_what_is_open_to_everybody_says_why_and_tells_nothing_of_what_is_there(place, cloud):
    for method, path, endpoint in beside(cloud):
        if not isinstance(endpoint.access, Public):
            continue
        assert endpoint.access.reason, path
        filled = path.replace("{tenant}", "common").replace("{user}", "u").replace("{name}", "x")
        answer = await cloud.client.request(method, filled)
        assert answer.status_code < 500, (method, path)
        assert not _tells(cloud, answer, filled), (method, path)


async def test_no_row_beside_the_resource_manager_serves_somebody_without_a_role(place, cloud, stranger):
    await place.principal("nobody")
    for method, path, endpoint in beside(cloud):
        if not isinstance(endpoint.access, Bearer) or path.endswith(REST):
            continue
        for token in ("", place.tokens["nobody"], stranger.token):
            headers = {"authorization": f"Bearer {token}"} if token else {}
            body = {"resourceId": f"{cloud.subscription}/{MACHINE}", "csr": "x", "agentVersion": "1"}
            answer = await cloud.client.request(
                method, path, json=None if method == "GET" else body, headers=headers
            )
            expected = (401,) if not token or path in MACHINES_ONLY else (400, 401, 403, 404)
            assert answer.status_code in expected, (method, path, answer.text)
            assert not _tells(cloud, answer, path + str(body).lower()), (method, path)


def below_graph():
    """Yield method and path of everything that the directory's API has."""
    one = "33333333-4444-5555-6666-777777777777"
    for name in KINDS:
        yield from (("GET", f"/{name}"), ("POST", f"/{name}"), ("GET", f"/{name}/$count"))
        yield from ((method, f"/{name}/{one}") for method in ("GET", "PATCH", "DELETE"))
        for link in LINKS[name]:
            yield "GET", f"/{name}/{one}/{link}"
            yield "POST", f"/{name}/{one}/{link}/$ref"
            yield "DELETE", f"/{name}/{one}/{link}/{one}/$ref"
        for question in QUESTIONS:
            if name != "applications":
                yield "POST", f"/{name}/{one}/{question}"
        if name in ("applications", "serviceprincipals"):
            for word in ("addPassword", "removePassword"):
                yield "POST", f"/{name}/{one}/{word}"
    for path in ("organization", "domains", f"directoryObjects/{one}"):
        yield "GET", f"/{path}"
    yield "POST", f"/directoryObjects/{one}/getMemberGroups"


BODY = {
    "displayName": "x",
    "mailNickname": "x",
    "mailEnabled": False,
    "securityEnabled": True,
    "userPrincipalName": "x@landbridge.local",
    "accountEnabled": True,
    "passwordProfile": {"password": str(uuid.UUID(int=7)) + "Aa!"},
    "appId": GUID,
    "@odata.id": f"https://localhost/v1.0/directoryObjects/{GUID}",
    "securityEnabledOnly": False,
    "groupIds": [GUID],
    "passwordCredential": {},
    "keyId": GUID,
}


@pytest.mark.parametrize("role", ["", OWNER.name])
async def test_the_directory_is_closed_to_a_service_principal_whatever_it_owns_in_arm(place, cloud, role):
    object_id, app_id, secret = cloud.create_service_principal("nobody", role)
    token = await cloud.token(app_id, secret, scope=f"{cloud.config.endpoints.graph}/.default")
    walked = 0
    (prefix,) = [path.removesuffix(REST) for path in table(cloud.plane) if "graph" in path]
    for method, path in below_graph():
        for headers in ({}, {"authorization": f"Bearer {token}"}):
            answer = await cloud.client.request(
                method,
                f"{prefix}/v1.0{path}",
                json=None if method in ("GET", "DELETE") else BODY,
                headers=headers,
            )
            if not headers:
                assert answer.status_code == 401, (method, path)
            elif answer.status_code == 200:  # a list holds what it may read: itself
                assert method == "GET", path
                assert {one["id"] for one in answer.json().get("value", [])} <= _own(object_id, answer), path
            else:
                assert answer.status_code in (400, 403, 404, 405), (method, path, answer.text)
                assert method == "GET" or answer.status_code != 404, (method, path, answer.text)
            walked += 1
    assert walked > 80


def _own(object_id, answer):
    """Return the ids that a service principal may see: its own, and that of its application."""
    shown = answer.json().get("value", [])
    return {object_id} | {one["id"] for one in shown if one.get("displayName") == "nobody"}
