"""The reader of MOF: what DSC writes, what is wrong and where, and whatever else comes."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_agent.guest import mof
from landbridge_agent.guest.mof import Alias, Instance, MofError

MOTD = """/*
@TargetNode='motd'
@GenerationDate=11/21/2026
*/
#pragma locale("en_US")
instance of nxFile as $nxFile1ref
{
ResourceID = "[nxFile]motd";
 DestinationPath = "/etc/motd"; // where
 Contents = "hello\\n" "\\"you\\" \\\\ \\x00e9";
 Force = True; Size = -12; Share = 0.5; Mask = 0xFF;
 Members = { "a", "b" }; None = {}; Nothing = NULL; Other = $nxFile2ref;
};
instance of OMI_ConfigurationDocument
                    {
 Version="2.0.0"; Name="motd";
};
"""


def test_what_dsc_writes_is_read():
    first, second = mof.parse(MOTD)
    assert (first.type, first.alias, first.line) == ("nxFile", "nxFile1ref", 6)
    assert first.values == {
        "ResourceID": "[nxFile]motd",
        "DestinationPath": "/etc/motd",
        "Contents": 'hello\n"you" \\ é',
        "Force": True,
        "Size": -12,
        "Share": 0.5,
        "Mask": 255,
        "Members": ["a", "b"],
        "None": [],
        "Nothing": None,
        "Other": Alias("nxFile2ref"),
    }
    assert second == Instance("OMI_ConfigurationDocument", "", {"Version": "2.0.0", "Name": "motd"}, 14)


@pytest.mark.parametrize(
    "content",
    [
        MOTD.encode(),
        codecs.BOM_UTF8 + MOTD.encode(),
        codecs.BOM_UTF16_LE + MOTD.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + MOTD.encode("utf-16-be"),
    ],
)
def test_byte_order_marks_say_how_it_is_written(content):
    assert len(mof.parse(mof.decode(content))) == 2


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("instance of nxFile\n{\n  Ensure = Present;\n};", 3, 12, "a value is expected, not 'Present'"),
        ('instance of a { b = "c };', 1, 21, "this string does not end"),
        ("\n /* never", 2, 2, "this comment does not end"),
        ("instance of a { b = 1 };", 1, 23, "';' after the value of b is expected, not '}'"),
        ("instance of a { b = 1; B = 2; };", 1, 24, "B is given twice"),
        ("instance of a { b = 99999999999999999999999; };", 1, 21, "does not fit into 64 bits"),
        ('instance of a { b = "x\\q"; };', 1, 23, "\\q is not an escape"),
        ('instance of a { b = "\\xD800"; };', 1, 22, "a surrogate is not a character"),
        ("instance of a { b = 1;", 1, 23, "'}', is expected, not the end"),
        ("class X { };", 1, 1, "'instance of' is expected, not 'class'"),
        ("instance of a { b = {1 2}; };", 1, 24, "',' or '}' is expected"),
        ("instance of a { } § ;", 1, 19, "is not expected here"),
    ],
)
def test_a_mistake_is_named_with_its_place(text, line, column, reason):
    with pytest.raises(MofError) as caught:
        mof.parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"line {line}, column {column}: ")


def test_what_is_no_text_and_what_is_too_large_is_refused():
    with pytest.raises(MofError, match="not UTF-8"):
        mof.decode(b"\n\xff")
    with pytest.raises(MofError, match="not UTF-16"):
        mof.decode(codecs.BOM_UTF16_LE + b"\x00")
    with pytest.raises(MofError, match="larger than"):
        mof.decode(b" " * (mof.MAX_BYTES + 1))
    with pytest.raises(MofError, match="more than 2000 instances"):
        mof.parse("instance of a { };" * 2001)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
SIMPLE = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.booleans(),
    st.integers(mof.LEAST, mof.MOST),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none(),
    st.builds(Alias, NAMES),
)
MEMBERS = st.dictionaries(NAMES, SIMPLE | st.lists(SIMPLE, max_size=4), max_size=5).filter(
    lambda found: len({name.lower() for name in found}) == len(found)
)
INSTANCES = st.builds(Instance, NAMES, st.just("") | NAMES, MEMBERS, st.just(1))


@given(st.lists(INSTANCES, max_size=4))
def test_what_was_written_is_read_as_it_was(instances):
    found = mof.parse(mof.write(instances))
    assert [one._replace(line=1) for one in found] == instances


@given(
    st.text()
    | st.lists(st.sampled_from(['"', "{", "}", "=", ";", ",", "instance of a ", "$x", "\\", "1", "/*"])).map(
        "".join
    )
)
def test_whatever_comes_only_a_mof_error_is_raised(text):
    try:
        mof.parse(text)
    except MofError as error:
        assert error.line >= 1 and error.column >= 1


@given(st.binary())
def test_whatever_bytes_come_only_a_mof_error_is_raised(content):
    try:
        mof.parse(mof.decode(content))
    except MofError as error:
        assert error.line >= 1
