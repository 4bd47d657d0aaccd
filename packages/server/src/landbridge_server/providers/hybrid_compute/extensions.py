"""``Microsoft.HybridCompute/machines/extensions``: software that the machine is to have.

Any publisher and type may be asked for: which ones a machine takes is decided by the machine,
by what this cloud ships and by the lists in its own configuration, and told in its report.
"""

from __future__ import annotations

import re
from typing import Any

from landbridge_server.arm import refusals
from landbridge_server.arm.resource_type import Effects
from landbridge_server.arm.shape import ANY, Named, Text
from landbridge_server.providers.hybrid_compute.on_machine import OnMachine
from landbridge_server.providers.hybrid_compute.versions import VERSIONS
from landbridge_server.store import extension_upgrades
from landbridge_server.store.database import Connection
from landbridge_server.store.resources import Stored

REQUIRED = ("publisher", "type")
_VERSION = re.compile(r"\d{1,9}(\.\d{1,9}){0,3}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,256}", re.ASCII)

STATUS = {"code": str, "level": str, "displayStatus": str, "message": str, "time": str}
"""A status as the documents have it."""


def version(text: str, path: str) -> str:
    """Return the version of an extension handler.

    Raises:
        ArmError: it is not one to four numbers with dots between them.
    """
    if not _VERSION.fullmatch(text):
        raise refusals.invalid(f"'{path}' must be one to four numbers, such as 2.1.", path)
    return text


WRITABLE: dict[str, Any] = {
    "forceUpdateTag": Text(1024),
    "publisher": Text(256),
    "type": Text(256),
    "typeHandlerVersion": Text(64),
    "enableAutomaticUpgrade": bool,
    "autoUpgradeMinorVersion": bool,
    "settings": Named(ANY),
}
SECRET: dict[str, Any] = {"protectedSettings": Named(ANY)}
OBSERVED: dict[str, Any] = {
    "instanceView": {
        "name": str,
        "type": str,
        "typeHandlerVersion": str,
        "status": STATUS,
    },
}


class Extensions(OnMachine):
    """The type."""

    type = "machines/extensions"
    api_versions = VERSIONS
    accepted = 202  # recorded of the real service, creation and change alike
    name_pattern = re.compile(r"[A-Za-z0-9_.-]{1,260}", re.ASCII)
    name_rule = "An extension's name has 1 to 260 letters, digits, '-', '_' or '.'."
    writable = WRITABLE
    secret = SECRET
    observed = OBSERVED

    def check(self, kept: dict[str, Any], secrets: dict[str, Any]) -> None:
        """Refuse an extension that no publisher could have."""
        for name in REQUIRED:
            if name not in kept:
                raise refusals.invalid(f"'properties.{name}' is required.", name)
            if not _WORD.fullmatch(kept[name]):
                raise refusals.invalid(
                    f"'properties.{name}' must have 1 to 256 letters, digits, '-', '_' or '.'.", name
                )
        if "typeHandlerVersion" in kept:
            version(kept["typeHandlerVersion"], "properties.typeHandlerVersion")

    def on_delete(self, connection: Connection, stored: Stored, effects: Effects) -> None:
        """Forget what it was asked, too."""
        super().on_delete(connection, stored, effects)
        extension_upgrades.forget(connection, stored.key)
