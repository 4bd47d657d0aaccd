"""Windows: what the registry and the memory's status tell of the machine.

Left out, and so empty in the cloud: serial number and UUID (they need WMI), disks, networks, databases.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from landbridge_agent.facts import dmi, ssh_host_keys
from landbridge_agent.facts.os_release import OsRelease
from landbridge_agent.facts.processors import Processors
from landbridge_agent.facts.report import Sources

CRYPTOGRAPHY = r"SOFTWARE\Microsoft\Cryptography"
VERSION = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
BIOS = r"HARDWARE\DESCRIPTION\System\BIOS"
CPUS = r"HARDWARE\DESCRIPTION\System\CentralProcessor"
FIRST_BUILD_OF_11 = 22000
HOST_KEYS = Path("C:/ProgramData/ssh")
MOST_CPUS = 4096


def _value(winreg: Any, key: str, name: str) -> str:
    """Return a value of HKEY_LOCAL_MACHINE in the 64-bit view as text; empty where there is none."""
    access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, access) as opened:
            return str(winreg.QueryValueEx(opened, name)[0])
    except OSError:
        return ""


def machine_guid(winreg: Any) -> str:
    """Return the MachineGuid, which an image that sysprep has not touched shares with its copies."""
    return _value(winreg, CRYPTOGRAPHY, "MachineGuid")


def release(winreg: Any) -> OsRelease:
    """Return product and build. ``ProductName`` says Windows 10 of Windows 11, too: the build knows."""
    product, build = _value(winreg, VERSION, "ProductName"), _value(winreg, VERSION, "CurrentBuild")
    if build.isdigit() and int(build) >= FIRST_BUILD_OF_11 and product.startswith("Windows 10"):
        product = product.replace("Windows 10", "Windows 11", 1)
    return OsRelease("windows", build, product)


def kernel(winreg: Any) -> str:
    """Return the version as ``osVersion`` has it: 10.0.BUILD.REVISION."""
    parts = [
        _value(winreg, VERSION, name)
        for name in ("CurrentMajorVersionNumber", "CurrentMinorVersionNumber", "CurrentBuild", "UBR")
    ]
    return ".".join(part for part in parts if part)


def hardware(winreg: Any) -> dmi.Dmi:
    """Return maker and model."""
    maker, model = (_value(winreg, BIOS, name) for name in ("SystemManufacturer", "SystemProductName"))
    return dmi.Dmi(dmi.parse(maker), dmi.parse(model))


def processors(winreg: Any) -> Processors:
    """Return the logical processors; sockets and cores are not told apart."""
    names: list[str] = []
    for number in range(MOST_CPUS):
        name = " ".join(_value(winreg, rf"{CPUS}\{number}", "ProcessorNameString").split())
        if not name:
            break
        names.append(name)
    count = len(names)
    return Processors(
        sockets=1 if count else 0, cores=count, logical=count, names=tuple(dict.fromkeys(names))
    )


def memory(ctypes: Any) -> int:
    """Return the physical memory in bytes (GlobalMemoryStatusEx); 0 when it is not told."""

    class Status(ctypes.Structure):  # type: ignore[misc] # MEMORYSTATUSEX
        _fields_ = (("length", ctypes.c_uint32), ("load", ctypes.c_uint32), ("sizes", ctypes.c_uint64 * 7))

    status = Status()
    status.length = ctypes.sizeof(Status)
    told = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.sizes[0]) if told else 0


def gather(winreg: Any, ctypes: Any, found: dmi.Dmi, ports: Sequence[int]) -> Sources:
    """Return the facts of this computer."""
    return Sources(
        system="windows",
        os_release=release(winreg),
        kernel=kernel(winreg),
        architecture=platform.machine(),
        fqdn=socket.getfqdn(),
        dmi=found,
        processors=processors(winreg),
        memory=memory(ctypes),
        interfaces=(),
        host_keys=ssh_host_keys.read(ports, HOST_KEYS),
    )
