"""An example in this cloud's own names: which path, query and body it becomes.

Microsoft's examples name subscriptions, groups and resources that are not there, do not agree
with each other, and often are words such as ``scope``. Here every parameter gets a name of this
cloud that plays the same part; bodies keep all that is not the name of something.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from landbridge_server.arm.documents import iso
from tests.conformance.openapi import Example, Operation
from tests.conformance.world import READER, World

DAY = 86_400.0
HOST = "host1"
"""The machine that stands for whatever resource an example hangs something on."""

_SUBSCRIPTION = re.compile(r"(?<=subscriptions/)[^/]+", re.IGNORECASE)
_GROUP = re.compile(r"(?<=resourcegroups/)[^/]+", re.IGNORECASE)
_FOREIGN = re.compile(r"providers/(?!Microsoft\.(HybridCompute|HybridConnectivity|Authorization)/).*", re.I)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_BRACES = re.compile(r"[{}]")

# What no example says, because it has none: parameters and bodies by operation.
OWN_BODIES: dict[str, dict[str, Any]] = {
    "ResourceGroups_Update": {"tags": {"stage": "test"}},
    "ResourceGroups_CreateOrUpdate": {"location": "eastus", "tags": {"stage": "test"}},
    "Resources_CreateOrUpdate": {"location": "eastus", "tags": {"stage": "test"}, "properties": {}},
    "Resources_CreateOrUpdateById": {"location": "eastus", "tags": {"stage": "test"}, "properties": {}},
    "Resources_Update": {"tags": {"stage": "test"}},
    "Resources_UpdateById": {"tags": {"stage": "test"}},
    "Tags_UpdateAtScope": {"operation": "Merge", "properties": {"tags": {"stage": "test"}}},
    "checkResourceName": {"name": "isxbox", "type": "Microsoft.HybridCompute/machines"},
    "ResourceLinks_CreateOrUpdate": {"properties": {"targetId": "/subscriptions/x"}},
}


@dataclass
class Request:
    """What is sent. ``place`` is the group; ``values`` are the parameters of the path."""

    operation: Operation
    group: str
    path: str
    body: Any
    query: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The api-version of the document."""
        return self.operation.document.version


