"""Recorded traffic against this cloud, recording by recording; the floor only goes up."""

from __future__ import annotations

import pytest

from tests.conformance import openapi, recordings, scope, score, world

PRESENT = frozenset(recordings.in_scope())
needs_data = pytest.mark.skipif(
    openapi.folder() is None, reason="the recordings are not here: set LANDBRIDGE_SPECS to their folder"
)


@needs_data
@pytest.mark.parametrize("name", scope.RECORDINGS)
async def test_no_fewer_answers_are_as_recorded_than_before(name, tmp_path) -> None:
    if name not in PRESENT:
        pytest.skip(f"{name} is not among the recordings that are here")
    async with world.opened(tmp_path / "cloud") as cloud:
        outcome = await recordings.replay(cloud, name)
    row = score.recording_row(outcome)
    told = "\n".join(f"{what}: {fault}" for what, fault in row.faults)
    assert row.passed >= score.floor()["recordings"].get(name, 0), told
    assert not [step for step in outcome.steps if step.not_offered and step.faults], told


@needs_data
def test_every_recording_is_in_scope_or_left_out_with_a_reason() -> None:
    listed = set(scope.RECORDINGS)
    unlisted = [one for one in recordings.everything() if (one in listed) == bool(scope.left_out(one))]
    assert unlisted == []


RECORDED = {"id": "/a/b", "tags": {}, "properties": {"count": 1, "flag": True, "gone": None}}


def test_other_values_are_no_difference() -> None:
    ours = {"id": "/x", "tags": {}, "properties": {"count": 7, "flag": False}, "more": 1}
    assert list(recordings.differences(RECORDED, ours, set())) == []


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
    found = list(recordings.differences(RECORDED, ours, set()))
    assert len(found) == 1
    assert found[0].startswith(told)


def test_each_item_must_have_what_all_recorded_items_have() -> None:
    recorded = {"value": [{"id": "/a", "name": "a", "notes": "x"}, {"id": "/b", "name": "b"}]}
    assert list(recordings.differences(recorded, {"value": [{"id": "/c", "name": "c"}]}, set())) == []
    assert list(recordings.differences(recorded, {"value": [{"id": "/c"}]}, set())) == [
        "/value[]/name is missing"
    ]


def test_a_list_may_be_empty_unless_it_held_what_the_recording_made() -> None:
    recorded = {"value": [{"id": "/A"}]}
    assert list(recordings.differences(recorded, {"value": []}, {"/b"})) == []
    assert list(recordings.differences(recorded, {"value": []}, {"/a"})) == [
        "/value is empty, recorded 1 items"
    ]
