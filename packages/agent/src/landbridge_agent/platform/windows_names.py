"""Windows: the agent's names, paths and accounts, and the commands that set rights and the service.

Pure: what is run is returned as argument lists. The names are the original's (contract: agent, 1.8).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import cast

from landbridge_agent.paths import ROOT_VARIABLE, Paths

SERVICE = "himds"
DISPLAY_NAME = "Azure Hybrid Instance Metadata Service"
TOKEN_GROUP = "Hybrid agent extension applications"  # noqa: S105 - the group's name
SYSTEM_SID, ADMINISTRATORS_SID = "S-1-5-18", "S-1-5-32-544"
ENVIRONMENT_KEY = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"


class WindowsPaths(Paths):
    """The agent's files below ``root``, which is the system's drive unless ``relocated``."""

    __slots__ = ()

    @property
    def state(self) -> Path:
        """The folder of everything that the agent writes."""
        return self.root / "ProgramData" / "AzureConnectedMachineAgent"

    @property
    def agent_config(self) -> Path:
        """What the machine is in the cloud."""
        return self.state / "Config" / "agentconfig.json"

    @property
    def local_config(self) -> Path:
        """What the machine's administrator allows."""
        return self.state / "Config" / "localconfig.json"

    @property
    def hardware(self) -> Path:
        """What only an administrator may read of the hardware."""
        return self.state / "Config" / "hardware.json"

    @property
    def certificates(self) -> Path:
        """The folder of keys and certificates."""
        return self.state / "Certs"

    @property
    def tokens(self) -> Path:
        """The folder of challenge files, where the SDKs look for them."""
        return self.state / "Tokens"

    @property
    def sockets(self) -> Path:
        """The folder of what shows the way to the daemon, and of locks."""
        return self.state / "Socks"

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.state / "Log"

    @property
    def extensions(self) -> Path:
        """The folder of installed extensions."""
        return self.root / "Packages" / "Plugins"

    @property
    def guest_configuration(self) -> Path:
        """The folder of guest configuration and of the logs of extensions."""
        return self.root / "ProgramData" / "GuestConfig"

    @property
    def cloud(self) -> Path:
        """Written by whoever installs the agent: where the cloud is."""
        return self.state / "Config" / "cloud.json"


def paths(environment: Mapping[str, str], kind: type[Path] = Path) -> WindowsPaths:
    """Return the paths that the environment asks for; ``kind`` is PureWindowsPath in tests."""
    root = environment.get(ROOT_VARIABLE, "")
    if root:
        return WindowsPaths(kind(root), True)
    return WindowsPaths(kind(environment.get("SystemDrive", "C:") + "\\"), False)


def pure_paths(environment: Mapping[str, str]) -> WindowsPaths:
    """Return the paths as Windows would name them, on any system."""
    return paths(environment, cast("type[Path]", PureWindowsPath))


def service_sid(name: str) -> str:
    """Return the SID of the virtual account of a service: the SHA-1 of its name in capitals."""
    digest = hashlib.sha1(name.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    parts = [str(int.from_bytes(digest[at : at + 4], "little")) for at in range(0, 20, 4)]
    return "-".join(("S-1-5-80", *parts))


def close_folder(folder: str, deep: bool = False) -> list[list[str]]:
    """Return the commands that leave a folder to SYSTEM, administrators and the service's account.

    The owner comes first: whoever made the folder before us could give itself rights again. ``deep``
    takes over what already lies in it, too.
    """
    below = ["/t"] if deep else []
    rights = [f"*{sid}:(OI)(CI)F" for sid in (SYSTEM_SID, ADMINISTRATORS_SID, service_sid(SERVICE))]
    return [
        ["icacls.exe", folder, "/setowner", f"*{ADMINISTRATORS_SID}", *below, "/q"],
        ["icacls.exe", folder, "/reset", *below, "/q"],
        ["icacls.exe", folder, "/inheritance:r", "/grant:r", *rights, "/q"],
    ]


def share_folder(folder: str, group: str, inherited: bool) -> list[str]:
    """Return the command that lets a group look into a folder; ``inherited``: read its files, too."""
    scope = "(OI)(CI)" if inherited else ""
    return ["icacls.exe", folder, "/grant:r", f"{group}:{scope}RX", "/q"]


def install_service(command: str) -> list[list[str]]:
    """Return the commands that make group and service; ``command`` starts the daemon.

    The first may fail where the group is there already.
    """
    account = f"NT SERVICE\\{SERVICE}"
    variables = {
        "IMDS_ENDPOINT": "http://localhost:40342",
        "IDENTITY_ENDPOINT": "http://localhost:40342/metadata/identity/oauth2/token",
    }
    told = [
        ["reg.exe", "add", ENVIRONMENT_KEY, "/v", name, "/t", "REG_SZ", "/d", value, "/f"]
        for name, value in variables.items()
    ]
    return [
        ["net.exe", "localgroup", TOKEN_GROUP, "/add", "/comment:May have the tokens of this machine"],
        [
            "sc.exe", "create", SERVICE, "binPath=", command, "start=", "delayed-auto",
            "obj=", account, "DisplayName=", DISPLAY_NAME,
        ],
        ["sc.exe", "sidtype", SERVICE, "unrestricted"],
        ["sc.exe", "failure", SERVICE, "reset=", "86400", "actions=", "restart/5000"],
        *told,
        ["sc.exe", "start", SERVICE],
    ]  # fmt: skip


def remove_service() -> list[list[str]]:
    """Return the commands that stop and remove the service; state and group stay."""
    return [["sc.exe", "stop", SERVICE], ["sc.exe", "delete", SERVICE]]
