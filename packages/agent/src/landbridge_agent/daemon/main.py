"""``himdsd``: run in the foreground until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TextIO

from landbridge_agent.daemon.log import Log
from landbridge_agent.daemon.service import Service
from landbridge_agent.dial import proxy_from
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.paths import Paths, paths_from
from landbridge_agent.version import AGENT_VERSION
from landbridge_wire.listener import ListenerConfig

USAGE = """himdsd: the agent service of this machine; runs in the foreground.

Usage:
  himdsd            run until SIGTERM
  himdsd --verbose  log more
  himdsd --version  print the version

Files are below /, or below $LANDBRIDGE_AGENT_ROOT. See also: azcmagent help
"""


def main() -> int:
    """Run the daemon of this process; return its exit code."""
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"himdsd version {AGENT_VERSION}")
        return 0
    if words not in ([], ["--verbose"], ["-v"]):
        asked = words in (["--help"], ["-h"])
        print(USAGE, end="", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    paths, proxy = paths_from(os.environ), proxy_from(os.environ)  # noqa: TID251
    machine = Machine(paths)
    try:
        machine.prepare()
        lock = _lock(paths)
    except (StateError, BlockingIOError, OSError) as error:
        told = "another himdsd runs on this state folder" if isinstance(error, BlockingIOError) else error
        print(f"himdsd: {told}", file=sys.stderr)
        return 1
    with lock:
        log = Log(paths.daemon_log, sys.stderr, time.time, verbose=bool(words))  # noqa: TID251
        log.info(f"himdsd {AGENT_VERSION} started, process {os.getpid()}")
        service = partial(
            Service,
            machine,
            log,
            proxy,
            clock=time.time,  # noqa: TID251
            random=random.random,
            listener=ListenerConfig(),
        )
        try:
            asyncio.run(_run(service))
        except OSError as error:
            log.error(f"himdsd cannot run: {error}")
            return 1
        log.info("himdsd stopped")
    return 0


def _lock(paths: Paths) -> TextIO:
    """Return the lock that keeps a second daemon away; it ends with the process."""
    file = (paths.sockets / "himds.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


async def _run(service: Callable[[], Service]) -> None:
    """Run a service until a signal ends it."""
    task = asyncio.ensure_future(service().run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass


if __name__ == "__main__":
    sys.exit(main())
