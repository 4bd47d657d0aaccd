"""``Microsoft.HybridConnectivity/endpoints/serviceConfigurations``: which port a service has."""

from __future__ import annotations

from typing import Any

from landbridge_server.arm import refusals, shape
from landbridge_server.arm.resource_type import Kind, ResourceType, Write
from landbridge_server.arm.shape import Choice
from landbridge_server.providers.hybrid_connectivity import defaults
from landbridge_server.providers.hybrid_connectivity.endpoints import VERSIONS

PORTS = {"SSH": 22, "WAC": 6516}


class ServiceConfigurations(ResourceType):
    """The type."""

    namespace = defaults.NAMESPACE
    type = "endpoints/serviceConfigurations"
    api_versions = VERSIONS
    kind = Kind.CHILD

    def put(self, write: Write) -> dict[str, Any]:
        """Return service and port; a port that is not given is the service's usual one."""
        wanted = {"serviceName": Choice(tuple(PORTS)), "port": int, "resourceId": str}
        given = write.properties
        port = given.get("port") if isinstance(given, dict) else None
        if isinstance(port, str) and port.isdecimal() and len(port) < 6:
            given = given | {"port": int(port)}  # an early document had it as text
        kept: dict[str, Any] = shape.keep(wanted, given, "properties")
        if "serviceName" not in kept:
            raise refusals.invalid("'properties.serviceName' is required: SSH or WAC.", "serviceName")
        kept.setdefault("port", PORTS[kept["serviceName"]])
        if not 1 <= kept["port"] <= 65535:
            raise refusals.invalid("'properties.port' must be 1 to 65535.", "port")
        return kept | {"provisioningState": "Succeeded"}
