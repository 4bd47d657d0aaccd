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
