from __future__ import annotations

import pytest

from landbridge_server.arm.shape import ANY, Choice, Text, keep
from landbridge_wire.errors import ArmError

SHAPE = {
    "name": Text(5),
    "port": int,
    "on": bool,
    "mode": Choice(("Full", "Monitor")),
    "inner": {"list": [str], "free": ANY},
}


def test_what_is_named_is_kept_and_the_rest_is_dropped():
    value = {
        "name": "abc",
        "port": 1,
        "on": True,
        "inner": {"list": ["a"], "free": {"x": 1}, "no": 1},
        "status": "x",
    }
    assert keep(SHAPE, value, "p") == {
        "name": "abc",
        "port": 1,
        "on": True,
        "inner": {"list": ["a"], "free": {"x": 1}},
    }


def test_null_means_not_given_and_words_get_their_own_casing():
    assert keep(SHAPE, {"name": None, "mode": "MONITOR"}, "p") == {"mode": "Monitor"}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([], "p"),
        ({"name": 1}, "p.name"),
        ({"name": "abcdef"}, "p.name"),
        ({"port": "1"}, "p.port"),
        ({"port": True}, "p.port"),
        ({"port": 1.5}, "p.port"),
        ({"on": 1}, "p.on"),
        ({"mode": "other"}, "p.mode"),
        ({"mode": 1}, "p.mode"),
        ({"inner": []}, "p.inner"),
        ({"inner": {"list": "a"}}, "p.inner.list"),
        ({"inner": {"list": ["a", 1]}}, "p.inner.list[1]"),
    ],
)
def test_a_refusal_names_the_place(value, path):
    with pytest.raises(ArmError) as refused:
        keep(SHAPE, value, "p")
    assert (refused.value.code, refused.value.target) == ("InvalidRequestContent", path)
