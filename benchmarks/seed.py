"""Many machines, made by copying the rows of one that came in through the front door.

The names have one length, and so have the ids: a copy is the first machine's rows with its
name and its GUIDs replaced. The store's own code and schema are used, on either kind.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Table, or_, select

from landbridge_server.arm.grants import grant
from landbridge_server.arm.roles import READER
from landbridge_server.fleet import facts
from landbridge_server.store.database import Database
from landbridge_server.store.schema import (
    machines,
    presence,
    principals,
    resource_tags,
    resources,
    role_assignments,
)

NAME = "machine-%07d"
RACK_NAME = "rack-%04d"
RACK = 1_000
BATCH = 2_000

FACTS = {
    "agentVersion": "1.0.0",
    "osName": "linux",
    "osVersion": "6.1.0-18-amd64",
    "osSku": "Debian GNU/Linux 12 (bookworm)",
    "osType": "linux",
    "machineFqdn": "machine.example.org",
    "dnsFqdn": "machine.example.org",
    "domainName": "example.org",
    "vmUuid": "3a1f3c9e-6c1c-4f0a-9b5e-2f0d3a1f3c9e",
    "osProfile": {"computerName": "machine"},
    "detectedProperties": {
        "cloudprovider": "N/A",
        "coreCount": "8",
        "logicalCoreCount": "16",
        "manufacturer": "Example",
        "model": "Server 1",
        "mssqldiscovered": "false",
        "processorCount": "1",
        "processorNames": "Example CPU 3.0GHz",
        "totalPhysicalMemoryInBytes": "34359738368",
    },
    "networkProfile": {
        "networkInterfaces": [
            {
                "ipAddresses": [{"address": "192.0.2.7", "ipAddressVersion": "IPv4"}],
                "macAddress": "02:00:00:00:00:07",
            }
        ]
    },
    "agentConfiguration": {"incomingConnectionsPorts": ["22"], "extensionsEnabled": "false"},
}
DIGEST = "benchmark"


def seed(url: str, count: int) -> None:
    """Let the store at ``url`` hold ``count`` machines; the first one must be there.

    They are tagged by racks of a thousand, or of all when they are fewer.
    """
    db = Database(url)
    try:
        with db.writing() as connection:
            for (key,) in connection.execute(select(machines.c.machine_key)).all():
                facts.keep(connection, key, json.dumps(FACTS, sort_keys=True), DIGEST)
            _grant_reader(connection)
            _copy(connection, count)
            if db.shared:
                connection.exec_driver_sql("ANALYZE")  # as autovacuum does within a minute
    finally:
        db.close()


def _grant_reader(connection: Connection) -> None:
    """Let the first machine read itself, so that every machine has a role assignment too."""
    own = connection.execute(select(principals).where(principals.c.resource_key.is_not(None))).one()
    grant(
        connection,
        tenant_id=own.tenant_id,
        principal_id=own.object_id,
        principal_type="ServicePrincipal",
        role=READER,
        scope=own.resource_key,
        now=0.0,
        name=own.object_id,
    )


def principal_ids(url: str) -> list[tuple[str, str]]:
    """Return machine key and principal id of every machine."""
    db = Database(url)
    try:
        with db.reading() as connection:
            rows = connection.execute(select(machines.c.machine_key, machines.c.principal_id))
            return [(key, principal) for key, principal in rows]
    finally:
        db.close()


def _copy(connection: Connection, count: int) -> None:
    templates = _templates(connection)
    own = connection.execute(select(principals).where(principals.c.resource_key.is_not(None))).one()
    vm_id = connection.execute(select(machines.c.vm_id)).scalar_one()
    guids = [own.object_id, own.app_id, vm_id]
    racks = max(1, count // RACK)
    for start in range(1, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        for table, rows in templates:
            made = [row for number in numbers for row in _copies(rows, number, number % racks, guids)]
            if made:
                connection.execute(table.insert(), made)


def _templates(connection: Connection) -> list[tuple[Table, list[dict[str, Any]]]]:
    name = NAME % 0
    wanted = (
        (resources, resources.c.key.contains(name)),
        (resource_tags, resource_tags.c.resource_key.contains(name)),
        (principals, principals.c.resource_key.is_not(None)),
        (machines, machines.c.machine_key.contains(name)),
        (presence, presence.c.machine_key.contains(name)),
        (role_assignments, or_(role_assignments.c.scope_key.contains(name))),
    )
    return [
        (table, [dict(row._mapping) for row in connection.execute(select(table).where(condition))])
        for table, condition in wanted
    ]


def _copies(rows: list[dict[str, Any]], number: int, rack: int, guids: list[str]) -> Iterator[dict[str, Any]]:
    pairs = [(NAME % 0, NAME % number), (RACK_NAME % 0, RACK_NAME % rack)]
    space = uuid.UUID(int=number)
    pairs += [(guid, str(uuid.uuid5(space, guid))) for guid in guids]
    for row in rows:
        yield {column: _renamed(value, pairs) for column, value in row.items()}


def _renamed(value: Any, pairs: list[tuple[str, str]]) -> Any:
    if isinstance(value, bytes):
        return _renamed(value.decode(), pairs).encode()
    if isinstance(value, str) and len(value) >= len(RACK_NAME % 0):
        for old, new in pairs:
            value = value.replace(old, new)
    return value
