"""Each resource: what its test says, that set makes it so, twice as once, and what it refuses."""

from __future__ import annotations

import os
import stat

import pytest

from landbridge_agent.guest.files import FileRefused
from landbridge_agent.guest.resources import KNOWN
from landbridge_agent.guest.resources.resource import BadProperty, CannotApply, read
from landbridge_agent.guest.system import System

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="accounts are root's to change")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    return tmp_path


@pytest.fixture
def make(root):
    def made(kind, **values):
        found = KNOWN[kind.lower()]
        return found(read(found, values), System(root, relocated=True))

    return made


def codes(resource):
    return [reason.code.rpartition(":")[2] for reason in resource.test().reasons]


def phrases(resource):
    return [reason.phrase for reason in resource.test().reasons]


def applied(resource):
    """Set it, and check that it is as wanted then, also the second time."""
    resource.set()
    assert resource.test().reasons == []
    resource.set()
    assert resource.test().reasons == []


# -- properties ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values", "reason"),
    [
        ("nxFile", {"Contents": "x"}, "needs the property DestinationPath"),
        ("nxFile", {"DestinationPath": "/a", "Colour": "x"}, "has no property Colour"),
        ("nxFile", {"DestinationPath": "/a", "Ensure": "maybe"}, "must be one of Present, Absent"),
        ("nxFile", {"DestinationPath": "/a", "Force": "perhaps"}, "must be true or false"),
        ("nxFile", {"DestinationPath": "/a", "Mode": "999"}, "Mode must be such as 0644"),
        ("nxFile", {"DestinationPath": "/a", "Checksum": "xyz"}, "Checksum must be"),
        ("nxFile", {"DestinationPath": "/a", "Contents": "", "SourcePath": "/b"}, "not both"),
        ("nxFile", {"DestinationPath": "/a", "SourcePath": "https://x/y"}, "nothing is downloaded"),
        ("nxFile", {"DestinationPath": "/a", "Type": "link"}, "needs SourcePath"),
        ("nxFileLine", {"FilePath": "/a", "DoesNotContainPattern": "("}, "not a regular expression"),
        ("nxFileLine", {"FilePath": "/a", "AddLineMode": "AfterLinePatternMatch"}, "needs LinePattern"),
        ("nxGroup", {"GroupName": "--root=/"}, "cannot be the name of an account"),
        ("nxGroup", {"GroupName": "a", "Members": [], "MembersToInclude": ["b"]}, "not both"),
        ("nxUser", {"UserName": "a", "Password": "plain"}, "must be a hash"),
        ("nxUser", {"UserName": "a", "FullName": "a:b"}, "one line without ':'"),
        ("nxPackage", {"Name": "-o=x"}, "cannot be the name of a package"),
        ("nxPackage", {"Name": "a", "PackageType": "msi"}, "PackageType must be"),
        ("nxService", {"Name": "../x"}, "cannot be the name of a service"),
        ("nxService", {"Name": "a", "State": "dancing"}, "must be Running or Stopped"),
        ("nxService", {"Name": "a", "Controller": "upstart"}, "must be systemd or init"),
        ("GC_InstalledApplicationLinux", {"AttributesYmlContent": "packages: [a;-rf]"}, "'-rf' cannot be"),
    ],
)
def test_properties_that_cannot_be_are_refused(make, kind, values, reason):
    with pytest.raises(BadProperty, match=reason):
        make(kind, **values)


def test_a_parameter_is_a_text_for_every_kind_of_property(make):
    group = make("nxGroup", GroupName="g", Members="a; b", PreferredGroupID="7", ensure="PRESENT")
    assert group.values == {
        "GroupName": "g",
        "Members": ["a", "b"],
        "PreferredGroupID": 7,
        "Ensure": "Present",
    }


# -- nxFile --------------------------------------------------------------------------------------


def test_a_file_gets_its_content_and_mode(make, root):
    file = make("nxFile", DestinationPath="/etc/motd", Contents="hi\n", Mode="0600")
    assert phrases(file) == ["/etc/motd does not exist."]
    applied(file)
    assert (root / "etc/motd").read_text() == "hi\n"
    (root / "etc/motd").write_text("no")
    (root / "etc/motd").chmod(0o644)
    assert codes(file) == ["Contents", "Mode"]
    assert file.test().state["Contents"] == "no"
    applied(file)
    assert stat.S_IMODE((root / "etc/motd").stat().st_mode) == 0o600


