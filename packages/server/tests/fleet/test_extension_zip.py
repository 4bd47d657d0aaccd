"""What may be published: each way in which a zip can be wrong has a text that says so."""

from __future__ import annotations

import io
import json
import stat
import struct
import zipfile
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landbridge_server.fleet import extension_zip
from landbridge_server.fleet.extension_zip import BadPackage, check

COMMANDS = {
    f"{word}Command": f"bin/h {word}" for word in ("install", "enable", "update", "disable", "uninstall")
}
MANIFEST = json.dumps([{"version": 1.0, "handlerManifest": COMMANDS}])


def entry(name, mode=stat.S_IFREG | 0o755):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def package(*more, manifest=MANIFEST):
    """Return a zip with a manifest, a program, and ``more`` pairs of entry and content."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        if manifest is not None:
            made.writestr(entry("HandlerManifest.json", stat.S_IFREG | 0o644), manifest)
        made.writestr(entry("bin/h"), "#!/bin/sh\nexit 0\n")
        for info, content in more:
            made.writestr(info, content)
    return file


def refusal(file):
    with pytest.raises(BadPackage) as caught:
        check(file)
    return str(caught.value)


def test_a_package_is_counted():
    assert check(package((entry("data/x"), b"x" * 1000))).files == 3


def test_a_manifest_without_an_array_and_with_a_byte_order_mark_is_read():
    assert check(package(manifest="\ufeff" + json.dumps({"handlerManifest": COMMANDS})))


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "c:/x", "a\\b", "..", "a/.."])
def test_a_file_outside_of_the_package_is_refused(name):
    assert "outside of the package" in refusal(package((entry(name), "x")))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFSOCK])
def test_a_link_or_device_is_refused(kind):
    assert "no file" in refusal(package((entry("x", kind | 0o777), "/etc/shadow")))


def test_a_bomb_is_refused_by_what_comes_out_of_it():
    with mock.patch.object(extension_zip, "SMALL", 100_000):
        text = refusal(package((entry("zeros"), b"\0" * 3_000_000)))
    assert "unpacks to more than" in text


def test_a_package_that_is_too_long_or_has_too_many_files_is_refused():
    with mock.patch.object(extension_zip, "MAX_PACKED", 100):
        assert "at most 100" in refusal(package())
    with mock.patch.object(extension_zip, "MAX_FILES", 1):
        assert "at most 1" in refusal(package())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_cannot_want_the_same_place():
    assert "twice" in refusal(package((entry("a"), "1"), (entry("a"), "2")))
    assert "twice" in refusal(package((entry("a"), "1"), (entry("./a"), "2")))
    assert "folder that is a file" in refusal(package((entry("a"), "1"), (entry("a/b"), "2")))


def test_a_name_that_no_machine_can_have_is_refused():
    assert "name no machine" in refusal(package((entry("a\nb"), "1")))
    assert "name no machine" in refusal(package((entry("é" * 200), "1")))


def test_an_encrypted_or_oddly_compressed_file_is_refused():
    odd = entry("x")
    odd.compress_type = zipfile.ZIP_LZMA
    assert "not every machine" in refusal(package((odd, "x" * 100)))
    content = bytearray(package().getvalue())
    place = content.rindex(b"PK\x01\x02")
    struct.pack_into("<H", content, place + 8, 1)
    assert "encrypted" in refusal(io.BytesIO(content))


def test_a_changed_byte_is_found():
    content = bytearray(package((entry("data"), bytes(range(256)) * 40)).getvalue())
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        place = found.getinfo("data").header_offset
    content[place + 60] ^= 0xFF
    assert "damaged" in refusal(io.BytesIO(content))


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, "no HandlerManifest.json"),
        ("{", "not JSON"),
        ("[" * 5000, "not JSON"),
        ("[]", "must be"),
        ("7", "must be"),
        ('[{"handlerManifest": []}]', "must be"),
        ("[{}, {}]", "must be"),
        (json.dumps([{"handlerManifest": COMMANDS | {"enableCommand": ""}}]), "'enableCommand'"),
        (json.dumps([{"handlerManifest": COMMANDS | {"updateCommand": 7}}]), "'updateCommand'"),
        (json.dumps([{"handlerManifest": COMMANDS | {"enableCommand": "bin/none"}}]), "not in it"),
        (json.dumps([{"handlerManifest": COMMANDS | {"enableCommand": "'bin/h"}}]), "no command"),
        (" " * 70_000 + MANIFEST, "more than"),
    ],
)
def test_a_manifest_must_be_one(manifest, said):
    assert said in refusal(package(manifest=manifest))


def test_a_folder_that_was_zipped_as_a_whole_is_told_apart():
    text = refusal(package((entry("mine/HandlerManifest.json"), MANIFEST), manifest=None))
    assert "'mine/HandlerManifest.json': zip what is in that folder" in text


@pytest.mark.parametrize("program", ["python3 h.py", "/bin/sh h", "./bin/h enable"])
def test_a_command_may_begin_with_a_program_of_the_machine_or_of_the_package(program):
    check(package(manifest=json.dumps([{"handlerManifest": COMMANDS | {"enableCommand": program}}])))


def test_what_is_no_zip_is_refused():
    for content in (b"", b"PK", b"#!/bin/sh\n" * 100):
        assert "no zip" in refusal(io.BytesIO(content))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_bytes_are_changed_it_is_a_package_or_refused(changes):
    content = bytearray(package((entry("data/x"), b"some text" * 20)).getvalue())
    for place, value in changes:
        content[place % len(content)] = value
    try:
        check(io.BytesIO(content))
    except BadPackage as error:
        assert str(error)
