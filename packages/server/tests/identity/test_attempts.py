from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from landbridge_server.identity.attempts import AttemptLimiter


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_limit_holds_until_its_time_is_over():
    clock = Clock()
    limiter = AttemptLimiter(clock, 2, 10)
    assert [limiter.begin("a"), limiter.begin("a"), limiter.begin("a")] == [0, 0, 10]
    assert (limiter.begin("b"), limiter.blocked("a"), limiter.blocked("b")) == (0, 10, 0)
    clock.now += 9.5
    assert limiter.begin("a") == 1
    clock.now += 0.5
    assert (limiter.blocked("a"), limiter.begin("a")) == (0, 0)


def test_success_forgets_the_failures():
    limiter = AttemptLimiter(Clock(), 1, 10)
    limiter.begin("a")
    limiter.succeeded("a")
    assert limiter.begin("a") == 0


def test_a_clock_that_was_set_back_does_not_lock_for_longer():
    clock = Clock()
    limiter = AttemptLimiter(clock, 1, 10)
    limiter.begin("a")
    clock.now -= 50
    assert limiter.begin("a") == 0


def test_names_are_bounded():
    limiter = AttemptLimiter(Clock(), 1, 10, capacity=3)
    for name in "abcd":
        limiter.begin(name)
    assert list(limiter._windows) == ["b", "c", "d"]


class Guessing(RuleBasedStateMachine):
    """Within any window a name gets at most twice the limit: at the end of one, and in the next."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.limiter = AttemptLimiter(self.clock, 3, 10)
        self.allowed: list[float] = []

    @rule(seconds=st.floats(0, 6))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule()
    def guess(self):
        if self.limiter.begin("a") == 0:
            self.allowed.append(self.clock.now)

    @invariant()
    def few_in_any_window(self):
        assert sum(when > self.clock.now - 10 for when in self.allowed) <= 6


TestGuessing = Guessing.TestCase
