"""The text format of Prometheus, version 0.0.4, and how long requests take.

https://prometheus.io/docs/instrumenting/exposition_formats. By hand rather than by the
``prometheus_client`` library: the format is these few lines, and the library's counters take a
lock and look labels up for each request; a test reads what is written here with its parser.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from landbridge_server.store.histogram import BOUNDS, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Labels = Mapping[str, str]
NONE: Labels = {}


class Sample(NamedTuple):
    """One value of a family; ``suffix`` follows the family's name."""

    value: float
    labels: Labels = NONE
    suffix: str = ""


class Family(NamedTuple):
    """A metric: its name, what it is, a sentence about it, its samples."""

    name: str
    kind: str
    help: str
    samples: Iterable[Sample]


def gauge(name: str, text: str, value: float) -> Family:
    """Return a gauge of one value."""
    return Family(name, GAUGE, text, [Sample(value)])


def by_label(name: str, kind: str, text: str, label: str, values: Mapping[str, float]) -> Family:
    """Return a family whose samples differ in one label."""
    return Family(name, kind, text, [Sample(value, {label: key}) for key, value in values.items()])


def buckets(histogram: Histogram, labels: Labels) -> Iterable[Sample]:
    """Yield the samples of a histogram: its buckets, each with all below it, the sum and the count."""
    total = 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), histogram.counts, strict=True):
        total += count
        yield Sample(total, {**labels, "le": bound}, "_bucket")
    yield Sample(histogram.sum, labels, "_sum")
    yield Sample(total, labels, "_count")


def rendered(families: Iterable[Family]) -> bytes:
    """Return the families as text."""
    lines: list[str] = []
    for family in families:
        lines += [f"# HELP {family.name} {_help(family.help)}", f"# TYPE {family.name} {family.kind}"]
        lines += [_line(family.name, sample) for sample in family.samples]
    return ("\n".join(lines) + "\n").encode()


def _line(name: str, sample: Sample) -> str:
    labels = ",".join(f'{key}="{_quoted(text)}"' for key, text in sample.labels.items())
    braces = f"{{{labels}}}" if labels else ""
    value = int(sample.value) if float(sample.value).is_integer() else sample.value
    return f"{name}{sample.suffix}{braces} {value}"


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _help(text).replace('"', '\\"')


class RequestTimes:
    """How long requests took, by route, method and class of status.

    Routes are rows of the table, methods the known ones: there are never more than some hundreds.
    """

    __slots__ = ("_times",)

    def __init__(self) -> None:
        """Begin without any."""
        self._times: dict[tuple[str, str, int], Histogram] = {}

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        found = self._times.get((route, method, status // 100)) or self._row(route, method, status // 100)
        # What ``Histogram.observe`` does, without a call: this is done for every request.
        found.counts[bisect_left(BOUNDS, seconds)] += 1
        found.sum += seconds

    def _row(self, route: str, method: str, status: int) -> Histogram:
        key = (route, method if method in METHODS else "other", status)
        return self._times.setdefault(key, Histogram())

    def family(self) -> Family:
        """Return what was counted."""
        samples = [
            sample
            for (route, method, status), times in sorted(self._times.items())
            for sample in buckets(times, {"route": route, "method": method, "status": f"{status}xx"})
        ]
        return Family(
            "landbridge_http_request_duration_seconds",
            HISTOGRAM,
            "How long requests took, by row of the table of routes.",
            samples,
        )
