"""What machines install the agent from."""

from __future__ import annotations

import hashlib
import subprocess

import pytest

from landbridge_server.portal.downloads import Downloads
from landbridge_server.testing import ControlPlane


@pytest.fixture
def packages(tmp_path):
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "azcmagent_1.61.0.1_all.deb").write_bytes(b"deb")
    (folder / "landbridge_agent-0.1.0-py3-none-any.whl").write_bytes(b"wheel")
    (folder / ".made-from").write_text("x")
    (folder / "secret.txt").write_text("x")
    return folder


@pytest.fixture
async def cloud(tmp_path, packages, monkeypatch):
    monkeypatch.setattr(Downloads.__init__, "__defaults__", (packages,))
    async with ControlPlane(tmp_path / "data") as cloud:
        yield cloud


async def test_packages_are_listed_with_their_digests_and_handed_out(cloud):
    listed = (await cloud.client.get("/agent/packages.json")).json()
    assert listed["version"] == "1.61.0.1"
    assert [one["name"] for one in listed["packages"]] == [
        "azcmagent_1.61.0.1_all.deb", "landbridge_agent-0.1.0-py3-none-any.whl",
    ]  # fmt: skip
    for one in listed["packages"]:
        answer = await cloud.client.get(one["url"])
        assert answer.status_code == 200
        assert hashlib.sha256(answer.content).hexdigest() == one["sha256"]


@pytest.mark.parametrize("name", ["secret.txt", ".made-from", "..%2f..%2fhttp.py", "x.deb"])
async def test_nothing_else_is_handed_out(cloud, name):
    assert (await cloud.client.get(f"/agent/{name}")).status_code == 404


async def test_the_script_knows_this_cloud_and_is_shell(cloud):
    answer = await cloud.client.get("/install_linux_azcmagent.sh")
    assert answer.status_code == 200
    assert cloud.config.endpoints.resource_manager in answer.text
    assert (cloud.config.data / "ca/root.pem").read_text().strip() in answer.text
    assert hashlib.sha256(b"deb").hexdigest() in answer.text
    assert "PRIVATE KEY" not in answer.text
    subprocess.run(["sh", "-n"], input=answer.text, text=True, check=True)


async def test_without_packages_the_operator_is_told_what_to_build(cloud, tmp_path):
    cloud.plane.portal.downloads = Downloads(tmp_path / "nothing")
    cloud.plane.portal.install_text = None
    answer = await cloud.client.get("/install_linux_azcmagent.sh")
    assert answer.status_code == 404
    assert "tools/build_downloads.py" in answer.json()["error"]["message"]


async def test_az_finds_the_extension_where_the_metadata_says(cloud, packages):
    (packages / "ssh-2.0.100-py3-none-any.whl").write_bytes(b"extension")
    cloud.plane.portal.downloads = Downloads(packages)
    metadata = (await cloud.client.get("/metadata/endpoints?api-version=2022-09-01")).json()
    mirror = metadata["azmirrorStorageAccountResourceId"]
    index = (await cloud.client.get(f"{mirror}/extensions/index.json")).json()
    row = index["extensions"]["ssh"][0]
    answer = await cloud.client.get(row["downloadUrl"])
    assert hashlib.sha256(answer.content).hexdigest() == row["sha256Digest"]
    assert row["downloadUrl"].endswith(row["filename"])
    tree = (await cloud.client.get(f"{mirror}/extensions/extensionCommandTree.json")).json()
    assert tree["ssh"]["arc"] == "ssh"
    assert (await cloud.client.get(f"{mirror}/extensions/other.whl")).status_code == 404
