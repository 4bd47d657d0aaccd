"""What the cloud shows of an extension: ``instanceView`` of the resource (contract: agent, 4.1). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from landbridge_agent.extensions.records import Record, when

INFORMATION, WARNING, ERROR = "Information", "Warning", "Error"
PREFIX = "Extension Message: "
MAX_TEXT = 20 * 1024


def view(record: Record, code: str, level: str, shown: str, message: str, now: float) -> dict[str, Any]:
    """Return the properties to report."""
    status = {
        "code": code,
        "level": level,
        "displayStatus": shown,
        "message": (PREFIX + message)[:MAX_TEXT],
        "time": when(now),
    }
    return {
        "instanceView": {
            "name": record.name,
            "type": record.type,
            "typeHandlerVersion": record.version,
            "status": status,
        }
    }


def going_on(record: Record, message: str, now: float) -> dict[str, Any]:
    """Return the view while something is done."""
    return view(record, "transitioning", INFORMATION, "Provisioning transitioning", message, now)


def succeeded(record: Record, message: str, now: float) -> dict[str, Any]:
    """Return the view of an extension that is as it should be."""
    return view(record, "success", INFORMATION, "Provisioning succeeded", message, now)


def failed(record: Record, message: str, now: float) -> dict[str, Any]:
    """Return the view of an extension whose last operation failed."""
    return view(record, "error", ERROR, "Provisioning failed", message, now)


def interrupted(observed: Mapping[str, Any], text: str, now: float) -> dict[str, Any]:
    """Return what was observed last, as that of an operation that was ended in the middle."""
    seen = observed.get("instanceView")
    if not isinstance(seen, Mapping):
        return dict(observed)
    names = (str(seen.get(name, "")) for name in ("name", "type", "typeHandlerVersion"))
    name, kind, version = names
    return failed(Record(name, "", kind, version), text, now)
