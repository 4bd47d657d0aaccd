"""``docs/how-to/publish-an-extension.md``: its package is made, published, installed, upgraded as it says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[2] / "docs/how-to/publish-an-extension.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
VERSION = "2024-07-10"
SETTLE = 60.0


def block(words: str) -> str:
    """Return the one block of the page that has these words."""
    (found,) = [one for one in BLOCKS if words in one]
    return found


async def shell(script: str, folder: Path, cloud: Any) -> str:
    """Run what the page says, with this program as ``landbridge`` and this cloud's folder."""
    own = f'landbridge() {{ "{sys.executable}" -m landbridge_server.cli.main "$@" --data "$DATA"; }}\n'
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-eu", "-c", own + script, cwd=folder, stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "DATA": str(cloud.config.data)},
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode()


def properties_of(text: str) -> dict[str, Any]:
    """Return what a block gives after ``--properties``."""
    found = re.search(r"--properties '(.*?)'", text, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


@pytest.fixture
async def connected(cloud: Any, agent: Any) -> AsyncIterator[Any]:
    await cloud.arm("PUT", f"{cloud.subscription}/resourceGroups/machines", {"location": "local"})
    assert (await agent.connect()).code == 0
    async with agent.himdsd(), agent.extd():
        await agent.until("Connected")
        yield agent


async def shows(agent: Any, path: str, version: str) -> dict[str, Any]:
    """Wait until the extension shows this version, or has failed."""
    async with asyncio.timeout(SETTLE):
        while True:
            shown: dict[str, Any] = (await agent.cloud.arm("GET", path, version=VERSION)).json()["properties"]
            view = shown.get("instanceView", {})
            if shown["provisioningState"] == "Failed" or (
                shown["provisioningState"] == "Succeeded" and view.get("typeHandlerVersion") == version
            ):
                return shown
            await asyncio.sleep(0.1)


async def test_the_page_works_as_it_stands(connected: Any, tmp_path: Path) -> None:
    cloud, motd = connected.cloud, tmp_path / "etc-motd"
    made = block("HandlerManifest.json").replace("motd=/etc/motd", f"motd={motd}")
    published = block("extension publish")
    assert "Motd" in await shell(made + published, tmp_path, cloud)
    path = f"{connected.id}/extensions/motd"
    body = {"location": "local", "properties": properties_of(block("az resource create"))}
    assert (await cloud.arm("PUT", path, body, version=VERSION)).status_code in (201, 202)
    first = await shows(connected, path, "1.0.0")
    assert first["instanceView"]["status"]["message"] == "Extension Message: motd 1.0.0 is set"
    assert motd.read_text() == "Welcome\n"

    await shell(published.replace("1.0.0", "1.1.0"), tmp_path, cloud)
    await cloud.plane.settle()  # instead of half a minute
    assert (await shows(connected, path, "1.1.0"))["provisioningState"] == "Succeeded"

    await shell(block("extension remove"), tmp_path, cloud)
    listed = await shell("landbridge extension list -o json", tmp_path, cloud)
    assert [one["version"] for one in json.loads(listed) if one["type"] == "Motd"] == ["1.1.0"]
    await cloud.arm("DELETE", path, version=VERSION)
    async with asyncio.timeout(SETTLE):
        while (await cloud.arm("GET", path, version=VERSION)).status_code != 404:
            await asyncio.sleep(0.1)
    assert not motd.exists()
