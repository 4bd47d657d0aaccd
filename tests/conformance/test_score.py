"""The floor, and the page that shows the score."""

from __future__ import annotations

import json

import pytest

from tests.conformance import examples, page, recordings, score
from tests.conformance.score import Row, Suite


@pytest.fixture
def floor(tmp_path, monkeypatch):
    monkeypatch.setattr(score, "FLOOR", tmp_path / "floor.json")
    return tmp_path / "floor.json"


def suites(passed):
    return [Suite("examples", [Row("a.json", passed, 10 - passed)]), Suite("recordings", [])]


def test_the_floor_goes_up_and_never_down(floor) -> None:
    for passed, kept in ((3, 3), (5, 5), (2, 5)):
        score.raise_floor(suites(passed))
        assert json.loads(floor.read_text())["examples"] == {"a.json": kept}


def test_what_is_no_longer_there_keeps_its_floor(floor) -> None:
    floor.write_text(json.dumps({"examples": {"gone.json": 7}}))
    score.raise_floor(suites(1))
    assert score.floor()["examples"] == {"gone.json": 7, "a.json": 1}


def test_what_is_not_offered_counts_neither_way() -> None:
    cases = [
        examples.Case("d", "A", "x"),
        examples.Case("d", "B", "y", examples.FAILED, ["wrong", "worse"]),
        examples.Case("d", "C", "z", examples.NOT_OFFERED),
    ]
    row = score.example_row("d", cases)
    assert (row.passed, row.counted, row.not_offered) == (1, 2, 1)
    assert row.faults == [("B: y", "wrong")]
    assert Suite("examples", [row]).percent == 50.0


def test_a_refusal_that_is_none_counts_as_failed() -> None:
    steps = [
        recordings.Step("GET", "/a"),
        recordings.Step("GET", "/b", left_out="why"),
        recordings.Step("GET", "/c", not_offered="why"),
        recordings.Step("GET", "/d", ["answers 200"], not_offered="why"),
    ]
    row = score.recording_row(recordings.Outcome("r", steps))
    assert (row.passed, row.counted, row.not_offered) == (1, 2, 1)


def test_the_page_ranks_what_falls_short_by_how_often_it_does() -> None:
    row = Row("a.json", 1, 3, 0, [("B: y", "rare"), ("A: x", "often"), ("A: x", "often")])
    assert page.shortfalls([row]) == ["- a, A: x (2 times): often", "- a, B: y: rare"]
    text = page.text([Suite("examples", [row]), Suite("recordings", [Row("r", 1)])])
    assert "| a | 1 | 4 | 25 % |  |" in text
    assert "## Recordings: 100.0 %" in text
    assert "Nothing falls short." in text
