"""Configurations that come with the agent: assigned by name alone, without a package.

Each is a JSON document as ``configuration.py`` reads it, and its parameters are those of any other.
They are kept to what can be done without scripts.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import NamedTuple

from landbridge_agent.guest import configuration
from landbridge_agent.guest.configuration import BadConfiguration, Declared

NAMES = ("PasswordPolicy", "SshHardening", "TimeSynchronization", "UnattendedUpgrades")


class Builtin(NamedTuple):
    """A configuration of the agent's own."""

    declared: list[Declared]
    version: str


def load(name: str) -> Builtin:
    """Return a built-in configuration, whose name is compared without regard to case.

    Raises:
        BadConfiguration: there is none of that name.
    """
    known = {one.lower(): one for one in NAMES}.get(name.lower())
    if known is None:
        raise BadConfiguration(
            "Package",
            f"'{name}' has no contentUri, and this agent has no built-in configuration of that name. "
            f"It has {', '.join(NAMES)}.",
        )
    content = resources.files(__name__).joinpath(f"{known}.json").read_bytes()
    return Builtin(configuration.from_json(content), str(json.loads(content)["version"]))
