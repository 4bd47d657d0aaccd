"""Hears from ``himdsd`` that the cloud has something for this machine; the daemon only wakes.

While the daemon is away nothing is lost: ``extd`` asks the cloud every few minutes by itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from landbridge_agent.local_socket import MAX_LINE, WAIT, WAIT_SECONDS, short_path

AWAY_SECONDS = 2.0
"""How long until a daemon that does not answer is asked again."""


async def listen(path: Path, heard: Callable[[], None]) -> None:
    """Call ``heard`` whenever there may be something new, until cancelled."""
    seen = ""
    while True:
        try:
            async with asyncio.timeout(WAIT_SECONDS + 30.0):
                news = await _ask(path, seen)
        except (OSError, TimeoutError, ValueError):
            await asyncio.sleep(AWAY_SECONDS)
            continue
        if news != seen:
            seen = news
            heard()
        await asyncio.sleep(0.1)  # however much the daemon has to say, it does not keep us busy


async def _ask(path: Path, seen: str) -> str:
    with short_path(path) as name:
        reader, writer = await asyncio.open_unix_connection(name, limit=MAX_LINE)
    try:
        writer.write(json.dumps({"command": WAIT, "seen": seen}).encode() + b"\n")
        answer = json.loads(await reader.readline())
        news = answer.get("news") if isinstance(answer, dict) else None
        if not isinstance(news, str):
            raise ValueError("the daemon does not know this command")
        return news
    finally:
        writer.close()
