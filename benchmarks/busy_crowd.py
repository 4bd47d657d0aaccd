"""Many agents that do what they are asked: ``python -m benchmarks.busy_crowd PORT FILE``.

The file has a line for each agent: its hybrid connection, its listen token, and its token for the
agent API. All channels are opened, a line is printed, and from then on whoever is told of work
fetches it and reports, with the requests of the true agent: each on a connection of its own, and
for a run that it runs, its output, and its end. The scripts themselves are not run.
"""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiofastnet
import uvloop

from benchmarks import CLONE
from benchmarks.crowd import AT_ONCE, Member, upgrade_head
from landbridge_wire import work_api
from landbridge_wire.work_api import APPLY, Work, WorkItem, WorkReport

PRINTED = b"".join(b"%d: a line that a command has printed\n" % number for number in range(20))


class Worker(Member):
    """One agent: its channel, and what it does when it hears of work."""

    def __init__(self, crowd: Agents, head: bytes, bearer: str) -> None:
        super().__init__(head, b"")
        self.crowd, self.bearer = crowd, bearer
        self.wanted = False
        self.busy: asyncio.Task[None] | None = None

    def heard(self, content: bytes) -> None:
        """Go to work, or once more after what is being done."""
        if b'"workWanted"' not in content:
            return
        self.wanted = True
        if self.busy is None or self.busy.done():
            self.busy = asyncio.get_running_loop().create_task(self._work())
            self.busy.add_done_callback(_told)

    async def _work(self) -> None:
        while self.wanted:
            self.wanted = False
            work = Work.from_json(await self._ask(work_api.WORK, b"{}"))
            for item in work.items:
                await self._do(item)

    async def _do(self, item: WorkItem) -> None:
        report = work_api.WORK_REPORT.format(id=item.id)
        if item.kind != APPLY:
            await self._ask(report, _json(WorkReport({}, True)))
            return
        began = _now()
        view = {"executionState": "Running", "startTime": began}
        await self._ask(report, _json(WorkReport({"instanceView": view})))
        output = work_api.WORK_OUTPUT.format(id=item.id, stream="stdout")
        await self._ask(f"{output}?offset=0", PRINTED)
        ended = {"executionState": "Succeeded", "exitCode": 0, "output": PRINTED.decode(), "error": ""}
        ended |= {"startTime": began, "endTime": _now()}
        await self._ask(report, _json(WorkReport({"instanceView": ended}, True)))

    async def _ask(self, path: str, body: bytes) -> object:
        """Make one request on a connection of its own, as the agent's small client does."""
        port, context = self.crowd.port, self.crowd.context
        async with self.crowd.gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            lines = [
                f"POST {path} HTTP/1.1",
                f"Host: 127.0.0.1:{port}",
                f"Authorization: Bearer {self.bearer}",
            ]
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            said = await reader.read(-1)
            writer.close()
        head, _, content = said.partition(b"\r\n\r\n")
        if head[9:12] not in (b"200", b"204", b"404"):  # 404: it has ended meanwhile
            raise ConnectionError(f"{path}: {said[:500]!r}")
        return json.loads(content) if content and head[9:12] == b"200" else {}


def _told(task: asyncio.Task[None]) -> None:
    """Say on standard error what went wrong: the run will then miss a machine."""
    if not task.cancelled() and task.exception() is not None:
        print(f"An agent has failed: {task.exception()!r}", file=sys.stderr, flush=True)


def _json(message: WorkReport) -> bytes:
    return json.dumps(message.to_json()).encode()


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Agents:
    """All agents of the process."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.gate = asyncio.Semaphore(AT_ONCE)

    async def serve(self, members: Sequence[tuple[str, str, str]]) -> None:
        """Open all channels, say so, and work until standard input ends."""
        loop = asyncio.get_running_loop()
        standing: list[Worker] = []

        async def join(path: str, token: str, bearer: str) -> None:
            async with self.gate:
                _, member = await aiofastnet.create_connection(
                    loop,
                    lambda: Worker(self, upgrade_head(self.port, path, token), bearer),
                    "127.0.0.1",
                    self.port,
                    ssl=self.context,
                )
                await member.opened
                standing.append(member)

        await asyncio.gather(*(join(*one) for one in members))
        print(len(standing), flush=True)
        await asyncio.to_thread(sys.stdin.read)


class BusyCrowd:
    """The process, seen from the benchmark: all channels are open once it is there."""

    def __init__(self, port: int, members: Sequence[tuple[str, str, str]], folder: Path) -> None:
        file = folder / "busy-crowd"
        file.touch(mode=0o600)
        file.write_text("".join("\t".join(one) + "\n" for one in members))
        # In truth they are other computers: the server's core is not theirs.
        argv = ["nice", "-n", "10", sys.executable, "-m", "benchmarks.busy_crowd", str(port), str(file)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, cwd=CLONE, stdin=pipe, stdout=pipe, text=True)
        said = self.process.stdout.readline()  # type: ignore[union-attr]
        if said.strip() != str(len(members)):
            raise ConnectionError("The agents could not connect: see above.")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.communicate()


def main(arguments: list[str]) -> None:
    """Work until standard input ends."""
    port, file = int(arguments[0]), Path(arguments[1])
    members = [tuple(line.split("\t")) for line in file.read_text().splitlines()]
    gc.freeze()

    async def serve() -> None:
        await Agents(port).serve(members)  # type: ignore[arg-type]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main(sys.argv[1:])
