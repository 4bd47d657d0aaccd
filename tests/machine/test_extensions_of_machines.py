"""Extensions on a machine with true ``himdsd`` and ``extd`` beside it, through ARM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from landbridge_agent.extensions.records import Records

VERSION = "2024-07-10"
SETTLE = 60.0

HANDLER = """#!/bin/sh
echo "$1 $VERSION" >> ../probe.log
[ ! -e "../break-$1-$VERSION" ] || exit 9
[ "$1" != enable ] || printf '[{"status":{"status":"success","formattedMessage":{"message":"I am %s"}}}]' \\
  "$VERSION" > "status/$ConfigSequenceNumber.status"
"""


class Extensions:
    """The extensions of one machine."""

    def __init__(self, agent: Any, tmp_path: Path) -> None:
        self.agent, self.cloud, self.folder = agent, agent.cloud, tmp_path

    def path(self, name: str) -> str:
        return f"{self.agent.id}/extensions/{name}"

    async def put(self, name: str, publisher: str, kind: str, version: str, **properties: Any) -> Any:
        said = {"publisher": publisher, "type": kind, "typeHandlerVersion": version, **properties}
        body = {"location": "local", "properties": said}
        answer = await self.cloud.arm("PUT", self.path(name), body, version=VERSION)
        assert answer.status_code in (200, 201, 202), answer.text
        return answer

    async def script(self, command: str, **properties: Any) -> dict[str, Any]:
        words = {"settings": {"commandToExecute": command}, **properties}
        await self.put("script", "Microsoft.Azure.Extensions", "CustomScript", "2.1", **words)
        return await self.settled("script")

    async def probe(self, version: str, **properties: Any) -> dict[str, Any]:
        await self.put("probe", "Contoso.Tools", "Probe", version, **properties)
        return await self.settled("probe")

    async def settled(self, name: str) -> dict[str, Any]:
        """Wait until the machine has reported; return the properties."""
        async with asyncio.timeout(SETTLE):
            while True:
                answer = await self.cloud.arm("GET", self.path(name), version=VERSION)
                properties: dict[str, Any] = answer.json()["properties"]
                if properties["provisioningState"] in ("Succeeded", "Failed"):
                    return properties
                await asyncio.sleep(0.05)

    async def delete(self, name: str) -> None:
        answer = await self.cloud.arm("DELETE", self.path(name), version=VERSION)
        assert answer.status_code in (200, 202, 204), answer.text
        async with asyncio.timeout(SETTLE):
            while (await self.cloud.arm("GET", self.path(name), version=VERSION)).status_code != 404:
                await asyncio.sleep(0.05)

    async def publish(self, version: str) -> None:
        """Publish a package as an operator does, while the control plane runs."""
        file = self.folder / f"probe-{version}.zip"
        commands = {f"{one}Command": f"handler {one}" for one in
                    ("install", "enable", "update", "disable", "uninstall")}  # fmt: skip
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
            package.writestr("HandlerManifest.json", json.dumps([{"handlerManifest": commands}]))
            package.writestr("handler", HANDLER)
            package.writestr("ballast", os.urandom(5 * 1024 * 1024))  # more than one request brings
        words = f"extension publish {file} --publisher Contoso.Tools --type Probe --version {version}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "landbridge_server.cli.main", *words.split(),
            "--data", str(self.cloud.config.data), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert await process.wait() == 0

    def log(self) -> list[str]:
        file = self.agent.paths.extensions / "probe.log"
        return file.read_text().splitlines() if file.exists() else []

    def installed(self) -> list[str]:
        return sorted(path.name for path in self.agent.paths.extensions.glob("*-*") if path.is_dir())


@pytest.fixture
async def extensions(cloud: Any, agent: Any, tmp_path: Path) -> AsyncIterator[Extensions]:
    await cloud.arm("PUT", f"{cloud.subscription}/resourceGroups/machines", {"location": "local"})
    assert (await agent.connect()).code == 0
    async with agent.himdsd(), agent.extd():
        await agent.until("Connected")
        yield Extensions(agent, tmp_path)


async def test_custom_script_succeeds_fails_with_its_message_is_updated_and_deleted(extensions):
    done = await extensions.script("echo hello")
    view = done["instanceView"]
    assert done["provisioningState"] == "Succeeded" and view["typeHandlerVersion"] == "2.1.13"
    assert view["status"]["message"].startswith("Extension Message: Enable succeeded: \n[stdout]\nhello\n")
    failed = await extensions.script("echo no disk >&2; exit 5")
    assert failed["provisioningState"] == "Failed"
    assert "exit status=5\n[stdout]\n\n[stderr]\nno disk\n" in failed["instanceView"]["status"]["message"]
    mended = await extensions.script("", settings={}, protectedSettings={"commandToExecute": "echo mended"})
    assert "mended" in mended["instanceView"]["status"]["message"]
    await extensions.delete("script")
    assert extensions.installed() == []


async def test_a_published_package_is_installed_upgraded_rolled_back_and_removed(extensions):
    await extensions.publish("1.0.0")
    first = await extensions.probe("1.0")
    assert first["instanceView"]["status"]["message"] == "Extension Message: I am 1.0.0"
    await extensions.publish("1.1.0")
    content = {"extensionTargets": {"Contoso.Tools.Probe": {"targetVersion": "1.1.0"}}}
    path = f"{extensions.agent.id}/upgradeExtensions"
    assert (await extensions.cloud.arm("POST", path, content, version=VERSION)).status_code == 202
    async with asyncio.timeout(SETTLE):
        while extensions.installed() != ["Contoso.Tools.Probe-1.1.0"]:
            await asyncio.sleep(0.1)
    await extensions.publish("2.0.0")
    (extensions.agent.paths.extensions / "break-install-2.0.0").touch()
    failed = await extensions.probe("2.0")
    message = failed["instanceView"]["status"]["message"]
    assert failed["provisioningState"] == "Failed" and "Version 1.1.0 is back." in message
    assert extensions.installed() == ["Contoso.Tools.Probe-1.1.0"]
    (extensions.agent.paths.extensions / "break-install-2.0.0").unlink()
    assert (await extensions.probe("2.0", forceUpdateTag="2"))["provisioningState"] == "Succeeded"
    await extensions.delete("probe")
    assert extensions.installed() == [] and extensions.log()[-1] == "uninstall 2.0.0"


async def test_what_the_machine_forbids_fails_with_the_rule_in_the_cloud(extensions):
    assert (await extensions.agent.run("config", "set", "extensions.allowlist", "Allow/None")).code == 0
    denied = await extensions.script("echo hello")
    assert denied["provisioningState"] == "Failed"
    assert "extensions.allowlist" in denied["instanceView"]["status"]["message"]


async def test_a_worker_that_is_killed_in_enable_is_one_failure_and_the_next_put_works(extensions, tmp_path):
    runs = tmp_path / "runs"
    command = f"echo $$ >> {runs}; [ -e {runs}.go ] || sleep 300"
    words = {"settings": {"commandToExecute": command}}
    await extensions.put("script", "Microsoft.Azure.Extensions", "CustomScript", "2.1", **words)
    async with asyncio.timeout(SETTLE):
        while not runs.exists():
            await asyncio.sleep(0.05)
    for pid in workers(extensions.agent.paths.root):
        os.kill(pid, signal.SIGKILL)
    failed = await extensions.settled("script")
    assert failed["provisioningState"] == "Failed"
    status = failed["instanceView"]["status"]
    assert status["level"] == "Error" and "the agent's process was killed" in status["message"]
    assert Records(extensions.agent.paths.extensions).get("script").state == "Working"
    (tmp_path / "runs.go").touch()
    done = await extensions.script(command)
    assert done["provisioningState"] == "Succeeded" and len(runs.read_text().split()) == 2


def workers(root: Path) -> list[int]:
    """Return the workers of one agent."""
    found = []
    for name in os.listdir("/proc"):
        try:
            line = Path(f"/proc/{name}/cmdline").read_bytes() if name.isdigit() else b""
        except OSError:
            continue
        if b"landbridge_agent.work.worker" in line and str(root).encode() in line:
            found.append(int(name))
    return found
