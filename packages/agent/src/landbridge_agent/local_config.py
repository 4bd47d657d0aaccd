"""The local configuration: its properties, their defaults and what values they take. Pure.

It always wins over the cloud: what is switched off here cannot be switched on from afar.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PORTS = "incomingconnections.ports"
ENABLED = "incomingconnections.enabled"

Value = bool | list[str]


class InvalidSetting(ValueError):
    """A value does not fit its property; the text says what would."""


class Property(NamedTuple):
    """A property of ``azcmagent config``."""

    name: str
    default: Value
    meaning: str
    preview: bool = True

    @property
    def label(self) -> str:
        """The name as ``config list`` prints it."""
        return f"{self.name} (preview)" if self.preview else self.name


PROPERTIES = {
    one.name: one
    for one in (
        Property(ENABLED, True, "Whether sessions may come in through the cloud at all: true or false."),
        Property(
            PORTS,
            [],
            "The local ports that sessions may reach, such as 22,2222; empty: what the cloud configures.",
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
    if isinstance(prop.default, bool):
        word = text.strip().lower()
        if word not in ("true", "false"):
            raise InvalidSetting(f"{prop.name} is true or false, not '{text}'.")
        return word == "true"
    return _ports(prop.name, text)


def _ports(name: str, text: str) -> list[str]:
    ports = []
    for word in text.strip().strip("[]").replace(",", " ").split():
        if not word.isascii() or not word.isdigit() or len(word) > 5 or not 1 <= int(word) <= 65535:
            raise InvalidSetting(f"{name} takes ports from 1 to 65535, such as 22,2222; '{word}' is none.")
        ports.append(str(int(word)))
    return list(dict.fromkeys(ports))


def value_of(settings: Mapping[str, object], prop: Property) -> Value:
    """Return a property's value from ``localconfig.json``, or its default.

    Raises:
        InvalidSetting: the file holds a value that does not fit, say from an editor.
    """
    value = settings.get(prop.name)
    if value is None:
        return prop.default
    if isinstance(prop.default, bool):
        return value if isinstance(value, bool) else parse(prop, str(value))
    if isinstance(value, list):
        return parse(prop, ",".join(str(one) for one in value))
    return parse(prop, str(value))


def text_of(value: Value) -> str:
    """Return a value as ``config`` prints it: ``true``, or ``[22,2222]``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"[{','.join(value)}]"


def change(old: Value, new: Value, *, add: bool, remove: bool) -> Value:
    """Return a list property after ``config set`` with ``--add`` or ``--remove``, or neither.

    Raises:
        InvalidSetting: both, or the property is no list.
    """
    if not add and not remove:
        return new
    if add and remove:
        raise InvalidSetting("--add and --remove exclude each other.")
    if isinstance(old, bool) or isinstance(new, bool):
        raise InvalidSetting("--add and --remove are for lists, such as incomingconnections.ports.")
    if add:
        return list(dict.fromkeys([*old, *new]))
    return [one for one in old if one not in new]


class Incoming(NamedTuple):
    """The two settings that decide on incoming sessions."""

    enabled: bool
    ports: tuple[int, ...]


def incoming(settings: Mapping[str, object]) -> Incoming:
    """Return what the settings say about incoming sessions.

    Raises:
        InvalidSetting: the file holds values that do not fit.
    """
    enabled = value_of(settings, PROPERTIES[ENABLED])
    ports = value_of(settings, PROPERTIES[PORTS])
    listed = ports if isinstance(ports, list) else []
    return Incoming(enabled is True, tuple(int(port) for port in listed))
