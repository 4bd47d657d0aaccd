"""What must be there before a request: made through the API, by the types in the request's path."""

from __future__ import annotations

import io
import re
from collections.abc import Awaitable, Callable
from typing import Any

from landbridge_server.fleet import extension_packages
from landbridge_server.providers.guest_configuration import reports
from landbridge_server.providers.hybrid_compute import catalogue
from tests.conformance.openapi import Operation
from tests.conformance.substitution import HOST, Names, Request
from tests.conformance.world import READER, World

MACHINE: dict[str, Any] = {"location": "eastus", "properties": {"locationData": {"name": "Redmond"}}}

# Type in lower case -> api-version and body of a prerequisite.
RECIPES: dict[str, tuple[str, Any]] = {
    "microsoft.hybridcompute/machines": ("2024-07-10", MACHINE),
    "microsoft.hybridcompute/machines/extensions": (
        "2024-07-10",
        {
            "location": "eastus",
            "properties": {
                "publisher": "Microsoft.Azure.Extensions",
                "type": "CustomScript",
                "settings": {"commandToExecute": "true"},
            },
        },
    ),
    "microsoft.hybridconnectivity/endpoints": ("2023-03-15", {"properties": {"type": "default"}}),
    "microsoft.hybridconnectivity/endpoints/serviceconfigurations": (
        "2023-03-15",
        {"properties": {"serviceName": "SSH", "port": 22}},
    ),
    "microsoft.guestconfiguration/guestconfigurationassignments": (
        "2022-01-25",
        {
            "location": "eastus",
            "properties": {"guestConfiguration": {"name": "SecureProtocol", "version": "1.0.0"}},
        },
    ),
    "microsoft.authorization/locks": ("2016-09-01", {"properties": {"level": "CanNotDelete"}}),
    "microsoft.features/featureproviders/subscriptionfeatureregistrations": (
        "2021-07-01",
        {"properties": {}},
    ),
    "microsoft.resources/tags": ("2021-04-01", {"properties": {"tags": {"stage": "test"}}}),
}
REPORT = {
    "complianceStatus": "NonCompliant",
    "startTime": "2020-07-22T21:41:50Z",
    "endTime": "2020-07-22T21:41:56Z",
    "details": {
        "complianceStatus": "NonCompliant",
        "jobId": "2ecfc027-3dfa-4146-9d33-dee3cb5c7c94",
        "operationType": "Consistency",
        "resources": [{"complianceStatus": "NonCompliant", "reasons": [{"phrase": "wrong", "code": "a:b"}]}],
    },
}
CUSTOM_ROLE = {
    "roleName": "Reader of machines",
    "type": "CustomRole",
    "permissions": [{"actions": ["Microsoft.HybridCompute/machines/read"], "notActions": []}],
}

REPORTS = "microsoft.guestconfiguration/guestconfigurationassignments/reports"

Chain = list[tuple[str, str]]


def chain(path: str) -> Chain:
    """Return type and id of every resource in a path, the outermost first; a collection ends without."""
    found: Chain = []
    text = path.strip("/")
    for start in [match.start() for match in re.finditer(r"providers/", text)]:
        end = text.find("/providers/", start)
        words = text[start : end if end > 0 else len(text)].split("/")[1:]
        words = [word for word in words if word]
        for count in range(3, len(words) + 1, 2):
            kind = "/".join([words[0], *words[1:count:2]])
            above = text[:start]
            found.append((kind.lower(), f"{above}providers/{'/'.join(words[:count])}"))
    return found


def report(world: World, path: str, said: dict[str, Any]) -> None:
    """Put a machine's report where an id of one says: no request does, machines hand them in."""
    machine, _, rest = f"/{path.strip('/')}".partition("/providers/Microsoft.GuestConfiguration/")
    _, assignment, _, name = rest.split("/")
    with world.cloud.plane.db.writing() as connection:
        reports.add(connection, machine.lower(), assignment, name, said, world.cloud.clock.now)


