"""A served cloud with a few machines, whose agents are tasks that truly run what they are given."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time

import pytest

from landbridge_server.arm import work
from landbridge_server.arm.resource_type import Effects
from landbridge_server.config import Address
from landbridge_server.fleet.machine_work import MachineWork
from landbridge_server.fleet.presence import iso
from landbridge_server.store import machines, outputs
from landbridge_server.testing import ControlPlane
from landbridge_wire.errors import ArmError
from landbridge_wire.work_api import APPLY, OUTPUT_LIMIT

GROUP = "servers"
PAUSE = 0.02


class SmallFleet:
    """The cloud, in a thread of its own: tests call the command line from the main one."""

    def __init__(self, folder):
        self.folder = folder
        self.ran: list[tuple[str, str]] = []
        self.most_at_once = 0
        self._ready, self._thread = threading.Event(), threading.Thread(target=self._serve)
        self._fault: BaseException | None = None
        self._children: dict[str, asyncio.subprocess.Process] = {}

    def __enter__(self):
        self._thread.start()
        self._ready.wait(60)
        if self._fault:
            raise self._fault
        return self

    def __exit__(self, *_):
        if not self._fault:
            self.loop.call_soon_threadsafe(self._over.set)
        self._thread.join(60)
        if self._fault:
            raise self._fault

    @property
    def data(self):
        return str(self.cloud.config.data)

    def key(self, name):
        path = f"resourceGroups/{GROUP}/providers/Microsoft.HybridCompute/machines/{name}"
        return f"{self.cloud.subscription}/{path}".lower()

    def arm(self, method, path, body=None, **more):
        """Call ARM from the test's thread, below the subscription."""
        asked = self.cloud.arm(method, f"{self.cloud.subscription}/{path}", body, **more)
        return asyncio.run_coroutine_threadsafe(asked, self.loop).result(60)

    def principal(self, name, role):
        """Return client id and secret of a new service principal with a role at the root."""

        async def make():
            return self.cloud.create_service_principal(name, role)[1:]

        return asyncio.run_coroutine_threadsafe(make(), self.loop).result(60)

    def run_commands(self):
        """Return the names of all run commands that there are."""
        listed = self.arm(
            "GET", "resources?$filter=resourceType eq 'microsoft.hybridcompute/machines/runcommands'"
        )
        return {one["name"] for one in listed.json()["value"]}

    def come(self, name):
        """Have a machine connect."""
        presence = self.cloud.plane.presence
        self.loop.call_soon_threadsafe(presence.arrived, self.key(name), time.time())

    def go(self, name):
        """Have a machine leave, long ago."""
        presence, key = self.cloud.plane.presence, self.key(name)
        self.loop.call_soon_threadsafe(presence.departed, key, time.time() - 3600)

    # -- the thread

    def _serve(self):
        try:
            asyncio.run(self._main())
        except BaseException as error:  # told to the test
            self._fault = error
        finally:
            self._ready.set()

    async def _main(self):
        self.loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            listen = Address("127.0.0.1", probe.getsockname()[1])
        self.cloud = ControlPlane(self.folder, clock=time.time, listen=listen)
        async with self.cloud, self.cloud.serving():
            await self.cloud.arm(
                "PUT", f"{self.cloud.subscription}/resourcegroups/{GROUP}", {"location": "local"}
            )
            for name in ("web1", "web2", "web3", "web4", "web5", "db1"):
                await self._machine(name)
            agents = asyncio.create_task(self._agents())
            self._ready.set()
            await self._over.wait()
            agents.cancel()
            await asyncio.gather(agents, return_exceptions=True)

    async def _machine(self, name):
        tags = {"role": name[:-1], "odd": "it's \\ so"}
        made = await self.cloud.arm(
            "PUT", self.key(name), {"location": "local", "tags": tags}, version="2024-07-10"
        )
        assert made.status_code == 200, made.text
        with self.cloud.plane.db.writing() as connection:
            machines.set_enrolled(connection, self.key(name), time.time())
        if name != "db1":
            self.cloud.plane.presence.arrived(self.key(name), time.time())

    async def _agents(self):
        plane = self.cloud.plane
        fetching = MachineWork(plane.db, plane.resources.registry, time.time)
        under_way: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                for name in ("web1", "web2", "web3", "web4", "web5", "db1"):
                    if plane.presence.status(self.key(name), time.time())[0] != "Connected":
                        continue
                    for item in await fetching.fetch(self.key(name)):
                        if item.id not in under_way:
                            under_way[item.id] = asyncio.create_task(self._do(name, item))
                running = sum(not one.done() for one in under_way.values())
                self.most_at_once = max(self.most_at_once, running)
                for one in [one for one in under_way.values() if one.done()]:
                    one.result()
                await asyncio.sleep(PAUSE)
        finally:
            for one in under_way.values():
                one.cancel()
            await asyncio.gather(*under_way.values(), return_exceptions=True)

    async def _do(self, name, item):
        if item.kind == APPLY:
            await self._run(name, item)
            return
        child = self._children.get(item.target)
        if child is not None and child.returncode is None:
            child.kill()
            await child.wait()
        await self._report(name, item, {})

    async def _run(self, name, item):
        script, began = item.properties["source"]["script"], time.time()
        given = item.properties.get("parameters", [])
        environment = {one["name"]: one["value"] for one in given if one.get("name")}
        arguments = [one["value"] for one in given if not one.get("name")]
        self.ran.append((name, script))
        child = await asyncio.create_subprocess_exec(
            "/bin/bash", "-c", script, "script", *arguments,
            env=os.environ | environment | {"MACHINE": name},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._children[item.target] = child
        out, error = await child.communicate()
        for stream, data in (("stdout", out), ("stderr", error)):
            with self.cloud.plane.db.writing() as connection:
                outputs.append(connection, item.target.lower(), item.id, stream, 0, data, OUTPUT_LIMIT)
        states = {0: "Succeeded", -9: "Canceled"}
        view = {
            "executionState": states.get(child.returncode, "Failed"),
            "exitCode": child.returncode,
            "output": out.decode()[-4096:],
            "error": error.decode()[-4096:],
            "startTime": iso(began),
            "endTime": iso(time.time()),
        }
        await self._report(name, item, {"instanceView": view})

    async def _report(self, name, item, properties):
        plane, effects = self.cloud.plane, Effects()
        said = work.Report(properties, True, None)
        try:
            await plane.db.write(
                lambda connection: work.report(
                    connection, plane.resources.registry, self.key(name), item.id, said, time.time(), effects
                )
            )
        except ArmError as error:
            assert error.code == "NotFound"  # it has ended meanwhile: as an agent, go on
        effects.run()


@pytest.fixture(scope="module")
def small_fleet(tmp_path_factory):
    with SmallFleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet
