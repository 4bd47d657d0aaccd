"""``landbridge keys``, with two control planes on one store, as two nodes are."""

from __future__ import annotations

import json
import time

import pytest

from landbridge_server.cli.main import main
from landbridge_server.identity import key_rotation
from landbridge_server.identity.keys import unverified_parts
from landbridge_server.testing import ControlPlane

DAY = 86400.0


class Wound:
    """The real time, and some seconds more."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock():
    return Wound()


@pytest.fixture
async def nodes(tmp_path, clock):
    async with ControlPlane(tmp_path, clock=clock) as one, ControlPlane(tmp_path, clock=clock) as other:
        yield one, other


def keys(node: ControlPlane, action: str, *more: str) -> int:
    return main(["keys", action, "--data", str(node.config.data), *more])


async def accepted(node: ControlPlane, token: str) -> bool:
    answer = await node.arm("GET", "/subscriptions", token=token)
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def signer(token: str) -> str:
    return str(unverified_parts(token)[0]["kid"])


async def published(node: ControlPlane) -> set[str]:
    answer = await node.client.get(f"/{node.admin['tenantId']}/discovery/v2.0/keys")
    return {key["kid"] for key in answer.json()["keys"]}


async def test_a_rotation_reaches_every_node_and_old_tokens_go_on(nodes):
    one, other = nodes
    before = await one.token()
    assert keys(one, "rotate") == 0
    await one.plane.settle()
    after = await one.token()
    assert signer(after) != signer(before)
    # The other node has not looked yet: the unknown key makes it look.
    assert await accepted(other, after) and await accepted(other, before)
    assert await published(other) == {signer(before), signer(after)}
    assert signer(await other.token()) == signer(after)


async def test_the_next_key_is_published_before_it_signs(nodes):
    one, other = nodes
    before = signer(await one.token())
    assert keys(one, "prepare") == 0
    for node in nodes:
        await node.plane.settle()
    coming = (await published(other)) - {before}
    assert len(coming) == 1 and signer(await other.token()) == before
    assert keys(one, "prepare") == 1
    assert keys(one, "rotate") == 0
    await other.plane.settle()
    assert {signer(await other.token())} == coming


async def test_a_key_in_wrong_hands_is_withdrawn_at_once_everywhere(nodes):
    one, other = nodes
    keys(one, "prepare")
    for node in nodes:
        await node.plane.settle()
    stolen = await one.token()
    assert await accepted(other, stolen)  # and remembered there
    read = await published(one)
    assert keys(one, "rotate", "--revoke-previous") == 0
    for node in nodes:
        await node.plane.settle()
        assert not await accepted(node, stolen)
        assert not await published(node) & read  # the one that was to sign next went, too
        assert await accepted(node, await node.token())


async def test_previous_keys_are_withdrawn_on_their_own(nodes, capsys):
    one, _ = nodes
    assert keys(one, "revoke-previous") == 1
    assert "no previous key" in capsys.readouterr().err
    before = await one.token()
    keys(one, "rotate")
    assert keys(one, "revoke-previous") == 0
    await one.plane.settle()
    assert not await accepted(one, before)


async def test_a_previous_key_is_published_until_its_tokens_have_ended(nodes, clock):
    one, other = nodes
    before = signer(await one.token())
    keys(one, "rotate")
    clock.ahead = key_rotation.LONGEST_TOKEN - 60
    await one.plane.settle()
    assert before in await published(one)
    clock.ahead = key_rotation.LONGEST_TOKEN + 60
    await one.plane.settle()
    await other.plane.settle()
    assert before not in await published(one) | await published(other)


async def test_keys_are_rotated_by_schedule_and_announced_a_week_before(nodes, clock):
    one, other = nodes
    first = signer(await one.token())
    for days, expected in ((82, 1), (84, 2), (89, 2)):
        clock.ahead = days * DAY
        await one.plane.settle()
        assert len(await published(one)) == expected
        assert signer(await one.token()) == first
    clock.ahead = 90 * DAY + 60
    await one.plane.settle()
    await other.plane.settle()
    assert signer(await other.token()) == signer(await one.token()) != first
    assert len(await published(one)) == 2


async def test_without_a_schedule_nothing_rotates(tmp_path, clock):
    async with ControlPlane(tmp_path, clock=clock, signing_key_days=0) as cloud:
        first = signer(await cloud.token())
        clock.ahead = 1000 * DAY
        await cloud.plane.settle()
        assert await published(cloud) == {first}


async def test_tokens_survive_a_restart_and_the_loss_of_the_first_keys_file(tmp_path, clock):
    async with ControlPlane(tmp_path, clock=clock) as cloud:
        keys(cloud, "rotate")
        await cloud.plane.settle()
        token = await cloud.token()
    for path in (tmp_path / "keys").glob("signing-*.pem"):
        path.unlink()
    async with ControlPlane(tmp_path, clock=clock) as again:
        assert await accepted(again, token)


async def test_status_shows_states_and_no_key(nodes, capsys):
    one, _ = nodes
    keys(one, "prepare")
    keys(one, "rotate")
    capsys.readouterr()
    assert keys(one, "status", "-o", "json") == 0
    out = capsys.readouterr().out
    assert sorted(row["state"] for row in json.loads(out)) == ["current", "previous"]
    assert "PRIVATE" not in out and "PRIVATE" not in one.plane.db.read(key_rotation.text)


async def test_a_made_up_key_id_is_refused_and_asks_the_store_once_a_second(nodes, monkeypatch):
    one, _ = nodes
    token = await one.token()
    asked: list[int] = []
    real = one.plane.signing_keys.look
    monkeypatch.setattr(one.plane.signing_keys, "look", lambda: (asked.append(1), real()))
    monkeypatch.setattr(one.plane.signing_keys, "clock", lambda: 5.0)
    head = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5vYm9keSJ9"
    for _ in range(20):
        assert not await accepted(one, head + token[token.index(".") :])
    assert len(asked) == 1
