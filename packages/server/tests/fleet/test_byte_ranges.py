from __future__ import annotations

import pytest

from landbridge_server.fleet.byte_ranges import Part, Unsatisfiable, wanted

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("field", "part"),
    [
        ("bytes=0-0", Part(0, 1)),
        ("bytes=0-9", Part(0, 10)),
        ("bytes=90-", Part(90, 100)),
        ("bytes=90-5000", Part(90, 100)),
        ("bytes=-1", Part(99, 100)),
        ("bytes=-500", Part(0, 100)),
        ("Bytes = 5-6", Part(5, 7)),
        ("bytes=99-99", Part(99, 100)),
    ],
)
def test_a_range_names_its_bytes(field, part):
    assert wanted(field, "", ETAG, 100) == part


@pytest.mark.parametrize(
    "field",
    ["", "bytes=", "bytes=-", "bytes=9-1", "bytes=1-2,5-6", "lines=1-2", "bytes=a-b", "bytes=1", "bytes=٣-٤"],
)
def test_what_is_no_single_range_of_bytes_gets_the_whole(field):
    assert wanted(field, "", ETAG, 100) is None


@pytest.mark.parametrize("field", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={'9' * 18}-"])
def test_a_range_behind_the_end_cannot_be_satisfied(field):
    with pytest.raises(Unsatisfiable):
        wanted(field, "", ETAG, 100)


def test_a_range_of_something_else_than_is_there_gets_the_whole():
    assert wanted("bytes=5-", ETAG, ETAG, 100) == Part(5, 100)
    assert wanted("bytes=5-", '"other"', ETAG, 100) is None
    assert wanted("bytes=5-", "W/" + ETAG, ETAG, 100) is None
    assert wanted("bytes=5-", "Sat, 21 Nov 2026 12:00:00 GMT", ETAG, 100) is None
    assert wanted("bytes=500-", '"other"', ETAG, 100) is None
