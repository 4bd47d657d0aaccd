"""Which machines of a run begin when; ``test_waves_machine.py`` has the random worlds."""

from __future__ import annotations

import pytest

from landbridge_server.cli.waves import Rules, Share, Waves

TEN = [f"m{number}" for number in range(10)]
FIVE_PERCENT = Share(5, percent=True)


@pytest.mark.parametrize(
    ("share", "count", "machines"),
    [
        (FIVE_PERCENT, 1000, 50),
        (FIVE_PERCENT, 10, 1),
        (FIVE_PERCENT, 21, 2),
        (Share(100, percent=True), 7, 7),
        (Share(3), 10, 3),
        (Share(0.1, percent=True), 10, 1),
    ],
)
def test_a_share_is_rounded_up_and_never_nobody(share, count, machines):
    assert share.of(count) == machines


def test_the_others_wait_until_every_canary_has_ended():
    waves = Waves(TEN, Rules(8, canary=Share(2)))
    assert waves.start() == ["m0", "m1"]
    waves.end("m0", succeeded=True)
    assert waves.start() == []
    waves.end("m1", succeeded=True)
    assert waves.start() == TEN[2:]


def test_one_failed_canary_is_enough_where_nothing_else_was_said():
    waves = Waves(TEN, Rules(8, canary=Share(2)))
    waves.start()
    waves.end("m1", succeeded=False)
    assert waves.stopped == "1 of 2 canaries failed"
    waves.end("m0", succeeded=True)
    assert waves.is_over
    assert waves.start() == []


def test_without_a_threshold_the_others_may_fail():
    waves = Waves(TEN, Rules(10))
    for machine in waves.start():
        waves.end(machine, succeeded=False)
    assert (waves.stopped, waves.failed) == ("", 10)


def test_a_percentage_is_of_the_canaries_first_and_of_all_later():
    machines = [f"m{number}" for number in range(100)]
    waves = Waves(machines, Rules(100, canary=Share(20), stop=Share(10, percent=True)))
    for machine in waves.start():
        waves.end(machine, succeeded=machine != "m0")  # one of 20 is less than 10 %
    rest = waves.start()
    for machine in rest[:8]:
        waves.end(machine, succeeded=False)
    assert not waves.stopped
    waves.end(rest[8], succeeded=False)
    assert waves.stopped == "10 of 100 machines failed"


def test_canaries_are_machines_that_are_here():
    waves = Waves(TEN, Rules(3, canary=Share(2)), away=["m0", "m2"])
    assert waves.start() == ["m1", "m3"]


def test_what_another_process_began_is_not_begun_again():
    waves = Waves(TEN, Rules(3))
    waves.take_up(["m3", "m4"], [("m0", True), ("m1", False)])
    assert (waves.ended, waves.failed, waves.running) == (2, 1, {"m3", "m4"})
    assert waves.start() == ["m2"]


@pytest.mark.parametrize("begun", [["m3", "m3"], ["other"]])
def test_what_does_not_belong_to_the_run_is_refused(begun):
    with pytest.raises(ValueError, match="does not belong"):
        Waves(TEN, Rules(3)).take_up(begun, [])


def test_a_machine_does_not_end_twice():
    waves = Waves(TEN, Rules(1))
    waves.start()
    waves.end("m0", succeeded=True)
    with pytest.raises(ValueError, match="not running"):
        waves.end("m0", succeeded=True)
