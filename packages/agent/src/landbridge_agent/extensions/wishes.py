"""What a resource wants of this machine, read from an item of work. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from landbridge_agent.extensions.enabling import Settings
from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.extensions.names import Handler, handler, wanted_version
from landbridge_wire.work_api import WorkItem


class Wish(NamedTuple):
    """``handler.version`` says which versions may be installed, ``least`` the lowest; empty: any."""

    handler: Handler
    least: str
    settings: Settings
    tag: str

    @property
    def said(self) -> dict[str, Any]:
        """What must change for the handler to be called again."""
        public, protected = self.settings
        return {"public": dict(public), "protected": dict(protected), "tag": self.tag}


def read(item: WorkItem) -> Wish:
    """Return what an item wants.

    Raises:
        ExtensionFailed: publisher, type or version are missing or none, or settings are no object.
    """
    properties = item.properties
    publisher, kind = properties.get("publisher", ""), properties.get("type", "")
    asked = properties.get("typeHandlerVersion") or ""
    wanted = handler(publisher, kind, asked)
    minor = properties.get("autoUpgradeMinorVersion") is True
    protected = item.protected.get("protectedSettings")
    settings = Settings(_object(properties, "settings"), protected if isinstance(protected, Mapping) else {})
    tag = properties.get("forceUpdateTag") or ""
    version = wanted_version(wanted.version, minor)
    return Wish(wanted._replace(version=version), wanted.version, settings, str(tag))


def _object(properties: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = properties.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ExtensionFailed(f"ExtensionInsufficientBody: '{name}' must be an object.")
    return value
