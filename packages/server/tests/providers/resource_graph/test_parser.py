"""What queries say, and where they go wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.providers.resource_graph import tree
from landbridge_server.providers.resource_graph.parser import parse
from landbridge_server.providers.resource_graph.plan import planned
from landbridge_server.providers.resource_graph.tree import (
    Compare,
    Count,
    Function,
    Limit,
    Literal,
    Named,
    Not,
    Order,
    Path,
    Project,
    Where,
)
from landbridge_wire.errors import ArmError


def path(*parts):
    return Path(parts)


def shape(expression):
    """Return an expression without places."""
    return tree.substituted(
        expression, {one.parts[0]: Path((one.parts[0],)) for one in tree.paths(expression)}
    )


def condition(text):
    (step,) = parse(f"resources | where {text}").steps
    return shape(step.condition)


def test_a_table_alone_is_a_query():
    assert (parse("ReSources").table, parse("resourcecontainers // words").steps) == ("resources", ())


def test_and_binds_tighter_than_or_and_parentheses_tightest():
    a, b, c = (Compare("==", path(name), (Literal(1),)) for name in "abc")
    assert condition("a == 1 or b == 1 and c == 1") == tree.Any((a, tree.All((b, c))))
    assert condition("(a == 1 or b == 1) and c == 1") == tree.All((tree.Any((a, b)), c))
    assert condition("not(a == 1)") == Not(a)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a =~ 'x'", Compare("=~", path("a"), (Literal("x"),))),
        ('a !contains "it\\"s"', Compare("!contains", path("a"), (Literal('it"s'),))),
        (r"a == @'c:\d'", Compare("==", path("a"), (Literal("c:\\d"),))),
        ("a in~ ('x', 'y')", Compare("in~", path("a"), (Literal("x"), Literal("y")))),
        ("tags['cost center'].b >= -1.5", Compare(">=", path("tags", "cost center", "b"), (Literal(-1.5),))),
        ("isnotempty(a.b)", Function("isnotempty", path("a", "b"))),
        ("a == true", Compare("==", path("a"), (Literal(True),))),
        ("tolower(a) != null", Compare("!=", Function("tolower", path("a")), (Literal(None),))),
    ],
)
def test_conditions(text, expected):
    assert condition(text) == expected


def test_every_step():
    steps = parse(
        """resources // all of them
        | project n = name, properties.a.b, tostring(tags['x'])
        | sort by n, a asc | take 5
        | summarize number = count() by location, os = properties.os"""
    ).steps
    assert [type(step) for step in steps] == [Project, Order, Limit, Count]
    assert [one.name for one in steps[0].columns] == ["n", "properties_a_b", "tags_x"]
    assert [descending for _, descending in steps[1].by] == [True, False]
    assert steps[2] == Limit(5)
    assert (steps[3].name, [one.name for one in steps[3].by]) == ("number", ["location", "os"])
    assert parse("resources | summarize count()").steps == (Count("count_", ()),)


@pytest.mark.parametrize(
    ("query", "line", "column", "token"),
    [
        ("", 1, 0, "<EOF>"),
        ("vms", 1, 0, "vms"),
        ("resources where a", 1, 10, "where"),
        ("resources |", 1, 11, "<EOF>"),
        ("resources\n| extend a = b", 2, 2, "extend"),
        ("resources | where a ==", 1, 22, "<EOF>"),
        ("resources | where a == 'x", 1, 23, "'"),
        ("resources | where f(a)", 1, 18, "f"),
        ("resources | where a in 'x'", 1, 23, "x"),
        ("resources | limit x", 1, 18, "x"),
        ("resources | limit 1.5", 1, 18, "1.5"),
        ("resources | order a", 1, 18, "a"),
        ("resources | project tolower(name)", 1, 20, "tolower"),
        ("resources | summarize sum(a)", 1, 22, "sum"),
        ("resources | summarize by a", 1, 22, "by"),
        ("resources | join (resources) on id", 1, 12, "join"),
        ("resources | where tags[1] == 'x'", 1, 23, "1"),
        ("resources ; resources", 1, 10, ";"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_place(query, line, column, token):
    with pytest.raises(ArmError) as refused:
        parse(query)
    invalid, place = refused.value.details
    assert (refused.value.code, invalid.code, place.code) == ("BadRequest", "InvalidQuery", "ParserFailure")
    assert place.extra == {"line": line, "characterPositionInLine": column, "token": token}


@pytest.mark.parametrize(
    "query",
    [
        "resources | where nothing == 1",
        "resources | project name | where location == 'x'",
        "resources | project n = 'x' | where n.b == 'x'",
        "resources | summarize count() by location | where name == 'x'",
        "resources | order by nothing",
        "resources | limit 100000 | where name == 'x'",
    ],
)
def test_columns_that_are_not_there_are_refused(query):
    with pytest.raises(ArmError) as refused:
        planned(parse(query))
    assert refused.value.details[0].code == "InvalidQuery"


def test_conditions_are_moved_before_projections_and_never_before_limits():
    plan = planned(
        parse("resources | project n = name, Location | where N == 'x' | order by location | limit 3")
    )
    assert [shape(one) for one in plan.conditions] == [Compare("==", path("name"), (Literal("x"),))]
    assert plan.order == ((Path(("location",)), True),)
    assert plan.columns == (Named("n", Path(("name",))), Named("Location", Path(("location",))))
    assert (plan.limit, plan.rest) == (3, ())
    limited = planned(parse("resources | limit 3 | where name == 'x' | project name"))
    assert (limited.conditions, [type(step) for step in limited.rest]) == ((), [Where, Project])


def test_queries_are_bounded():
    for query in (
        "resources | where " + "(" * 60 + "a == 1" + ")" * 60,
        "resources | where " + "tolower(" * 60 + "a" + ")" * 60 + " == 'x'",
        "resources " + "| limit 1 " * 51,
        "resources | where name == '" + "x" * 40_000 + "'",
    ):
        with pytest.raises(ArmError):
            parse(query)


WORDS = "resources where project order by limit summarize count() name and or not in tags == =~ 'x' 5"
SIGNS = '|(),.[]!\\"\n'
PIECES = st.sampled_from([*WORDS.split(), *SIGNS, "//"])


@given(st.lists(PIECES, max_size=30))
def test_any_text_is_a_query_or_refused(pieces):
    try:
        planned(parse("resources | " + " ".join(pieces)))
    except ArmError as error:
        assert error.code == "BadRequest"