class Prerequisites:
    """Makes what an example needs."""

    def __init__(self, world: World, names: Names) -> None:
        """Take the cloud and the names."""
        self.world = world
        self.names = names

    async def before_names(self, operation: Operation) -> None:
        """Find out what this cloud has of what only it can name: features, extensions, a principal."""
        text = operation.document.name
        if text.startswith("Microsoft.Features"):
            await self._features()
        if text.startswith("Microsoft.ResourceGraph"):
            await self._page()
        if operation.name.startswith("ExtensionMetadata_"):
            self._extensions()
        if "roleAssignments" in operation.template or "roleAssignmentId" in operation.template:
            await self._group()
            made = await self._put("microsoft.hybridcompute/machines", self.names.host)
            if made.status < 300:
                self.names.principal = made.body["identity"]["principalId"]

    async def before(self, request: Request) -> None:
        """Make the group and every resource that the request supposes."""
        operation = request.operation
        is_group = bool(re.search(r"resourcegroups/\{resourceGroupName\}$", operation.template, re.I))
        if not (is_group and operation.method == "PUT"):
            await self._group()
        resources = chain(request.path)
        is_item = bool(resources) and resources[-1][1] == request.path.strip("/")
        if is_item and operation.method == "PUT":
            resources.pop()
        for kind, path in resources:
            await self._put(kind, path)
        special = SPECIAL.get(operation.name)
        if special is not None:
            await special(self, request)
        elif operation.is_list or operation.name.rpartition("_")[2].startswith("List"):
            await self._filled(request)

    async def _group(self) -> None:
        body = {"location": "eastus"}
        await self.world.need(self.names.within, body, "2021-04-01")

    async def _put(self, kind: str, path: str) -> Any:
        if kind == "microsoft.authorization/roleassignments":
            return await self._assign(path)
        if kind == "microsoft.authorization/roledefinitions":
            return await self._role(path)
        if kind == REPORTS:
            return report(self.world, path, REPORT)
        version, body = RECIPES.get(kind, ("", None))
        if body is not None:
            return await self.world.need(path, body, version)
        return None

    async def _assign(self, path: str) -> Any:
        role = f"/{self.names.under}/providers/Microsoft.Authorization/roleDefinitions/{READER}"
        body = {"properties": {"roleDefinitionId": role, "principalId": self.names.principal}}
        return await self.world.need(path, body, "2015-07-01")

    async def _role(self, path: str) -> Any:
        if path.endswith(READER):
            return None
        role = CUSTOM_ROLE | {"assignableScopes": [f"/{self.names.under}"]}
        return await self.world.need(path, {"properties": role}, "2022-04-01")

    async def _filled(self, request: Request) -> None:
        """Put one resource into the collection that a list is about, and a host into the group."""
        kind, path = collection(request)
        if kind == "microsoft.guestconfiguration/guestconfigurationassignments" and "/machines/" not in path:
            await self._put("microsoft.hybridcompute/machines", self.names.host)
            path = f"{self.names.host}/providers/Microsoft.GuestConfiguration/guestConfigurationAssignments"
        if kind == "microsoft.hybridcompute/machines" and "resourcegroups/" not in path.lower():
            path = f"{self.names.within}/providers/Microsoft.HybridCompute/machines"
        if kind == REPORTS:
            await self._put(kind, f"{path}/{self.names.guid('one')}")
        elif kind in RECIPES or kind == "microsoft.authorization/roleassignments":
            name = "default" if kind.endswith("endpoints") else self.names.guid("one")
            await self._put(kind, f"{path}/{name if 'role' in kind or 'locks' in kind else 'one'}")
        elif request.path.lower().endswith("/resources"):
            await self._put("microsoft.hybridcompute/machines", self.names.host)

    async def _features(self) -> None:
        listed = await self.world.send(
            "GET", f"{self.names.under}/providers/Microsoft.Features/features", version="2021-07-01"
        )
        value = listed.body.get("value") if listed.status == 200 else None
        if value:
            self.names.feature = tuple(value[0]["name"].split("/"))

    async def _page(self) -> None:
        """Make what a query finds, and ask for the first page, so that there is a next one."""
        await self._group()
        for number in range(4):
            path = f"{self.names.host.rpartition('/')[0]}/test{number}"
            await self._put("microsoft.hybridcompute/machines", path)
        query = "Resources | where name contains 'test' | project id, name, type, location"
        body = {"subscriptions": [self.world.subscription], "query": query, "options": {"$top": 3}}
        path = "providers/Microsoft.ResourceGraph/resources"
        first = await self.world.send("POST", path, body, "2021-03-01")
        self.names.skip_token = str(first.body.get("$skipToken", "")) if first.status == 200 else ""

    def _extensions(self) -> None:
        """Name an extension that this cloud ships."""
        self.names.extension = tuple(catalogue.SHIPPED[0])

    async def package(self, request: Request) -> None:
        """Publish the extensions to which an upgrade goes, as the operator of the cloud."""
        await self.host(request)
        cloud = self.world.cloud
        seal = extension_packages.sealer((cloud.config.data / "keys" / "relay.key").read_bytes())
        published = {
            f"{one.publisher}.{one.extension_type}/{one.version}"
            for one in cloud.plane.db.read(catalogue.offered)
        }
        for name, target in request.body["extensionTargets"].items():
            publisher, _, kind = name.rpartition(".")
            version = (target["targetVersion"] + ".0.0").split(".", 3)[:3]
            names = (publisher, kind, ".".join(version))
            if f"{name}/{names[2]}" not in published:
                extension_packages.publish(
                    cloud.plane.db, seal, io.BytesIO(b"zip"), names, cloud.clock, lambda *_: None
                )

    async def host(self, request: Request) -> None:
        """Make the machine that stands for any resource."""
        await self._put(
            "microsoft.hybridcompute/machines",
            f"{self.names.within}/providers/Microsoft.HybridCompute/machines/{HOST}",
        )

    async def target(self, request: Request) -> None:
        """Make the machine that moves, and the group that it moves to."""
        await self.host(request)
        await self.world.need(f"{self.names.within}-target", {"location": "eastus"}, "2021-04-01")

    async def event(self, request: Request) -> None:
        """Make something happen in the group, and let it be written down."""
        await self.host(request)
        await self.world.cloud.plane.settle()

    async def feature(self, request: Request) -> None:
        """Register a feature, so that the lists of registrations hold one."""
        space, name = self.names.feature
        await self._put(
            "microsoft.features/featureproviders/subscriptionfeatureregistrations",
            f"{self.names.under}/providers/Microsoft.Features/featureProviders/{space}"
            f"/subscriptionFeatureRegistrations/{name}",
        )

    async def tag(self, request: Request) -> None:
        """Make the tag name that a request supposes, and the value where it removes one."""
        name = f"{self.names.under}/tagNames/{request.values.get('tagName', 'demo')}"
        version = request.version
        await self.world.need(name, None, version)
        if request.operation.name == "Tags_DeleteValue":
            await self.world.need(f"{name}/tagValues/{request.values['tagValue']}", None, version)


def collection(request: Request) -> tuple[str, str]:
    """Return type and path of the collection that a list is about."""
    path = request.path.strip("/")
    tail = path[path.rfind("providers/") :].split("/")[1:] if "providers/" in path else []
    words = [word for word in tail if word]
    kind = "/".join([words[0], *words[1::2]]).lower() if words else ""
    return kind, path


Special = Callable[[Prerequisites, Request], Awaitable[None]]
SPECIAL: dict[str, Special] = {
    "Resources_MoveResources": Prerequisites.target,
    "Resources_ValidateMoveResources": Prerequisites.target,
    "UpgradeExtensions": Prerequisites.package,
    "ActivityLogs_List": Prerequisites.event,
    "TenantActivityLogs_List": Prerequisites.event,
    "SubscriptionFeatureRegistrations_ListBySubscription": Prerequisites.feature,
    "SubscriptionFeatureRegistrations_ListAllBySubscription": Prerequisites.feature,
    "Tags_CreateOrUpdateValue": Prerequisites.tag,
    "Tags_DeleteValue": Prerequisites.tag,
    "Tags_Delete": Prerequisites.tag,
    "Tags_List": Prerequisites.tag,
}
