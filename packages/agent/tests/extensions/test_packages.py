"""Packages that are not what they should be: a clear error, nothing of them on the disk."""

from __future__ import annotations

import io
import stat
import zipfile

import pytest

from landbridge_agent.extensions import archive, packages


def refused(host) -> str:
    outcome = host.apply()
    assert outcome.error_code == "HCRP400"
    assert host.left() == [] and host.calls() == []
    assert list((host.paths.extensions / packages.DOWNLOADS).glob("*")) == []
    return outcome.error_message


def test_another_content_than_was_signed_is_not_unpacked(host, shop):
    package = shop.publish("1.0")
    content = shop.packages["1.0"][1]
    shop.replace("1.0", content=bytes([content[0] ^ 1]) + content[1:])
    text = refused(host)
    assert "is not the package that was signed" in text and package.digest in text


def test_a_package_without_a_signature_is_not_even_downloaded(host, shop):
    shop.publish("1.0")
    shop.replace("1.0", signature="")
    assert host.apply().error_message.startswith("ExtensionSignatureInvalid")
    assert shop.reads == []


def zip_with(member: zipfile.ZipInfo | str, data: bytes = b"x") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("HandlerManifest.json", "[]")
        package.writestr(member, data)
    return content.getvalue()


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/out", "C:/out", "a\\..\\out"])
def test_a_name_that_leads_out_of_the_folder_is_refused(host, shop, name):
    content = zip_with("placeholder-name")
    member = zipfile.ZipInfo(name.replace("\\", "/"))
    content = zip_with(member)
    if "\\" in name:
        content = content.replace(name.replace("\\", "/").encode(), name.encode())
    shop.publish("1.0", content)
    assert "lies outside of it" in refused(host)
    assert not list(host.paths.root.rglob("out"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(host, shop, kind):
    member = zipfile.ZipInfo("link")
    member.external_attr = (kind | 0o777) << 16
    shop.publish("1.0", zip_with(member, b"/etc/passwd"))
    assert "neither a file nor a folder" in refused(host)


def test_a_zip_bomb_is_refused_by_what_comes_out_of_it(host, shop):
    shop.publish("1.0", zip_with("bomb", bytes(80 * 1024 * 1024)))
    assert len(shop.packages["1.0"][1]) < 200_000
    assert "far more than its size" in refused(host)


def test_a_package_of_too_many_files_is_refused(host, shop, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILES", 3)
    content = shop.zip(**{f"f{number}": b"" for number in range(5)})
    shop.publish("1.0", content)
    assert "has 7 files; 3 are allowed" in refused(host)


@pytest.mark.parametrize("content", [b"no zip at all", b"PK\x05\x06"])
def test_what_is_no_zip_is_refused(host, shop, content):
    shop.publish("1.0", content)
    assert "cannot be unpacked" in refused(host)


def test_a_package_without_a_manifest_of_a_handler_is_refused(host, shop):
    shop.publish("1.0", zip_with("file"))
    assert "no HandlerManifest.json with a 'handlerManifest'" in refused(host)


def test_a_package_larger_than_what_is_taken_is_refused(host, shop):
    shop.publish("1.0")
    shop.replace("1.0", size=packages.MAX_PACKAGE + 1)
    assert "at most 2147483648 are taken" in host.apply().error_message


def test_a_download_goes_on_where_it_stopped(host, shop, monkeypatch):
    monkeypatch.setattr(packages, "PART", 200)
    monkeypatch.setattr(packages, "LEAST_PART", 100)
    shop.publish("1.0", cases={"enable": "say success 0 ok"})
    size = len(shop.packages["1.0"][1])
    shop.trouble = 3
    assert host.apply().error_code == ""
    assert shop.reads[0] == 0 and shop.reads == sorted(set(shop.reads)) and shop.reads[-1] < size
    assert host.paused[:3] == [1.0, 2.0, 4.0]


def test_a_download_is_given_up_after_ten_tries_and_taken_up_again_later(host, shop, monkeypatch):
    monkeypatch.setattr(packages, "PART", 200)
    monkeypatch.setattr(packages, "LEAST_PART", 200)
    shop.publish("1.0")
    read = shop.read

    def breaks(package, offset, count):
        if offset >= 400:
            raise packages.NotAvailable("the line is down")
        return read(package, offset, count)

    monkeypatch.setattr(shop, "read", breaks)
    given_up = host.apply()
    assert "given up after 10 tries at byte 400" in given_up.error_message
    assert "the line is down" in given_up.error_message
    monkeypatch.setattr(shop, "read", read)
    shop.reads.clear()
    assert host.apply().error_code == ""
    assert shop.reads[0] == 400


def test_a_package_whose_content_is_damaged_is_refused(host, shop):
    content = bytearray(shop.zip(cases={"enable": "say success 0 fine"}))
    at = content.index(b"bin/handler") + 60
    content[at : at + 40] = bytes(40)
    shop.publish("1.0", bytes(content))
    assert "cannot be unpacked" in refused(host)
