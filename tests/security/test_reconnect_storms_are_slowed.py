"""Reconnect storms are slowed, not answered fast: by the agent itself, and by the server for others.

hyco-ws dials again at once and twice after each refusal; the agent waits longer and longer, each time
for a random part of it, so that machines which were cut together do not come back together.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from itertools import pairwise

import pytest
from relay_rehearsal import Refused

from landbridge_server.edge.connections import Room
from landbridge_wire import websocket
from landbridge_wire.listener import Dial, Listener, ListenerConfig, RenewToken

HOUR = 3600.0


def dials(seed: int, status: int | None, seconds: float = HOUR) -> list[float]:
    """Return when an agent dials while each dial ends with ``status`` (None: nobody answers)."""
    now = 0.0
    machine = Listener(ListenerConfig(), random.Random(seed).random, now)
    commands, found = machine.start(now), []
    while now < seconds:
        kinds = {type(command) for command in commands}
        if Dial in kinds:
            found.append(now)
            commands = machine.failed(status, "", now)
        elif RenewToken in kinds:
            commands = machine.token_renewed("t", 1e9, now)
        else:
            now = machine.deadline
            commands = machine.tick(now)
    return found


@pytest.mark.parametrize(("answer", "most"), [(503, 260), (404, 260), (401, 260), (None, 1100)])
def test_an_agent_that_is_refused_comes_less_and_less_often(answer, most):
    times = dials(1, answer)
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert 10 < len(times) < most
    assert waits[0] <= 1.0
    assert min(waits[10:]) >= (15.0 if answer else 3.5)


def test_agents_that_were_cut_together_do_not_come_back_together():
    seconds = [0] * 40
    for seed in range(1000):
        for when in dials(seed, None, 40.0):
            if when:
                seconds[int(when)] += 1
    later = seconds[8:40]  # after the first few tries they are spread
    assert max(later) < 2.5 * (sum(later) / len(later))


async def test_a_refused_listener_waits_for_its_answer_and_others_do_not(cloud):
    machine = await cloud.machine()
    token = await machine.session()
    loop = asyncio.get_running_loop()
    refused = [asyncio.ensure_future(cloud.relay.listen(machine.path, "nonsense")) for _ in range(20)]
    async with asyncio.timeout(10):
        while not cloud.broker.held:
            await asyncio.sleep(0.005)
    began = loop.time()
    await cloud.relay.listen(machine.path, token)  # the good one is let in meanwhile
    assert cloud.broker.listening(machine.path)
    assert not all(one.done() for one in refused)
    for one in refused:
        with pytest.raises(Refused, match="401"):
            await one
    assert loop.time() - began >= cloud.broker.limits.refusal_hold - 0.1
    async with asyncio.timeout(10):
        while cloud.broker.held:  # until their connections are gone
            await asyncio.sleep(0.01)


async def test_a_library_that_dials_at_once_and_twice_gets_few_answers(cloud):
    machine = await cloud.machine()
    answers = 0

    async def storm() -> None:
        nonlocal answers
        while True:
            with contextlib.suppress(Refused):
                await cloud.relay.listen(machine.path, "nonsense")
            answers += 1

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.0), asyncio.TaskGroup() as tasks:
            for _ in range(10):
                tasks.create_task(storm())
    assert answers <= 10  # at most one each; it was hundreds without the wait


async def test_a_listener_that_is_closed_as_soon_as_it_comes_is_not_let_in_again_and_again(cloud):
    machine = await cloud.machine()
    token = await machine.session()
    let_in = 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.0):
            while True:
                listener = await cloud.relay.listen(machine.path, token)
                let_in += 1
                await listener.send(b"no message", websocket.TEXT)
                await listener.until_closed()
    assert 2 <= let_in <= 4


async def test_a_storm_of_one_machine_does_not_slow_another(cloud):
    machine, other = await cloud.machine("web1"), await cloud.machine("web2")
    token, others = await machine.session(), await other.session()
    for _ in range(2):
        listener = await cloud.relay.listen(machine.path, token)
        await listener.send(b"no message", websocket.TEXT)
        await listener.until_closed()
    waiting = asyncio.ensure_future(cloud.relay.listen(machine.path, token))
    async with asyncio.timeout(5):
        while not cloud.broker.held:
            await asyncio.sleep(0.01)
    await cloud.relay.listen(other.path, others)
    assert not waiting.done()
    await waiting


async def test_a_storm_of_connections_takes_no_more_than_there_is_room(serve):
    async with serve(room=Room(80, 40)) as cloud:
        machine = await cloud.machine()
        token = await machine.session()
        storm = [asyncio.open_connection("127.0.0.1", cloud.port) for _ in range(300)]
        opened = await asyncio.gather(*storm, return_exceptions=True)
        listener = await cloud.relay.listen(machine.path, token)
        assert cloud.broker.listening(machine.path)
        for one in opened:
            if not isinstance(one, BaseException):
                one[1].transport.abort()
        listener.drop()


async def test_a_program_that_polls_too_often_is_told_to_slow_down(cloud):
    client = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
    form = {"client_id": client, "scope": f"{cloud.url}/.default"}
    code = (await cloud.http.post("/common/oauth2/v2.0/devicecode", data=form)).json()
    poll = {
        "client_id": client,
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": code["device_code"],
    }
    errors = [(await cloud.http.post("/common/oauth2/v2.0/token", data=poll)).json() for _ in range(3)]
    assert [one["error"] for one in errors] == ["authorization_pending", "slow_down", "slow_down"]
