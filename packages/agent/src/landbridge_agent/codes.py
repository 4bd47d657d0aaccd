"""The AZCM codes: what each means, and what to do. The exit code is the number.

Codes and titles follow the original's reference; a code, once shipped, keeps its meaning.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """A code's title, and the remedy that is printed when an error brings none of its own."""

    title: str
    remedy: str


CODES = {
    0: Code("Success", "Nothing: the command did what it was asked."),
    1: Code("Unknown Error", "Run the command again with --verbose and report what it prints."),
    2: Code("Internal Error", "Restart the agent service: service himds restart."),
    3: Code("Not Supported", "Leave the option out; azcmagent help lists what this agent does."),
    4: Code("Proxy Service Not Running", "Start the agent service: service himds start."),
    5: Code("Log File Not Usable", "Check that the log folder exists, has room, and is root's."),
    6: Code("Agent Initialization Failed", "Check Python, the folders and their owners, then try again."),
    11: Code("Cancelled By User", "Run the command again when you are ready."),
    12: Code("Access Token Invalid", "Get a new access token and pass it with --access-token."),
    16: Code("Missing Mandatory Parameter", "See azcmagent COMMAND --help."),
    18: Code("No Administrative Privileges", "Run the command as root."),
    19: Code("Config File Not Usable", "Check the path and the content of the file given to --config."),
    20: Code("Unknown Region", "Ask the operator of your cloud which locations it has."),
    23: Code("Invalid Parameter Value", "See azcmagent COMMAND --help."),
    26: Code("Network Error", "Check the address, the network and the CA file, then try again."),
    27: Code(
        "Configuration Conflict", "Clear one of the settings that exclude each other: azcmagent config list."
    ),
    28: Code("TPM Not Usable", "This agent keeps its key in a file; leave the option out."),
    41: Code("Failed To Get Access Token", "Check the credentials."),
    42: Code("Failed To Create Resource", "Check the permissions, or ask the owner of the resource group."),
    43: Code("Failed To Delete Resource", "Ask for the role, or use --force-local-only."),
    44: Code("Resource Already Exists", "Choose another --resource-name, or delete the old resource first."),
    45: Code("Failed To Reconnect", "Ask for the role on the machine, or disconnect and connect again."),
    61: Code("Agent Communication Error", "Start the agent service: service himds start."),
    62: Code("Error While Connecting", "Run the command again; it continues where it stopped."),
    63: Code("Error While Disconnecting", "Run the command again, or use --force-local-only."),
    64: Code("Agent Service Refused", "Restart the agent service: service himds restart."),
    65: Code("No Agent Metadata", "Connect this machine first: azcmagent connect."),
    66: Code("No Agent Status", "Start the agent service: service himds start."),
    67: Code("Already Connected", "Disconnect first: azcmagent disconnect."),
    68: Code("Subscription Not Found", "Pass the subscription's id instead of its name."),
    69: Code("Local Configuration Not Updated", "Check that the state folder can be written."),
    70: Code("No Local Configuration", "Repair or remove localconfig.json; defaults apply without it."),
    72: Code("Extension Not Changed", "See azcmagent extension list for what is installed."),
    75: Code("No Cloud Configuration", "Pass --cloud URL, and --ca-file FILE if its CA is your own."),
    81: Code("Failed To Get Identity Certificate", "Run azcmagent connect again."),
    101: Code("Command Execution Error", "Look at the command's own message, mend it and try again."),
    102: Code("Resource Name Not Usable", "Pass --resource-name with letters, digits, '-' and '_'."),
    103: Code("Key Not Generated", "Check that the state folder can be written: df, ls -l."),
    104: Code("Private Key Not Usable", "Make one with azcmagent genkey, or pass --private-key."),
    105: Code("Message Not Signed", "Repair the identity: azcmagent reconnect."),
    106: Code("Parameters Not Saved", "Check that the file can be written: its folder, the disk."),
    107: Code("Certificate Not Usable", "Check the file: a PFX or PEM with the private key, no password."),
    131: Code("Distribution Not Recognized", "Install on Debian, Ubuntu or alike, with /etc/os-release."),
    132: Code("Platform Not Supported", "Install on Linux."),
    133: Code("Distribution Not Supported", "Install the wheel by hand: CLOUD/agent/packages.json lists it."),
    143: Code("Package Not Installed", "Look at what apt-get said, mend it and run the script again."),
    145: Code("Package Manager Locked", "Wait until the other apt-get has ended, then run the script again."),
    146: Code(
        "Package Not Downloaded", "Check the address, the proxy and the CA, then run the script again."
    ),
    147: Code("Version Not Found", "Leave --desiredversion out to get the version that this cloud has."),
    157: Code("Download Not Permitted", "Check that curl may write to the temporary folder."),
    158: Code("Not Enough Disk Space", "Make room on /var, then run the script again."),
}
"""Every code that this agent or its installation script can end with, by its number."""


class AgentError(Exception):
    """A command cannot do what it was asked.

    ``code`` is a key of ``CODES``; ``detail`` says what happened, ``remedy`` what to do
    next, if the code's own remedy does not fit.
    """

    def __init__(self, code: int, detail: str, remedy: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.remedy = remedy or CODES[code].remedy

    @property
    def name(self) -> str:
        """The code as it is printed: ``AZCM0026``."""
        return f"AZCM{self.code:04d}"

    @property
    def title(self) -> str:
        """The code's title."""
        return CODES[self.code].title

    @property
    def exit_code(self) -> int:
        """The numeric part of the code."""
        return self.code
