"""``azcmagent logs``, ``license`` and ``extension``."""

from __future__ import annotations

import json
import zipfile

import pytest


@pytest.fixture
def logs(azcmagent):
    folder = azcmagent.paths.logs
    folder.mkdir(parents=True)
    for name in ("himds.log", "himds.log.1", "azcmagent.log"):
        (folder / name).write_text(f"this is {name}\n")
    gc = azcmagent.paths.guest_configuration / "extension_logs" / "CustomScript"
    gc.mkdir(parents=True)
    (gc / "commands.log").write_text("done\n")
    azcmagent.paths.work_log.parent.mkdir()
    azcmagent.paths.work_log.write_text("begun\n")
    return azcmagent.paths


def names_of(path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


async def test_the_newest_log_of_each_part_is_in_the_archive(azcmagent, logs, tmp_path):
    ran = await azcmagent("logs", "--output", str(tmp_path / "logs.zip"))
    assert ran.code == 0, ran.err
    assert str(tmp_path / "logs.zip") in ran.out
    names = names_of(tmp_path / "logs.zip")
    assert {"var/opt/azcmagent/log/azcmagent.log", "agent.json", "localconfig.json"} <= names
    assert "var/lib/GuestConfig/extension_logs/CustomScript/commands.log" in names
    assert "var/lib/GuestConfig/ext_mgr_logs/gc_ext.log" in names
    assert len([name for name in names if "himds.log" in name]) == 1


async def test_full_takes_every_log(azcmagent, logs, tmp_path):
    ran = await azcmagent("logs", "-f", "-o", str(tmp_path / "logs.zip"))
    assert ran.code == 0, ran.err
    assert len([name for name in names_of(tmp_path / "logs.zip") if "himds.log" in name]) == 2


async def test_no_secret_is_in_the_archive(cloud, azcmagent, tmp_path):
    target = tmp_path / "logs.zip"
    async with cloud.serving():
        await azcmagent.connect()
    azcmagent.paths.local_config.write_text('{"proxy.url": "http://user:hunter2@proxy.example:3128"}')
    assert (await azcmagent("logs", "-o", str(target))).code == 0
    assert target.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(target) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"hunter2" not in everything and b"PRIVATE KEY" not in everything
    assert b"proxy.example" in everything and b"resourceId" in everything


async def test_an_archive_that_cannot_be_written_leaves_nothing(azcmagent, tmp_path):
    assert (await azcmagent("logs", "-o", str(tmp_path / "no" / "logs.zip"))).code == 106
    assert (await azcmagent("logs", "-o", str(tmp_path))).code == 23


async def test_the_archive_is_named_after_time_and_host(azcmagent, logs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = await azcmagent("logs", "--json")
    assert ran.code == 0
    name = json.loads(ran.out)["file"].rpartition("/")[2]
    assert name.startswith("azcmagent-2") and name.endswith(".zip")


async def test_the_licence_is_printed(azcmagent):
    ran = await azcmagent("license")
    assert ran.code == 0 and ran.out.startswith("MIT License")


async def test_without_extensions_there_is_nothing_to_list_or_remove(azcmagent):
    assert "No extensions" in (await azcmagent("extension", "list")).out
    assert json.loads((await azcmagent("extension", "list", "-j")).out) == {"extensions": []}
    assert (await azcmagent("extension", "remove", "--all")).code == 0
    assert (await azcmagent("extension", "remove", "--name", "X")).code == 72


async def test_what_is_installed_is_listed_and_not_pretended_to_be_removed(azcmagent):
    folder = azcmagent.paths.extensions / "Microsoft.Azure.Extensions.CustomScript-2.1.10"
    folder.mkdir(parents=True)
    (folder / "HandlerManifest.json").write_text("[]")
    (azcmagent.paths.extensions / "history").mkdir()
    ran = await azcmagent("extension", "list")
    row = ["Microsoft.Azure.Extensions", "CustomScript", "2.1.10", "Unknown"]
    assert ran.out.splitlines()[1].split() == row
    assert (await azcmagent("extension", "remove", "-n", "CustomScript")).code == 3
    assert folder.exists()


@pytest.mark.parametrize(
    ("words", "code"), [((), 16), (("frob",), 23), (("list", "x"), 23), (("remove",), 16)]
)
async def test_an_extension_command_that_is_none_is_refused(azcmagent, words, code):
    assert (await azcmagent("extension", *words)).code == code
