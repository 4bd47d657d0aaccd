"""The table of commands: name, module, one line. Modules are loaded when they are called."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """A command's module below ``landbridge_agent.cli`` (its ``COMMAND``), and its summary."""

    module: str
    summary: str


VERBS = {
    "check": Verb("check", "Check that this machine reaches what the agent needs"),
    "config": Verb("config", "Lists and changes the local configuration"),
    "connect": Verb("connect", "Connects this machine to Azure"),
    "disconnect": Verb("disconnect", "Disconnects this machine from Azure"),
    "extension": Verb("extension", "Lists and removes the extensions of this machine"),
    "genkey": Verb("genkey", "Generate a key pair for a machine that is created in the cloud first"),
    "help": Verb("help", "Help about any command"),
    "license": Verb("license", "Display the licence of this agent"),
    "logs": Verb("logs", "Collect the logs of the agent in one archive"),
    "reconnect": Verb("reconnect", "Reconnects this machine to Azure"),
    "show": Verb("show", "Gets machine metadata and Agent status"),
    "upgrade": Verb("upgrade", "Upgrade this agent to the version that its cloud has"),
    "version": Verb("version", "Display the Hybrid Management Agent version"),
}
"""What this version does."""
