"""What the local configuration decides: the proxy, extensions, guest configuration, CPU limits. Pure.

Every part of the agent that acts for the cloud asks here first. A configuration that cannot be
read raises ``InvalidSetting``, and whoever asks then does nothing: damage never widens a right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from landbridge_agent.dial import Proxy
from landbridge_agent.local_config import (
    ALLOWLIST,
    BLOCKLIST,
    EXTENSIONS_CPU,
    EXTENSIONS_ENABLED,
    FULL,
    GUEST_CPU,
    GUEST_ENABLED,
    GUEST_SCRIPTS,
    MODE,
    MONITOR,
    PROPERTIES,
    PROXY_BYPASS,
    PROXY_URL,
    incoming,
    value_of,
)
from landbridge_agent.local_values import ALLOW_NONE

MONITOR_ALLOWLIST = (
    "Microsoft.Azure.Monitor/AzureMonitorLinuxAgent",
    "Microsoft.Azure.Monitor/AzureMonitorWindowsAgent",
    "Microsoft.Azure.AzureDefenderForServers/MDE.Linux",
    "Microsoft.Azure.AzureDefenderForServers/MDE.Windows",
    "Microsoft.Azure.Monitoring.DependencyAgent/DependencyAgentLinux",
    "Microsoft.Azure.Monitoring.DependencyAgent/DependencyAgentWindows",
    "Microsoft.Azure.ChangeTrackingAndInventory/ChangeTracking-Linux",
    "Microsoft.Azure.ChangeTrackingAndInventory/ChangeTracking-Windows",
)
"""The extensions that the mode monitor allows: those that observe and change nothing."""


class Verdict(NamedTuple):
    """Whether something may be done, and which rule of the local configuration says so."""

    allowed: bool
    rule: str = ""


def _texts(settings: Mapping[str, object], name: str) -> list[str]:
    value = value_of(settings, PROPERTIES[name])
    return value if isinstance(value, list) else []


def mode(settings: Mapping[str, object]) -> str:
    """Return full or monitor."""
    return str(value_of(settings, PROPERTIES[MODE]))


def allowlist(settings: Mapping[str, object]) -> Sequence[str]:
    """Return the allowlist that holds now."""
    return MONITOR_ALLOWLIST if mode(settings) == MONITOR else _texts(settings, ALLOWLIST)


def blocklist(settings: Mapping[str, object]) -> Sequence[str]:
    """Return the blocklist."""
    return _texts(settings, BLOCKLIST)


def extension(settings: Mapping[str, object], publisher: str, kind: str) -> Verdict:
    """Decide whether an extension may be installed, changed or upgraded. Removing one is always allowed."""
    name = f"{publisher}/{kind}".lower()
    if value_of(settings, PROPERTIES[EXTENSIONS_ENABLED]) is not True:
        return Verdict(False, f"{EXTENSIONS_ENABLED} is false")
    if name in {one.lower() for one in blocklist(settings)}:
        return Verdict(False, f"{publisher}/{kind} is in {BLOCKLIST}")
    allowed = allowlist(settings)
    if allowed and (ALLOW_NONE in allowed or name not in {one.lower() for one in allowed}):
        rule = f"{MODE} is {MONITOR}" if mode(settings) == MONITOR else f"it is not in {ALLOWLIST}"
        return Verdict(False, f"{publisher}/{kind} may not be installed: {rule}")
    return Verdict(True)


def guest_configuration(settings: Mapping[str, object]) -> Verdict:
    """Decide whether guest configuration may work on this machine."""
    if mode(settings) == MONITOR:
        return Verdict(False, f"{MODE} is {MONITOR}")
    if value_of(settings, PROPERTIES[GUEST_ENABLED]) is not True:
        return Verdict(False, f"{GUEST_ENABLED} is false")
    return Verdict(True)


def guest_scripts(settings: Mapping[str, object]) -> bool:
    """Return whether scripts of configurations may run; only this machine's administrator says so."""
    return value_of(settings, PROPERTIES[GUEST_SCRIPTS]) is True


def cpu_limits(settings: Mapping[str, object]) -> tuple[int, int]:
    """Return the percentages of the extension service and of guest configuration."""
    found = [value_of(settings, PROPERTIES[name]) for name in (EXTENSIONS_CPU, GUEST_CPU)]
    return int(str(found[0])), int(str(found[1]))


def proxy(settings: Mapping[str, object], from_environment: Proxy) -> Proxy:
    """Return the proxy of every outgoing connection: ``proxy.url`` wins over the environment's.

    What either says need not go through it does not.
    """
    url = str(value_of(settings, PROPERTIES[PROXY_URL])) or from_environment.url
    return Proxy(url, (*_texts(settings, PROXY_BYPASS), *from_environment.bypass))


def reported(settings: Mapping[str, object], used: Proxy) -> dict[str, Any]:
    """Return the ``agentConfiguration`` of the machine's resource (contract: agent, 3.3); no password."""
    sessions = incoming(settings)
    extensions_on = value_of(settings, PROPERTIES[EXTENSIONS_ENABLED]) is True
    return {
        "proxyUrl": used.shown,
        "proxyBypass": list(_texts(settings, PROXY_BYPASS)),
        "incomingConnectionsPorts": [str(port) for port in sessions.ports],
        "incomingConnectionsEnabled": _word(sessions.enabled),
        "extensionsAllowList": [_split(one) for one in allowlist(settings)],
        "extensionsBlockList": [_split(one) for one in blocklist(settings)],
        "extensionsEnabled": _word(extensions_on),
        "guestConfigurationEnabled": _word(guest_configuration(settings).allowed),
        "configMode": mode(settings),
    }


NOTHING_ALLOWED: dict[str, Any] = {
    "proxyUrl": "",
    "proxyBypass": [],
    "incomingConnectionsPorts": [],
    "incomingConnectionsEnabled": "false",
    "extensionsAllowList": [{"publisher": "Allow", "type": "None"}],
    "extensionsBlockList": [],
    "extensionsEnabled": "false",
    "guestConfigurationEnabled": "false",
    "configMode": FULL,
}
"""What is reported while the local configuration is damaged: nothing may be done then."""


def _word(value: bool) -> str:
    return "true" if value else "false"


def _split(name: str) -> dict[str, str]:
    publisher, _, kind = name.partition("/")
    return {"publisher": publisher, "type": kind}
