"""Opens the ports of a control plane, and is the whole life of its process."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from landbridge_server.app.control_plane import ControlPlane
from landbridge_server.app.supervision import Supervisor
from landbridge_server.config import Address, Config
from landbridge_server.edge.connections import Connections, Room
from landbridge_server.edge.http_protocol import Deadlines
from landbridge_server.edge.listener import Listener
from landbridge_server.edge.listener import listening as open_listener
from landbridge_server.edge.log import log_loop_failure
from landbridge_server.edge.metrics_listener import metrics_listening

logger = logging.getLogger("landbridge")


@asynccontextmanager
async def listening(
    plane: ControlPlane, address: Address, deadlines: Deadlines | None = None, room: Room | None = None
) -> AsyncIterator[Listener]:
    """Serve one control plane on its ports, with its tasks in the background, until the block ends.

    ``room`` is for the connections of all ports together.

    Raises:
        OSError: an address cannot be bound.
    """
    async with AsyncExitStack() as stack:
        stack.push_async_callback(plane.leave)
        connections = Connections(room or Room(), asyncio.get_running_loop().time)
        stack.callback(connections.close)

        async def opening(where: Address) -> Listener:
            app, broker, context = plane.application, plane.broker, plane.tls.context
            return await stack.enter_async_context(
                open_listener(
                    app, broker, context, where.host, where.port, plane.clock, deadlines, connections
                )
            )

        opened = await opening(address)
        if plane.config.relay_listen is not None:
            await opening(plane.config.relay_listen)
        if plane.config.metrics_listen is not None:
            await stack.enter_async_context(_metrics(plane, plane.config.metrics_listen))
        stack.callback(plane.broker.shut_down)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(plane.driver.run())]
            if plane.node:
                running.append(tasks.create_task(plane.node.listen()))
            try:
                yield opened
            finally:
                for one in running:
                    one.cancel()
        plane.activity.conclude()
        await plane.settle()


def _metrics(plane: ControlPlane, where: Address) -> AbstractAsyncContextManager[int]:
    context = None if where.loopback else plane.tls.context
    return metrics_listening(plane.metrics.exposition, where, context, plane.config.metrics_token())


async def serve(
    config: Config,
    clock: Callable[[], float],
    room: Room | None = None,
    supervisor: Supervisor | None = None,
) -> None:
    """Open the control plane, serve it, and stop at SIGTERM or SIGINT.

    ``room`` is for its connections, ``supervisor`` hears how it is.
    """
    supervisor = supervisor or Supervisor()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_failure)
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    plane = ControlPlane(config, clock)
    try:
        async with listening(plane, config.listen, room=room):
            print(f"ready {config.endpoints.resource_manager}", flush=True)
            supervisor.tell("READY=1", f"STATUS=Serving {config.endpoints.resource_manager}")
            with supervisor.watching():
                await stop.wait()
            supervisor.tell("STOPPING=1")
            logger.info("stopping")
    finally:
        plane.close()