def test_what_not_everybody_may_read_is_not_repeated_in_a_report(make, root):
    (root / "etc/shadow").write_text("root:secret")
    (root / "etc/shadow").chmod(0o640)
    state = make("nxFile", DestinationPath="/etc/shadow", Contents="x").test().state
    assert "secret" not in str(state) and "Checksum" not in state
    line = make("nxFileLine", FilePath="/etc/shadow", ContainsLine="x", DoesNotContainPattern="secret")
    assert "secret" not in str(line.test().state)


def test_mode_alone_keeps_the_content_and_may_be_symbolic(make, root):
    (root / "etc/a").write_text("kept")
    applied(make("nxFile", DestinationPath="/etc/a", Mode="rwxr-x---"))
    assert (root / "etc/a").read_text() == "kept" and (root / "etc/a").stat().st_mode & 0o777 == 0o750


def test_owner_and_group_are_names_of_this_machine(make, root):
    (root / "etc/passwd").write_text("me:x:12:12::/:/bin/sh\n")
    (root / "etc/a").write_text("")
    file = make("nxFile", DestinationPath="/etc/a", Owner="me")
    assert codes(file) == ["Owner"]
    with pytest.raises(FileRefused, match="no user 'you'"):
        make("nxFile", DestinationPath="/etc/a", Owner="you").test()


def test_a_link_and_a_folder_are_made_and_another_type_is_replaced_only_with_force(make, root):
    applied(make("nxFile", DestinationPath="/etc/link", Type="link", SourcePath="/etc/motd"))
    assert os.readlink(root / "etc/link") == "/etc/motd"
    applied(make("nxFile", DestinationPath="/etc/folder", Type="Directory", Mode="0700"))
    with pytest.raises(CannotApply, match="only with Force=true"):
        make("nxFile", DestinationPath="/etc/link", Contents="x").set()
    applied(make("nxFile", DestinationPath="/etc/link", Contents="x", Force=True))
    (root / "etc/folder/inner").touch()
    with pytest.raises(FileRefused, match="not empty"):
        make("nxFile", DestinationPath="/etc/folder", Contents="x", Force=True).set()
    applied(make("nxFile", DestinationPath="/etc/folder", Ensure="Absent", Force=True, Recurse=True))


def test_content_comes_from_another_file_or_is_only_audited_by_its_checksum(make, root):
    (root / "etc/source").write_text("abc")
    applied(make("nxFile", DestinationPath="/etc/copy", SourcePath="/etc/source", Checksum="md5"))
    assert (root / "etc/copy").read_text() == "abc"
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert codes(make("nxFile", DestinationPath="/etc/copy", Checksum=digest.upper())) == []
    (root / "etc/copy").write_text("other")
    with pytest.raises(CannotApply, match="is not said"):
        make("nxFile", DestinationPath="/etc/copy", Checksum=digest).set()


# -- text ----------------------------------------------------------------------------------------


def test_a_line_is_added_and_those_that_contradict_it_go(make, root):
    file = root / "etc/sshd_config"
    file.write_bytes(b"Port 22\n#PermitRootLogin no\n PermitRootLogin yes\nBanner \xff")
    line = make(
        "nxFileLine",
        FilePath="/etc/sshd_config",
        ContainsLine="PermitRootLogin no",
        DoesNotContainPattern=r"^\s*permitrootlogin\b",
    )
    assert codes(line) == ["LineNotFound", "LineUnexpected"]
    applied(line)
    assert file.read_bytes() == b"Port 22\n#PermitRootLogin no\nBanner \xff\nPermitRootLogin no\n"


def test_a_line_is_put_before_or_after_what_it_belongs_to(make, root):
    (root / "etc/a").write_text("one\ntwo\n")
    applied(
        make(
            "nxFileLine",
            FilePath="/etc/a",
            ContainsLine="x",
            AddLineMode="BeforeLinePatternMatch",
            LinePattern="^two",
        )
    )
    applied(
        make(
            "nxFileLine",
            FilePath="/etc/a",
            ContainsLine="y",
            AddLineMode="AfterLinePatternMatch",
            LinePattern="^one",
        )
    )
    assert (root / "etc/a").read_text() == "one\ny\nx\ntwo\n"
    nowhere = make(
        "nxFileLine",
        FilePath="/etc/a",
        ContainsLine="z",
        AddLineMode="AfterLinePatternMatch",
        LinePattern="no",
    )
    with pytest.raises(CannotApply, match="no line of /etc/a matches 'no'"):
        nowhere.set()


