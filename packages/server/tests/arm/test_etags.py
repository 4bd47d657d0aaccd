from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.arm import etags


def test_each_is_quoted_and_new():
    made = {etags.new() for _ in range(100)}
    assert len(made) == 100
    assert all(one.startswith('"') and one.endswith('"') for one in made)


@given(st.text(max_size=50))
def test_any_header_is_compared(header):
    assert etags._matches(header, '"x"') is (
        header.strip() == "*" or any(one.strip() in ('"x"', 'W/"x"') for one in header.split(","))
    )
