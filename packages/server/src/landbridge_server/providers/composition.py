"""The providers of this cloud, and the resource manager that is made of them.

Adding a type: write its file, add one line to ``providers`` below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from landbridge_server.arm.access import Access
from landbridge_server.arm.activity import Activity
from landbridge_server.arm.dispatch import Dispatch, Routes
from landbridge_server.arm.engine import Engine
from landbridge_server.arm.http import ArmHttp
from landbridge_server.arm.listing import Reading
from landbridge_server.arm.operations import Operations
from landbridge_server.arm.registry import Provider, Registry
from landbridge_server.arm.resource_type import TypeInfo
from landbridge_server.arm.sealing import Sealer
from landbridge_server.arm.throttle import Throttle
from landbridge_server.config import Endpoints as Addresses
from landbridge_server.providers import (
    features,
    moves,
    provider_operations,
    resource_groups,
    resource_names,
    subscriptions,
    tag_names,
)
from landbridge_server.providers.access_explained import AccessExplained
from landbridge_server.providers.access_reading import ClassicAdministrators, DenyAssignments, Permissions
from landbridge_server.providers.authorization import RoleAssignments
from landbridge_server.providers.guest_configuration.assignments import Assignments
from landbridge_server.providers.guest_configuration.of_machines import Configurations
from landbridge_server.providers.guest_configuration.reports import Reports
from landbridge_server.providers.hybrid_compute import catalogue
from landbridge_server.providers.hybrid_compute.catalogue import Catalogue
from landbridge_server.providers.hybrid_compute.extensions import Extensions
from landbridge_server.providers.hybrid_compute.machine_actions import MachineActions
from landbridge_server.providers.hybrid_compute.machines import Machines, Presence, Removed
from landbridge_server.providers.hybrid_compute.network_profile import NetworkProfile
from landbridge_server.providers.hybrid_compute.renaming import Renaming
from landbridge_server.providers.hybrid_compute.run_actions import RunActions
from landbridge_server.providers.hybrid_compute.run_commands import RunCommands
from landbridge_server.providers.hybrid_compute.versions import VERSIONS
from landbridge_server.providers.hybrid_connectivity.endpoints import (
    SSH_UNDER_LOCK,
    Endpoints,
    RelayCredentials,
)
from landbridge_server.providers.hybrid_connectivity.service_configurations import ServiceConfigurations
from landbridge_server.providers.insights import activity_log
from landbridge_server.providers.insights.activity_log import ActivityLog
from landbridge_server.providers.locks import Locks
from landbridge_server.providers.moves import Moved, Moves
from landbridge_server.providers.provider_list import ProviderList
from landbridge_server.providers.resource_graph import handler as resource_graph
from landbridge_server.providers.resource_groups import ResourceGroup, ResourceGroups
from landbridge_server.providers.resource_names import ResourceNames
from landbridge_server.providers.role_definitions import RoleDefinitions
from landbridge_server.providers.subscriptions import Subscriptions
from landbridge_server.providers.tag_names import TagNames
from landbridge_server.providers.tags import Tags
from landbridge_server.store.database import Database


class _Named(TypeInfo):
    """A type that is served by rows of the table of routes; here for ``providers show``."""

    def __init__(
        self,
        type_name: str,
        namespace: str = ResourceGroup.namespace,
        api_versions: tuple[str, ...] = ResourceGroup.api_versions,
    ) -> None:
        self.type = type_name
        self.namespace = namespace
        self.api_versions = api_versions


class ResourceManager:
    """All of ARM: ``http`` answers requests, ``engine`` and ``registry`` are for the tasks."""

    def __init__(
        self,
        db: Database,
        access: Access,
        addresses: Addresses,
        locations: tuple[str, ...],
        clock: Callable[[], float],
        *,
        relay: RelayCredentials,
        presence: Presence,
        sealer: Sealer,
        on_removed: Sequence[Removed] = (),
        on_moved: Sequence[Moved] = (),
        wake_deletions: Callable[[], None] = lambda: None,
        requests_per_second: float = 0.0,
    ) -> None:
        """Put the parts together.

        ``presence`` says a machine's status and since when; ``sealer`` keeps what only machines
        may read; ``on_removed`` hear of each machine
        that is gone, after the commit; ``wake_deletions`` wakes ``reconcile.delete_groups``;
        ``requests_per_second`` is what one caller may read, 0: as many as it likes.
        """
        group = ResourceGroup()
        machine_actions = {
            **MachineActions(lambda: self.engine).by_name(),
            **Renaming(lambda: self.engine, access, on_moved).by_name(),
        }
        assignments = Assignments(sealer)
        self.configurations = Configurations(assignments)
        base = addresses.resource_manager
        named = ("subscriptions", "tenants", "locations", "resources", "providers", "operationresults")
        hybrid_compute_named = (catalogue.TYPE, "locations/operationstatus", "locations/operationresults")
        self.registry = Registry(
            [
                Provider(
                    "Microsoft.Resources",
                    (group, Tags(lambda: self.engine), *(_Named(one) for one in named)),
                    free=True,
                    actions=(
                        *subscriptions.ACTIONS,
                        *tag_names.ACTIONS,
                        *moves.ACTIONS,
                        *resource_groups.ACTIONS,
                        resource_names.ZONE_PEERS,
                    ),
                ),
                Provider(
                    "Microsoft.Authorization",
                    (
                        RoleAssignments(db, clock, base),
                        RoleDefinitions(db, access, clock, lambda: self.registry),
                        Permissions(db, access),
                        AccessExplained(db, access),
                        DenyAssignments(),
                        ClassicAdministrators(),
                        _Named("providerOperations", "Microsoft.Authorization", provider_operations.VERSIONS),
                        Locks(lambda: self.engine, base),
                    ),
                    free=True,
                ),
                Provider(
                    "Microsoft.HybridCompute",
                    (
                        Machines(presence, on_removed, machine_actions, clock),
                        Extensions(sealer, clock),
                        RunCommands(sealer, clock, RunActions(lambda: self.engine).by_name()),
                        NetworkProfile(lambda: self.engine),
                        *(_Named(one, "Microsoft.HybridCompute", VERSIONS) for one in hybrid_compute_named),
                    ),
                    actions=(catalogue.READ,),
                ),
                Provider(
                    "Microsoft.HybridConnectivity",
                    (Endpoints(lambda: self.engine, relay, addresses), ServiceConfigurations()),
                    features=(SSH_UNDER_LOCK,),
                ),
                Provider(
                    resource_graph.NAMESPACE,
                    (_Named("resources", resource_graph.NAMESPACE, resource_graph.API_VERSIONS),),
                    free=True,
                    actions=(f"{resource_graph.NAMESPACE}/resources/read",),
                ),
                Provider(
                    features.NAMESPACE,
                    tuple(_Named(one, features.NAMESPACE, features.API_VERSIONS) for one in features.TYPES),
                    free=True,
                    actions=features.ACTIONS,
                ),
                Provider("Microsoft.GuestConfiguration", (assignments, Reports())),
                Provider(
                    activity_log.NAMESPACE,
                    tuple(
                        _Named(one, activity_log.NAMESPACE, activity_log.VERSIONS)
                        for one in activity_log.TYPES
                    ),
                    free=True,
                    actions=(activity_log.READ,),
                ),
            ]
        )
        self.engine = Engine(db, self.registry, locations, clock, base)
        reading = Reading(self.engine, access, base)
        results = Operations(db, access, base, clock, self.engine.shown)
        groups = ResourceGroups(group, self.engine, reading, access, results, wake_deletions)
        routes: Routes = {
            **Subscriptions(db, access, locations).routes(),
            **ProviderList(db, self.registry, access, locations, clock).routes(),
            **groups.routes(),
            **resource_graph.ResourceGraph(db, self.registry, access).routes(),
            **features.Features(db, self.registry, access, clock).routes(),
            **TagNames(db, access).routes(),
            **Moves(self.engine, access, results, on_moved).routes(),
            **results.routes(),
            **Catalogue(access, locations, db).routes(),
            **ActivityLog(db, access, base).routes(),
            **provider_operations.ProviderOperations(lambda: self.registry).routes(),
            **ResourceNames(db, self.registry, access, locations).routes(),
        }
        self.activity = Activity(clock)
        self.dispatch = Dispatch(
            self.registry, self.engine, reading, access, routes, addresses.login, self.activity
        )
        self.http = ArmHttp(self.dispatch, Throttle(requests_per_second, clock), base)
