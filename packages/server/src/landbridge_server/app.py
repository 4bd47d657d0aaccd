"""The composition root: puts all parts of the control plane together, and serves them.

The only file that knows every part. ``ControlPlane`` opens a folder and has no port;
``listening`` opens the ports; ``serve`` is the whole life of the process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from landbridge_server.arm import roles
from landbridge_server.arm.access import Access
from landbridge_server.arm.grants import grant
from landbridge_server.arm.http import CloudMetadataHttp
from landbridge_server.arm.registrations import create_subscription
from landbridge_server.arm.sealing import Sealer
from landbridge_server.ca import ownership
from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.ca.keyring import open_secret, write_atomically
from landbridge_server.config import Address, Config
from landbridge_server.edge.connections import Connections, Room
from landbridge_server.edge.http_protocol import Deadlines
from landbridge_server.edge.listener import Listener
from landbridge_server.edge.listener import listening as open_listener
from landbridge_server.edge.log import log_loop_failure
from landbridge_server.edge.middleware import Edge
from landbridge_server.edge.routes import router
from landbridge_server.edge.tls import ServerTls
from landbridge_server.fleet.enrollment import Enrollments
from landbridge_server.fleet.http import FleetHttp
from landbridge_server.fleet.node import Node
from landbridge_server.fleet.presence import Presence, iso
from landbridge_server.fleet.rendezvous import Rendezvous
from landbridge_server.identity.authentication import Authenticator
from landbridge_server.identity.bootstrap import FirstStart, first_start
from landbridge_server.identity.http import IdentityHttp
from landbridge_server.identity.keys import SigningKeys
from landbridge_server.identity.service import IdentityService
from landbridge_server.identity.tenancy import base
from landbridge_server.identity.tokens import TokenVerifier
from landbridge_server.portal.http import PortalHttp
from landbridge_server.providers.composition import ResourceManager
from landbridge_server.reconcile.delete_groups import DeleteGroups
from landbridge_server.reconcile.driver import Driver, Task
from landbridge_server.reconcile.flush_activity import FlushActivity
from landbridge_server.reconcile.flush_presence import FlushPresence
from landbridge_server.relay.broker import Broker
from landbridge_server.relay.credentials import RelayCredentials
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.store import machines, tenants
from landbridge_server.store.database import Connection, Database, StoreUnavailable
from landbridge_server.store.moves import MovedMachine
from landbridge_server.store.tenants import Tenant
from landbridge_wire.agent_api import Heartbeat

logger = logging.getLogger("landbridge")

FLUSH_SECONDS = 0.5
"""Half of a second: other nodes learn of machines from what is flushed."""
ACTIVITY_SECONDS = 1.0
BEAT_SECONDS = 1.0
RECHECK_SECONDS = 1.0
"""Half of the time within which access must end once it was taken away."""
DELETION_SECONDS = 30.0
RENEWAL_SECONDS = 3600.0


class ControlPlane:
    """Everything of one control plane, opened in its folder and put together."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        """Open or create the cloud of ``config.data``.

        Raises:
            CaError: the certificate authority cannot be used.
            ConfigError: the server certificate cannot be used, or the database is another cloud's.
            OSError: the folder cannot be written.
            StoreUnavailable: the database cannot be reached.
        """
        self.config = config
        self.clock = clock
        self.endpoints = config.endpoints
        config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.db = Database(config.database_url)
        try:
            self.db.migrate()
            self._open_cloud(clock())
        except BaseException:
            self.db.close()
            raise

    def _open_cloud(self, now: float) -> None:
        config = self.config
        self.db.read(lambda connection: ownership.check(connection, config.data))
        self.authority = CertificateAuthority.open(config.data / "ca", now)
        self.tls = ServerTls(config, self.authority, now)
        self._relay_key = open_secret(config.data / "keys" / "relay.key")
        self.tenant = start_cloud(self.db, config, self.authority, self._relay_key, now)
        self._open_identity()
        self._open_fleet()
        self._open_resources()
        self.portal = PortalHttp(self.db, config, self.authority.root)
        self.metadata = CloudMetadataHttp(
            self.endpoints, config.identity_provider, self.tenant.tenant_id, config.domain
        )
        self.application = Edge(router(self))

    def _open_identity(self) -> None:
        keys = SigningKeys.open(self.config.data / "keys", self.clock)
        service = IdentityService(self.db, self.endpoints, keys, self.clock)
        authorization_uri = base(self.endpoints, self.tenant.tenant_id)
        verifier = TokenVerifier(keys, self.endpoints, self.clock, authorization_uri)
        self.authenticator = Authenticator(self.db, verifier)
        self.identity = IdentityHttp(service, self._relay_key)

    def _open_fleet(self) -> None:
        self.access = Access(self.db)
        self.presence = Presence(uuid.uuid4().hex if self.db.shared else "")
        with self.db.reading() as connection:
            self.presence.load(machines.all_seen(connection), machines.expiries(connection))
        self.relay = RelayCredentials(self._relay_key, self.endpoints.relay)
        self.rendezvous = Rendezvous(self.db, self.access, self.presence, self.clock)
        self.broker = Broker(self.rendezvous, self._relay_key, self.clock)
        self.broker.on_listener_up = self.rendezvous.listener_up
        self.broker.on_listener_down = self.rendezvous.listener_down
        self.broker.offline_since = self.rendezvous.offline_since
        self.node = self._open_node() if self.db.shared else None

    def _open_node(self) -> Node:
        """Be one of the nodes that share the store."""
        self.broker.base = self.config.rendezvous_base
        address = self.broker.base or f"wss://{self.endpoints.relay}"
        node = Node(
            self.db,
            self.presence,
            self.rendezvous,
            self.broker,
            address,
            self.clock,
            self._forget_machine,
            self._rename_machine,
        )
        self.broker.neighbours = node
        return node

    def _open_resources(self) -> None:
        deletions = Task("delete_groups", self._delete_groups, DELETION_SECONDS)
        self.resources = ResourceManager(
            self.db,
            self.access,
            self.endpoints,
            self.config.locations,
            self.clock,
            relay=self.relay,
            presence=self._status,
            sealer=Sealer(self._relay_key),
            on_removed=[self._machine_removed],
            on_moved=[self._machine_moved],
            wake_deletions=deletions.wake,
            requests_per_second=self.config.requests_per_second,
        )
        self.arm = self.resources.http
        self._delete_groups_task = DeleteGroups(self.db, self.resources.registry, self.clock)
        self.driver = Driver(
            [
                deletions,
                Task("flush_presence", FlushPresence(self.db, self.presence), FLUSH_SECONDS),
                Task(
                    "flush_activity",
                    FlushActivity(self.db, self.resources.activity, self.clock),
                    ACTIVITY_SECONDS,
                ),
                *(self._node_tasks(self.node) if self.node else ()),
                Task("recheck_sessions", self._recheck_sessions, RECHECK_SECONDS),
                Task("renew_certificate", self._renew_certificate, RENEWAL_SECONDS),
            ]
        )
        enrollments = Enrollments(
            self.db,
            self.authority,
            self.access,
            self.presence,
            self.endpoints,
            self.clock,
            self.resources.engine.remove,
        )
        self.fleet = FleetHttp(self.db, enrollments, self.presence, self.relay, self.endpoints, self.clock)
        self.broker.on_heartbeat = self._heartbeat

    def _node_tasks(self, node: Node) -> list[Task]:
        news, mail = Task("news", node.news, BEAT_SECONDS), Task("mail", node.mail, BEAT_SECONDS)
        node.news_wanted, node.mail_wanted = news.wake, mail.wake
        return [Task("beat", node.beat, BEAT_SECONDS), news, mail]

    async def _delete_groups(self) -> None:
        await self._delete_groups_task()

    def _status(self, machine_key: str) -> tuple[str, str]:
        status, since = self.presence.status(machine_key, self.clock())
        return status, iso(since) if since else ""

    def _machine_moved(self, moved: MovedMachine) -> None:
        self._rename_machine(moved.old_key, moved.new_key, hybrid_connection_path(moved.principal_id))

    def _rename_machine(self, old_key: str, new_key: str, path: str) -> None:
        """Go on with a machine under its new key, as far as this node knows it."""
        self.presence.rename(old_key, new_key)
        self.rendezvous.moved(path, new_key)
        self.fleet.forget(old_key)

    def _machine_removed(self, machine_key: str, principal_id: str) -> None:
        self._forget_machine(machine_key)
        self.broker.close(hybrid_connection_path(principal_id))

    def _forget_machine(self, machine_key: str) -> None:
        """Drop all that is remembered of a machine, whichever node removed it."""
        self.presence.forget(machine_key)
        self.fleet.forget(machine_key)

    def _heartbeat(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        machine_key = self.rendezvous.machine_key(path)
        if machine_key is None:
            return None
        try:
            return self.fleet.beat(machine_key, Heartbeat.from_json(body)).to_json()
        except StoreUnavailable:
            return None  # noted in memory; whether facts are wanted can wait

    def assign_role(
        self, connection: Connection, principal_id: str, principal_type: str, role: str, scope: str
    ) -> None:
        """Give a role, by its name, to a principal of the home tenant.

        Raises:
            LookupError: there is no such role.
        """
        found = roles.named(role)
        if found is None:
            raise LookupError(f"There is no role '{role}'.")
        grant(
            connection,
            tenant_id=self.tenant.tenant_id,
            principal_id=principal_id,
            principal_type=principal_type,
            role=found,
            scope=scope,
            now=self.clock(),
        )

    async def settle(self) -> None:
        """Do once, now, what the tasks in the background do again and again."""
        await self.driver.settle()

    async def _renew_certificate(self) -> None:
        self.tls.renew(self.clock())

    async def _recheck_sessions(self) -> None:
        await self.broker.recheck()

    async def leave(self) -> None:
        """Tell the other nodes, where there are any, that this one stops."""
        if self.node:
            try:
                await self.node.leave()
            except StoreUnavailable as error:
                logger.warning("the other nodes could not be told", extra={"fields": {"reason": str(error)}})

    def close(self) -> None:
        """Finish the running write and close the store."""
        self.db.close()


def start_cloud(
    db: Database, config: Config, authority: CertificateAuthority, relay_key: bytes, now: float
) -> Tenant:
    """Make tenant, subscription and administrator at the first start; return the home tenant.

    ``admin.json`` is written before the transaction commits: a crash between the two leaves
    a file that the next start replaces, never a cloud whose secrets nobody knows.
    """
    with db.writing() as connection:
        ownership.claim(connection, config.data, authority.root, relay_key)
        made = first_start(connection, now, config.domain)
        if made is not None:
            create_subscription(connection, made.subscription_id, made.tenant_id, "Landbridge", now)
            for principal_id, kind in made.principals:
                grant(
                    connection,
                    tenant_id=made.tenant_id,
                    principal_id=principal_id,
                    principal_type=kind,
                    role=roles.OWNER,
                    scope="/",
                    now=now,
                )
            write_atomically(config.data / "admin.json", _admin(made))
        tenant = tenants.everyone(connection)[0]
    _announce(config, authority)
    return tenant


def _admin(made: FirstStart) -> bytes:
    content = {
        "tenantId": made.tenant_id,
        "subscriptionId": made.subscription_id,
        "clientId": made.client_id,
        "clientSecret": made.client_secret,
        "userName": made.user_name,
        "password": made.password,
    }
    return json.dumps(content, indent=2).encode()


def _announce(config: Config, authority: CertificateAuthority) -> None:
    """Write into admin.json where this start serves; an operator may have removed the file."""
    path = config.data / "admin.json"
    if not path.exists():
        return
    try:
        before = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}). Repair it, or remove it.") from error
    content = {
        "resourceManager": config.endpoints.resource_manager,
        "login": config.endpoints.login,
        "identityProvider": config.identity_provider,
        **{
            name: value
            for name, value in before.items()
            if name not in ("resourceManager", "login", "identityProvider", "caFile")
        },
        "caFile": str(authority.root_file.absolute()),
    }
    if content != before:
        write_atomically(path, json.dumps(content, indent=2).encode() + b"\n")


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
        await plane.settle()


async def serve(config: Config, clock: Callable[[], float], room: Room | None = None) -> None:
    """Open the control plane, serve it, and stop at SIGTERM or SIGINT; ``room`` is for its connections."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_failure)
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    plane = ControlPlane(config, clock)
    try:
        async with listening(plane, config.listen, room=room):
            print(f"ready {config.endpoints.resource_manager}", flush=True)
            await stop.wait()
            logger.info("stopping")
    finally:
        plane.close()
