"""A run over machines against a plain model, in random orders of beginnings, ends and arrivals."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from landbridge_server.cli.waves import Rules, Share, Waves

SHARES = st.one_of(
    st.builds(Share, st.integers(1, 12)),
    st.builds(Share, st.integers(1, 100), st.just(True)),
)


class AnyRun(RuleBasedStateMachine):
    @initialize(
        count=st.integers(1, 30),
        at_once=st.integers(1, 8),
        canary=st.none() | SHARES,
        stop=st.none() | SHARES,
        data=st.data(),
    )
    def begin(self, count, at_once, canary, stop, data):
        self.machines = [f"m{number}" for number in range(count)]
        self.away = set(data.draw(st.sets(st.sampled_from(self.machines))))
        self.rules = Rules(at_once, canary, stop)
        self.waves = Waves(self.machines, self.rules, self.away)
        self.begun: list[str] = []
        self.results: dict[str, bool] = {}
        self.told = False

    def bound(self):
        """The model's own reading of when a run must stop."""
        stop, canaries = self.rules.stop, self.waves.canaries
        bad = [one for one, good in self.results.items() if not good]
        bad_canaries = [one for one in bad if one in canaries]
        if canaries and len(bad_canaries) >= (stop.of(len(canaries)) if stop else 1):
            return True
        return stop is not None and len(bad) >= stop.of(len(self.machines))

    @rule()
    def what_may_begin_begins(self):
        stopped = self.told or self.bound()
        begun = self.waves.start()
        assert not set(begun) & set(self.begun), "begun twice"
        assert not set(begun) & self.away, "begun while away"
        assert not (stopped and begun), "begun after the stop"
        first = self.waves.canaries
        if set(begun) - first:
            assert first <= set(self.results), "others begun before the canaries had ended"
        self.begun += begun
        if not stopped and len(self.waves.running) < self.rules.at_once:
            here = set(self.machines) - self.away - set(self.begun)
            if not first <= set(self.results):
                here &= first
            assert not here, "something could have begun"

    @precondition(lambda self: self.waves.running)
    @rule(data=st.data(), succeeded=st.booleans())
    def one_ends(self, data, succeeded):
        machine = data.draw(st.sampled_from(sorted(self.waves.running)))
        self.waves.end(machine, succeeded=succeeded)
        self.results[machine] = succeeded

    @precondition(lambda self: self.away)
    @rule(data=st.data())
    def one_comes_back(self, data):
        machine = data.draw(st.sampled_from(sorted(self.away)))
        self.away.discard(machine)
        self.waves.is_here(machine)
        self.waves.is_here(machine)

    @rule()
    def somebody_interrupts(self):
        self.told = True
        self.waves.stop("interrupted")

    @invariant()
    def the_bounds_hold(self):
        if not hasattr(self, "waves"):
            return
        assert len(self.waves.running) <= self.rules.at_once
        assert self.waves.running == set(self.begun) - set(self.results)
        assert self.waves.ended == len(self.results)
        assert self.waves.failed == sum(not good for good in self.results.values())
        assert bool(self.waves.stopped) == (self.told or self.bound())
        left = set(self.machines) - set(self.begun)
        assert self.waves.is_over == (not self.waves.running and (bool(self.waves.stopped) or not left))

    def teardown(self):
        """Let it go on to its end: every run ends, and every machine began at most once."""
        if not hasattr(self, "waves"):
            return
        for machine in self.away:
            self.waves.is_here(machine)
        while not self.waves.is_over:
            self.begun += self.waves.start()
            assert self.waves.running
            for machine in self.waves.running:
                self.waves.end(machine, succeeded=True)
        assert len(self.begun) == len(set(self.begun))
        if not self.waves.stopped:
            assert set(self.begun) == set(self.machines)


TestAnyRun = AnyRun.TestCase
