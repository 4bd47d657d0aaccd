"""One cloud for each test, and people and programs that speak to its directory."""

from __future__ import annotations

import pytest

from landbridge_server.identity import directory, directory_roles
from landbridge_server.identity.clients import AZURE_CLI
from landbridge_server.identity.keys import SigningKeys
from landbridge_server.identity.tokens import TokenIssuer
from landbridge_server.store import principals

PASSWORD = "Correct-Horse-1"


class Graph:
    """Speaks to the directory of one cloud; paths are below ``/v1.0``."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.base = cloud.config.endpoints.graph + "/v1.0"
        self.tokens = {}
        self.ids = {}

    @property
    def tenant(self):
        return self.cloud.admin["tenantId"]

    async def __call__(self, method, path, body=None, *, by="", **more):
        if by not in self.tokens:
            assert by == "", f"nobody is called {by}"
            self.tokens[""] = await self.cloud.token(scope=self.cloud.config.endpoints.graph + "/.default")
        headers = {"authorization": f"Bearer {self.tokens[by]}"} | more.pop("headers", {})
        url = path if path.startswith("https://") else self.base + path
        return await self.cloud.client.request(method, url, json=body, headers=headers, **more)

    async def ok(self, method, path, body=None, *, by="", status=None):
        """Send what must succeed; return its JSON, or None."""
        answer = await self(method, path, body, by=by)
        wanted = status or {"POST": (200, 201, 204), "GET": (200,)}.get(method, (204,))
        assert answer.status_code in (wanted if isinstance(wanted, tuple) else (wanted,)), answer.text
        return answer.json() if answer.content else None

    async def refused(self, method, path, body=None, *, by=""):
        """Send what must be refused; return status, code and message."""
        answer = await self(method, path, body, by=by)
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"]

    def user(self, name, *roles, arm=()):
        """Make a user with roles of the directory and of the resource manager; it is called ``name``."""
        with self.cloud.plane.db.writing() as connection:
            domain = self.cloud.admin["userName"].rpartition("@")[2]
            made = directory.create_user(
                connection, self.tenant, f"{name}@{domain}", name.title(), PASSWORD, self.cloud.plane.clock()
            )
            self._give(connection, made, roles, arm)
        self._token(name, made)
        return made.object_id

    def program(self, name, *roles, arm=()):
        """Make a service principal in the same way."""
        with self.cloud.plane.db.writing() as connection:
            now = self.cloud.plane.clock()
            object_id, _, _ = directory.create_service_principal(connection, self.tenant, name, now)
            made = principals.get(connection, object_id)
            self._give(connection, made, roles, arm)
        self._token(name, made)
        return made.object_id

    def _give(self, connection, made, roles, arm):
        for role in roles:
            directory_roles.assign(connection, made, directory_roles.named(role), self.cloud.plane.clock())
        kind = "User" if made.kind == "User" else "ServicePrincipal"
        for role, scope in arm:
            self.cloud.plane.assign_role(connection, made.object_id, kind, role, scope)

    def give(self, object_id, role, scope, kind="ServicePrincipal"):
        """Give a role of the resource manager."""
        with self.cloud.plane.db.writing() as connection:
            self.cloud.plane.assign_role(connection, object_id, kind, role, scope)

    def _token(self, name, made):
        self.ids[name] = made.object_id
        self.tokens[name] = self.token_for(made)

    def token_for(self, principal, tenant=""):
        """Return a token as signing in would give it, without the time that a password takes."""
        endpoints, clock = self.cloud.config.endpoints, self.cloud.plane.clock
        keys = SigningKeys.open(self.cloud.config.data / "keys", clock)
        issuer = TokenIssuer(keys, endpoints, clock)
        app_id = principal.app_id or AZURE_CLI
        return issuer.access_token(principal, tenant or principal.tenant_id, endpoints.graph, app_id)

    async def sign_in(self, user_name, password, scope=""):
        """Sign a user in by name and password; return the answer."""
        form = {
            "grant_type": "password",
            "client_id": AZURE_CLI,
            "username": user_name,
            "password": password,
            "scope": (scope or self.cloud.config.endpoints.graph) + "/.default offline_access",
        }
        return await self.cloud.client.post(f"/{self.tenant}/oauth2/v2.0/token", data=form)

    async def app(self, name="deploy", by="", **more):
        """Make an application and its service principal; return both as they are shown."""
        app = await self.ok("POST", "/applications", {"displayName": name, **more}, by=by)
        sp = await self.ok("POST", "/servicePrincipals", {"appId": app["appId"]}, by=by)
        return app, sp

    async def group(self, name="crew", by=""):
        body = {"displayName": name, "mailNickname": name, "mailEnabled": False, "securityEnabled": True}
        return await self.ok("POST", "/groups", body, by=by)

    def reference(self, object_id):
        return {"@odata.id": f"{self.base}/directoryObjects/{object_id}"}


@pytest.fixture
def store_url(tmp_path):
    """An embedded store only: the tables behind all this have tests of their own on both."""
    return ""


@pytest.fixture
def graph(cloud):
    return Graph(cloud)


@pytest.fixture
def domain(cloud):
    return cloud.admin["userName"].rpartition("@")[2]


@pytest.fixture
def speaking_graph():
    """How a test that opens a cloud of its own speaks to its directory."""
    return Graph
