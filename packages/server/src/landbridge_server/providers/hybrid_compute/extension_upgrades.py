"""Upgrades of extensions that machines have: what may be asked, and what they said came of it.

An upgrade is asked of a machine by ``Publisher.Type`` and a version to which one of the catalogue
has to fit. What the machine reports names the version of each, and the resources show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from landbridge_server.arm import documents, refusals, work
from landbridge_server.fleet.extension_packages import VERSION, fits
from landbridge_server.providers.hybrid_compute import catalogue
from landbridge_server.providers.hybrid_compute.on_machine import children
from landbridge_server.store.database import Connection
from landbridge_wire.work_api import EXTENSION

TARGETS = "extensionTargets"
SUCCEEDED = "Succeeded"


def check(connection: Connection, targets: Mapping[str, Mapping[str, Any]]) -> None:
    """Return if this cloud ships what an upgrade names.

    Raises:
        ArmError: InvalidRequestContent, with what there is.
    """
    shipped = catalogue.by_full_name(connection)
    for name, target in targets.items():
        wanted = target.get("targetVersion") or ""
        found = shipped.get(name.lower())
        path = f"{TARGETS}.{name[:200]}"
        if not found:
            raise refusals.invalid(
                f"this cloud ships no extension '{name[:200]}' (Publisher.Type). "
                "'landbridge extension list' shows what it ships.",
                path,
            )
        if wanted and not any(fits(one.version, wanted) for one in found):
            there = ", ".join(one.version for one in found[-10:])
            raise refusals.invalid(
                f"this cloud ships no version {wanted} of '{name[:200]}', but {there}.",
                f"{path}.targetVersion",
            )


class _Said(NamedTuple):
    """What a machine has now, by the name under which it was asked."""

    name: str
    version: str


def _said(unverified: Mapping[str, Any]) -> Iterable[_Said]:
    results = unverified.get(TARGETS)
    for name, one in results.items() if isinstance(results, Mapping) else ():
        version = one.get("version") if isinstance(one, Mapping) and one.get("status") == SUCCEEDED else None
        if isinstance(name, str) and isinstance(version, str) and VERSION.fullmatch(version):
            yield _Said(name.lower(), version)


def take_over(connection: Connection, machine_key: str, unverified: Mapping[str, Any], now: float) -> None:
    """Have the extensions of a machine show the versions to which it says that it has upgraded them."""
    versions = dict(_said(unverified))
    for stored in children(connection, machine_key, EXTENSION) if versions else ():
        document = documents.decode(stored)
        properties = document["properties"]
        version = versions.get(f"{properties.get('publisher')}.{properties.get('type')}".lower())
        view = properties.get("instanceView") or {}
        if version and view and view.get("typeHandlerVersion") != version:
            properties["instanceView"] = {**view, "typeHandlerVersion": version}
            work.rewrite(connection, stored, document, now)
