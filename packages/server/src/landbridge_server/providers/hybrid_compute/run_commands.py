"""``Microsoft.HybridCompute/machines/runCommands``: a script that the machine runs once per change.

The resource is the script and, later, what became of it. ``provisioningState`` says whether the
machine could start it, ``instanceView.executionState`` how the script went. A password and the
protected parameters are for the machine alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from landbridge_server.arm import refusals
from landbridge_server.arm.resource_type import Action
from landbridge_server.arm.sealing import Sealer
from landbridge_server.arm.shape import Choice, Moment, Text, Whole
from landbridge_server.providers.hybrid_compute.extensions import STATUS
from landbridge_server.providers.hybrid_compute.on_machine import OnMachine
from landbridge_server.providers.hybrid_compute.versions import VERSIONS
from landbridge_wire.errors import ArmError

SOURCES = ("script", "scriptUri", "commandId")
PENDING = "Pending"
ENDED = ("Failed", "Succeeded", "TimedOut", "Canceled")
LONGEST_SCRIPT = 256 * 1024
LONGEST_SECONDS = 90 * 86400

_URI = Text(8192)
_PARAMETERS = [{"name": Text(256), "value": Text(65536)}]
_IDENTITY = {"clientId": Text(64), "objectId": Text(64)}


WRITABLE: dict[str, Any] = {
    "source": {
        "script": Text(LONGEST_SCRIPT),
        "scriptUri": _URI,
        "commandId": Text(256),
        "scriptUriManagedIdentity": _IDENTITY,
    },
    "parameters": _PARAMETERS,
    "asyncExecution": bool,
    "runAsUser": Text(256),
    "timeoutInSeconds": Whole(1, LONGEST_SECONDS),
    "outputBlobUri": _URI,
    "errorBlobUri": _URI,
    "outputBlobManagedIdentity": _IDENTITY,
    "errorBlobManagedIdentity": _IDENTITY,
}
SECRET: dict[str, Any] = {"protectedParameters": _PARAMETERS, "runAsPassword": Text(1024)}
OBSERVED: dict[str, Any] = {
    "instanceView": {
        "executionState": Choice(
            ("Unknown", PENDING, "Running", "Failed", "Succeeded", "TimedOut", "Canceled")
        ),
        "executionMessage": str,
        "exitCode": Whole(-(2**31), 2**31 - 1),
        "output": str,
        "error": str,
        "startTime": Moment,
        "endTime": Moment,
        "statuses": [STATUS],
    },
}


class RunCommands(OnMachine):
    """The type. Clients of the real one expect 201 or 200 with the resource, and then to poll."""

    type = "machines/runCommands"
    api_versions = VERSIONS
    name_pattern = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
    name_rule = "A run command's name has 1 to 64 letters, digits, '-', '_' or '.'."
    writable = WRITABLE
    secret = SECRET
    observed = OBSERVED
    runs = True

    def __init__(self, sealer: Sealer, clock: Callable[[], float], actions: Mapping[str, Action]) -> None:
        """Take who seals, the clock, and the actions by name."""
        super().__init__(sealer, clock)
        self._actions = actions

    @property
    def actions(self) -> Mapping[str, Action]:
        """``readOutput`` and ``cancel``."""
        return self._actions

    def check(self, kept: dict[str, Any], secrets: dict[str, Any]) -> None:
        """Refuse what names no script, or several, or parameters that cannot be passed on."""
        given = [name for name in SOURCES if kept.get("source", {}).get(name)]
        if len(given) != 1:
            raise refusals.invalid(
                "'properties.source' must have exactly one of script, scriptUri and commandId.", "source"
            )
        for name, uri in _addresses(kept):
            if not uri.lower().startswith(("https://", "http://")):
                raise refusals.invalid(f"'properties.{name}' must be an http or https address.", name)
        for name in ("parameters", "protectedParameters"):
            for index, one in enumerate((kept | secrets).get(name, [])):
                if "value" not in one:
                    raise refusals.invalid(f"'properties.{name}[{index}].value' is required.", name)
        if "runAsPassword" in secrets and "runAsUser" not in kept:
            raise refusals.invalid("'properties.runAsPassword' needs a runAsUser.", "runAsPassword")

    def view(self, old: Mapping[str, Any]) -> dict[str, Any]:
        """Return that the script waits: what an earlier one printed does not belong to this one."""
        return {"instanceView": {"executionState": PENDING}}

    def observe(self, unverified: Mapping[str, Any], error: ArmError | None) -> dict[str, Any]:
        """Return what the machine saw; a script that its machine could not run has failed."""
        kept = super().observe(unverified, error)
        view = kept.get("instanceView", {})
        if error is not None and view.get("executionState") not in ENDED:
            failed = {"executionState": "Failed", "executionMessage": error.message}
            kept["instanceView"] = view | failed
        return kept

    def goes_on(self, properties: Mapping[str, Any]) -> bool:
        """A script in the background is provisioned as soon as it runs."""
        state = properties.get("instanceView", {}).get("executionState", PENDING)
        return bool(properties.get("asyncExecution")) and state not in (PENDING, "Unknown")


def _addresses(kept: dict[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    found += [(name, kept[name]) for name in ("outputBlobUri", "errorBlobUri") if name in kept]
    uri = kept.get("source", {}).get("scriptUri")
    if uri:
        found.append(("source.scriptUri", uri))
    return found
