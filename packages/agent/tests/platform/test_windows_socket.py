"""The daemon's local socket on Windows: the file says where, and whoever read it may ask."""

from __future__ import annotations

import asyncio
import json

import pytest

from landbridge_agent import local_socket
from landbridge_agent.local_socket import MAX_LINE, STATUS, NotAnswering, ask
from landbridge_agent.platform.windows import Windows


@pytest.fixture
def system(monkeypatch) -> Windows:
    found = Windows()
    monkeypatch.setattr(local_socket, "here", lambda: found)
    return found


async def test_who_can_read_the_file_is_answered(system, tmp_path):
    path = tmp_path / "himds.sock"
    door = system.listen(path)
    heard = []

    async def answer(reader, writer):
        message = json.loads(await reader.readline())
        heard.append(door.admits(message))
        writer.write(b'{"status": "Connected"}\n')
        writer.close()

    server = await door.serve(answer, MAX_LINE)
    assert await asyncio.to_thread(ask, path, STATUS) == {"status": "Connected"}
    assert heard == [True]
    server.close()
    door.close()
    assert not path.exists()


async def test_who_does_not_know_the_key_is_not_admitted(system, tmp_path):
    door = system.listen(tmp_path / "himds.sock")
    key = json.loads((tmp_path / "himds.sock").read_text())["key"]
    assert door.admits({"key": key})
    assert not door.admits({"key": key[:-1]})
    assert not door.admits({"key": 1})
    assert not door.admits({})
    door._socket.close()


def test_without_a_file_nobody_runs(system, tmp_path):
    with pytest.raises(NotAnswering, match="himdsd is not running"):
        ask(tmp_path / "none", STATUS)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"port": "1", "key": "k"}', '{"port": 70000, "key": "k"}']
)
def test_a_damaged_file_is_said(system, tmp_path, content):
    (tmp_path / "himds.sock").write_text(content)
    with pytest.raises(NotAnswering):
        ask(tmp_path / "himds.sock", STATUS)
