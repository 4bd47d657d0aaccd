from __future__ import annotations

import shutil

import pytest

from landbridge_server.ca.ownership import ForeignCloud
from landbridge_server.testing import ControlPlane


async def start(folder, url):
    async with ControlPlane(folder, store=url) as cloud:
        return cloud.plane.tenant.tenant_id


async def test_a_second_folder_with_the_same_keys_serves_the_same_cloud(tmp_path, store_url):
    tenant = await start(tmp_path / "one", store_url)
    for name in ("ca", "keys"):
        shutil.copytree(tmp_path / "one" / name, tmp_path / "two" / name)
    assert await start(tmp_path / "two", store_url) == tenant


async def test_an_empty_folder_is_refused_and_no_keys_are_made(tmp_path, store_url):
    await start(tmp_path / "one", store_url)
    with pytest.raises(ForeignCloud, match="Copy 'ca' and 'keys'"):
        await start(tmp_path / "two", store_url)
    assert not (tmp_path / "two" / "ca").exists()


async def test_the_keys_of_another_cloud_are_refused(tmp_path, store_url):
    await start(tmp_path / "one", store_url)
    await start(tmp_path / "two", f"sqlite:///{tmp_path / 'two.db'}")
    with pytest.raises(ForeignCloud, match=r"root\.pem is another one"):
        await start(tmp_path / "two", store_url)


async def test_another_relay_key_is_refused(tmp_path, store_url):
    await start(tmp_path / "one", store_url)
    (tmp_path / "one" / "keys" / "relay.key").write_bytes(b"x" * 32)
    with pytest.raises(ForeignCloud, match=r"relay\.key"):
        await start(tmp_path / "one", store_url)
