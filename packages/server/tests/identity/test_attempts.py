from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from landbridge_server.identity.attempts import SKEW, AttemptLimiter
from landbridge_server.store.database import Database
from landbridge_server.store.schema import sign_in_attempts
from landbridge_server.store.sign_in_limits import KEPT


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def db(store_url):
    opened = Database(store_url)
    yield opened
    opened.close()


def rows(db):
    return db.read(lambda connection: connection.execute(sign_in_attempts.select()).all())


async def test_the_limit_holds_until_its_time_is_over(db):
    clock = Clock()
    limiter = AttemptLimiter(db, clock, "user", 2, 10)
    assert [await limiter.begin("a") for _ in range(3)] == [0, 0, 10]
    assert (await limiter.begin("b"), limiter.blocked("a"), limiter.blocked("b")) == (0, 10, 0)
    clock.now += 9.5
    assert await limiter.begin("a") == 1
    clock.now += 0.5
    assert (limiter.blocked("a"), await limiter.begin("a")) == (0, 0)


async def test_attempts_at_once_count_as_many(db):
    limiter = AttemptLimiter(db, Clock(), "user", 3, 10)
    waits = await asyncio.gather(*(limiter.begin("a") for _ in range(10)))
    assert sorted(waits) == [0] * 3 + [10] * 7


async def test_success_forgets_the_failures(db):
    limiter = AttemptLimiter(db, Clock(), "user", 1, 10)
    await limiter.begin("a")
    await limiter.succeeded("a")
    assert await limiter.begin("a") == 0


async def test_kinds_have_nothing_to_do_with_each_other(db):
    clock = Clock()
    await AttemptLimiter(db, clock, "user", 1, 10).begin("a")
    assert AttemptLimiter(db, clock, "code", 1, 10).blocked("a") == 0


async def test_another_node_and_a_restart_give_no_further_guesses(db, store_url):
    clock = Clock()
    await AttemptLimiter(db, clock, "user", 1, 10).begin("a")
    other = Database(store_url)
    assert AttemptLimiter(other, clock, "user", 1, 10).blocked("a") == 10
    other.close()


async def test_a_node_whose_clock_is_a_little_behind_gives_no_further_guesses(db):
    ahead, behind = Clock(), Clock()
    behind.now -= SKEW / 2
    await AttemptLimiter(db, ahead, "user", 1, 10).begin("a")
    assert await AttemptLimiter(db, behind, "user", 1, 10).begin("a") > 0


async def test_a_clock_that_was_set_back_does_not_lock_for_longer(db):
    clock = Clock()
    limiter = AttemptLimiter(db, clock, "user", 1, 10)
    await limiter.begin("a")
    clock.now -= 3600
    assert await limiter.begin("a") == 0


async def test_what_has_ended_is_removed_and_no_name_is_kept_as_it_was_typed(db):
    clock = Clock()
    limiter = AttemptLimiter(db, clock, "user", 1, 10)
    for name in "abc":
        await limiter.begin(f"secret-{name}")
    assert "secret" not in str(rows(db))
    clock.now += 10 + KEPT + 1
    await limiter.begin("late")
    assert len(rows(db)) == 1


class Guessing(RuleBasedStateMachine):
    """Within any window a name gets at most twice the limit: at the end of one, and in the next."""

    folder = ""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.db = Database(f"sqlite:///{self.folder}/guesses.db")
        self.limiter = AttemptLimiter(self.db, self.clock, str(id(self)), 3, 10)
        self.allowed: list[float] = []

    def teardown(self):
        self.db.close()

    @rule(seconds=st.floats(0, 6))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule()
    def guess(self):
        if asyncio.run(self.limiter.begin("a")) == 0:
            self.allowed.append(self.clock.now)

    @invariant()
    def few_in_any_window(self):
        assert sum(when > self.clock.now - 10 for when in self.allowed) <= 6


def test_guesses_are_few_in_any_window(tmp_path):
    Guessing.folder = str(tmp_path)
    db = Database(f"sqlite:///{tmp_path}/guesses.db")
    db.migrate()
    db.close()
    case = Guessing.TestCase()
    case.settings = hypothesis_settings(max_examples=15, stateful_step_count=20, deadline=None)
    case.runTest()
