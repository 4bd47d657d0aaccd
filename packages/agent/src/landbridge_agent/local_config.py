"""The local configuration: its properties, their defaults and what values they take. Pure.

It always wins over the cloud: what is switched off here cannot be switched on from afar. What
the values decide is in ``local_policy``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from landbridge_agent import local_values
from landbridge_agent.local_values import InvalidSetting as InvalidSetting
from landbridge_agent.local_values import Value as Value

ENABLED = "incomingconnections.enabled"
PORTS = "incomingconnections.ports"
CONNECTION_TYPE = "connection.type"
PROXY_URL = "proxy.url"
PROXY_BYPASS = "proxy.bypass"
ALLOWLIST = "extensions.allowlist"
BLOCKLIST = "extensions.blocklist"
EXTENSIONS_ENABLED = "extensions.enabled"
GUEST_ENABLED = "guestconfiguration.enabled"
GUEST_SCRIPTS = "guestconfiguration.scripts.enabled"
MODE = "config.mode"
GUEST_CPU = "guestconfiguration.agent.cpulimit"
EXTENSIONS_CPU = "extensions.agent.cpulimit"

FULL, MONITOR = "full", "monitor"


class Property(NamedTuple):
    """A property of ``azcmagent config``. ``read`` makes a value of text, or raises InvalidSetting."""

    name: str
    default: Value
    meaning: str
    read: Callable[[str, str], Value]
    type: str
    preview: bool = False

    @property
    def label(self) -> str:
        """The name as ``config list`` prints it."""
        return f"{self.name} (preview)" if self.preview else self.name


def _choice(*words: str) -> Callable[[str, str], Value]:
    return lambda name, text: local_values.choice(name, text, words)


PROPERTIES = {
    one.name: one
    for one in (
        Property(
            ENABLED,
            True,
            "Whether sessions may come in through the cloud at all: true or false.",
            local_values.switch,
            "bool",
            preview=True,
        ),
        Property(
            PORTS,
            [],
            "The local ports that sessions may reach, such as 22,2222; empty: what the cloud configures.",
            local_values.ports,
            "list of ports",
            preview=True,
        ),
        Property(
            CONNECTION_TYPE,
            "default",
            "How the agent reaches the cloud: default or direct. This cloud has no gateway.",
            local_values.connection_type,
            "default or direct",
        ),
        Property(
            PROXY_URL,
            "",
            "The HTTP proxy of every connection, such as http://user:password@proxy.example:3128; "
            "it wins over HTTPS_PROXY. The password is never shown; give - for the URL to have it read "
            "from standard input.",
            local_values.proxy_url,
            "URL",
        ),
        Property(
            PROXY_BYPASS,
            [],
            "What is reached without the proxy: AAD, ARM, Arc, AMA, ArcData, names with what is below them "
            "(.example.com), addresses and networks (10.0.0.0/8). 'clear' empties the list.",
            local_values.bypass,
            "list",
        ),
        Property(
            ALLOWLIST,
            [],
            "The only extensions that may be installed, as Publisher/Type; empty: any. Allow/None: none.",
            local_values.extensions,
            "list of Publisher/Type",
        ),
        Property(
            BLOCKLIST,
            [],
            "Extensions that may not be installed, as Publisher/Type; it wins over the allowlist.",
            local_values.extensions,
            "list of Publisher/Type",
        ),
        Property(
            EXTENSIONS_ENABLED,
            True,
            "Whether extensions may be installed and run at all; false removes none that is installed.",
            local_values.switch,
            "bool",
        ),
        Property(
            GUEST_ENABLED,
            True,
            "Whether guest configuration may audit or change this machine.",
            local_values.switch,
            "bool",
        ),
        Property(
            GUEST_SCRIPTS,
            False,
            "Whether scripts of configurations (nxScript) may run on this machine.",
            local_values.switch,
            "bool",
        ),
        Property(
            MODE,
            FULL,
            "full, or monitor: only extensions that monitor, no guest configuration, no incoming sessions.",
            _choice(FULL, MONITOR),
            "full or monitor",
        ),
        Property(
            GUEST_CPU,
            5,
            "The share of the CPU that guest configuration may take, in percent.",
            local_values.percent,
            "1 to 100",
        ),
        Property(
            EXTENSIONS_CPU,
            5,
            "The share of the CPU that the extension service may take, in percent.",
            local_values.percent,
            "1 to 100",
        ),
    )
}
"""The properties that this version knows."""


def find(name: str) -> Property:
    """Return a property by its name, in any case.

    Raises:
        InvalidSetting: there is none of that name.
    """
    found = PROPERTIES.get(name.lower())
    if found is None:
        known = ", ".join(PROPERTIES)
        raise InvalidSetting(f"There is no configuration property '{name}'. Known: {known}.")
    return found


def parse(prop: Property, text: str) -> Value:
    """Read a value as given on the command line.

    Raises:
        InvalidSetting: it does not fit the property.
    """
    return prop.read(prop.name, text)


def value_of(settings: Mapping[str, object], prop: Property) -> Value:
    """Return a property's value from ``localconfig.json``, or its default.

    Raises:
        InvalidSetting: the file holds a value that does not fit, say from an editor.
    """
    value = settings.get(prop.name)
    if value is None:
        return prop.default
    if isinstance(value, bool):
        return prop.read(prop.name, "true" if value else "false")
    if isinstance(value, list):
        return prop.read(prop.name, ",".join(str(one) for one in value))
    return prop.read(prop.name, str(value))


def text_of(value: Value) -> str:
    """Return a value as ``config`` prints it: ``true``, ``5`` or ``[22,2222]``; a password never."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{','.join(value)}]"
    return local_values.without_password(value) if isinstance(value, str) else str(value)


