"""What a machine reads and says about its guest configuration assignments."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from landbridge_server.arm import documents
from landbridge_server.arm.sealing import Unreadable
from landbridge_server.providers.guest_configuration import reports
from landbridge_server.providers.guest_configuration.assignments import NAMESPACE, SECRET
from landbridge_server.providers.guest_configuration.assignments import Assignments as AssignmentType
from landbridge_server.store import resources
from landbridge_server.store.database import Connection
from landbridge_server.store.resources import Query, Stored
from landbridge_wire.work_api import Assignment, Assignments

TYPE_KEY = f"{NAMESPACE}/{AssignmentType.type}".lower()


class Configurations:
    """The machine's side of the type. Who asks has proved to be the machine."""

    def __init__(self, kind: AssignmentType) -> None:
        """Take the type, which knows the protected parameters."""
        self.kind = kind

    def of_machine(self, connection: Connection, machine_key: str) -> Assignments:
        """Return all assignments of a machine, and its tags.

        One whose protected parameters nobody can read any more comes without them: it says in its
        report what it lacks.
        """
        query = Query(parent_key=machine_key, type_key=TYPE_KEY)
        found = tuple(self._assignment(connection, one) for one in resources.find(connection, query))
        machine = resources.get(connection, machine_key)
        return Assignments(found, documents.tags_of(documents.decode(machine)) if machine else {})

    def _assignment(self, connection: Connection, stored: Stored) -> Assignment:
        document = documents.decode(stored)
        wanted = dict(document["properties"]["guestConfiguration"])
        wanted.pop(SECRET, None)
        try:
            protected = tuple(dict(one) for one in self.kind.secrets_of(connection, stored.key) or ())
        except Unreadable:
            protected = ()
        whole = msgspec.json.encode([wanted, protected], order="sorted")
        return Assignment(
            id=stored.resource_id,
            name=str(document["name"]),
            tag=hashlib.sha256(whole).hexdigest(),
            guestConfiguration=wanted,
            protected=protected,
        )

    def add_report(
        self,
        connection: Connection,
        machine_key: str,
        assignment: str,
        report_id: str,
        unverified_report: dict[str, Any],
        now: float,
    ) -> None:
        """Add what a machine found; the same report twice is one.

        Raises:
            ArmError: there is no such assignment, or the report is not of the right shape.
        """
        reports.add(connection, machine_key, assignment, report_id, unverified_report, now)
