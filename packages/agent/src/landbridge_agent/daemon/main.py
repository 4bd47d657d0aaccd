"""``himdsd``: run in the foreground until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial

from landbridge_agent.daemon.log import Log
from landbridge_agent.daemon.service import Service
from landbridge_agent.dial import proxy_from
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.platform import NotSupported, System, here
from landbridge_agent.version import AGENT_VERSION
from landbridge_wire.listener import ListenerConfig

SERVICE_VERBS = ("install", "remove")

USAGE = """himdsd: the agent service of this machine; runs in the foreground.

Usage:
  himdsd            run until SIGTERM
  himdsd --verbose  log more
  himdsd --version  print the version
  himdsd install    on Windows: make the service himds; remove takes it away

Files are below /, or below $LANDBRIDGE_AGENT_ROOT. See also: azcmagent help
"""


def main() -> int:
    """Run the daemon of this process; return its exit code."""
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"himdsd version {AGENT_VERSION}")
        return 0
    if words not in ([], ["--verbose"], ["-v"], *([verb] for verb in SERVICE_VERBS)):
        asked = words in (["--help"], ["-h"])
        print(USAGE, end="", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    try:
        system = here()
        if words and words[0] in SERVICE_VERBS:
            return system.manage_service(words[0])
        return system.as_service(partial(_daemon, system, verbose=bool(words)))
    except (NotSupported, OSError) as error:
        print(f"himdsd: {error}", file=sys.stderr)
        return 1


def _daemon(system: System, verbose: bool) -> int:
    """Run the daemon itself until it is told to end."""
    paths, proxy = system.paths(os.environ), proxy_from(os.environ)  # noqa: TID251
    machine = Machine(paths)
    try:
        machine.prepare()
        lock = system.lock(paths.sockets / "himds.lock", wait=False)
    except (StateError, BlockingIOError, OSError) as error:
        told = "another himdsd runs on this state folder" if isinstance(error, BlockingIOError) else error
        print(f"himdsd: {told}", file=sys.stderr)
        return 1
    with contextlib.closing(lock):
        log = Log(paths.daemon_log, sys.stderr, time.time, verbose=verbose)  # noqa: TID251
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
            asyncio.run(_run(system, service))
        except OSError as error:
            log.error(f"himdsd cannot run: {error}")
            return 1
        log.info("himdsd stopped")
    return 0


async def _run(system: System, service: Callable[[], Service]) -> None:
    """Run a service until this process is told to end."""
    task = asyncio.ensure_future(service().run())
    system.when_stopped(task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass


if __name__ == "__main__":
    sys.exit(main())
