"""The file of a backup: what does not belong into it is refused before anything is made of it."""

from __future__ import annotations

import gzip
import io
import tarfile

import msgspec
import pytest

from landbridge_server.backup import archive
from landbridge_server.backup.errors import BackupError, Damaged
from landbridge_server.backup.restoring import restore

ABOUT = archive.About(
    format=archive.FORMAT,
    program="0",
    schema="0001",
    cloud="c",
    root="r",
    taken=0.0,
    takenAt="",
    store="sqlite",
)


def written(*members, about=ABOUT, finish=True):
    file = io.BytesIO()
    with archive.writing(file, None) as writer:
        writer.add(archive.ABOUT, msgspec.json.encode(about), 0)
        for name, content in members:
            writer.add(name, content, 0)
        if finish:
            writer.finish(0, 0)
    return file


def packed(*infos):
    """A tar as somebody else makes it."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for info, content in infos:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return io.BytesIO(gzip.compress(plain.getvalue()))


def test_what_was_written_is_read_back():
    file = written(("files/ca/root.pem", b"root"), ("rows/settings/000001.jsonl", b'["name"]\n["x"]\n'))
    heard = []
    about, manifest = archive.verified(file, None, heard.append)
    assert about == ABOUT
    assert list(manifest.members) == ["about.json", "files/ca/root.pem", "rows/settings/000001.jsonl"]
    assert heard == [1]


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "files/../../etc/passwd", "../x", "files/a\nb", "rows/x/1.json", "other", "files/",
     "rows/a b/1.jsonl"],
)  # fmt: skip
def test_a_name_from_elsewhere_is_neither_written_nor_read(name):
    with pytest.raises(BackupError, match="cannot be a part"):
        written((name, b"x"))
    with pytest.raises(Damaged, match="does not belong"):
        archive.verified(packed((tarfile.TarInfo(name), b"x")), None)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(kind):
    info = tarfile.TarInfo("files/ca/root.pem")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(Damaged):
        archive.verified(packed((info, b"")), None)


def test_a_member_that_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(archive, "LONGEST", 1000)
    with pytest.raises(Damaged, match="does not belong"):
        archive.verified(packed((tarfile.TarInfo("files/ca/big"), bytes(1001))), None)


def test_without_its_manifest_it_is_not_whole():
    with pytest.raises(Damaged, match="no manifest"):
        archive.verified(written(finish=False), None)


def test_a_member_that_the_manifest_does_not_know_is_refused():
    good = written(("files/ca/a", b"x"))
    members = list(archive.entries(good, None))
    for changed in (
        [members[0], members[2]],  # one is missing
        [members[0], members[1]._replace(content=b"y"), members[2]],
        [members[0], members[1], archive.Entry("files/ca/b", b"z"), members[2]],
        [members[0], members[1], members[1], members[2]],
        [members[1], members[0], members[2]],
        [*members, members[1]],
    ):
        file = packed(*((tarfile.TarInfo(name), content) for name, content in changed))
        with pytest.raises(Damaged):
            archive.verified(file, None)


def test_another_format_is_said_to_be_one():
    with pytest.raises(BackupError, match="format 2"):
        archive.verified(written(about=msgspec.structs.replace(ABOUT, format=2)), None)


@pytest.mark.parametrize(
    "name", ["files/landbridge.db", "files/x", "files/ca/.x", "files/ca/./x", "files/ca//x"]
)
def test_a_file_that_no_cloud_has_leaves_nothing_behind(tmp_path, name):
    (tmp_path / "b").write_bytes(written((name, b"x")).getvalue())
    with pytest.raises(Damaged, match="does not belong into the folder"):
        restore(tmp_path / "b", tmp_path / "new", "", None, lambda: 0.0, lambda *_: None)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_rows_of_an_unknown_table_leave_nothing_behind(tmp_path):
    (tmp_path / "b").write_bytes(written(("rows/sqlite_master/000001.jsonl", b"[]\n")).getvalue())
    with pytest.raises(Damaged, match="belongs to no table"):
        restore(tmp_path / "b", tmp_path / "new", "", None, lambda: 0.0, lambda *_: None)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
