"""The table of commands: name, module, one line. Modules are loaded when they are called."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """A command's module below ``landbridge_agent.cli`` (its ``COMMAND``), and its summary."""

    module: str
    summary: str


VERBS = {
    "config": Verb("config", "Lists and changes the local configuration"),
    "connect": Verb("connect", "Connects this machine to Azure"),
    "disconnect": Verb("disconnect", "Disconnects this machine from Azure"),
    "help": Verb("help", "Help about any command"),
    "show": Verb("show", "Gets machine metadata and Agent status"),
    "version": Verb("version", "Display the Hybrid Management Agent version"),
}
"""What this version does."""

NOT_YET = ("check", "extension", "genkey", "license", "logs", "reconnect", "upgrade")
"""Commands of the original that are refused with AZCM0003 rather than pretended."""
