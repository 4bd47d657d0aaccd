from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge_server.microsoft_graph.errors import GraphError
from landbridge_server.microsoft_graph.odata_filter import (
    TERM_LIMIT,
    And,
    AnyEquals,
    Compare,
    Negation,
    Or,
    StartsWith,
    parse,
)

PATHS = st.sampled_from(["displayname", "id", "appid", "a/b"])
TEXTS = st.text(max_size=12)
VALUES = st.one_of(TEXTS, st.booleans(), st.none())
TERMS = st.one_of(
    st.builds(Compare, PATHS, st.lists(VALUES, min_size=1, max_size=3).map(tuple)),
    st.builds(StartsWith, PATHS, TEXTS),
    st.builds(AnyEquals, PATHS, TEXTS),
)
FILTERS = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.builds(And, inner, inner), st.builds(Or, inner, inner), st.builds(Negation, inner)
    ),
    max_leaves=12,
)


def literal(value):
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return {True: "true", False: "false", None: "null"}[value]


def written(one) -> str:
    """Return a filter as a client would write it, every part in parentheses."""
    if isinstance(one, And | Or):
        return f"({written(one.left)}) {'and' if isinstance(one, And) else 'or'} ({written(one.right)})"
    if isinstance(one, Negation):
        return f"not ({written(one.inner)})"
    if isinstance(one, StartsWith):
        return f"startsWith({one.path}, {literal(one.value)})"
    if isinstance(one, AnyEquals):
        return f"{one.path}/any(x:x eq {literal(one.value)})"
    if len(one.values) == 1:
        return f"{one.path} eq {literal(one.values[0])}"
    return f"{one.path} IN ({','.join(map(literal, one.values))})"


@settings(max_examples=300, deadline=None)
@given(FILTERS)
def test_what_is_written_is_read_again(wanted):
    assert parse(written(wanted)) == wanted


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(
                [
                    "a",
                    "eq",
                    "'x'",
                    "and",
                    "or",
                    "not",
                    "(",
                    ")",
                    ",",
                    ":",
                    "in",
                    "startswith",
                    "x/any",
                    "null",
                ]
            ),
            max_size=20,
        ).map(" ".join),
    )
)
def test_anything_is_read_or_refused(text):
    try:
        parse(text)
    except GraphError as error:
        assert error.status == 400


def test_and_binds_closer_than_or_and_not_closest():
    a, b, c = (Compare(name, ("x",)) for name in "abc")
    assert parse("a eq 'x' or b eq 'x' and c eq 'x'") == Or(a, And(b, c))
    assert parse("not a eq 'x' and b eq 'x'") == And(Negation(a), b)
    assert parse("a ne 'x'") == Negation(a)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "displayName",
        "displayName eq",
        "displayName eq 'x",
        "displayName eq x",
        "(displayName eq 'x'",
        "displayName eq 'x')",
        "displayName eq 'x' and",
        "servicePrincipalNames/any(c:d eq 'x')",
        "startswith(displayName)",
        "not " * 100 + "a eq 'x'",
        "(" * 100 + "a eq 'x'" + ")" * 100,
        " or ".join(["a eq 'x'"] * (TERM_LIMIT + 1)),
        "a in (" + ",".join(["'x'"] * 100) + ")",
        "a eq '" + "x" * 9000 + "'",
        "createdDateTime ge 2020-01-01",
    ],
)
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(GraphError) as caught:
        parse(text)
    assert caught.value.status == 400
    assert len(caught.value.message) < 1000
