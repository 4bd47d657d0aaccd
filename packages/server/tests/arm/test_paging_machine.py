"""Pages as a state machine: a reader turns pages while others write.

What is there from the first page to the last is shown exactly once, in order; what was never there is
never shown; and whatever somebody writes into a token, it is a page or a refusal.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from landbridge_server.arm import paging
from landbridge_server.testing import ControlPlane
from landbridge_wire.errors import ArmError

NAMES = st.sampled_from([f"{letter}{tail}" for letter in "aBcDe" for tail in ("", "-1", "_2", ".x", "é")])


class Turning(RuleBasedStateMachine):
    """One cloud for all runs: each has groups of its own, told apart by a tag."""

    cloud: ControlPlane
    runner: asyncio.Runner
    token = ""
    runs = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).runs += 1
        self.mark = f"run{type(self).runs}"
        self.there: set[str] = set()
        self.link = ""
        self.shown: list[str] = []
        self.all_along: set[str] = set()
        self.ever: set[str] = set()

    def arm(self, method: str, path: str, body: object = None):
        path = path if path.startswith(("/", "http")) else f"{self.cloud.subscription}/{path}"
        if "api-version=" not in path:
            path += ("&" if "?" in path else "?") + "api-version=2022-09-01"
        work = self.cloud.arm(method, path, body, token=self.token)
        return self.runner.run(work)

    @rule(name=NAMES)
    def add(self, name: str) -> None:
        answer = self.arm(
            "PUT", f"resourcegroups/{self.mark}{name}", {"location": "local", "tags": {self.mark: "x"}}
        )
        assert answer.status_code in (200, 201), answer.text
        self.there.add(name.lower())
        self.ever.add(name.lower())

    @precondition(lambda self: self.there)
    @rule(which=st.integers(0, 100))
    def remove(self, which: int) -> None:
        name = sorted(self.there)[which % len(self.there)]
        assert self.arm("DELETE", f"resourcegroups/{self.mark}{name}").status_code in (200, 202)
        self.runner.run(self.cloud.plane.settle())
        self.there.discard(name)
        self.all_along.discard(name)

    @rule(top=st.integers(1, 4))
    def begin(self, top: int) -> None:
        self.shown, self.all_along, self.ever = [], set(self.there), set(self.there)
        self.link = f"resourcegroups?$top={top}&$filter=tagName eq '{self.mark}'"
        self.turn()

    @precondition(lambda self: self.link)
    @rule()
    def turn(self) -> None:
        answer = self.arm("GET", self.link)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        self.shown += [one["name"].removeprefix(self.mark).lower() for one in page["value"]]
        self.link = page.get("nextLink", "")
        assert len(self.shown) == len(set(self.shown)), "shown twice"
        assert set(self.shown) <= self.ever
        if not self.link:
            assert self.all_along <= set(self.shown)
        else:
            assert page["value"], "an empty page in between"
            assert parse_qs(urlsplit(self.link).query)["$skiptoken"]


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(15, 30), pytest.param(500, 100, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
def test_what_is_there_all_along_is_shown_once(examples: int, steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        Turning.runner, Turning.cloud = runner, ControlPlane(Path(folder) / "cloud")
        try:
            Turning.token = runner.run(Turning.cloud.token())
            run_state_machine_as_test(
                Turning,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(Turning.cloud.client.aclose())
            Turning.cloud.plane.close()


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda data: data.decode("latin-1")))
def test_any_token_is_a_place_or_refused(token: str) -> None:
    try:
        place = paging.after({paging.TOKEN: token})
    except ArmError as error:
        assert error.status == 400
    else:
        assert place.isprintable()


@given(st.text(max_size=20))
def test_any_size_is_a_number_of_resources_or_refused(text: str) -> None:
    try:
        assert 1 <= paging.size({"$top": text}) <= paging.PAGE
    except ArmError as error:
        assert error.status == 400
