"""What counts as a difference between a recorded answer and ours."""

from __future__ import annotations

import pytest

from tests.conformance.comparison import differences

RECORDED = {"id": "/a/b", "tags": {}, "properties": {"count": 1, "flag": True, "gone": None}}


def test_other_values_are_no_difference() -> None:
    ours = {"id": "/x", "tags": {}, "properties": {"count": 7, "flag": False}, "more": 1}
    assert list(differences(RECORDED, ours, set())) == []


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        ({"tags": {}, "properties": {"count": 1, "flag": True}}, "/id is missing"),
        ({"id": "/x", "tags": [], "properties": {"count": 1, "flag": True}}, "/tags is an array"),
        ({"id": "/x", "tags": {}, "properties": {"count": "1", "flag": True}}, "/properties/count is a text"),
        ({"id": "/x", "tags": {}, "properties": {"count": 1, "flag": 1}}, "/properties/flag is a number"),
        (None, "body is missing"),
    ],
)
def test_a_missing_member_or_another_type_is_a_difference(ours, told) -> None:
    found = list(differences(RECORDED, ours, set()))
    assert len(found) == 1
    assert found[0].startswith(told)


def test_each_item_must_have_what_all_recorded_items_have() -> None:
    recorded = {"value": [{"id": "/a", "name": "a", "notes": "x"}, {"id": "/b", "name": "b"}]}
    assert list(differences(recorded, {"value": [{"id": "/c", "name": "c"}]}, set())) == []
    assert list(differences(recorded, {"value": [{"id": "/c"}]}, set())) == ["/value[]/name is missing"]


def test_a_list_may_be_empty_unless_it_held_what_the_recording_made() -> None:
    recorded = {"value": [{"id": "/A"}]}
    assert list(differences(recorded, {"value": []}, {"/b"})) == []
    assert list(differences(recorded, {"value": []}, {"/a"})) == ["/value is empty, recorded 1 items"]
