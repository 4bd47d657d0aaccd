"""``extd``: run in the foreground until SIGTERM or SIGINT; what its workers do goes on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

from landbridge_agent import work_lock
from landbridge_agent.daemon.log import Log
from landbridge_agent.machine import Machine
from landbridge_agent.paths import paths_from
from landbridge_agent.version import AGENT_VERSION
from landbridge_agent.work.service import Service

USAGE = """extd: carries out what the cloud asks of this machine; runs in the foreground.

Extensions, run commands and guest configuration. What runs when it ends goes on, and is found
again by the next.

Usage:
  extd            run until SIGTERM
  extd --verbose  log more
  extd --version  print the version

Files are below /, or below $LANDBRIDGE_AGENT_ROOT. See also: azcmagent help
"""


def main() -> int:
    """Run the service of this process; return its exit code."""
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"extd version {AGENT_VERSION}")
        return 0
    if words not in ([], ["--verbose"], ["-v"]):
        asked = words in (["--help"], ["-h"])
        print(USAGE, end="", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    environment = dict(os.environ)  # noqa: TID251
    paths = paths_from(environment)
    if not paths.relocated and os.geteuid():
        print("extd: it must run as root: systemctl start extd", file=sys.stderr)
        return 1
    os.umask(0o077)
    try:
        lock = work_lock.take(paths)
        paths.work_log.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        told = "another extd runs on this machine" if isinstance(error, BlockingIOError) else error
        print(f"extd: {told}", file=sys.stderr)
        return 1
    with lock:
        log = Log(paths.work_log, sys.stderr, time.time, verbose=bool(words))  # noqa: TID251
        log.info(f"extd {AGENT_VERSION} started, process {os.getpid()}")
        service = partial(
            Service,
            Machine(paths),
            log,
            environment,
            time.time,  # noqa: TID251
            random.random,
        )
        try:
            asyncio.run(_run(service))
        except OSError as error:
            log.error(f"extd cannot run: {error}")
            return 1
        log.info("extd stopped")
    return 0


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
