from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.arm.call import DEPTH_LIMIT, decode_object
from landbridge_server.arm.http import query_of
from landbridge_wire.errors import ArmError


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(content):
    try:
        assert isinstance(decode_object(content), dict)
    except ArmError as error:
        assert error.code == "InvalidRequestContent"


def nested(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_the_limit_of_depth_is_exact():
    assert decode_object(nested(DEPTH_LIMIT))
    with pytest.raises(ArmError, match="nested deeper"):
        decode_object(nested(DEPTH_LIMIT + 1))


def test_a_wide_body_is_not_a_deep_one():
    body = {str(number): [[]] * 10 for number in range(1000)}
    assert decode_object(json.dumps(body).encode()) == body


def test_names_of_the_query_ignore_case_and_the_first_value_counts():
    assert query_of(b"Api-Version=a&api-version=b&$filter=x%20eq%20%27y%27&empty=") == {
        "api-version": "a",
        "$filter": "x eq 'y'",
        "empty": "",
    }


@given(st.binary(max_size=100))
def test_any_query_is_read(raw):
    assert isinstance(query_of(raw), Mapping)
