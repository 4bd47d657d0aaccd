"""``azcmagent upgrade``; the installation itself is seen in the end-to-end tests."""

from __future__ import annotations

import hashlib

import pytest

from landbridge_agent.version import AGENT_VERSION


def offer(cloud, version: str, digest: str = hashlib.sha256(b"").hexdigest()) -> None:
    package = {"name": f"azcmagent_{version}_all.deb", "sha256": digest, "url": f"{cloud.url}/agent/x.deb"}
    cloud.answers[("GET", "/agent/packages.json")] = (200, {"version": version, "packages": [package]})
    cloud.answers[("GET", "/agent/x.deb")] = (200, None)


async def upgrade(cloud, azcmagent, *words: str):
    return await azcmagent("upgrade", "--cloud", cloud.url, "--ca-file", str(cloud.ca_file), *words)


async def test_the_newest_version_stays(cloud, azcmagent):
    async with cloud.serving():
        offer(cloud, AGENT_VERSION)
        ran = await upgrade(cloud, azcmagent)
        again = await upgrade(cloud, azcmagent, "--version", AGENT_VERSION.rpartition(".")[0])
    assert ran.code == 0 and "up to date" in ran.out
    assert again.code == 0


async def test_a_version_that_the_cloud_does_not_have_is_not_pretended(cloud, azcmagent):
    async with cloud.serving():
        offer(cloud, AGENT_VERSION)
        ran = await upgrade(cloud, azcmagent, "--version", "1.6")
    assert ran.code == 147 and "AZCM0147" in ran.err


async def test_an_agent_that_no_package_installed_is_left_alone(cloud, azcmagent):
    async with cloud.serving():
        offer(cloud, "9.0.0.0")
        ran = await upgrade(cloud, azcmagent)
    assert ran.code == 3 and "Debian package" in ran.err


@pytest.mark.parametrize("answer", [(404, None), (200, {}), (200, {"version": "1", "packages": [1, {}]})])
async def test_a_cloud_without_packages_says_so(cloud, azcmagent, answer):
    cloud.answers[("GET", "/agent/packages.json")] = answer
    async with cloud.serving():
        assert (await upgrade(cloud, azcmagent)).code == 147


async def test_what_is_not_the_listed_package_is_not_installed(cloud, azcmagent, monkeypatch):
    monkeypatch.setattr("landbridge_agent.cli.upgrade._is_packaged", lambda: True)
    azcmagent.environment.clear()
    monkeypatch.setattr(
        "landbridge_agent.platform.posix.Linux.paths", lambda *_: azcmagent.paths._replace(relocated=False)
    )
    monkeypatch.setattr("os.geteuid", lambda: 0)
    async with cloud.serving():
        offer(cloud, "9.0.0.0", "0" * 64)
        ran = await upgrade(cloud, azcmagent)
    assert ran.code == 146 and "not the package" in ran.err
