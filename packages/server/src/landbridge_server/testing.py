"""The true control plane in process, for tests: temporary folder, hand-wound clock, no port.

    async with ControlPlane(tmp_path) as cloud:
        answer = await cloud.arm("GET", "/subscriptions")

``cloud.client`` speaks to the ASGI application directly. ``cloud.serving()`` opens a true TLS
listener on a free loopback port, for agents, relays and other processes; then the clock must be
the real one: ``ControlPlane(tmp_path, clock=time.time)``.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from landbridge_server import app
from landbridge_server.config import Address, Config
from landbridge_server.edge.connections import Room
from landbridge_server.edge.http_protocol import Deadlines
from landbridge_server.identity import directory
from landbridge_server.store.database import Connection

START = 1_800_000_000.0


class HandClock:
    """A clock that stands still until it is wound."""

    def __init__(self, now: float = START) -> None:
        """Begin at ``now``, unix seconds."""
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds


class ControlPlane:
    """One control plane in a folder of its own. Opening the same folder again resumes it."""

    def __init__(self, folder: Path, clock: Callable[[], float] | None = None, **settings: Any) -> None:
        """Prepare; ``settings`` are members of ``Config``."""
        self.clock = HandClock()
        self.config = Config(data=folder, **({"listen": Address("127.0.0.1", 9443)} | settings))
        self.plane = app.ControlPlane(self.config, clock or self.clock)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.plane.application, raise_app_exceptions=False),
            base_url=self.config.endpoints.resource_manager,
        )

    async def __aenter__(self) -> Self:
        """Open; tasks in the background are not started: ``await cloud.plane.settle()`` runs them once."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        await self.client.aclose()
        self.plane.close()

    @property
    def admin(self) -> dict[str, Any]:
        """The content of ``admin.json``."""
        content: dict[str, Any] = json.loads((self.config.data / "admin.json").read_text())
        return content

    @property
    def subscription(self) -> str:
        """The path of the first subscription."""
        return f"/subscriptions/{self.admin['subscriptionId']}"

    async def token(self, client_id: str = "", secret: str = "", scope: str = "") -> str:
        """Sign in as a service principal (default: the administrator's) and return the access token."""
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id or self.admin["clientId"],
            "client_secret": secret or self.admin["clientSecret"],
            "scope": scope or f"{self.config.endpoints.audience}/.default",
        }
        path = f"/{self.admin['tenantId']}/oauth2/v2.0/token"
        answer = await self.client.post(path, data=form)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    async def arm(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        version: str = "2022-09-01",
        **more: Any,
    ) -> httpx.Response:
        """Call ARM with a token (default: the administrator's); ``version`` "" leaves api-version out."""
        headers = {"authorization": f"Bearer {token or await self.token()}"} | more.pop("headers", {})
        if version and "api-version=" not in path:
            path += f"{'&' if '?' in path else '?'}api-version={version}"
        return await self.client.request(method, path, json=body, headers=headers, **more)

    def create_service_principal(self, name: str, role: str = "", scope: str = "/") -> tuple[str, str, str]:
        """Create one, with a role where given; return object id, application id and secret."""

        def work(connection: Connection) -> tuple[str, str, str]:
            made = directory.create_service_principal(
                connection, self.admin["tenantId"], name, self.plane.clock()
            )
            if role:
                self.plane.assign_role(connection, made[0], "ServicePrincipal", role, scope)
            return made

        with self.plane.db.writing() as connection:
            return work(connection)

    @asynccontextmanager
    async def serving(
        self, deadlines: Deadlines | None = None, room: Room | None = None
    ) -> AsyncIterator[str]:
        """Serve on a free loopback port with TLS and all background tasks; yield the URL."""
        address = Address("127.0.0.1", self.config.listen.port)
        async with app.listening(self.plane, address, deadlines, room) as _listener:
            yield self.config.endpoints.resource_manager

    def trusting(self) -> ssl.SSLContext:
        """Return a TLS context that trusts this cloud's root and nothing else."""
        return ssl.create_default_context(cafile=str(self.config.data / "ca" / "root.pem"))
