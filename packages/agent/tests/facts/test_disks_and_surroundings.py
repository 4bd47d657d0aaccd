"""Disks, databases, the cloud provider, and what root notes of the hardware for the daemon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_agent.facts import disks, dmi, surroundings
from landbridge_agent.machine import Machine
from landbridge_agent.paths import Paths


@pytest.fixture
def block(tmp_path):
    """A kernel's view of one spinning disk with a partition, an NVMe disk and a loop device."""
    folder = tmp_path / "block"
    for name, size, rotational in (("sda", 2**21, 1), ("nvme0n1", 2**22, 0), ("loop0", 8, 0), ("sr0", 0, 1)):
        (folder / name / "queue").mkdir(parents=True)
        (folder / name / "size").write_text(f"{size}\n")
        (folder / name / "queue/rotational").write_text(f"{rotational}\n")
    (folder / "sda/sda1").mkdir()
    (folder / "sda/sda1/partition").write_text("1\n")
    return folder


def test_disks_have_size_kind_and_what_is_used_on_their_partitions(block, tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sda1 / ext4 rw 0 0\n/dev/sda1 /again ext4 rw 0 0\nproc /proc proc rw 0 0\n")
    found = disks.read(block, mounts, lambda place: 3 * 2**29 if place == "/" else 10**12)
    assert found == [
        disks.Disk("nvme0n1", "/dev/nvme0n1", "NVMe", 2**31, 0),
        disks.Disk("sda", "/dev/sda", "HDD", 2**30, 2 * 2**30),
    ]


def test_a_machine_without_disks_to_see_has_none(tmp_path):
    assert disks.read(tmp_path / "nothing", tmp_path / "nothing") == []


@given(st.text(max_size=60))
def test_any_line_of_mounts_is_read_or_passed_over(text):
    assert isinstance(disks._used_by_device([text, f"/dev/{text}"], lambda _: 1), dict)


@pytest.mark.parametrize(
    ("maker", "model", "provider"),
    [
        ("Amazon EC2", "t3.small", "AWS"),
        ("Xen", "4.11.amazon", "AWS"),
        ("Google", "Google Compute Engine", "GCP"),
        ("OracleCloud.com", "x", "OCI"),
        ("Acme", "Box", "N/A"),
        ("", "", "N/A"),
    ],
)
def test_the_provider_is_what_the_firmware_says(maker, model, provider):
    assert surroundings.cloud_provider(dmi.Dmi(maker, model)) == provider


def test_databases_are_found_by_their_servers(tmp_path):
    (tmp_path / "usr/lib/postgresql/15/bin").mkdir(parents=True)
    (tmp_path / "usr/lib/postgresql/15/bin/postgres").touch()
    assert surroundings.databases(tmp_path) == {"mssql": False, "mysql": False, "pgsql": True}


def test_the_daemon_knows_what_root_has_noted(tmp_path, monkeypatch):
    machine = Machine(Paths(tmp_path, True))
    monkeypatch.setattr(dmi, "read", lambda: dmi.Dmi("Acme", "Box", "S1", "uuid-1"))
    machine.note_hardware()
    monkeypatch.setattr(dmi, "read", lambda: dmi.Dmi("Acme", "Box"))
    assert machine.hardware() == dmi.Dmi("Acme", "Box", "S1", "uuid-1")
    assert machine.paths.hardware.stat().st_mode & 0o777 == 0o600
