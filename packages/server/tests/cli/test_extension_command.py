"""``landbridge extension``: publish, list and remove, refused with a line that says why, never half."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from landbridge_server.cli.main import main
from landbridge_server.providers.hybrid_compute.catalogue import SHIPPED
from landbridge_server.store import extensions
from landbridge_server.testing import ControlPlane

COMMANDS = {
    f"{word}Command": f"bin/h {word}" for word in ("install", "enable", "update", "disable", "uninstall")
}
NAMES = ("--publisher", "Contoso.Tools", "--type", "Motd")


def write_package(path, filling=b""):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("HandlerManifest.json", json.dumps([{"version": 1.0, "handlerManifest": COMMANDS}]))
        made.writestr("bin/h", "#!/bin/sh\nexit 0\n")
        made.writestr("filling", filling)
    return path


@pytest.fixture
async def data(tmp_path):
    async with ControlPlane(tmp_path / "cloud") as cloud:
        yield cloud.config.data


@pytest.fixture
def package(tmp_path):
    return write_package(tmp_path / "motd.zip")


@pytest.fixture
def run(data, capsys):
    def call(*arguments, output="json"):
        code = main(["extension", *map(str, arguments), "--data", str(data), "-o", output])
        said = capsys.readouterr()
        return code, (json.loads(said.out) if said.out and output == "json" else said.out), said.err

    return call


async def test_what_is_published_is_listed_until_it_is_removed(run, package):
    code, made, _ = run("publish", package, *NAMES, "--version", "1.0.0")
    assert (code, made["version"], made["bytes"]) == (0, "1.0.0", package.stat().st_size)
    _, listed, _ = run("list")
    assert [one["type"] for one in listed] == ["CustomScript", "Motd"]
    assert listed[0]["published"] == "built into the agent"
    assert listed[1] == made
    code, removed, _ = run("remove", "--publisher", "CONTOSO.tools", "--type", "motd", "--version", "1.0.0")
    assert (code, removed["sha256"]) == (0, made["sha256"])
    assert len(run("list")[1]) == 1
    code, _, said = run("remove", *NAMES, "--version", "1.0.0")
    assert (code, "is not published" in said) == (1, True)


async def test_publishing_and_removing_is_in_the_activity_log(run, package, data, capsys):
    run("publish", package, *NAMES, "--version", "1.0.0")
    run("remove", *NAMES, "--version", "1.0.0")
    assert main(["audit", "list", "--data", str(data)]) == 0
    said = capsys.readouterr().out
    assert "extensions/publish" in said
    assert "extensions/remove" in said


async def test_versions_are_listed_in_their_order(run, package):
    for version in ("1.10.0", "1.2.0", "1.9.0"):
        assert run("publish", package, *NAMES, "--version", version)[0] == 0
    assert [one["version"] for one in run("list")[1]][1:] == ["1.2.0", "1.9.0", "1.10.0"]
    assert run("list", output="table")[1].splitlines()[0].split() == [
        "publisher",
        "type",
        "version",
        "bytes",
        "published",
        "sha256",
    ]


async def test_a_version_is_published_once(run, package):
    assert run("publish", package, *NAMES, "--version", "1.0.0")[0] == 0
    code, _, said = run("publish", package, *NAMES, "--version", "1.0.0.0")
    assert (code, "published already" in said) == (1, True)
    assert len(run("list")[1]) == 2


async def test_a_built_in_extension_is_not_replaced(run, package):
    publisher, kind, _ = SHIPPED[0]
    names = ("--publisher", publisher.upper(), "--type", kind, "--version", "9.0.0")
    code, _, said = run("publish", package, *names)
    assert (code, "built into the agent" in said) == (1, True)


async def test_a_file_that_is_no_package_is_refused_with_the_reason(run, tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path / "text.zip", "no zip"),
        (tmp_path / "none.zip", "No such file"),
        (tmp_path, "read"),
        (tmp_path / "pipe", "read twice"),
        ("/dev/zero", "read twice"),
        ("", "read"),
        ("a\0b", "read"),
    ):
        code, _, said = run("publish", path, *NAMES, "--version", "1.0.0")
        assert (code, reason in said, said.count("\n")) == (1, True, 1), said
    assert len(run("list")[1]) == 1


async def test_bad_names_and_versions_change_nothing(run, package):
    for more in (
        ("--publisher", "../x", "--type", "T", "--version", "1.0.0"),
        ("--publisher", "P", "--type", "", "--version", "1.0.0"),
        ("--publisher", "P", "--type", "T", "--version", "1"),
        ("--publisher", "P", "--type", "T", "--version", "1.0.-1"),
        ("--publisher", "P", "--type", "\udcff", "--version", "1.0.0"),
    ):
        assert run("publish", package, *more)[0] == 1
        assert run("remove", *more)[0] == 1
    assert len(run("list")[1]) == 1


async def test_without_the_clouds_keys_nothing_is_published(run, package, data):
    key = data / "keys" / "relay.key"
    right = key.read_bytes()
    for content in (None, b"x" * 32, b"short"):
        key.unlink()
        if content is not None:
            key.write_bytes(content)
        code, _, said = run("publish", package, *NAMES, "--version", "1.0.0")
        assert code == 1
        assert said.startswith("landbridge: ")
        assert "Traceback" not in said
        key.write_bytes(right)
    assert len(run("list")[1]) == 1


async def test_a_publisher_that_is_killed_leaves_nothing_that_anybody_sees(cloud, store_url, tmp_path):
    package = write_package(tmp_path / "big.zip", os.urandom(48 * 1024 * 1024))
    arguments = ["publish", str(package), *NAMES, "--version", "1.0.0"]
    arguments += ["--data", str(cloud.config.data), "--store", store_url]
    db = cloud.plane.db
    for how in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(
            [sys.executable, "-m", "landbridge_server.cli.main", "extension", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        began = time.monotonic()
        while not db.read(lambda connection: extensions.stale(connection, 1e12)):
            assert process.poll() is None
            assert time.monotonic() - began < 60
            time.sleep(0.01)
        process.send_signal(how)
        assert process.wait(30) != 0
        assert db.read(extensions.everyone) == []
        left = db.read(lambda connection: extensions.stale(connection, 1e12))
        assert len(left) <= 1
        for one in left:
            with db.writing() as connection:
                while not extensions.discard(connection, one.package_id, 1000):
                    pass
    assert main(["extension", *arguments]) == 0
    (made,) = db.read(extensions.everyone)
    assert made.size == package.stat().st_size


def test_the_help_has_examples(capsys):
    for action in ("publish", "list", "remove"):
        with pytest.raises(SystemExit) as ended:
            main(["extension", action, "--help"])
        assert ended.value.code == 0
        assert f"landbridge extension {action}" in capsys.readouterr().out.partition("examples:")[2]
