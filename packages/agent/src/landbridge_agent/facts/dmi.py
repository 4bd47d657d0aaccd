"""The hardware's maker, model and serial, from ``/sys/class/dmi/id`` (the kernel's SMBIOS view)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FOLDER = Path("/sys/class/dmi/id")

FIRMWARE = Path("/sys/firmware")

FILLERS = {
    "",
    "none",
    "n/a",
    "not specified",
    "to be filled by o.e.m.",
    "default string",
    "system serial number",
}
"""What makers leave in place of an answer."""


class Dmi(NamedTuple):
    """What the firmware says; empty where it does not. Serial and UUID need root.

    ``firmware`` is UEFI or BIOS.
    """

    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    uuid: str = ""
    firmware: str = ""


def parse(text: str) -> str:
    """Return one attribute: printable, one line, empty for a filler."""
    value = "".join(char if char.isprintable() else " " for char in text).strip()[:200]
    return "" if value.lower() in FILLERS else value


def _attribute(folder: Path, name: str) -> str:
    try:
        return parse((folder / name).read_bytes()[:4096].decode("utf-8", "replace"))
    except OSError:
        return ""


def read(folder: Path = FOLDER, firmware: Path = FIRMWARE) -> Dmi:
    """Read what this user may."""
    return Dmi(
        manufacturer=_attribute(folder, "sys_vendor"),
        model=_attribute(folder, "product_name"),
        serial=_attribute(folder, "product_serial"),
        uuid=_attribute(folder, "product_uuid").lower(),
        firmware="UEFI" if (firmware / "efi").is_dir() else "BIOS" if firmware.is_dir() else "",
    )
