from __future__ import annotations

import pytest

import postgresql_server
from landbridge_server.store.database import Database
from landbridge_server.testing import ControlPlane


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server with a database that the migrations have made, as a template."""
    with postgresql_server.started() as server:
        if server is None:
            pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
        server.execute(f"CREATE DATABASE {postgresql_server.TEMPLATE} TEMPLATE template0")
        db = Database(server.url(postgresql_server.TEMPLATE))
        db.migrate()
        db.close()
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, tmp_path):
    """A store of each kind, with its tables."""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        with server.database(postgresql_server.TEMPLATE) as url:
            yield url
        return
    url = f"sqlite:///{tmp_path / 'store.db'}"
    db = Database(url)
    db.migrate()
    db.close()
    yield url


@pytest.fixture
async def cloud(tmp_path, store_url):
    """A control plane in process, on each kind of store, with a clock that stands still."""
    async with ControlPlane(tmp_path / "cloud", store=store_url) as plane:
        yield plane


class Arm:
    """Speaks to one cloud: paths without a leading ``/`` are below its subscription."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.tokens = {}

    async def __call__(self, method, path, body=None, *, by="", version="2024-07-10", **more):
        if not path.startswith(("/", "https://")):
            path = f"{self.cloud.subscription}/{path}".rstrip("/")
        if version:
            path += ("&" if "?" in path else "?") + f"api-version={version}"
        if "" not in self.tokens:
            self.tokens[""] = await self.cloud.token()
        headers = {"authorization": f"Bearer {self.tokens[by]}"} | more.pop("headers", {})
        return await self.cloud.client.request(method, path, json=body, headers=headers, **more)

    async def principal(self, name, *roles):
        """Create a service principal with roles, each ``(role, scope)``; return its object id."""
        object_id, client_id, secret = self.cloud.create_service_principal(name)
        for role, scope in roles:
            if scope != "/" and not scope.startswith("/"):
                scope = f"{self.cloud.subscription}/{scope}".rstrip("/")
            with self.cloud.plane.db.writing() as connection:
                self.cloud.plane.assign_role(connection, object_id, "ServicePrincipal", role, scope)
        self.tokens[name] = await self.cloud.token(client_id, secret)
        return object_id

    async def group(self, name="demo", **body):
        return await self("PUT", f"resourcegroups/{name}", {"location": "local"} | body)

    async def machine(self, name="web1", group="demo", **body):
        path = f"resourceGroups/{group}/providers/Microsoft.HybridCompute/machines/{name}"
        return await self("PUT", path, {"location": "local"} | body)


@pytest.fixture
def arm(cloud):
    return Arm(cloud)


@pytest.fixture
def speaking_to():
    """How a test that opens a cloud of its own speaks to it."""
    return Arm
