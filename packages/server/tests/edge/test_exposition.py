"""The text format: what is written is what Prometheus' own parser reads."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from landbridge_server.edge.exposition import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    Family,
    RequestTimes,
    Sample,
    by_label,
    rendered,
)
from landbridge_server.store.histogram import BOUNDS, Histogram


def read(families):
    return {one.name: one for one in text_string_to_metric_families(rendered(families).decode())}


@given(st.text(), st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_labels_and_help_of_any_text_come_back(label, text, value):
    found = read([Family("a_total", COUNTER, text, [Sample(value, {"x": label})])])
    (sample,) = found["a"].samples
    assert sample.labels == {"x": label}
    assert math.isclose(sample.value, value)


def test_a_histogram_is_cumulative_and_ends_with_its_count():
    times = RequestTimes()
    for seconds in (0.0005, 0.001, 0.3, 99.0):
        times.observe("/x", "GET", 200, seconds)
    family = read([times.family()])["landbridge_http_request_duration_seconds"]
    assert family.type == HISTOGRAM
    labels = {"route": "/x", "method": "GET", "status": "2xx"}
    values = {
        (sample.name.removeprefix(family.name), sample.labels.get("le")): sample.value
        for sample in family.samples
    }
    assert all(labels.items() <= sample.labels.items() for sample in family.samples)
    assert (values["_bucket", "0.001"], values["_bucket", "0.25"], values["_bucket", "0.5"]) == (2, 2, 3)
    assert (values["_bucket", "+Inf"], values["_count", None]) == (4, 4)
    assert math.isclose(values["_sum", None], 99.3015)


def test_methods_that_nobody_knows_are_one():
    times = RequestTimes()
    for number in range(100):
        times.observe("/x", f"METHOD{number}", 405, 0.1)
    assert {sample.labels["method"] for sample in times.family().samples} == {"other"}


@given(st.lists(st.floats(0, 100)))
def test_every_duration_is_in_one_bucket(durations):
    histogram = Histogram()
    for one in durations:
        histogram.observe(one)
    assert sum(histogram.counts) == len(durations)
    assert len(histogram.counts) == len(BOUNDS) + 1


def test_gauges_by_label():
    family = read([by_label("m", GAUGE, "h", "status", {"a": 1, "b": 2.5})])["m"]
    assert {sample.labels["status"]: sample.value for sample in family.samples} == {"a": 1, "b": 2.5}
