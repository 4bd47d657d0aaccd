"""The filter of the activity log: what it understands, and that nothing else gets through."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.providers.insights.event_filter import FOREVER, parse
from landbridge_wire.errors import ArmError

START = "2014-07-16T04:36:37.6407898Z"
AT = datetime(2014, 7, 16, 4, 36, 37, 640789, UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        f"eventTimestamp ge '{START}'",
        f"EVENTTIMESTAMP GE {START}",
        "eventTimestamp ge 2014-07-16T04:36:37.640789",
        f"  eventTimestamp   ge  '{START}'  ",
        f"eventTimestamp ge '{START}' and eventChannels eq 'Admin, Operation'",
    ],
)
def test_times_come_with_and_without_quotes_and_zone(text):
    found = parse(text)
    assert (found.start, found.end) == (AT, FOREVER)


def test_every_condition_of_the_document_is_understood():
    found = parse(
        f"eventTimestamp ge '{START}' and eventTimestamp le '{START}' and resourceGroupName eq 'My''Group' "
        "and resourceUri eq '/Sub/X' and resourceProvider eq Microsoft.X and correlationId eq 'ABC' "
        "and caller eq 'a@b' and status eq 'Failed'"
    )
    assert (found.end, found.group, found.resource) == (AT, "my'group", "/sub/x")
    assert (found.provider, found.correlation, found.caller, found.status) == (
        "microsoft.x",
        "abc",
        "a@b",
        "failed",
    )


@given(st.text(max_size=60) | st.text("'andeqge eventTimestamp()2014-", max_size=60))
def test_anything_else_is_refused_and_never_an_accident(text):
    try:
        found = parse(text)
    except ArmError as error:
        assert error.code == "BadRequest"
    else:
        assert found.start <= FOREVER