class Names:
    """The names of one example in one cloud."""

    def __init__(self, world: World, group: str, operation: Operation, example: Example) -> None:
        """Take the cloud, the group that the example plays in, and the example."""
        self.world = world
        self.group = group
        self.operation = operation
        self.given = example.parameters
        self.under = f"subscriptions/{world.subscription}"
        self.within = f"{self.under}/resourceGroups/{group}"
        self.host = f"{self.within}/providers/Microsoft.HybridCompute/machines/{HOST}"
        self.principal = ""
        self.feature = ("Microsoft.HybridCompute", "")
        self.extension = ("", "", "")
        self.skip_token = ""

    def request(self) -> Request:
        """Return the request."""
        template = self.operation.template.split("?")[0].strip("/")
        words = re.findall(r"\{([^}]+)\}", template)
        values = {word: self.value(word) for word in words}
        path = re.sub(r"\{([^}]+)\}", lambda found: values[found[1]], template)
        query = {
            one["name"]: self._query(str(self.given[one["name"]]))
            for one in self.operation.parameters
            if one.get("in") == "query" and one["name"] != "api-version" and one["name"] in self.given
        }
        return Request(self.operation, self.group, path, self.body(), query, values)

    def _query(self, text: str) -> str:
        """Return a parameter of the query: a filter of events asks for this group, and for today."""
        now = self.world.cloud.clock.now
        for word, when in (("ge", now - DAY), ("le", now + DAY)):
            text = re.sub(rf"(eventTimestamp {word}) '[^']*'", rf"\1 '{iso(when)}'", text)
        return re.sub(r"(resourceGroupName eq) '[^']*'", rf"\1 '{self.group}'", text)

    def value(self, name: str) -> str:
        """Return the value of a parameter of the path."""
        given = self.given.get(name)
        text = given if isinstance(given, str) else ""
        own = self._own(name, text)
        return own if own is not None else _BRACES.sub("", text) or "demo"

    def _own(self, name: str, text: str) -> str | None:
        feature = self.operation.document.name.startswith("Microsoft.Features")
        table = {
            "subscriptionId": self.world.subscription,
            "resourceGroupName": self.group,
            "sourceResourceGroupName": self.group,
            "resourceProviderNamespace": self.feature[0] if feature else "Microsoft.HybridCompute",
            "providerNamespace": self.feature[0],
            "featureName": self.feature[1],
            "parentResourcePath": "",
            "resourceType": "machines",
            "resourceName": HOST,
            "resourceId": self.host,
            "roleAssignmentName": self.guid(text),
            "publisher": self.extension[0],
            "extensionType": self.extension[1],
            "version": self.extension[2],
        }
        if name in table:
            return table[name]
        if name in ("scope", "resourceUri"):
            return self._scope(text)
        return self._id(name, text)

    def _id(self, name: str, text: str) -> str | None:
        """Return a whole id, or the name of something whose names are GUIDs."""
        kinds = {"roleAssignmentId": "roleAssignments", "linkId": "links", "roleId": "roleDefinitions"}
        is_whole = self.operation.template.strip("/").split("?")[0] == f"{{{name}}}"
        if is_whole and name in ("roleDefinitionId", "denyAssignmentId"):
            kinds[name] = f"{name.removesuffix('Id')}s"
        if name == "roleDefinitionId" and not is_whole:
            return self.guid(text) if self.operation.method in ("PUT", "DELETE") else READER
        if not is_whole or name not in kinds:
            return None
        kind = kinds[name]
        leaf = READER if kind == "roleDefinitions" else self.guid(text.rpartition("/")[2])
        space = "Microsoft.Resources" if kind == "links" else "Microsoft.Authorization"
        return f"{self.under}/providers/{space}/{kind}/{leaf}"

    def guid(self, text: str) -> str:
        """Return the GUID that plays the part of a name: the name itself when it is one."""
        own = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.operation.document.name} {self.group} {text}")
        return text if _GUID.fullmatch(text) else str(own)

    def _scope(self, text: str) -> str:
        if "/" not in text:
            return self.under
        text = _GROUP.sub(self.group, _SUBSCRIPTION.sub(self.world.subscription, text))
        text = _FOREIGN.sub(f"providers/Microsoft.HybridCompute/machines/{HOST}", text)
        # The examples of service configurations name the endpoint twice.
        return re.sub(r"/providers/Microsoft.HybridConnectivity/.*", "", text, flags=re.IGNORECASE)

    def body(self) -> Any:
        """Return the body; None where the operation has none."""
        declared = next((one for one in self.operation.parameters if one.get("in") == "body"), None)
        if declared is None:
            return None
        given = self.given.get(declared["name"])
        if self.operation.name in ("Resources_MoveResources", "Resources_ValidateMoveResources"):
            return {"resources": [f"/{self.host}"], "targetResourceGroup": f"/{self.within}-target"}
        if self.operation.name == "RoleDefinitions_CreateOrUpdate":
            return self._role(given or self.given["body"]["roleDefinition"])
        if given is None:
            given = OWN_BODIES.get(self.operation.name)
        return self._own_names(given)

    def _role(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the custom role that the example means: its properties stand one level too high."""
        kept = {name: given[name] for name in ("roleName", "description", "permissions")}
        kept["roleName"] += f" of {self.group}"
        for one in kept["permissions"]:
            one = {
                name: ["Microsoft.HybridCompute/machines/read"] if value else []
                for name, value in one.items()
            }
            kept["permissions"] = [one | ({"dataActions": []} if "dataActions" in one else {})]
        return {"properties": kept | {"type": "CustomRole", "assignableScopes": [f"/{self.under}"]}}

    def _own_names(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._member(name, one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._own_names(one) for one in value]
        if isinstance(value, str) and value.startswith("/subscriptions/"):
            return _GROUP.sub(self.group, _SUBSCRIPTION.sub(self.world.subscription, value))
        return value

    def _member(self, name: str, value: Any) -> Any:
        if name == "roleDefinitionId":
            return f"/{self.under}/providers/Microsoft.Authorization/roleDefinitions/{READER}"
        if name == "principalId":
            return self.principal
        if name == "principalType":
            return "ServicePrincipal"
        if name == "subscriptions":
            return [self.world.subscription]
        if name == "$skipToken":
            return self.skip_token
        if name == "query" and isinstance(value, str):
            return value.replace("Microsoft.Compute/virtualMachines", "Microsoft.HybridCompute/machines")
        if name == "subscriptionIds":
            return [f"subscriptions/{self.world.subscription}"]
        return self._own_names(value)
