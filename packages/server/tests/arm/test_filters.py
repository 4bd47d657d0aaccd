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


WORDS = "name eq NE and or not tagName 1 $ %27 ' '' 'x' ( ) , substringof( atScope() startswith(name,'x')"
PIECES = st.sampled_from([*WORDS.split(" "), " ", "\t", "\0", "\ud7ff", "x" * 300])


@given(st.lists(PIECES, max_size=40), st.sampled_from(["", " "]))
def test_anything_put_together_from_the_grammars_own_pieces_is_parsed_or_refused(pieces, between):
    try:
        found = parse(between.join(pieces))
    except ArmError as error:
        assert (error.status, error.code) == (400, "InvalidFilterInQueryString")
    else:
        assert all(term.operator in ("eq", "ne", "substringof") or term.name == "" for term in found)


@given(st.integers(0, 3), st.integers(0, 4000))
def test_quotes_without_end_are_refused_without_long_thought(start, count):
    text = ("name eq '", "substringof('", "f('", "name eq 'a' and name eq '")[start] + "''" * count
    try:
        parse(text)
    except ArmError as error:
        assert error.status == 400
