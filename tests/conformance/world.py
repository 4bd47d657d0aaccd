"""One true control plane in process that documents and recordings are replayed against.

``World.send`` is the only way in: it holds every single answer against the document that
describes it, and remembers what was wrong until ``faults`` is taken.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from landbridge_server.testing import ControlPlane
from tests.conformance import openapi

LOCATIONS = ("local", "eastus", "eastus2euap", "westus", "westus2", "westcentralus", "centralus", "eastasia")
"""Every location that Microsoft's examples and recordings name, so that none has to be replaced."""

NAMESPACES = ("Microsoft.HybridCompute", "Microsoft.HybridConnectivity", "Microsoft.GuestConfiguration")
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
POLLS = 4
"""How often an operation is asked before it counts as waiting for a machine."""


@dataclass
class Answered:
    """An answer: ``body`` is its JSON, None where there is none."""

    status: int
    headers: httpx.Headers
    body: Any

    @property
    def code(self) -> str:
        """The code of an error; empty when it is none."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return str(error.get("code", "")) if isinstance(error, dict) else ""

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()


class World:
    """A control plane, its administrator's token, and what is known about the answers so far."""

    def __init__(self, cloud: ControlPlane, token: str) -> None:
        """Take an open control plane."""
        self.cloud = cloud
        self.token = token
        self.subscription = cloud.subscription.rpartition("/")[2]
        self.faults: list[str] = []
        self._outside: list[tuple[str, str]] = []

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        version: str = "2022-09-01",
        operation: openapi.Operation | None = None,
        **query: str,
    ) -> Answered:
        """Send one request; what its document says against the answer is added to ``faults``.

        The document is the one of ``operation``, or the one that has a route for the request.
        """
        target = quote(f"/{path.lstrip('/')}", safe="/:@$&'()*+,;=~-._")
        answer = await self.cloud.client.request(
            method,
            target,
            json=body,
            params={"api-version": version} | query,
            headers={"authorization": f"Bearer {self.token}", "accept": "application/json"},
        )
        found = Answered(answer.status_code, answer.headers, _json(answer))
        self._hold(operation or openapi.matching(method, path, version), found)
        return found

    async def read(self, url: str) -> Answered:
        """GET an absolute address that an answer named, as it is."""
        answer = await self.cloud.client.get(url, headers={"authorization": f"Bearer {self.token}"})
        return Answered(answer.status_code, answer.headers, _json(answer))

    async def follow(self, first: Answered) -> Answered | None:
        """Follow a 202 to its end; None while it waits for a machine that is not there."""
        where = first.headers.get("azure-asyncoperation") or first.headers.get("location")
        if where is None:
            self.faults.append("a 202 without Azure-AsyncOperation and without Location")
            return None
        if urlsplit(where).scheme != "https" or "api-version=" not in where:
            self.faults.append(f"polling header is not an absolute address with api-version: {where}")
        is_status = "azure-asyncoperation" in first.headers
        for _ in range(POLLS):
            await self.cloud.plane.settle()
            answer = await self.read(where)
            if self._is_finished(answer, is_status):
                return answer
        return None

    def _is_finished(self, answer: Answered, is_status: bool) -> bool:
        if not is_status:
            if answer.status not in (200, 202, 204):
                self.faults.append(f"the result of an operation answers {answer}")
            return answer.status != 202
        status = answer.body.get("status") if isinstance(answer.body, dict) else None
        if answer.status != 200 or not isinstance(status, str):
            self.faults.append(f"the status of an operation answers {answer} with status {status!r}")
            return True
        return status.lower() in ("succeeded", "failed", "canceled")

    def _hold(self, operation: openapi.Operation | None, answer: Answered) -> None:
        if operation is None:
            return
        if answer.status < 300 and answer.status not in operation.statuses | {204}:
            declared = sorted(operation.statuses)
            self.faults.append(f"{operation.name} answers {answer}, declared are {declared}")
        if answer.status >= 500:
            self.faults.append(f"{operation.name} answers {answer}")
        if answer.status < 300 or "default" in operation.content["responses"]:
            found = operation.faults(answer.status, answer.body)
            self.faults += [f"{operation.name} {answer.status}: {one}" for one in found[:3]]

    async def need(self, path: str, body: Any, version: str) -> Answered:
        """PUT a prerequisite; that it is refused is a fault of its own."""
        answer = await self.send("PUT", path, body, version)
        if answer.status >= 300:
            self.faults.append(f"prerequisite {_short(path)}: {answer}")
        elif "resourcegroups/" not in path.lower():
            self.later(path, version)
        return answer

    def later(self, path: str, version: str) -> None:
        """Remember to remove what lies outside a group."""
        self._outside.append((path, version))

    async def clean(self, group: str = "") -> None:
        """Remove what lies outside groups, so that no lock or tag disturbs what comes next."""
        for path, version in reversed(self._outside):
            await self.send("DELETE", path, version=version)
        self._outside.clear()

    def taken(self) -> list[str]:
        """Return the faults since the last time, without repetitions."""
        found = list(dict.fromkeys(self.faults))
        self.faults.clear()
        return found

    async def register(self) -> None:
        """Register all namespaces that the documents are about."""
        for name in NAMESPACES:
            await self.send("POST", f"subscriptions/{self.subscription}/providers/{name}/register")
        self.cloud.clock.advance(1)


def _json(answer: httpx.Response) -> Any:
    return json.loads(answer.content) if answer.content else None


def _short(path: str) -> str:
    return "/".join(path.strip("/").split("/")[-3:])


_first = tempfile.TemporaryDirectory(prefix="conformance-first-")
atexit.register(_first.cleanup)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[World]:
    """Open a new cloud in a folder, with everything registered.

    The first one of a process is kept closed, and copied: its keys and tables take longest.
    """
    first = Path(_first.name) / "cloud"
    if not first.exists():
        async with ControlPlane(first, locations=LOCATIONS) as cloud:
            await World(cloud, await cloud.token()).register()
    shutil.copytree(first, folder)
    async with ControlPlane(folder, locations=LOCATIONS) as cloud:
        cloud.clock.advance(1)
        yield World(cloud, await cloud.token())
