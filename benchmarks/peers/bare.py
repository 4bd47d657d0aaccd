"""A bare Starlette route that returns given bytes: ``python -m benchmarks.peers.bare``.

Arguments: port, certificate, key, file with the bytes, and whose listener serves it:
``uvicorn`` as everybody runs it, or ``ours`` (uvicorn's parser on the control plane's listener).
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from pathlib import Path

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks import CLONE
from benchmarks.cloud import make_certificate
from landbridge_server.edge.listener import listening, server_context
from landbridge_server.relay.broker import Broker
from quickstart.ports import find_free
from running import ENVIRONMENT, short_folder


class Bare:
    """The route as a process of its own."""

    def __init__(self, content: bytes, listener: str) -> None:
        """Serve ``content`` at ``/`` and everywhere below."""
        folder = short_folder()
        certificate, key = make_certificate(folder)
        (folder / "content").write_bytes(content)
        self.port = find_free()
        argv = [sys.executable, "-m", "benchmarks.peers.bare", str(self.port)]
        argv += [str(certificate), str(key), str(folder / "content"), listener]
        self.process = subprocess.Popen(argv, cwd=CLONE, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
        time.sleep(2)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return [self.process.pid]

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def application(content: bytes) -> Starlette:
    """Return the route."""

    async def answer(_request: Request) -> Response:
        return Response(content, media_type="application/json")

    return Starlette(routes=[Route("/{rest:path}", answer)])


class _NoDirectory:
    def entity(self, path: str) -> str | None:
        return None

    def may_listen(self, path: str, expires_on: float) -> bool:
        return True

    def may_send(self, sender_object_id: str, path: str) -> bool:
        return False


async def _ours(content: bytes, port: int, certificate: Path, key: Path) -> None:
    broker = Broker(_NoDirectory(), b"", time.time)
    context = server_context(certificate, key)
    async with listening(application(content), broker, context, "127.0.0.1", port, time.time):
        await asyncio.Event().wait()


def main(arguments: list[str]) -> None:
    """Serve until killed."""
    port, certificate, key, content, listener = arguments
    body = Path(content).read_bytes()
    logging.disable()  # a load generator that leaves in the middle of a handshake is no news
    if listener == "ours":
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_ours(body, int(port), Path(certificate), Path(key)))
    uvicorn.run(
        application(body),
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
