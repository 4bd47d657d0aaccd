from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.arm.action_patterns import Patterns


@pytest.mark.parametrize(
    ("pattern", "action", "matches"),
    [
        ("*", "anything/at/all", True),
        ("*", "", True),
        ("*/read", "n.s/type/read", True),
        ("*/read", "n.s/type/readall", False),
        ("*/read", "/read", True),
        ("N.S/*", "n.s/type/write", True),
        ("N.S/*", "n.sx/type/write", False),
        ("N.S/*/read", "n.s/read", False),
        ("N.S/*/read", "n.s/a/b/read", True),
        ("a*a", "a", False),
        ("a*b*a", "aba", True),
        ("**", "x", True),
        ("N.S/t/read", "n.s/t/read", True),
        ("N.S/t/read", "nxs/t/read", False),
    ],
)
def test_a_star_stands_for_any_part_and_case_does_not_count(pattern, action, matches):
    assert (Patterns([pattern]).match(action) is not None) is matches


def test_the_pattern_that_matches_is_told_as_it_was_written():
    assert Patterns(["N/*", "N/T/Read"]).match("n/t/read") == "N/T/Read"
    assert Patterns(["N/X", "N/*"]).match("n/t/read") == "N/*"
    assert Patterns([]).match("n/t/read") is None


texts = st.text(alphabet="ab/*", max_size=8)


@given(st.lists(texts, max_size=4), st.text(alphabet="ab/", max_size=10))
def test_they_match_what_a_regular_expression_would(patterns, action):
    expected = any(
        re.fullmatch(".*".join(re.escape(part) for part in one.split("*")), action) for one in patterns
    )
    assert (Patterns(patterns).match(action) is not None) is expected


def test_a_pattern_made_to_be_slow_is_compared_in_no_time():
    # A backtracking matcher would not come back from this one.
    assert Patterns(["*a" * 250 + "*b"]).match("a" * 5000) is None
