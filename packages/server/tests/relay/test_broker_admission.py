"""Who may listen and who may send: tokens, limits, and how a refusal is given."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from relay_rehearsal import MACHINE, OTHER_PATH, PATH, USER, Agent, Refused, echoing, serving

from landbridge_server.relay.limits import Limits
from landbridge_wire import hybrid_connections as wire

QUICK = Limits(hold=0.05, recent=0.0, refusal_hold=0.01, rendezvous=0.2, linger=0.2)
TARGET = wire.TARGET_HEADER


@pytest.mark.parametrize(
    ("case", "status", "reason"),
    [
        ("missing", 401, "MissingToken"),
        ("garbage", 401, "MalformedToken"),
        ("expired", 401, "ExpiredToken"),
        ("other machine", 401, "InvalidSignature"),
        ("listen right", 403, "'Send' claim"),
        ("revoked sender", 403, "'Send' claim"),
    ],
)
async def test_a_sender_with_a_wrong_token_is_refused(
    tmp_path: Path, case: str, status: int, reason: str
) -> None:
    async with serving(tmp_path, QUICK) as relay:
        if case == "revoked sender":
            relay.directory.denied.add(USER)
        token = {
            "missing": "",
            "garbage": "Bearer abc",
            "expired": relay.send_token(seconds=-1),
            "other machine": relay.send_token(OTHER_PATH),
            "listen right": relay.listen_token(),
            "revoked sender": relay.send_token(),
        }[case]
        with pytest.raises(Refused, match=reason) as refused:
            await relay.connect(token=token)
        assert refused.value.status == status


@pytest.mark.parametrize(
    ("case", "status", "reason"),
    [
        ("send right", 403, "'Listen' claim"),
        ("expired", 401, "ExpiredToken"),
        ("other machine", 401, "InvalidSignature"),
        ("removed", 404, "Endpoint does not exist"),
    ],
)
async def test_a_listener_with_a_wrong_token_is_refused(
    tmp_path: Path, case: str, status: int, reason: str
) -> None:
    async with serving(tmp_path, QUICK) as relay:
        if case == "removed":
            del relay.directory.entities[PATH]
        token = {
            "send right": relay.send_token(),
            "expired": relay.listen_token(seconds=-1),
            "other machine": relay.listen_token(OTHER_PATH),
            "removed": relay.listen_token(),
        }[case]
        with pytest.raises(Refused, match=reason) as refused:
            await relay.listen(token=token)
        assert refused.value.status == status


async def test_a_refused_listener_waits_for_its_answer(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, refusal_hold=30.0)) as relay:
        dialling = asyncio.ensure_future(relay.listen(token="x"))
        await asyncio.sleep(0.1)
        assert not dialling.done()
        assert relay.broker.held == 1
        dialling.cancel()


async def test_a_token_in_the_query_is_as_good_as_the_header(tmp_path: Path) -> None:
    from urllib.parse import quote

    async with serving(tmp_path, QUICK) as relay:
        token = quote(relay.listen_token(), safe="")
        await relay.dial(f"{relay.base}/$hc/{PATH}?null&sb-hc-token={token}&sb-hc-action=listen")
        assert relay.broker.listening(PATH)


async def test_no_more_than_the_limit_of_listeners(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, listeners_per_path=2)) as relay:
        standing = [await relay.listen(), await relay.listen()]
        with pytest.raises(Refused, match="403 At most 2 listeners"):
            await relay.listen()
        assert len(standing) == 2


async def test_recheck_ends_the_sessions_of_a_sender_who_lost_the_right(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        socket = await relay.connect(headers={TARGET: f"localhost:{port}"})
        await relay.broker.recheck()
        await socket.send(b"fine")
        assert await socket.receive_bytes(4) == b"fine"
        relay.directory.denied.add(USER)
        await relay.broker.recheck()
        assert (await socket.until_closed())[0] == 1008
        assert MACHINE in PATH
