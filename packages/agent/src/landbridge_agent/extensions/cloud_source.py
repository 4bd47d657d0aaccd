"""Packages of this machine's cloud, over the agent API; the cloud is the one that root trusts.

For workers: each call runs to its end before the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from landbridge_agent.daemon.control_plane import Refused
from landbridge_agent.dial import Unreachable
from landbridge_agent.extensions.packages import NotAvailable
from landbridge_agent.local_config import InvalidSetting
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.work import cloud_calls, entry, trusted
from landbridge_agent.work.cloud_calls import Calls
from landbridge_agent.work.task import Task
from landbridge_wire import work_api
from landbridge_wire.agent_api import MalformedMessage
from landbridge_wire.work_api import ExtensionPackage

T = TypeVar("T")


class CloudSource:
    """The cloud's packages, for one task. It is connected to when something is asked for."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._held: Calls | None = None

    def _calls(self) -> Calls:
        if self._held is None:
            machine = Machine(self._task.paths)
            try:
                config = machine.config()
                if config is None:
                    raise NotAvailable("this machine is not connected to a cloud")
                self._held = cloud_calls.connect(machine, config, self._task.environment, time.monotonic)
            except (StateError, Unreachable, InvalidSetting) as error:
                raise NotAvailable(str(error)) from error
        return self._held

    def find(self, publisher: str, kind: str, version: str) -> ExtensionPackage | None:
        """Return the cloud's best package for a version; empty: the newest."""
        path = _path(work_api.EXTENSION_PACKAGE, publisher, kind, version or work_api.LATEST)
        calls = self._calls()
        try:
            answer = _run(calls.call("GET", path))
            return ExtensionPackage.from_json(answer.json())
        except MalformedMessage as error:
            raise NotAvailable(f"the cloud's answer cannot be read: {error}") from error
        except Refused as error:
            if error.status == 404:
                return None
            raise NotAvailable(error.reason) from error
        except (Unreachable, StateError, InvalidSetting) as error:
            raise NotAvailable(str(error)) from error

    def read(self, package: ExtensionPackage, offset: int, count: int) -> bytes:
        """Return bytes of a package's zip (RFC 9110, section 14)."""
        path = _path(work_api.EXTENSION_CONTENT, package.publisher, package.type, package.version)
        # Without If-Range: another content under the same version shows in the digest.
        headers = (("Range", f"bytes={offset}-{offset + count - 1}"),)
        calls = self._calls()
        try:
            answer = _run(calls.api.call("GET", path, headers=headers))
        except (Refused, Unreachable) as error:
            raise NotAvailable(str(error)) from error
        if answer.status == 206:
            return answer.body[:count]
        if answer.status == 200:
            return answer.body[offset : offset + count]
        raise NotAvailable(f"the cloud answered HTTP {answer.status}")

    def roots(self) -> str:
        """Return whom root trusts (PEM): the CA file, and the roots that the cloud has named since.

        A cloud with a certificate of a public authority is believed what it says its roots are, over
        a connection that this authority vouches for.
        """
        calls = self._calls()
        learnt = (entry.read(self._task.paths.work / trusted.LEARNT) or b"").decode("ascii", "replace")
        if calls.cloud.ca_file:
            try:
                return Path(calls.cloud.ca_file).read_text("ascii", "replace") + "\n" + learnt
            except OSError:
                return learnt
        try:
            return _run(calls.work()).roots
        except (Refused, Unreachable, StateError, InvalidSetting):
            return learnt


def _path(template: str, publisher: str, kind: str, version: str) -> str:
    names = (quote(one, safe="") for one in (publisher, kind, version))
    return template.format(**dict(zip(("publisher", "type", "version"), names, strict=True)))


def _run(call: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(call)
