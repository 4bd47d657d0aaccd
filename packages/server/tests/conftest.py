from __future__ import annotations

import pytest

from landbridge_server.testing import ControlPlane


@pytest.fixture
async def cloud(tmp_path):
    """A control plane in process, with a clock that stands still."""
    async with ControlPlane(tmp_path / "cloud") as plane:
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
