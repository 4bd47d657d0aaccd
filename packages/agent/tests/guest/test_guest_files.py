"""Files of the machine: whole writes, and no way that another user laid."""

from __future__ import annotations

import os

import pytest

from landbridge_agent.guest.files import MAX_FILE, FileRefused, Files

OWN = os.geteuid(), os.getegid()


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_a_write_replaces_the_file_and_a_link_in_its_place_not_what_it_leads_to(files, tmp_path):
    (tmp_path / "other").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    files.write("/link", b"new", 0o640, *OWN)
    assert (tmp_path / "other").read_text() == "mine"
    assert not (tmp_path / "link").is_symlink() and (tmp_path / "link").read_text() == "new"
    assert (tmp_path / "link").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "other"]


def test_a_second_name_of_a_file_is_not_written_through(files, tmp_path):
    (tmp_path / "precious").write_text("mine")
    os.link(tmp_path / "precious", tmp_path / "name")
    files.write("/name", b"new", 0o644, *OWN)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_link_on_the_way_is_followed_below_the_root_where_only_we_could_make_it(files, tmp_path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "absolute").symlink_to("/usr/../usr/bin")
    files.write("/bin/tool", b"1", 0o644, *OWN)
    files.write("/absolute/other", b"2", 0o644, *OWN)
    assert sorted(path.name for path in (tmp_path / "usr/bin").iterdir()) == ["other", "tool"]
    (tmp_path / "out").symlink_to("../../../../..")
    assert files.look("/out/usr/bin/tool").kind == "file"  # it does not lead out of the root


def test_a_link_in_a_folder_that_others_write_is_not_followed(files, tmp_path):
    (tmp_path / "etc").mkdir()
    open_folder = tmp_path / "tmp"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    (open_folder / "way").symlink_to("/etc")
    with pytest.raises(FileRefused, match="'way' is a link that another user can change"):
        files.write("/tmp/way/passwd", b"", 0o644, *OWN)
    assert not (tmp_path / "etc/passwd").exists()


def test_links_that_go_round_end(files, tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(FileRefused, match="it is a link"):
        files.read("/a/x")


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/", "/a\0b", ""])
def test_what_is_no_plain_absolute_path_is_refused(files, path):
    with pytest.raises(FileRefused, match="must be an absolute path"):
        files.look(path)


def test_what_is_no_ordinary_file_is_not_read(files, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to").symlink_to("pipe")
    (tmp_path / "much").touch()
    os.truncate(tmp_path / "much", MAX_FILE + 1)
    for path, reason in (("/pipe", "ordinary"), ("/to", "link"), ("/none", "No such"), ("/much", "larger")):
        with pytest.raises(FileRefused, match=reason):
            files.read(path)


def test_a_write_that_fails_leaves_what_was_there(files, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileRefused, match="cannot be written"):
        files.write("/folder", b"x", 0o644, *OWN)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_is_not_empty_stays_unless_all_of_it_is_to_go(files, tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    with pytest.raises(FileRefused, match="not empty"):
        files.remove("/a")
    files.remove("/a", whole_folder=True)
    files.remove("/a")
    assert not list(tmp_path.iterdir())


def test_what_lies_in_a_folder_that_not_everybody_may_enter_is_not_public(files, tmp_path):
    """A report may repeat what is in public files: it must not repeat /root/notes."""
    (tmp_path / "home/deep").mkdir(parents=True)
    for path in ("plain", "home/notes", "home/deep/notes"):
        (tmp_path / path).write_text("x")
        (tmp_path / path).chmod(0o644)
    assert files.look("/home/deep/notes").is_public
    (tmp_path / "home").chmod(0o700)
    seen = [files.look(path).is_public for path in ("/plain", "/home/notes", "/home/deep/notes")]
    assert seen == [True, False, False]
