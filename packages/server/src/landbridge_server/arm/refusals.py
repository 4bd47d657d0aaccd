"""ARM's refusals, word for word: clients and people know these texts."""

from __future__ import annotations

from collections.abc import Sequence

from landbridge_server.arm import not_offered
from landbridge_wire.arm_id import ArmId
from landbridge_wire.errors import ArmError


def subscription_malformed(text: str) -> ArmError:
    """Return the refusal of a subscription id that is not a GUID."""
    return ArmError(
        "InvalidSubscriptionId",
        f"The provided subscription identifier '{text[:200]}' is malformed or invalid.",
    )


def subscription_missing(text: str) -> ArmError:
    """Return the refusal of a subscription that does not exist."""
    return ArmError("SubscriptionNotFound", f"The subscription '{text}' could not be found.")


def group_missing(name: str) -> ArmError:
    """Return the refusal of a resource group that does not exist."""
    return ArmError("ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def group_leaving(name: str) -> ArmError:
    """Return the refusal of a change in a resource group that is being deleted."""
    return ArmError(
        "ResourceGroupBeingDeleted",
        f"The resource group '{name}' is in deprovisioning state and cannot perform this operation.",
    )


def resource_missing(resource: ArmId) -> ArmError:
    """Return the refusal of a resource that does not exist."""
    pairs = "/".join(f"{one.type}/{one.name}" for one in resource.segments)
    return ArmError(
        "ResourceNotFound",
        f"The Resource '{resource.namespace}/{pairs}' under resource group '{resource.group or '<null>'}' "
        "was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def parent_missing(verb: str, child_type: str, parent: str) -> ArmError:
    """Return the refusal of a child whose parent does not exist; ``child_type`` has no namespace."""
    return ArmError(
        "ParentResourceNotFound",
        f"Failed to perform '{verb}' on resource(s) of type '{child_type}', because the parent resource "
        f"'{parent}' could not be found.",
    )


def namespace_unknown(namespace: str) -> ArmError:
    """Return the refusal of a namespace that is not implemented; one of Azure's is told so."""
    text = f"The resource namespace '{namespace[:200]}' is invalid. {not_offered.reason(namespace)}"
    return ArmError("InvalidResourceNamespace", text.rstrip())


def type_unknown(namespace: str, version: str, reason: str = "") -> ArmError:
    """Return the refusal of a type that its namespace does not have; ``reason`` says more to people."""
    text = f"The resource type could not be found in the namespace '{namespace}' for api version '{version}'."
    return ArmError("InvalidResourceType", f"{text} {reason}".rstrip())


def not_registered(namespace: str) -> ArmError:
    """Return the refusal that SDKs answer by registering the last quoted name."""
    message = (
        f"The subscription is not registered to use namespace '{namespace}'. "
        "See https://aka.ms/rps-not-found for how to register subscriptions."
    )
    detail = ArmError("MissingSubscriptionRegistration", message, target=namespace)
    return ArmError("MissingSubscriptionRegistration", message, details=(detail,))


def location_unavailable(location: str, full_type: str, available: Sequence[str]) -> ArmError:
    """Return the refusal of a location that this cloud does not have."""
    return ArmError(
        "LocationNotAvailableForResourceType",
        f"The provided location '{location[:200]}' is not available for resource type '{full_type}'. "
        f"List of available regions for the resource type is '{','.join(available)}'.",
    )


def location_missing() -> ArmError:
    """Return the refusal of a resource without a location."""
    return ArmError("LocationRequired", "The location property is required for this definition.")


def resource_elsewhere(name: str, group: str, here: str, wanted: str) -> ArmError:
    """Return the refusal of a change of location."""
    return ArmError(
        "InvalidResourceLocation",
        f"The resource '{name}' already exists in location '{here}' in resource group '{group}'. "
        f"A resource with the same name cannot be created in location '{wanted}'. "
        "Please select a new resource name.",
    )


def group_elsewhere(here: str, wanted: str) -> ArmError:
    """Return the refusal of a change of a group's location."""
    return ArmError(
        "InvalidResourceGroupLocation",
        f"Invalid resource group location '{wanted}'. "
        f"The Resource group already exists in location '{here}'.",
    )


def method_refused(method: str, what: str) -> ArmError:
    """Return the refusal of a verb that a resource does not have."""
    return ArmError("MethodNotAllowed", f"The HTTP method '{method[:20]}' is not supported for {what}.")


def invalid(text: str, target: str = "") -> ArmError:
    """Return the refusal of a body that has the wrong content; ``text`` says what and why."""
    return ArmError("InvalidRequestContent", f"The request content was invalid: {text}", target=target)


def wrong_parameter(name: str, text: str) -> ArmError:
    """Return the refusal of a query parameter or property value."""
    return ArmError("InvalidParameter", f"The value of parameter {name} is invalid. {text}", target=name)


def unchangeable(name: str, text: str = "") -> ArmError:
    """Return the refusal of a change of a property that is fixed at creation."""
    message = f"Changing property '{name}' is not allowed."
    return ArmError("PropertyChangeNotAllowed", f"{message} {text}".strip(), target=name)