def test_a_file_that_is_not_there_or_a_link_gets_no_line(make, root):
    (root / "etc/real").write_text("")
    (root / "etc/link").symlink_to("real")
    assert codes(make("nxFileLine", FilePath="/etc/none", ContainsLine="x")) == ["FileNotFound"]
    with pytest.raises(CannotApply, match="have an nxFile make it first"):
        make("nxFileLine", FilePath="/etc/none", ContainsLine="x").set()
    with pytest.raises(CannotApply, match="is a link"):
        make("nxFileLine", FilePath="/etc/link", ContainsLine="x").set()


def test_a_pattern_is_replaced_with_groups_as_in_dotnet(make, root):
    (root / "etc/a").write_text("max = 5\nmin = 1\n")
    values = {"FilePath": "/etc/a", "EnsureExpectedPattern": "^max = 9$", "SearchPattern": r"^(max) = \d+$"}
    replace = make("nxFileContentReplace", **values, ReplacementString="$1 = 9")
    assert codes(replace) == ["ExpectedPatternNotFound"]
    applied(replace)
    assert (root / "etc/a").read_text() == "max = 9\nmin = 1\n"
    (root / "etc/a").write_text("max = 5\n")
    with pytest.raises(CannotApply, match="would not do"):
        make("nxFileContentReplace", **values, ReplacementString="$$${1} = 8").set()
    assert (root / "etc/a").read_text() == "max = 5\n"
    absent = make(
        "nxFileContentReplace",
        Ensure="Absent",
        FilePath="/etc/a",
        EnsureExpectedPattern="=",
        SimpleMatch=True,
        SearchPattern="=",
        ReplacementString=":",
    )
    assert codes(absent) == ["UndesiredPatternFound"]
    applied(absent)


# -- accounts ------------------------------------------------------------------------------------


@pytest.fixture
def accounts(root):
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nann:x:1001:1001:Ann:/home/ann:/bin/sh\n")
    (root / "etc/shadow").write_text("root:*:1::::::\nann:$6$x$y:19000::::::\n")
    (root / "etc/group").write_text("root:x:0:\nann:x:1001:\nusers:x:100:\n")
    (root / "etc/gshadow").write_text("root:*::\nann:!::\nusers:!::\n")
    for name in ("shadow", "gshadow"):
        (root / "etc" / name).chmod(0o600)


@ROOT_ONLY
def test_a_group_is_made_with_its_members_and_goes(make, accounts, root):
    group = make(
        "GC_LinuxGroup", GroupName="ops", MembersToIncludeAsString="ann;root", PreferredGroupID="4321"
    )
    assert phrases(group) == ["There is no group ops."]
    applied(group)
    assert "ops:x:4321:ann,root" in (root / "etc/group").read_text()
    fewer = make("nxGroup", GroupName="ops", MembersToExclude=["root"])
    assert codes(fewer) == ["Members"]
    applied(fewer)
    with pytest.raises(CannotApply, match="no user nobodyhere"):
        make("nxGroup", GroupName="ops", Members=["nobodyhere"]).set()
    applied(make("nxGroup", GroupName="ops", Ensure="Absent"))


@ROOT_ONLY
def test_a_user_is_changed_and_locked_and_a_password_is_never_an_argument(make, accounts, root):
    user = make(
        "nxUser", UserName="ann", FullName="Ann B", HomeDirectory="/srv/ann", GroupID="users", Disabled=True
    )
    assert codes(user) == ["FullName", "HomeDirectory", "GroupID", "Disabled"]
    applied(user)
    assert "ann:x:1001:100:Ann B:/srv/ann:" in (root / "etc/passwd").read_text()
    assert "ann:!$6$x$y:" in (root / "etc/shadow").read_text()
    with pytest.raises(CannotApply, match="on the machine itself only"):
        make("nxUser", UserName="ann", Password="$6$a$b").set()
    with pytest.raises(CannotApply, match="no password that could be unlocked"):
        make("nxUser", UserName="root", Disabled=False).set()
