"""``guestConfigurationAssignments/reports``: what a machine found when it evaluated an assignment.

Callers only read them. A machine adds them, through ``add``; the newest says what the assignment
shows. The oldest go when there are many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from landbridge_server.arm import documents, names, refusals, shape, work
from landbridge_server.arm.resource_type import Kind, ResourceType
from landbridge_server.arm.shape import ANY, Choice, Moment, Text
from landbridge_server.providers.guest_configuration.assignments import NAMESPACE, VERSIONS, Assignments
from landbridge_server.store import history, machines, resources
from landbridge_server.store.database import Connection
from landbridge_server.store.resources import Stored
from landbridge_wire import arm_id

KEPT = 100
"""Reports of one assignment; at one every fifteen minutes, a day."""

COMPLIANCE = Choice(("Compliant", "NonCompliant", "Pending"))
_RESOURCE = {
    "complianceStatus": COMPLIANCE,
    "resourceId": Text(1024),
    "reasons": [{"phrase": Text(65536), "code": Text(1024)}],
    "properties": ANY,
}
SAID: dict[str, Any] = {
    "complianceStatus": COMPLIANCE,
    "configurationVersion": Text(64),
    "startTime": Moment,
    "endTime": Moment,
    "details": {
        "complianceStatus": COMPLIANCE,
        "startTime": Moment,
        "endTime": Moment,
        "jobId": Text(64),
        "operationType": Choice(("Initial", "Consistency")),
        "resources": [_RESOURCE],
    },
}
"""The shape of what a machine says. Who it is and about what follows from whose report it is."""


class Reports(ResourceType):
    """The type."""

    namespace = NAMESPACE
    type = f"{Assignments.type}/reports"
    api_versions = VERSIONS
    kind = Kind.CHILD
    verbs = frozenset({"GET", "HEAD"})


def add(
    connection: Connection,
    machine_key: str,
    assignment: str,
    report_id: str,
    unverified_report: Mapping[str, Any],
    now: float,
) -> None:
    """Add a machine's report about one of its assignments; the same report twice is one.

    Raises:
        ArmError: there is no such assignment, or the report is not of the right shape.
    """
    if not names.is_guid(report_id):
        raise refusals.invalid("'reportId' must be a GUID.", "reportId")
    said: dict[str, Any] = shape.keep(SAID, dict(unverified_report), "report")
    if "complianceStatus" not in said:
        raise refusals.invalid("'report.complianceStatus' is required.", "complianceStatus")
    key = f"{machine_key}/providers/{NAMESPACE}/{Assignments.type}/{assignment}".lower()
    stored = resources.get(connection, key)
    machine = machines.get(connection, machine_key)
    if stored is None or machine is None:
        raise refusals.resource_missing(arm_id.parse(key))
    properties = _properties(stored, machine.vm_id, report_id.lower(), said)
    own = arm_id.parse(f"{stored.resource_id}/reports/{report_id.lower()}")
    if resources.exists(connection, own.key):
        return
    document = {
        "id": own.text,
        "name": own.name,
        "type": f"{NAMESPACE}/{Reports.type}",
        "properties": properties,
    }
    row = documents.row(own, stored.key, f"{NAMESPACE}/{Reports.type}".lower(), document, now)
    resources.put(connection, row, {}, is_new=True)
    _show(connection, stored, own.text, properties, now)
    _prune(connection, stored.key)


def _properties(stored: Stored, vm_id: str, report_id: str, said: dict[str, Any]) -> dict[str, Any]:
    assignment = documents.decode(stored)
    wanted = assignment["properties"]["guestConfiguration"]
    version = said.pop("configurationVersion", wanted.get("version"))
    configuration = {"name": wanted["name"]} | ({"version": version} if version else {})
    return {
        **said,
        "reportId": report_id,
        "assignment": {"name": assignment["name"], "configuration": configuration},
        "vm": {"id": assignment["properties"]["targetResourceId"], "uuid": vm_id},
    }


def _show(
    connection: Connection, stored: Stored, report_id: str, properties: dict[str, Any], now: float
) -> None:
    """Let the assignment say what its newest report says."""
    document = documents.decode(stored)
    times = {name: properties[name] for name in ("startTime", "endTime") if name in properties}
    shown: dict[str, Any] = {
        "complianceStatus": properties["complianceStatus"],
        "lastComplianceStatusChecked": properties.get("endTime", documents.iso(now)),
        "latestReportId": report_id,
        "latestAssignmentReport": {
            "id": report_id,
            "reportId": properties["reportId"],
            "assignment": properties["assignment"],
            "vm": properties["vm"],
            "complianceStatus": properties["complianceStatus"],
            **times,
        },
    }
    document["properties"] |= shown
    work.rewrite(connection, stored, document, now)


def _prune(connection: Connection, assignment_key: str) -> None:
    type_key = f"{NAMESPACE}/{Reports.type}".lower()
    for key in history.beyond(connection, assignment_key, type_key, KEPT):
        resources.remove_below(connection, key)
