"""``Microsoft.HybridConnectivity/endpoints``, on connected machines, and ``listCredentials``.

The credentials open the machine's hybrid connection at the relay for one caller and a
limited time. With a service name they carry a token that tells the machine which port was
granted; without a configuration of that service the answer is 412, which clients answer by
creating one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from landbridge_server.arm import refusals, shape
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.documents import decode
from landbridge_server.arm.engine import Engine
from landbridge_server.arm.registry import Feature
from landbridge_server.arm.resource_type import Action, Kind, Reference, ResourceType, Write
from landbridge_server.arm.shape import Choice
from landbridge_server.config import Endpoints as Addresses
from landbridge_server.providers.hybrid_connectivity import defaults
from landbridge_server.relay.credentials import SendCredentials
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.store import machines, resources
from landbridge_server.store.database import Connection
from landbridge_server.store.resources import Query
from landbridge_wire.errors import ArmError

VERSIONS = ("2027-01-01", "2024-12-01", "2023-03-15", "2021-10-06-preview")
MACHINE = "microsoft.hybridcompute/machines"
SHORTEST, LONGEST = 600, 10800


SSH_UNDER_LOCK = Feature(
    "SshUnderReadOnlyLock",
    "SSH to machines under a ReadOnly lock",
    "Callers may open sessions to machines that a ReadOnly lock keeps from changes.",
    "2026-11-21T00:00:00Z",
)
"""A session changes the machine, not the resource: a subscription can have its locks mean only the latter."""


class RelayCredentials(Protocol):
    """What the relay mints."""

    def send_credentials(self, path: str, principal_id: str, seconds: int, now: float) -> SendCredentials:
        """Return a Send token of a caller (its object id) for one hybrid connection."""

    def service_configuration_token(
        self, path: str, service: str, port: int, principal_id: str, expires_on: int
    ) -> str:
        """Return the token that names the port which was granted."""


def lifetime(query: Mapping[str, str]) -> int:
    """Return for how many seconds credentials are asked.

    Raises:
        ArmError: ``expiresin`` is not a whole number from 600 to 10800.
    """
    text = query.get("expiresin", str(LONGEST))
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not SHORTEST <= seconds <= LONGEST:
        raise refusals.wrong_parameter("expiresin", f"It must be {SHORTEST} to {LONGEST} seconds.")
    return seconds


class Endpoints(ResourceType):
    """The type."""

    namespace = defaults.NAMESPACE
    type = "endpoints"
    api_versions = VERSIONS
    kind = Kind.EXTENSION
    created = 200  # the clients take any other status for a failure
    updated = 200

    def __init__(self, engine: Callable[[], Engine], relay: RelayCredentials, addresses: Addresses) -> None:
        """Take who mints, and the relay's public name."""
        self.engine = engine
        self.relay = relay
        self.addresses = addresses

    unlocked_by: ClassVar[Mapping[str, str]] = {
        "listCredentials": f"{defaults.NAMESPACE}/{SSH_UNDER_LOCK.name}"
    }

    @property
    def actions(self) -> Mapping[str, Action]:
        """``listCredentials``."""
        return {"listCredentials": self.list_credentials}

    @property
    def not_offered(self) -> Mapping[str, str]:
        """What needs a gateway or a proxy of the provider's own."""
        return {
            "listIngressGatewayCredentials": "This cloud has no ingress gateway: use listCredentials, "
            "and reach the machine through the relay.",
            "listManagedProxyDetails": "This cloud has no managed proxy: use listCredentials, "
            "and reach the machine through the relay.",
        }

    def accepts_parent(self, parent_type: str) -> None:
        """Refuse anything but a machine: nothing else has an agent that listens."""
        if parent_type != MACHINE:
            raise ArmError(
                "BadRequest",
                "An endpoint belongs to a Microsoft.HybridCompute/machines resource.",
                cause="service",
            )

    def put(self, write: Write) -> dict[str, Any]:
        """Return the type of the endpoint."""
        wanted = {"type": Choice(("default", "custom")), "resourceId": str}
        kept: dict[str, Any] = shape.keep(wanted, write.properties, "properties")
        if "type" not in kept:
            raise refusals.invalid("'properties.type' is required: default or custom.", "type")
        return kept | {"provisioningState": "Succeeded"}

    async def list_credentials(self, call: Call, reference: Reference) -> Answer:
        """Answer 200 with what the proxy needs to reach the machine."""
        seconds = lifetime(call.query)
        body = await call.json(optional=True)
        service = body.get("serviceName")
        if service is not None and not isinstance(service, str):
            raise refusals.invalid("'serviceName' must be a string.", "serviceName")
        engine = self.engine()

        def read(connection: Connection) -> tuple[str, int | None]:
            endpoint = decode(engine.existing(connection, reference))
            if endpoint["properties"]["type"] != "default":
                raise ArmError(
                    "OperationNotAllowed",
                    "A custom endpoint names a relay of its own, for which this cloud has no credentials. "
                    "Use the endpoint 'default'.",
                    cause="service",
                )
            machine = machines.get(connection, reference.parent_key)
            if machine is None:
                raise refusals.resource_missing(reference.id)
            return machine.principal_id, _port(connection, reference, service) if service else None

        principal_id, port = engine.db.read(read)
        path = hybrid_connection_path(principal_id)
        caller = call.caller.object_id
        minted = self.relay.send_credentials(path, caller, seconds, engine.clock())
        relay: dict[str, object] = {
            "namespaceName": self.addresses.relay_namespace,
            "namespaceNameSuffix": self.addresses.relay_suffix,
            "hybridConnectionName": path,
            "accessKey": minted.access_key,
            "expiresOn": minted.expires_on,
        }
        if service and port is not None:
            relay["serviceConfigurationToken"] = self.relay.service_configuration_token(
                path, service, port, caller, minted.expires_on
            )
        return answer({"relay": relay}, cache_control="no-store")


def _port(connection: Connection, reference: Reference, service: str) -> int:
    query = Query(parent_key=reference.key, type_key=defaults.SERVICE_CONFIGURATIONS.lower())
    for stored in resources.find(connection, query):
        properties = decode(stored)["properties"]
        if properties["serviceName"].lower() == service.lower():
            return int(properties["port"])
    raise ArmError(
        "PreconditionFailed",
        f"The endpoint '{reference.id.name}' has no configuration for the service '{service[:100]}'. "
        "Create one below it: serviceConfigurations/" + service[:100] + ".",
        cause="service",
    )
