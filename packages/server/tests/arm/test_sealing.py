"""What is sealed can be opened with the same secret and with no other."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.arm.sealing import Sealer, Unreadable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
SEALER = Sealer(b"s" * 32)


@given(JSON)
def test_a_sealed_value_opens_to_the_same(value):
    assert SEALER.open(SEALER.seal(value)) == value


def test_two_seals_of_one_value_differ_and_hide_it():
    first, second = SEALER.seal("hunter2"), SEALER.seal("hunter2")
    assert first != second
    assert b"hunter2" not in base64.b64decode(first)


def test_nothing_sealed_opens_to_none():
    assert SEALER.open("") is None


def test_another_secret_does_not_open_it():
    with pytest.raises(Unreadable):
        Sealer(b"t" * 32).open(SEALER.seal(1))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_text_does_not_open(position, change):
    content = bytearray(base64.b64decode(SEALER.seal({"a": "b"})))
    content[position % len(content)] ^= change
    with pytest.raises(Unreadable):
        SEALER.open(base64.b64encode(bytes(content)).decode())
