from __future__ import annotations

import asyncio
import contextlib
import logging

from landbridge_server.reconcile.driver import Driver, Task


@contextlib.asynccontextmanager
async def running(*tasks):
    async with asyncio.TaskGroup() as group:
        driver = group.create_task(Driver(tasks).run())
        yield
        driver.cancel()


async def test_a_task_runs_at_the_start_and_when_it_is_woken():
    turns = asyncio.Queue()

    async def run():
        turns.put_nowait("turn")

    task = Task("count", run, period=3600)
    async with running(task):
        for _ in range(3):
            assert await asyncio.wait_for(turns.get(), 5) == "turn"
            task.wake()


async def test_a_task_runs_by_the_clock():
    turns = asyncio.Queue()

    async def run():
        turns.put_nowait("turn")

    async with running(Task("count", run, period=0.001)):
        for _ in range(3):
            await asyncio.wait_for(turns.get(), 5)


async def test_a_signal_during_a_turn_makes_another_turn():
    turns = asyncio.Queue()

    async def run():
        if turns.empty():
            task.wake()
        turns.put_nowait("turn")
        await asyncio.sleep(0)

    task = Task("count", run, period=3600)
    async with running(task):
        while turns.qsize() < 2:
            await asyncio.sleep(0.001)


async def test_a_task_that_fails_is_logged_and_tried_again(caplog):
    turns = asyncio.Queue()

    async def run():
        turns.put_nowait("turn")
        if turns.qsize() == 1:
            raise ValueError("broken")

    with caplog.at_level(logging.ERROR):
        async with running(Task("breaks", run, period=0.001)):
            while turns.qsize() < 2:
                await asyncio.sleep(0.001)
    assert "task failed" in caplog.text
    assert "broken" in caplog.text


async def test_settling_runs_each_task_once_in_order():
    turns = []

    def task(name):
        async def run():
            turns.append(name)

        return Task(name, run, period=3600)

    await Driver([task("a"), task("b")]).settle()
    assert turns == ["a", "b"]
