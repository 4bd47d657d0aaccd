"""Two nodes on one PostgreSQL, each with a folder of its own: what one rotates, the other follows."""

from __future__ import annotations

import asyncio
import shutil
import time

import pytest

import postgresql_server
from landbridge_server.cli.main import main
from landbridge_server.identity.keys import unverified_parts
from landbridge_server.testing import ControlPlane


def run(node: ControlPlane, url: str, *words: str) -> int:
    return main([*words, "--data", str(node.config.data), "--store", url])


def opened(folder, url: str) -> ControlPlane:
    return ControlPlane(folder, clock=time.time, store=url)


@pytest.fixture
async def nodes(tmp_path, postgresql):
    with postgresql.database(postgresql_server.TEMPLATE) as url:
        async with opened(tmp_path / "one", url) as one:
            for name in ("ca", "keys"):
                shutil.copytree(tmp_path / "one" / name, tmp_path / "two" / name)
            shutil.copy(tmp_path / "one/admin.json", tmp_path / "two/admin.json")
            async with opened(tmp_path / "two", url) as two:
                yield one, two, url


async def test_both_nodes_issue_from_the_new_root_and_hand_out_the_same(nodes):
    one, two, url = nodes
    for step in ("prepare", "activate"):
        assert await asyncio.to_thread(run, one, url, "ca", "rotate", f"--{step}") == 0
        for node in (one, two):
            await node.plane.settle()
    assert two.plane.authority.bundle == one.plane.authority.bundle
    assert two.plane.authority.issuing.pem == one.plane.authority.issuing.pem
    assert (await two.client.get("/ca.pem")).text == two.plane.authority.bundle
    # The root's key stays where it was made; the node that lacks it opens all the same.
    keys = {node: len(list((node.config.data / "ca").glob("root*.key"))) for node in (one, two)}
    assert (keys[one], keys[two]) == (2, 1)
    async with opened(two.config.data, url) as again:
        assert again.plane.authority.bundle == one.plane.authority.bundle


async def test_a_node_that_was_away_follows_at_its_start(nodes):
    one, two, url = nodes
    for step in ("prepare", "activate", "finish"):
        assert await asyncio.to_thread(run, one, url, "ca", "rotate", f"--{step}") == 0
    await one.plane.settle()
    async with opened(two.config.data, url) as again:
        assert again.plane.authority.bundle == one.plane.authority.bundle
        assert len(again.plane.authority.roots) == 1


async def test_tokens_of_either_node_are_accepted_at_the_other_while_keys_rotate(nodes):
    one, two, url = nodes
    before = await two.token()
    assert await asyncio.to_thread(run, two, url, "keys", "rotate") == 0
    await one.plane.settle()
    after = await one.token()
    assert unverified_parts(after)[0]["kid"] != unverified_parts(before)[0]["kid"]
    for node in (one, two):
        for token in (before, after):
            assert (await node.arm("GET", "/subscriptions", token=token)).status_code == 200
    assert await asyncio.to_thread(run, one, url, "keys", "revoke-previous") == 0
    for node in (one, two):
        await node.plane.settle()
        assert (await node.arm("GET", "/subscriptions", token=before)).status_code == 401
