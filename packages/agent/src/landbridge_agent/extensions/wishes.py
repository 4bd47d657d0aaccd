"""What a resource wants of this machine, read from an item of work. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from landbridge_agent.extensions.enabling import Settings
from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.extensions.names import Handler, fits, handler, version_key, wanted_version
from landbridge_wire.work_api import WorkItem


class Wish(NamedTuple):
    """``handler.version`` says which versions may be installed, ``least`` the lowest; empty: any."""

    handler: Handler
    least: str
    settings: Settings
    tag: str
    stays_newer: bool
    """Whether a version that was upgraded by itself is kept: ``enableAutomaticUpgrade`` is not off."""

    def is_met_by(self, installed: Handler) -> bool:
        """Say whether a version that is here will do."""
        version = installed.version
        if fits(version, self.handler.version):
            return True
        major = self.least.partition(".")[0]
        newer = version_key(version) >= version_key(self.least)
        return self.stays_newer and newer and fits(version, major)

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
    stays = properties.get("enableAutomaticUpgrade") is not False
    return Wish(wanted._replace(version=version), wanted.version, settings, str(tag), stays)


def _object(properties: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = properties.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ExtensionFailed(f"ExtensionInsufficientBody: '{name}' must be an object.")
    return value
