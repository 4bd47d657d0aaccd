"""Packages of extensions for machines: ``work_api.EXTENSION_PACKAGE`` and ``EXTENSION_CONTENT``.

Every machine of the cloud may have every package: there is nothing secret in one. A row of the
database that nobody with the cloud's keys has sealed is not offered.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from landbridge_server.arm import access
from landbridge_server.ca.code_signing import CodeSigner
from landbridge_server.ca.sealing import PurposeSealer
from landbridge_server.fleet import extension_packages
from landbridge_server.fleet.byte_ranges import Part, Unsatisfiable, wanted
from landbridge_server.store import extensions
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.extensions import CHUNK, Package
from landbridge_wire import work_api
from landbridge_wire.errors import ArmError

logger = logging.getLogger("landbridge")


class Gone(ConnectionError):
    """A package was removed while it was downloaded: the connection ends before the answer does."""


class _Streamed(StreamingResponse):
    """Sends piece by piece, in whatever runs the request: that need not be a task, as starlette's own wants.

    Who is gone is noticed where the connection is written to.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.stream_response(send)


class ExtensionHttp:
    """The handlers."""

    def __init__(self, db: Database, signer: CodeSigner, seal: PurposeSealer) -> None:
        """Take the store, who signs, and what tells who has published."""
        self.db = db
        self.signer = signer
        self.seal = seal

    async def package(self, request: Request) -> Response:
        """Answer 200 with the best package for a version, signed now."""
        found = self._found(request)
        signature = self.signer.sign(extension_packages.claims(found))
        message = work_api.ExtensionPackage(
            found.publisher, found.type, found.version, found.digest, found.size, signature
        )
        return JSONResponse(message.to_json())

    async def content(self, request: Request) -> Response:
        """Answer with the zip, or the part of it that is wanted: 200, 206, 304 or 416."""
        found = self._found(request)
        etag = f'"{found.digest}"'
        headers = {"etag": etag, "accept-ranges": "bytes"}
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        head = request.headers
        try:
            part = wanted(head.get("range", ""), head.get("if-range", ""), etag, found.size)
        except Unsatisfiable:
            return Response(status_code=416, headers=headers | {"content-range": f"bytes */{found.size}"})
        first, end = part or Part(0, found.size)
        headers["content-length"] = str(end - first)
        if part:
            headers["content-range"] = f"bytes {first}-{end - 1}/{found.size}"
        body = self._bytes(found, first, end)
        return _Streamed(body, 206 if part else 200, headers, "application/zip")

    def _found(self, request: Request) -> Package:
        # Its own identity is all that a machine needs here, not a role.
        access.decided()
        names = request.path_params
        publisher, kind, version = names["publisher"], names["type"], names["version"]
        if version != work_api.LATEST and not extension_packages.WANTED.fullmatch(version):
            raise ArmError(
                "InvalidParameter",
                f"'{version[:100]}' is no version: give one to four numbers, such as 2.1, or "
                f"'{work_api.LATEST}'.",
            )

        def look(connection: Connection) -> Package | None:
            return extension_packages.best(connection, publisher, kind, version)

        found = self.db.read(look)
        if found is None:
            named = f"{publisher[:128]}/{kind[:128]} {version}"
            raise ArmError(
                "NotFound", f"This cloud has no package of {named}: {self._there(publisher, kind)}"
            )
        if not extension_packages.is_sealed(found, self.seal):
            logger.error("a package was not published by this cloud", extra={"fields": _named(found)})
            raise ArmError(
                "NotFound",
                f"The package of {found.publisher}/{found.type} {found.version} was not published with this "
                "cloud's keys, so it is not offered. Its operator removes it and publishes it again.",
            )
        return found

    def _there(self, publisher: str, kind: str) -> str:
        found = self.db.read(lambda connection: extensions.named(connection, f"{publisher}/{kind}".lower()))
        if not found:
            return "nothing of that publisher and type is published."
        versions = sorted((one.version for one in found), key=extension_packages.numbers)
        return f"published are {', '.join(versions[-10:])}."

    async def _bytes(self, package: Package, first: int, end: int) -> AsyncIterator[bytes]:
        """Yield bytes, holding one chunk at a time: who reads slowly is waited for.

        Raises:
            Gone: the package was removed meanwhile.
        """
        for start in range(first - first % CHUNK, end, CHUNK):
            content = self.db.read(partial(extensions.chunk, package_id=package.package_id, start=start))
            if content is None:
                raise Gone("the package was removed while it was downloaded")
            yield content[max(0, first - start) : end - start]


def _matches(if_none_match: str, etag: str) -> bool:
    """Say whether the caller has it already (RFC 9110, 13.1.2): weak comparison, or any."""
    given = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag in given or given == ["*"]


def _named(package: Package) -> dict[str, str]:
    return {"publisher": package.publisher, "type": package.type, "version": package.version}
