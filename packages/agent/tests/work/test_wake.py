"""``himdsd`` wakes whoever waits for work, and ``extd`` waits without asking again and again."""

from __future__ import annotations

import asyncio
import json

from landbridge_agent.daemon.news import MOST, News
from landbridge_agent.local_socket import short_path
from landbridge_agent.work import wake


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class Daemon:
    """The daemon's side of the local socket: the news alone."""

    def __init__(self, path):
        self.path, self.news, self.asked = path, News(), 0

    async def __aenter__(self):
        self.path.unlink(missing_ok=True)
        with short_path(self.path) as name:
            self.server = await asyncio.start_unix_server(self.answer, name)
        return self

    async def __aexit__(self, *_):
        self.server.close()
        self.news.tell()
        await asyncio.sleep(0.05)

    async def answer(self, reader, writer):
        self.asked += 1
        seen = json.loads(await reader.readline())["seen"]
        writer.write(json.dumps({"news": await self.news.after(seen, reader)}).encode() + b"\n")
        writer.close()


async def listening(path, heard):
    return asyncio.ensure_future(wake.listen(path, lambda: heard.append(1)))


async def ended(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_each_piece_of_news_wakes_and_silence_asks_nothing(tmp_path):
    heard = []
    async with Daemon(tmp_path / "s") as daemon:
        task = await listening(daemon.path, heard)
        await until(lambda: len(heard) == 1 and daemon.asked == 2)
        await asyncio.sleep(0.3)
        assert daemon.asked == 2
        daemon.news.tell()
        await until(lambda: len(heard) == 2)
        await ended(task)


async def test_news_between_two_questions_is_not_missed(tmp_path):
    news = News()
    before = news.word
    news.tell()
    assert await news.after(before, asyncio.StreamReader()) == news.word != before


async def test_a_daemon_that_comes_back_wakes(tmp_path, monkeypatch):
    monkeypatch.setattr(wake, "AWAY_SECONDS", 0.05)
    heard = []
    task = await listening(tmp_path / "s", heard)
    await asyncio.sleep(0.2)
    assert not heard
    for count in (1, 2):
        async with Daemon(tmp_path / "s"):
            await until(lambda expected=count: len(heard) >= expected)
    await ended(task)


async def test_who_leaves_is_not_waited_for(tmp_path):
    async with Daemon(tmp_path / "s") as daemon:
        with short_path(daemon.path) as name:
            _, writer = await asyncio.open_unix_connection(name)
        writer.write(json.dumps({"command": "wait", "seen": daemon.news.word}).encode() + b"\n")
        await until(lambda: daemon.news._waiting == 1)
        writer.close()
        await until(lambda: daemon.news._waiting == 0)


async def test_only_so_many_wait(tmp_path):
    news, readers = News(), [asyncio.StreamReader() for _ in range(MOST + 1)]
    waiting = [asyncio.ensure_future(news.after(news.word, one)) for one in readers]
    await asyncio.sleep(0.05)
    assert [one.done() for one in waiting].count(True) == 1
    news.tell()
    assert {await one for one in waiting[:MOST]} == {news.word}
