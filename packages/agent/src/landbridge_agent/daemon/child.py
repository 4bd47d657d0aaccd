"""Run a short-lived child of this package: what needs ``cryptography`` happens there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator

CHILD_SECONDS = 60.0
MAX_LINE = 64 * 1024


class ChildFailed(Exception):
    """A child ended without its answer; the text is its last line on stderr."""


class Child:
    """A running child with one line each way."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """Return the next line of its stdout.

        Raises:
            ChildFailed: it ended before.
        """
        stdout, stderr = self._process.stdout, self._process.stderr
        line = await stdout.readline() if stdout is not None else b""
        if not line.endswith(b"\n"):
            said = (await stderr.read(4096) if stderr is not None else b"").decode("utf-8", "replace")
            await self._process.wait()  # a kill meanwhile would take its exit code from asyncio's watcher
            raise ChildFailed(said.strip().splitlines()[-1] if said.strip() else "it ended without a word")
        return line.decode().strip()

    async def send(self, message: dict[str, str]) -> None:
        """Write one JSON line to its stdin."""
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                await self._process.stdin.drain()

    async def end(self) -> None:
        """Wait for its end.

        Raises:
            ChildFailed: its exit code is not 0.
        """
        _, stderr = await self._process.communicate()
        if self._process.returncode:
            said = stderr.decode("utf-8", "replace").strip()
            raise ChildFailed(said.splitlines()[-1] if said else f"exit code {self._process.returncode}")


@contextlib.asynccontextmanager
async def run(module: str, *arguments: str) -> AsyncIterator[Child]:
    """Start ``python -m landbridge_agent.MODULE``; it is killed when the block ends or lasts too long.

    Raises:
        ChildFailed: it cannot be started, or took longer than ``CHILD_SECONDS``.
    """
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", f"landbridge_agent.{module}", *arguments,
            stdin=pipe, stdout=pipe, stderr=pipe, limit=MAX_LINE,
        )  # fmt: skip
    except OSError as error:
        raise ChildFailed(f"{sys.executable} cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(CHILD_SECONDS):
            yield Child(process)
    except TimeoutError:
        raise ChildFailed(f"it took longer than {CHILD_SECONDS:g} seconds") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        transport = getattr(process, "_transport", None)
        if transport is not None:
            transport.close()
