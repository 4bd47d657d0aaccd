"""Does what docs/how-to/add-a-resource-type.md says, block by block, and runs the page's own tests."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest

from landbridge_server.app import control_plane
from landbridge_server.arm.resource_type import ResourceType
from landbridge_server.testing import ControlPlane

CLONE = Path(__file__).parents[4]
PAGE = CLONE / "docs/how-to/add-a-resource-type.md"
BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def blocks():
    """Return language and text of each titled block of the page, by the file that it is for."""
    return {title: (language, text) for language, title, text in BLOCK.findall(PAGE.read_text())}


def with_added_lines(text, diff):
    """Return a file with the lines of a diff added, each behind the line above it in the diff."""
    before = ""
    for line in diff.splitlines():
        if line.startswith("+"):
            assert before, "a diff begins with a line that is there"
            text = text.replace(before, f"{before}{line[1:]}\n", 1)
            before = f"{line[1:]}\n"
        else:
            before = f"{line[1:]}\n"
            assert text.count(before) == 1, line
    return text


def module_of(name, folder, text, monkeypatch):
    """Return a file of the page as the module that it would be."""
    file = folder / f"{name.rpartition('.')[2]}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The modules that somebody has who has followed the page."""
    made = {}
    for title, (language, text) in blocks().items():
        name = title.partition("/src/")[2].removesuffix(".py").replace("/", ".") or Path(title).stem
        if language == "diff":
            text = with_added_lines((CLONE / title).read_text(), text)
        made[Path(title).stem] = module_of(name, tmp_path, text, monkeypatch)
    monkeypatch.setattr(control_plane, "ResourceManager", made["composition"].ResourceManager)
    return made


def stories():
    names = re.findall(r"^async def (test_\w+)", PAGE.read_text(), re.MULTILINE)
    assert len(names) == 3
    return names


@pytest.mark.parametrize("name", stories())
async def test_the_tests_of_the_page_pass_once_the_page_was_followed(name, page, tmp_path, speaking_to):
    async with ControlPlane(tmp_path / "cloud") as cloud:
        story = getattr(page["test_notes"], name)
        given = {"arm": speaking_to(cloud), "cloud": cloud}
        await story(**{one: given[one] for one in inspect.signature(story).parameters})


async def test_without_the_entry_in_the_registry_there_is_no_such_type(cloud, arm):
    await arm.group()
    refused = await arm("GET", "resourceGroups/demo/providers/Contoso.Notes/notes/shopping")
    assert refused.json()["error"]["code"] == "InvalidResourceNamespace"


async def test_a_type_of_the_page_is_one_like_others_everywhere(page, tmp_path, speaking_to):
    async with ControlPlane(tmp_path / "cloud") as cloud:
        arm = speaking_to(cloud)
        assert isinstance(cloud.plane.resources.registry.find("contoso.notes/NOTES"), ResourceType)
        for name in ("demo", "other"):
            await arm.group(name)
        await arm("POST", "providers/Contoso.Notes/register")
        note = "resourceGroups/demo/providers/Contoso.Notes/notes/a"
        await arm("PUT", note, {"location": "local", "properties": {"text": "x"}})
        lock = f"{note}/providers/Microsoft.Authorization/locks/keep"
        await arm("PUT", lock, {"properties": {"level": "ReadOnly"}})
        assert (await arm("POST", f"{note}/count")).json()["error"]["code"] == "ScopeLocked"
        await arm("DELETE", lock)
        await arm(
            "PUT", f"{note}/providers/Microsoft.Resources/tags/default", {"properties": {"tags": {"a": "b"}}}
        )
        body = {"resources": [f"{cloud.subscription}/{note}"]}
        body["targetResourceGroup"] = f"{cloud.subscription}/resourceGroups/other"
        assert (await arm("POST", "resourceGroups/demo/moveResources", body)).status_code == 202
        found = await arm(
            "POST",
            "/providers/Microsoft.ResourceGraph/resources",
            {"query": "resources | where type =~ 'Contoso.Notes/notes' | project resourceGroup, tags.a"},
        )
        assert found.json()["data"] == [{"resourceGroup": "other", "tags_a": "b"}]
        await arm("DELETE", "resourceGroups/other")
        await cloud.plane.settle()
        assert (await arm("GET", "resources")).json() == {"value": []}
