"""What a run command's resource says about its run."""

from __future__ import annotations

import pytest

from landbridge_server.cli.fleet_commands import Result, judged, read


def document(provisioning, **view):
    return {"properties": {"provisioningState": provisioning, "instanceView": view}}


@pytest.mark.parametrize(
    ("shown", "state", "is_end"),
    [
        (document("Creating", executionState="Pending"), "Pending", False),
        (document("Creating", executionState="Running"), "Running", False),
        # The end counts once it was reported, not when it is first seen.
        (document("Creating", executionState="Succeeded", exitCode=0), "Running", False),
        (document("Succeeded", executionState="Succeeded", exitCode=0), "Succeeded", True),
        (document("Succeeded", executionState="Failed", exitCode=3), "Failed", True),
        (document("Succeeded", executionState="Succeeded", exitCode=3), "Failed", True),
        (document("Succeeded", executionState="TimedOut"), "TimedOut", True),
        (document("Canceled", executionState="Canceled"), "Canceled", True),
        # The machine could not run it at all.
        (document("Failed", executionState="Pending"), "Failed", True),
        (document("Succeeded"), "Failed", True),
        ({"properties": {"instanceView": "text"}}, "Pending", False),
        ({}, "Pending", False),
    ],
)
def test_a_state_is_an_end_only_once_the_machine_has_reported_it(shown, state, is_end):
    found = judged(read(shown))
    assert (found.state, found.is_end) == (state, is_end)


def test_a_duration_is_between_both_times():
    times = {"startTime": "2027-01-15T08:00:00Z", "endTime": "2027-01-15T08:00:02.500Z"}
    assert read(document("Succeeded", executionState="Succeeded", **times)).seconds == 2.5
    assert read(document("Succeeded", executionState="Succeeded", startTime="soon")).seconds is None


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (Result("Failed", output="one\ntwo\n\n", error="three"), "two"),
        (Result("Failed", output="\n", error="three\n"), "three"),
        (Result("Refused", message="(Code) why"), "(Code) why"),
        (Result("Failed", output="a\tb\x1b[1m"), "a b\N{REPLACEMENT CHARACTER}[1m"),
        (Result("Succeeded"), ""),
    ],
)
def test_the_last_line_is_of_what_was_printed_else_of_what_is_said(result, line):
    assert result.last_line == line
