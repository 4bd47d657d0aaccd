"""Which actions this cloud knows: those that something here asks the gate for."""

from __future__ import annotations

from collections.abc import Sequence

from landbridge_server.arm.action_patterns import Patterns
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.resource_type import ResourceType
from landbridge_server.arm.roles import BUILT_IN

VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
"""What the verb of an action is called for each method on a resource."""

ALL_RESOURCES = "Microsoft.Resources/subscriptions/resources/read"


def known(registry: Registry) -> frozenset[str]:
    """Return every action of every type and provider, as they are spelt here."""
    found = {ALL_RESOURCES}
    for kind in registry.types():
        found.update(kind.action(VERBS[method]) for method in kind.verbs if method in VERBS)
        if isinstance(kind, ResourceType):
            found.update(kind.action(f"{name}/action") for name in kind.actions)
    for provider in registry.providers:
        found.update(f"{provider.namespace}/{verb}/action" for verb in ("register", "unregister"))
        found.update(provider.actions)
    return frozenset(found)


class KnownActions:
    """What an action of a custom role may mean: what this cloud asks for, or built-in roles name.

    These name actions of providers that are not here, so that they stay the same as elsewhere;
    whoever copies one and changes it gets a role.
    """

    def __init__(self, registry: Registry) -> None:
        """Learn the actions of a registry that is complete."""
        sets = [one for role in BUILT_IN for one in role.sets]
        named = {text.lower() for one in sets for text in one.actions + one.not_actions}
        self._actions = named | {one.lower() for one in known(registry)}
        self._data = {text.lower() for one in sets for text in one.data_actions}

    def first_unknown(self, texts: Sequence[str], *, data: bool = False) -> str | None:
        """Return the first pattern that can match nothing; ``data``: they are data actions."""
        known_ones = self._data if data else self._actions
        for text in texts:
            pattern = Patterns((text,))
            if text.lower() not in known_ones and not any(pattern.match(one) for one in known_ones):
                return text
        return None