def shown(value: Value) -> Value:
    """Return a value as it goes into JSON that people see: as it is, without a password."""
    return local_values.without_password(value) if isinstance(value, str) else value


def change(old: Value, new: Value, *, add: bool, remove: bool) -> Value:
    """Return a list property after ``config set`` with ``--add`` or ``--remove``, or neither.

    Raises:
        InvalidSetting: both, or the property is no list.
    """
    if not add and not remove:
        return new
    if add and remove:
        raise InvalidSetting("--add and --remove exclude each other.")
    if not isinstance(old, list) or not isinstance(new, list):
        raise InvalidSetting("--add and --remove are for lists, such as incomingconnections.ports.")
    known = {one.lower() for one in (old if add else new)}
    if add:
        return [*old, *(one for one in new if one.lower() not in known)]
    return [one for one in old if one.lower() not in known]


def assign(
    settings: Mapping[str, object], prop: Property, text: str, *, add: bool = False, remove: bool = False
) -> Value:
    """Return what a property becomes by ``config set``: read, merged into a list, allowed now.

    Raises:
        InvalidSetting: the value does not fit, or the mode keeps the property from being changed.
    """
    check_editable(settings, prop)
    new = parse(prop, text)
    if add or remove:
        new = change(value_of(settings, prop), new, add=add, remove=remove)
    if prop.name in (ALLOWLIST, BLOCKLIST) and isinstance(new, list):
        local_values.check_allow_none(prop.name, new, allowlist=prop.name == ALLOWLIST)
    return new


def check_editable(settings: Mapping[str, object], prop: Property) -> None:
    """Check that the mode lets a property be changed: monitor has a list of its own.

    Raises:
        InvalidSetting: it does not; both lists come back with the mode full.
    """
    if prop.name in (ALLOWLIST, BLOCKLIST) and value_of(settings, PROPERTIES[MODE]) == MONITOR:
        raise InvalidSetting(
            f"{prop.name} cannot be changed in the mode monitor, which has a list of its own: "
            "azcmagent config set config.mode full"
        )


class Incoming(NamedTuple):
    """The two settings that decide on incoming sessions."""

    enabled: bool
    ports: tuple[int, ...]


def incoming(settings: Mapping[str, object]) -> Incoming:
    """Return what the settings say about incoming sessions; the mode monitor lets none in.

    Raises:
        InvalidSetting: the file holds values that do not fit.
    """
    enabled = value_of(settings, PROPERTIES[ENABLED]) is True
    full = value_of(settings, PROPERTIES[MODE]) == FULL
    ports = value_of(settings, PROPERTIES[PORTS])
    listed = ports if isinstance(ports, list) else []
    return Incoming(enabled and full, tuple(int(port) for port in listed))
