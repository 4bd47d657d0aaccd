"""Load over HTTPS by wrk: the same generator for every server, one thread, bounded in time."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measuring import cpu_seconds

CONNECTIONS = 16

# "{n}" in a path or a body becomes a number that no other request of the run has.
_SCRIPT = """
local items = {
%s
}
local headers = {
%s
}
local at, n = 0, %d
local made = {}
for i, item in ipairs(items) do
  if not (item.path:find("{n}", 1, true) or item.body:find("{n}", 1, true)) then
    local own = {}
    for name, value in pairs(headers) do own[name] = value end
    for name, value in pairs(item.headers) do own[name] = value end
    made[i] = wrk.format(item.method, item.path, own, item.body ~= "" and item.body or nil)
  end
end
request = function()
  at = at %% #items + 1
  if made[at] then return made[at] end
  local item = items[at]
  n = n + 1
  local text = string.format("%%012d", n)
  local own = {}
  for name, value in pairs(headers) do own[name] = value end
  for name, value in pairs(item.headers) do own[name] = value end
  local path, body = item.path:gsub("{n}", text), item.body:gsub("{n}", text)
  return wrk.format(item.method, path, own, body)
end
"""


@dataclass(frozen=True)
class Ask:
    """One request of a run; a run goes round its requests."""

    method: str
    path: str
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What a run saw. Times in milliseconds, CPU in microseconds of all watched processes."""

    count: int
    rate: float
    p50: float
    p99: float
    worst: float
    cpu: float


class LoadError(Exception):
    """Some requests were refused, or wrk did not run: the figures would mean nothing."""


def _lua(text: str) -> str:
    return json.dumps(text, ensure_ascii=True).replace("\\/", "/")


def _row(ask: Ask) -> str:
    headers = ", ".join(f"[{_lua(name)}] = {_lua(value)}" for name, value in ask.headers.items())
    path = _lua(ask.path)
    return f"{{method={_lua(ask.method)}, path={path}, body={_lua(ask.body)}, headers={{{headers}}}}},"


def script(asks: Sequence[Ask], headers: Mapping[str, str], start: int) -> str:
    """Return the Lua that makes the requests; numbers begin after ``start``."""
    return _SCRIPT % (
        "\n".join(_row(ask) for ask in asks),
        "\n".join(f"[{_lua(name)}] = {_lua(value)}," for name, value in headers.items()),
        start,
    )


class Load:
    """A load on one server: ``run`` as often as wanted."""

    def __init__(
        self,
        url: str,
        asks: Sequence[Ask],
        headers: Mapping[str, str],
        pids: Sequence[int],
        connections: int = CONNECTIONS,
    ) -> None:
        """Ask ``url`` (https://host:port); ``pids`` are all processes whose CPU counts."""
        self.url, self.asks = url, asks
        self.headers = {"Host": url.removeprefix("https://"), **headers}
        self.pids, self.connections = pids, connections
        self._start = 0

    def start(self, seconds: float) -> subprocess.Popen[str]:
        """Begin a run; its output is for ``read``."""
        with tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False) as file:
            file.write(script(self.asks, self.headers, self._start))
        self._start += 1_000_000
        argv = [
            "wrk",
            "-t1",
            f"-c{self.connections}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "10s",
            "--latency",
        ]
        argv += ["-s", file.name, self.url]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, seconds: float) -> Run:
        """Run for ``seconds``.

        Raises:
            LoadError: not every answer was good.
        """
        before = cpu_seconds(self.pids)
        with self.start(seconds) as process:
            said = process.communicate()[0]
        Path(str(process.args[-2])).unlink()  # type: ignore[index]
        return read(said, cpu_seconds(self.pids) - before)


_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


def _time(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


def read(said: str, cpu: float) -> Run:
    """Return what wrk printed.

    Raises:
        LoadError: refusals, broken connections, or nothing at all.
    """
    count = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    bad = re.search(r"(Non-2xx.*|Socket errors.*)", said)
    latency = re.search(r"Latency\s+\S+\s+\S+\s+(\S+)", said)
    percentiles = dict(re.findall(r"(50|99)%\s+(\S+)", said))
    if count is None or rate is None or latency is None or bad is not None or int(count.group(1)) == 0:
        raise LoadError(said)
    total = int(count.group(1))
    p50, p99 = _time(percentiles["50"]), _time(percentiles["99"])
    return Run(total, float(rate.group(1)), p50, p99, _time(latency.group(1)), cpu * 1e6 / total)


def best(runs: Sequence[Run]) -> Run:
    """Return the run with the highest rate: the one that was disturbed least."""
    return max(runs, key=lambda run: run.rate)
