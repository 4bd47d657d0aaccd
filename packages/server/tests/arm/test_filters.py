from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.arm.filters import Term, parse
from landbridge_wire.errors import ArmError

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_/.]{0,20}", fullmatch=True)
TERMS = st.lists(
    st.tuples(NAMES, st.sampled_from(["eq", "ne", "EQ"]), st.text(max_size=30)), min_size=1, max_size=5
)


@given(TERMS)
def test_whatever_is_quoted_comes_back(terms):
    quote = "'"
    text = " and ".join(f"{name} {op} '{value.replace(quote, quote * 2)}'" for name, op, value in terms)
    assert parse(text) == [Term(name.lower(), op.lower(), value) for name, op, value in terms]


@given(st.text(max_size=100))
def test_any_text_is_parsed_or_refused(text):
    try:
        parse(text)
    except ArmError as error:
        assert error.code == "InvalidFilterInQueryString"


def test_functions_and_substrings_are_terms():
    assert parse("atScope() and assignedTo('x')") == [Term("", "atscope", ""), Term("", "assignedto", "x")]
    assert parse("substringof('a''b', Name)") == [Term("name", "substringof", "a'b")]
