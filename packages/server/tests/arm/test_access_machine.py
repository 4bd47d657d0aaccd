"""The engine of roles against a model that is plain to see through, in random worlds.

Each world changes while it is asked, so that what is remembered is held against the model, too.
The explanation of each decision comes to the same verdict, and what it rests on is true.
"""

from __future__ import annotations

import random
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landbridge_server.arm.access import Access
from landbridge_server.arm.explain import explain
from landbridge_server.store import settings as settings_of_the_cloud
from landbridge_server.store.database import Database
from landbridge_wire.errors import ArmError

sys.path.insert(0, str(Path(__file__).parent))  # test folders are not packages
import worlds_of_roles as worlds

SOAK = [pytest.mark.soak, pytest.mark.timeout(3600)]
QUESTIONS = 12
CHANGES = 4


class Engine:
    """The gate over one store, and the same world in the model."""

    def __init__(self, url):
        self.db = Database(url)
        with self.db.writing() as connection:
            worlds.lay_out(connection)
        self.access = Access(self.db)
        self.asked = 0
        self.allowed = 0

    def live_through(self, chance):
        """Ask about one world, which changes now and then."""
        world = worlds.some_world(chance)
        with self.db.writing() as connection:
            worlds.write(connection, world)
        for _ in range(CHANGES):
            for _ in range(QUESTIONS):
                self.ask(world, chance)
            self.look_around(world, chance)
            if chance.random() < 0.5:  # a commit that changes nobody's roles
                with self.db.writing() as connection:
                    settings_of_the_cloud.put(connection, "x", "y")
                self.ask(world, chance)
            with self.db.writing() as connection:
                worlds.change(connection, world, chance)

    def ask(self, world, chance):
        who = chance.choice([*worlds.PRINCIPALS])
        action = worlds.some_case(chance, chance.choice(worlds.ACTIONS))
        scope, data = worlds.some_scope(chance), chance.random() < 0.3
        expected = world.allows(who, action, scope, data)
        question = (who, action, scope, data, world)
        assert self.access.allows(worlds.caller(who), action, scope, data=data) is expected, question
        said = self.db.read(
            lambda connection: explain(connection, self.access, worlds.holder(who), action, scope, data=data)
        )
        assert said.allowed is expected, question
        self.check_the_grounds(world, who, said, question)
        self.asked += 1
        self.allowed += expected

    def check_the_grounds(self, world, who, said, question):
        held = {(scope.lower(), role) for scope, role in world.held(who)}
        for way in (*said.because, *said.taken_away, *said.held, *said.elsewhere):
            assert (way.assignment.scope_key, way.role.guid) in held, question
            path = [who, *(group.object_id for group in way.groups)]
            assert path[-1] == way.assignment.principal_id, question
            assert all((group, member) in world.members for member, group in pairwise(path)), question
        for way in said.because:
            assert worlds.encloses(way.assignment.scope, said.scope), question
        for way in said.elsewhere:
            assert not worlds.encloses(way.assignment.scope, said.scope), question
            assert world.role_allows(worlds.tenant_of(who), way.role.guid, said.action, said.data), question

    def look_around(self, world, chance):
        """Compare what lists would show."""
        who, action = chance.choice([*worlds.PRINCIPALS]), chance.choice(worlds.ACTIONS)
        scope = worlds.some_scope(chance)
        caller, access = worlds.caller(who), self.access
        seen = self.db.read(lambda connection: access.subscriptions(connection, caller))
        assert {one.subscription_id for one in seen} == world.subscriptions(who), (who, world)
        expected = world.visible(who, action, scope)
        try:
            found = self.db.read(lambda connection: access.visible(connection, caller, action, scope))
        except ArmError as error:
            assert (error.code, expected) == ("AuthorizationFailed", set()), (who, action, scope, world)
        else:
            assert (None if found is None else set(found)) == expected, (who, action, scope, world)


@pytest.fixture
def engine(store_url):
    made = Engine(store_url)
    yield made
    made.db.close()


@pytest.mark.parametrize("cases", [3_000, pytest.param(100_000, marks=SOAK)])
def test_the_gate_decides_as_the_model_does(engine, cases):
    chance = random.Random(f"landbridge {cases}")
    if engine.db.shared:  # each question is a round trip: a third of them is as many seconds
        cases //= 3
    while engine.asked < cases:
        engine.live_through(chance)
    # Worlds in which everything, or nothing, is allowed would prove nothing.
    assert 0.05 < engine.allowed / engine.asked < 0.9


@pytest.mark.parametrize("worlds_tried", [15, pytest.param(500, marks=SOAK)])
def test_no_small_world_is_found_in_which_they_differ(tmp_path, worlds_tried):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    db = Database(url)
    db.migrate()
    db.close()
    engine = Engine(url)

    @settings(max_examples=worlds_tried, deadline=None, suppress_health_check=list(HealthCheck))
    @given(chance=st.randoms(use_true_random=False))
    def live(chance):
        engine.live_through(chance)

    live()
    engine.db.close()
