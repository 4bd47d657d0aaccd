"""Puts all parts of the control plane together: the only file that knows every one."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from landbridge_server.app.metrics import Metrics, both
from landbridge_server.app.start import start_cloud
from landbridge_server.arm import roles
from landbridge_server.arm.access import Access
from landbridge_server.arm.grants import grant
from landbridge_server.arm.http import CloudMetadataHttp
from landbridge_server.arm.operation_notes import OperationNotes
from landbridge_server.arm.sealing import Sealer
from landbridge_server.arm.sign_in_notes import SignInNotes
from landbridge_server.ca import ownership
from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.ca.code_signing import CodeSigner
from landbridge_server.ca.keyring import open_secret
from landbridge_server.ca.rotation import renews_before
from landbridge_server.config import Config
from landbridge_server.edge.exposition import RequestTimes
from landbridge_server.edge.middleware import Edge
from landbridge_server.edge.proxies import TrustedProxies
from landbridge_server.edge.routes import router
from landbridge_server.edge.tls import ServerTls
from landbridge_server.fleet import extension_packages
from landbridge_server.fleet.copies import Copies
from landbridge_server.fleet.enrollment import Enrollments
from landbridge_server.fleet.extension_http import ExtensionHttp
from landbridge_server.fleet.http import FleetHttp
from landbridge_server.fleet.machine_news import MachineNews
from landbridge_server.fleet.machine_work import MachineWork
from landbridge_server.fleet.node import Node
from landbridge_server.fleet.presence import Presence, iso
from landbridge_server.fleet.rejoining import Rejoining
from landbridge_server.fleet.rendezvous import Rendezvous
from landbridge_server.fleet.session_notes import SessionNotes
from landbridge_server.fleet.work_http import WorkHttp
from landbridge_server.identity.authentication import Authenticator
from landbridge_server.identity.http import IdentityHttp
from landbridge_server.identity.keys import SigningKeys
from landbridge_server.identity.service import IdentityService
from landbridge_server.identity.tenancy import base
from landbridge_server.identity.tokens import TokenVerifier
from landbridge_server.microsoft_graph.change_notes import ChangeNotes
from landbridge_server.microsoft_graph.http import VERSION, GraphHttp
from landbridge_server.microsoft_graph.service import GraphService
from landbridge_server.portal.http import PortalHttp
from landbridge_server.providers.composition import ResourceManager
from landbridge_server.reconcile import follow_rotation
from landbridge_server.reconcile.delete_groups import DeleteGroups
from landbridge_server.reconcile.driver import Driver, Task
from landbridge_server.reconcile.flush_activity import FlushActivity
from landbridge_server.reconcile.flush_presence import FlushPresence
from landbridge_server.reconcile.follow_keys import FollowKeys
from landbridge_server.reconcile.follow_rotation import FollowRotation
from landbridge_server.reconcile.forget_packages import ForgetPackages
from landbridge_server.reconcile.upgrade_extensions import UpgradeExtensions
from landbridge_server.relay.broker import Broker
from landbridge_server.relay.credentials import RelayCredentials
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.store import machines
from landbridge_server.store.database import Connection, Database, StoreUnavailable
from landbridge_server.store.event_chain import Seal
from landbridge_server.store.moves import MovedMachine
from landbridge_wire.agent_api import Heartbeat

logger = logging.getLogger("landbridge")

FLUSH_SECONDS = 0.5
"""Half of a second: other nodes learn of machines from what is flushed."""
ACTIVITY_SECONDS = 1.0
BEAT_SECONDS = 1.0
NEWS_SECONDS = 1.0
"""Within this time machines learn of what a process on the command line asks of them."""
RECHECK_SECONDS = 1.0
"""Half of the time within which access must end once it was taken away."""
DELETION_SECONDS = 30.0
ROTATION_SECONDS = 2.0
PACKAGES_SECONDS = 600.0
UPGRADES_SECONDS = 30.0
RENEWAL_SECONDS = 10.0
"""A look at the times of two files; little more is done unless something changed."""


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
        self.requests = RequestTimes()
        self.proxies = TrustedProxies(config.trusted_proxies)
        self.metrics = Metrics(self)
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
        follow_rotation.at_start(self.db, config.data / "ca", config.data / "keys" / "relay.key")
        self.db.read(lambda connection: ownership.check(connection, config.data))
        self.authority = CertificateAuthority.open(config.data / "ca", now)
        self.tls = ServerTls(config, self.authority, now)
        self._relay_key = open_secret(config.data / "keys" / "relay.key")
        self.tenant = start_cloud(self.db, config, self.authority, self._relay_key, now)
        self.portal = PortalHttp(self.db, config, self.authority)
        followers = [self._renew_server_certificate, self.portal.follow]
        self.rotation = FollowRotation(self.db, self.authority, self._relay_key, self.clock, followers)
        self._open_identity()
        self._open_fleet()
        self._open_resources()
        self.metadata = CloudMetadataHttp(
            self.endpoints, config.identity_provider, self.tenant.tenant_id, config.domain
        )
        self.application = Edge(router(self), self.requests, self.proxies)

    def _open_identity(self) -> None:
        keys = SigningKeys.open(self.config.data / "keys", self.clock)
        self.signing_keys = FollowKeys(
            self.db, keys, self._relay_key, self.clock, self.config.signing_key_days
        )
        service = IdentityService(self.db, self.endpoints, keys, self.clock)
        authorization_uri = base(self.endpoints, self.tenant.tenant_id)
        verifier = TokenVerifier(keys, self.endpoints, self.clock, authorization_uri)
        self.authenticator = Authenticator(self.db, verifier)
        self.identity = IdentityHttp(service, self._relay_key)
        graph = self.endpoints.graph
        self.graph = GraphHttp(
            GraphService(self.db, self.clock, f"{graph}/{VERSION}", service.check_password),
            urlsplit(graph).path.rstrip("/"),
        )
        self.addresses = service.addresses

    def _open_fleet(self) -> None:
        self.access = Access(self.db)
        self.presence = Presence(uuid.uuid4().hex if self.db.shared else "")
        with self.db.reading() as connection:
            self.presence.load(machines.all_seen(connection), machines.expiries(connection))
        self.relay = RelayCredentials(self._relay_key, self.endpoints.relay)
        self.rendezvous = Rendezvous(self.db, self.access, self.presence, self.clock)
        self.broker = Broker(self.rendezvous, self._relay_key, self.clock)
        self.copies = Copies(self.db, self.broker.answers, self.clock)
        self.broker.caller = self.proxies.caller
        self.broker.on_listener_up = self.rendezvous.listener_up
        self.broker.on_listener_down = self.rendezvous.listener_down
        self.broker.offline_since = self.rendezvous.offline_since
        self.machine_news = MachineNews(self.db, self.broker.tell)
        signer, seal = CodeSigner(self.authority, self.clock), extension_packages.sealer(self._relay_key)
        self.extensions = ExtensionHttp(self.db, signer, seal)
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
        self._news_task = Task("machine_news", self.machine_news, NEWS_SECONDS)
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
        self.resources.engine.on_news = self._news_task.wake
        self.activity = self.resources.activity
        self.identity.service.on_sign_in = both(SignInNotes(self.activity), self.metrics.signed_in)
        self.graph.on_answered = ChangeNotes(self.activity)
        notes = SessionNotes(self.db, self.rendezvous, self.activity)
        self.broker.on_session = both(notes, self.metrics.session)
        self._delete_groups_task = DeleteGroups(
            self.db, self.resources.registry, self.clock, OperationNotes(self.db, self.activity)
        )
        self.driver = Driver(
            [
                deletions,
                Task("flush_presence", FlushPresence(self.db, self.presence), FLUSH_SECONDS),
                Task(
                    "flush_activity",
                    FlushActivity(
                        self.db, self.activity, self.clock, Seal(self._relay_key), self.config.data
                    ),
                    ACTIVITY_SECONDS,
                ),
                *(self._node_tasks(self.node) if self.node else ()),
                self._news_task,
                Task("recheck_sessions", self._recheck_sessions, RECHECK_SECONDS),
                Task("follow_rotation", self.rotation, ROTATION_SECONDS),
                Task("follow_keys", self.signing_keys, ROTATION_SECONDS),
                Task("renew_certificate", self._renew_certificate, RENEWAL_SECONDS),
                Task("forget_packages", ForgetPackages(self.db, self.clock), PACKAGES_SECONDS),
                Task("upgrade_extensions", self._upgrades(), UPGRADES_SECONDS),
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
        rejoining = Rejoining(
            enrollments, self.addresses, self.config.return_grace_days * 86400.0, self._machine_rekeyed
        )
        self.fleet = FleetHttp(
            self.db,
            enrollments,
            self.presence,
            self.relay,
            self.endpoints,
            self.clock,
            rejoining,
            self.copies,
            self._trust,
        )
        self.fleet.work_wanted = self.machine_news.waits_for
        self.broker.on_heartbeat = self._heartbeat
        self.work = WorkHttp(
            MachineWork(self.db, self.resources.registry, self.clock),
            self.resources.configurations,
            self.copies,
            lambda: self._trust()[0],
            self._news_task.wake,
        )

    def _upgrades(self) -> UpgradeExtensions:
        def connected(machine_key: str) -> bool:
            return self._status(machine_key)[0] == "Connected"

        wake = self._news_task.wake
        return UpgradeExtensions(self.db, connected, self.activity, wake, self.clock)

    def _trust(self) -> tuple[str, float]:
        """Return the roots that machines are to trust, and since when their certificates are current.

        With a server certificate of the operator's own, whom machines trust is not ours to say.
        """
        roots = "" if self.config.tls_cert else self.authority.bundle
        return roots, renews_before(self.rotation.current)

    def _node_tasks(self, node: Node) -> list[Task]:
        news, mail = Task("news", node.news, BEAT_SECONDS), Task("mail", node.mail, BEAT_SECONDS)
        node.news_wanted, node.mail_wanted = news.wake, mail.wake
        node.work_noted = self._news_task.wake
        return [Task("beat", node.beat, BEAT_SECONDS), news, mail]

    async def _delete_groups(self) -> None:
        await self._delete_groups_task()

    def _status(self, machine_key: str) -> tuple[str, str, str]:
        status, since = self.presence.status(machine_key, self.clock())
        return status, iso(since) if since else "", "Cloned" if self.copies.cloned(machine_key) else ""

    def _machine_moved(self, moved: MovedMachine) -> None:
        self._rename_machine(moved.old_key, moved.new_key, hybrid_connection_path(moved.principal_id))

    def _rename_machine(self, old_key: str, new_key: str, path: str) -> None:
        """Go on with a machine under its new key, as far as this node knows it."""
        self.presence.rename(old_key, new_key)
        self.rendezvous.moved(path, new_key)
        self.fleet.forget(old_key)
        self.machine_news.rename(old_key, new_key)

    def _machine_removed(self, machine_key: str, principal_id: str) -> None:
        self._forget_machine(machine_key)
        self.copies.forget(machine_key, hybrid_connection_path(principal_id))
        self.broker.close(hybrid_connection_path(principal_id))

    def _machine_rekeyed(self, machine_key: str, principal_id: str) -> None:
        """Whoever still has the old key must come back with the new one."""
        self.copies.forget(machine_key, hybrid_connection_path(principal_id))
        self.broker.close(hybrid_connection_path(principal_id))

    def _forget_machine(self, machine_key: str) -> None:
        """Drop all that is remembered of a machine, whichever node removed it."""
        self.presence.forget(machine_key)
        self.fleet.forget(machine_key)
        self.machine_news.forget(machine_key)

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
        self._renew_server_certificate()

    def _renew_server_certificate(self) -> None:
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
