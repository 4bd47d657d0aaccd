from __future__ import annotations

import json

import pytest

from landbridge_server.cli.main import main
from landbridge_server.testing import ControlPlane

UBUNTU = {"publisher": "Canonical", "offer": "UbuntuServer", "sku": "22.04-LTS", "version": "latest"}


def aliases(**linux: object) -> bytes:
    return json.dumps({"outputs": {"aliases": {"value": {"Linux": linux, "Windows": {}}}}}).encode()


@pytest.fixture
async def cloud(tmp_path):
    async with ControlPlane(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def run(cloud, tmp_path, capsys):
    def call(content: bytes) -> tuple[int, str]:
        file = tmp_path / "given.json"
        file.write_bytes(content)
        code = main(["image", "aliases", "set", str(file), "--data", str(cloud.config.data)])
        return code, capsys.readouterr().err

    return call


async def served(cloud) -> dict:
    return (await cloud.client.get("/aliases.json")).json()["outputs"]["aliases"]["value"]


async def test_none_are_served_before_any_are_set(cloud):
    assert await served(cloud) == {"Linux": {}, "Windows": {}}


async def test_a_set_document_is_served_whole_and_shown(cloud, run, capsys):
    assert run(aliases(Ubuntu2204=UBUNTU)) == (0, "")
    assert (await served(cloud))["Linux"] == {"Ubuntu2204": UBUNTU | {"architecture": "x64"}}
    assert main(["image", "aliases", "show", "--data", str(cloud.config.data)]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"]["aliases"]["value"] == await served(cloud)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"nonsense", "outputs.aliases.value"),
        (b"[]", "outputs.aliases.value"),
        (b'{"outputs":{"aliases":{"value":[]}}}', "Linux"),
        (b'{"outputs":{"aliases":{"value":{"Beos":{}}}}}', "Beos"),
        (aliases(A={"publisher": "P"}), "Linux.A needs offer"),
        (aliases(A=UBUNTU | {"version": 1}), "Linux.A needs version"),
        (aliases(A=7), "Linux.A needs publisher"),
        (b"[" * 100_000, "outputs.aliases.value"),
        (b" " * 1_100_000, "at most"),
    ],
)
async def test_what_is_no_such_document_changes_nothing(cloud, run, content, says):
    run(aliases(Ubuntu2204=UBUNTU))
    before = await served(cloud)
    code, said = run(content)
    assert code == 1
    assert says in said
    assert await served(cloud) == before


async def test_the_metadata_names_the_document(cloud):
    body = (await cloud.client.get("/metadata/endpoints?api-version=2022-09-01")).json()
    assert body["vmImageAliasDoc"] == cloud.config.endpoints.resource_manager + "/aliases.json"
