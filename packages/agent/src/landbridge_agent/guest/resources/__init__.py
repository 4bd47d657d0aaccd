"""The resources that a configuration may name: names and properties are those of Azure's nxtools."""

from __future__ import annotations

from landbridge_agent.guest.resources.accounts import GcLinuxGroup, NxGroup, NxUser
from landbridge_agent.guest.resources.installed import (
    GcInstalledApplicationLinux,
    GcNotInstalledApplicationLinux,
    NxPackage,
)
from landbridge_agent.guest.resources.nx_file import NxFile
from landbridge_agent.guest.resources.nx_script import NxScript
from landbridge_agent.guest.resources.nx_service import NxService
from landbridge_agent.guest.resources.resource import Resource
from landbridge_agent.guest.resources.text_files import NxFileContentReplace, NxFileLine

KNOWN: dict[str, type[Resource]] = {
    one.type.lower(): one
    for one in (
        NxFile,
        NxGroup,
        NxUser,
        NxPackage,
        NxService,
        NxFileLine,
        NxFileContentReplace,
        NxScript,
        GcLinuxGroup,
        GcInstalledApplicationLinux,
        GcNotInstalledApplicationLinux,
    )
}
"""By lower-case name."""
