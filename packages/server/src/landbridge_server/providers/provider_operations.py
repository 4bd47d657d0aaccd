"""``Microsoft.Authorization/providerOperations``: which actions there are, for those who write roles.

Made of the registry: the verbs and actions of every type. The same for everybody, at the
tenant. There are no data actions, because nothing here is asked for one.
"""

from __future__ import annotations

from collections.abc import Callable

from landbridge_server.arm.access import decided
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.dispatch import Routes
from landbridge_server.arm.grants import NAMESPACE
from landbridge_server.arm.registry import Provider, Registry
from landbridge_server.arm.resource_type import ResourceType, ServedType, TypeInfo

WHERE = "providers/microsoft.authorization/provideroperations"
VERSIONS = ("2022-04-01", "2018-01-01-preview", "2015-07-01")
_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
_WORDS = {"read": "Read", "write": "Create or update", "delete": "Delete"}


class ProviderOperations:
    """The handlers."""

    def __init__(self, registry: Callable[[], Registry]) -> None:
        """Take the registry, which is complete when somebody asks."""
        self._registry = registry

    def routes(self) -> Routes:
        """Return the rows of the table of routes."""
        return {WHERE: {"GET": self.everything}, f"{WHERE}/{{namespace}}": {"GET": self.one}}

    async def everything(self, call: Call) -> Answer:
        """List the operations of all providers."""
        decided()
        return answer({"value": [_shown(one) for one in self._registry().providers]})

    async def one(self, call: Call) -> Answer:
        """Show the operations of one provider.

        Raises:
            ArmError: InvalidResourceNamespace.
        """
        decided()
        return answer(_shown(self._registry().provider(call.names["namespace"])))


def _shown(provider: Provider) -> dict[str, object]:
    name = provider.namespace
    words = name.replace(".", " ")
    registration = [
        _operation(f"{name}/{verb}/action", f"{verb.title()} the subscription", f"{words}: {verb}")
        for verb in ("register", "unregister")
    ]
    return {
        "id": f"/providers/{NAMESPACE}/providerOperations/{name}",
        "name": name,
        "type": f"{NAMESPACE}/providerOperations",
        "displayName": words,
        "operations": [] if provider.free else registration,
        "resourceTypes": [
            {"name": name, "displayName": name, "operations": found}
            for name, found in _by_type(provider).items()
        ],
    }


def _by_type(provider: Provider) -> dict[str, list[dict[str, object]]]:
    """Return the operations of a provider by type: of its types, and of what rows serve."""
    found = {kind.type: operations(kind) for kind in provider.types if operations(kind)}
    for action in provider.actions:
        _, *words = action.removesuffix("/action").split("/")
        name, verb = "/".join(words[:-1]), words[-1]
        display = f"{_WORDS[verb]} {name}" if verb in _WORDS else verb
        about = f"{provider.namespace}/{name}"
        found.setdefault(name, []).append(_operation(action, display, about))
    return found


def operations(kind: TypeInfo) -> list[dict[str, object]]:
    """Return what can be done with the resources of a type."""
    if not isinstance(kind, ResourceType | ServedType):
        return []
    verbs = sorted({_VERBS[verb] for verb in kind.verbs if verb in _VERBS})
    made = [_operation(kind.action(verb), f"{_WORDS[verb]} {kind.type}", kind.full_type) for verb in verbs]
    actions = kind.actions if isinstance(kind, ResourceType) else ()
    return made + [_operation(kind.action(f"{name}/action"), name, kind.full_type) for name in actions]


def _operation(name: str, display: str, about: str) -> dict[str, object]:
    return {
        "name": name,
        "displayName": display,
        "description": f"{display} ({about})",
        "origin": "user,system",
        "isDataAction": False,
    }
