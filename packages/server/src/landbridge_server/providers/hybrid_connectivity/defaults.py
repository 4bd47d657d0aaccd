"""The endpoint that every machine has from the start, and the service behind it.

Made with the machine and not by a request of their own: they do not depend on whether the
subscription is registered for the namespace, nor on the creator's rights below the machine.
"""

from __future__ import annotations

from landbridge_server.arm import documents
from landbridge_server.arm.resource_type import Write
from landbridge_server.store import resources
from landbridge_server.store.database import Connection
from landbridge_wire import arm_id

SSH_PORT = 22
NAMESPACE = "Microsoft.HybridConnectivity"
ENDPOINTS = f"{NAMESPACE}/endpoints"
SERVICE_CONFIGURATIONS = f"{ENDPOINTS}/serviceConfigurations"


def create(connection: Connection, write: Write) -> None:
    """Create ``endpoints/default`` and its ``serviceConfigurations/SSH`` below a new machine."""
    endpoint = f"{write.id.text}/providers/{ENDPOINTS}/default"
    _add(connection, write, endpoint, ENDPOINTS, write.id.key, {"type": "default"})
    service = f"{endpoint}/serviceConfigurations/SSH"
    properties = {"serviceName": "SSH", "port": SSH_PORT}
    _add(connection, write, service, SERVICE_CONFIGURATIONS, endpoint.lower(), properties)


def _add(
    connection: Connection,
    write: Write,
    text: str,
    full_type: str,
    parent_key: str,
    properties: dict[str, object],
) -> None:
    own = arm_id.parse(text)
    document = {
        "id": own.text,
        "name": own.name,
        "type": full_type,
        "properties": {**properties, "provisioningState": "Succeeded"},
        "systemData": documents.system_data(write.caller, write.now, None),
    }
    row = documents.row(own, parent_key, full_type.lower(), document, write.now)
    resources.put(connection, row, {}, is_new=True)
