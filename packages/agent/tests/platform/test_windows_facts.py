"""What the registry tells."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

from landbridge_agent.facts import fingerprint, report
from landbridge_agent.platform import windows_facts
from landbridge_agent.platform.windows import Windows
from landbridge_agent.platform.windows_names import WindowsPaths

VALUES = {
    (windows_facts.CRYPTOGRAPHY, "MachineGuid"): "5e3c-guid",
    (windows_facts.VERSION, "ProductName"): "Windows Server 2022 Datacenter",
    (windows_facts.VERSION, "CurrentBuild"): "20348",
    (windows_facts.VERSION, "CurrentMajorVersionNumber"): 10,
    (windows_facts.VERSION, "CurrentMinorVersionNumber"): 0,
    (windows_facts.VERSION, "UBR"): 2031,
    (windows_facts.BIOS, "SystemManufacturer"): "Acme",
    (windows_facts.BIOS, "SystemProductName"): "To be filled by O.E.M.",
    (windows_facts.CPUS + r"\0", "ProcessorNameString"): "Some  CPU ",
    (windows_facts.CPUS + r"\1", "ProcessorNameString"): "Some  CPU ",
}


class Winreg:
    """A registry with a few values, in the 64-bit view."""

    KEY_READ, KEY_WOW64_64KEY, HKEY_LOCAL_MACHINE = 0x20019, 0x0100, 0x80000002

    def __init__(self, values=VALUES) -> None:
        self.values = values

    def OpenKey(self, root, key, _reserved, access):
        assert root == self.HKEY_LOCAL_MACHINE and access & self.KEY_WOW64_64KEY
        if not any(known == key for known, _ in self.values):
            raise FileNotFoundError(key)
        return Opened(key)

    def QueryValueEx(self, opened, name):
        try:
            return self.values[opened.key, name], 1
        except KeyError:
            raise FileNotFoundError(name) from None


class Opened:
    def __init__(self, key) -> None:
        self.key = key

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def api(bytes_of_memory: int):
    def told(pointer):
        assert pointer._obj.length == 64
        pointer._obj.sizes[0] = bytes_of_memory
        return 1

    kernel32 = SimpleNamespace(GlobalMemoryStatusEx=told)
    names = ("Structure", "c_uint32", "c_uint64", "sizeof", "byref")
    return SimpleNamespace(
        windll=SimpleNamespace(kernel32=kernel32), **{n: getattr(ctypes, n) for n in names}
    )


def test_the_facts_of_a_windows_server():
    system = Windows({"winreg": Winreg(), "ctypes": api(8 << 30)}.__getitem__)
    facts = report.build(system.gather(system.hardware(), ()), {})
    assert (facts["osType"], facts["osName"]) == ("windows", "windows")
    assert facts["osVersion"] == "10.0.20348.2031"
    assert facts["osSku"] == "Windows Server 2022 Datacenter"
    assert facts["hardwareProfile"]["totalPhysicalMemoryInBytes"] == 8 << 30
    assert facts["detectedProperties"]["logicalCoreCount"] == "2"
    assert facts["detectedProperties"]["processorNames"] == "Some CPU"
    assert facts["detectedProperties"]["manufacturer"] == "Acme"
    assert "model" not in facts["detectedProperties"]


def test_windows_11_is_told_by_its_build():
    values = {
        (windows_facts.VERSION, "ProductName"): "Windows 10 Pro",
        (windows_facts.VERSION, "CurrentBuild"): "22631",
    }
    assert windows_facts.release(Winreg(values)).pretty_name == "Windows 11 Pro"


def test_an_empty_registry_gives_empty_answers():
    assert windows_facts.machine_guid(Winreg({})) == ""
    assert windows_facts.processors(Winreg({})).logical == 0
    assert windows_facts.hardware(Winreg({})).manufacturer == ""


def test_the_fingerprint_is_of_the_machine_guid(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "here", lambda: Windows({"winreg": Winreg()}.__getitem__))
    first = fingerprint.read(WindowsPaths(tmp_path, False))
    assert len(first) == 64 and "5e3c" not in first
    (tmp_path / "machine-id").write_text("another")
    assert fingerprint.read(WindowsPaths(tmp_path, True)) != first
