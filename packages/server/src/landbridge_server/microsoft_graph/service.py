"""Answers requests to the directory's API: each within one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from landbridge_server.arm import access
from landbridge_server.identity.caller import Caller
from landbridge_server.identity.directory import DirectoryError
from landbridge_server.identity.passwords import WeakPassword, hash_password
from landbridge_server.microsoft_graph import own_password, users
from landbridge_server.microsoft_graph.errors import GraphError, bad
from landbridge_server.microsoft_graph.own_password import PasswordCheck
from landbridge_server.microsoft_graph.request import Reply, Request, Target, target_of
from landbridge_server.microsoft_graph.table import QUESTIONS, USERS, Work, work_for
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.principals import USER


class GraphService:
    """The directory's API of one control plane."""

    def __init__(
        self, db: Database, clock: Callable[[], float], base: str, check_password: PasswordCheck
    ) -> None:
        """Serve the directory in ``db``; ``base`` is the address of the API with its version."""
        self.check_password = check_password
        self.db = db
        self.clock = clock
        self.base = base

    async def answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        caller: Caller,
        body: Mapping[str, Any],
        address: str = "",
    ) -> Reply:
        """Return the answer to a request from ``address``; ``path`` begins behind the version.

        Raises:
            GraphError: it is refused.
        """
        target = _of_caller(target_of(path), caller)
        if own_password.is_meant(method, target):
            check, now = self.check_password, self.clock()
            return await own_password.change(self.db, check, caller, target, body, address, now)
        request = Request(method, target, query, caller, self.base, path, self.clock(), body)
        work = work_for(request)
        try:
            request = await self._with_password(request)
            if method == "GET" and (target.rest or not target.key):
                # A list: what it has to walk over may be long, and the event loop must not wait for it.
                reply, decided = await self.db.read_aside(
                    lambda connection: _watched(work, connection, request)
                )
            elif method == "GET" or target.rest[-1:] in [(name,) for name in (*QUESTIONS, "getbyids")]:
                reply, decided = self.db.read(lambda connection: _watched(work, connection, request))
            else:
                reply, decided = await self.db.write(lambda connection: _watched(work, connection, request))
        except DirectoryError as error:
            raise bad(str(error)) from error
        if decided:
            access.decided()
        return reply

    async def _with_password(self, request: Request) -> Request:
        """Return the request with the hash of the password in it, made beside the event loop."""
        profile = request.body.get(users.PASSWORD)
        if request.target.collection != "users" or request.target.rest or not isinstance(profile, dict):
            return request
        password = profile.get("password")
        if request.method not in ("POST", "PATCH") or not isinstance(password, str):
            return request

        def check(connection: Connection) -> None:
            USERS.check_password_change(connection, request)

        self.db.read(check)
        try:
            return replace(request, verifier=await asyncio.to_thread(hash_password, password))
        except WeakPassword as error:
            raise users.weak_password() from error


def _watched(work: Work, connection: Connection, request: Request) -> tuple[Reply, bool]:
    """Return the answer, and whether it was decided that the caller may have it.

    Writes that wait together are run by one of their tasks: what is noted there does not reach
    the request, which says so itself once it has its answer.
    """
    with access.Deciding() as decisions:
        return work(connection, request), decisions.made


def _of_caller(target: Target, caller: Caller) -> Target:
    """Return what a path is about where it says ``me``."""
    if target.collection != "me":
        return target
    if caller.kind != USER:
        raise GraphError("BadRequest", "/me request is only valid with delegated authentication flow.")
    return Target("users", caller.object_id, "", target.rest)
