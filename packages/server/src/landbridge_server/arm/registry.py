"""The one registry: which namespaces and types this cloud has. Lookups ignore case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from landbridge_server.arm import refusals
from landbridge_server.arm.resource_type import TypeInfo
from landbridge_wire.errors import ArmError

REGISTERED_AT_START = (
    "Microsoft.Resources",
    "Microsoft.Authorization",
    "Microsoft.HybridCompute",
    "Microsoft.GuestConfiguration",
)


@dataclass(frozen=True)
class Feature:
    """Something that a subscription has only once it asked for it. ``released`` is an ISO 8601 time."""

    name: str
    display_name: str
    description: str
    released: str


@dataclass(frozen=True)
class Provider:
    """A namespace, its types and its features. ``free``: it needs no registration.

    ``actions`` are those, in full, of what rows of the table of routes serve; types tell their own.
    """

    namespace: str
    types: tuple[TypeInfo, ...]
    free: bool = False
    features: tuple[Feature, ...] = ()
    actions: tuple[str, ...] = ()

    def feature(self, name: str) -> Feature:
        """Return the feature with this name, in any casing.

        Raises:
            ArmError: FeatureNotFound.
        """
        for one in self.features:
            if one.name.lower() == name.lower():
                return one
        raise ArmError(
            "FeatureNotFound",
            f"The feature '{name[:200]}' could not be found in the resource provider '{self.namespace}'.",
        )


class Registry:
    """All providers of a cloud."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        """Take the providers; a namespace or a type that is there twice is a mistake of ours."""
        self._providers = {one.namespace.lower(): one for one in providers}
        self._types = {kind.key: kind for one in providers for kind in one.types}
        if len(self._providers) != len(providers) or len(self._types) != sum(len(p.types) for p in providers):
            raise ValueError("A namespace or a type was declared twice.")

    @property
    def providers(self) -> list[Provider]:
        """All providers, by namespace."""
        return [self._providers[key] for key in sorted(self._providers)]

    def types(self) -> Iterator[TypeInfo]:
        """Yield all types."""
        yield from self._types.values()

    def find(self, full_type: str) -> TypeInfo | None:
        """Return the type with this full name."""
        return self._types.get(full_type.lower())

    def provider(self, namespace: str) -> Provider:
        """Return the provider of a namespace.

        Raises:
            ArmError: InvalidResourceNamespace.
        """
        found = self._providers.get(namespace.lower())
        if found is None:
            raise refusals.namespace_unknown(namespace)
        return found

    def type(self, namespace: str, type_name: str, version: str) -> TypeInfo:
        """Return a type of a namespace.

        Raises:
            ArmError: InvalidResourceNamespace, InvalidResourceType.
        """
        provider = self.provider(namespace)
        found = self._types.get(f"{namespace}/{type_name}".lower())
        if found is None:
            raise refusals.type_unknown(provider.namespace, version)
        return found
