"""Whether a role allows all that another allows, compared with asking both about many actions."""

from __future__ import annotations

import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge_server.arm import roles
from landbridge_server.arm.roles import Role
from landbridge_server.microsoft_graph.strength import covers, overlap

WORDS = ("a", "b", "read", "write")
SEGMENT = st.sampled_from((*WORDS, "*"))
PATTERN = st.one_of(
    st.just("*"), st.tuples(SEGMENT, SEGMENT, SEGMENT).map("/".join), SEGMENT.map("*/{}".format)
)
PATTERNS = st.lists(PATTERN, max_size=3).map(tuple)
ACTIONS = [f"{one}/{two}/{three}" for one in WORDS for two in WORDS for three in WORDS] + ["a/b/a/read"]


def role(name, actions, not_actions):
    return Role(name, name, "", actions, not_actions)


@settings(max_examples=400, deadline=None)
@given(actions=PATTERNS, but=PATTERNS, others=PATTERNS, others_but=PATTERNS)
def test_whoever_covers_another_allows_all_that_it_allows(actions, but, others, others_but):
    mine, theirs = role("mine", actions, but), role("theirs", others, others_but)
    if covers(mine, theirs):
        assert not [one for one in ACTIONS if theirs.allows(one) and not mine.allows(one)]


@settings(max_examples=100, deadline=None)
@given(actions=PATTERNS, but=PATTERNS)
def test_everything_is_covered_by_itself_and_by_owner_but_not_by_nothing(actions, but):
    mine = role("mine", actions, but)
    assert covers(role("twin", actions, but), mine)
    assert covers(roles.OWNER, mine)
    assert covers(role("none", (), ()), mine) is (not actions)


def test_the_built_in_roles_are_in_the_order_that_people_expect():
    assert covers(roles.OWNER, roles.CONTRIBUTOR)
    assert covers(roles.CONTRIBUTOR, roles.READER)
    assert covers(roles.OWNER, roles.USER_ACCESS_ADMINISTRATOR)
    assert not covers(roles.CONTRIBUTOR, roles.OWNER)
    assert not covers(roles.CONTRIBUTOR, roles.USER_ACCESS_ADMINISTRATOR)
    assert not covers(roles.READER, roles.CONTRIBUTOR)


GLOBS = st.text("ab*", max_size=5)


@settings(max_examples=500, deadline=None)
@given(one=GLOBS, other=GLOBS)
def test_patterns_overlap_if_they_match_a_text_in_common(one, other):
    texts = ["".join(letters) for length in range(9) for letters in itertools.product("ab", repeat=length)]
    expressions = [re.compile(glob.replace("*", ".*")) for glob in (one, other)]
    common = any(all(expression.fullmatch(text) for expression in expressions) for text in texts)
    assert overlap(one, other) is common
    assert overlap(other, one) is common


def test_a_pattern_made_to_be_slow_is_compared_in_no_time():
    slow, text = "*a" * 40 + "b", "a" * 400  # hours, if each way to cut the text were tried
    assert not covers(role("mine", (slow,), ()), role("theirs", (text,), ()))
    assert covers(role("mine", ("*a" * 40,), ()), role("theirs", (text,), ()))
