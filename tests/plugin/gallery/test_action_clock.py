"""The time of an action on several crops, by a clock that the test moves."""

import pytest

from napari_costal.gallery.action_clock import ActionClock


@pytest.fixture
def moment():
    return [0]


@pytest.fixture
def clock(moment):
    return ActionClock(lambda: (moment[0], moment[0]))


def at(moment, clock, *seconds):
    for each in seconds:
        moment[0] = round(each * 1e9)
        clock.active()


def test_time_counts_from_the_beginning_to_the_reading(moment, clock):
    at(moment, clock, 5)
    clock.begin(20)
    at(moment, clock, 6, 9)
    moment[0] = 10 * 10**9
    assert clock.read_s() == 5
    clock.begin(20)
    assert clock.read_s() == 5, "one that runs does not begin again"


def test_gaps_beyond_the_idle_limit_and_pauses_do_not_count(moment, clock):
    clock.begin(20)
    at(moment, clock, 4, 100, 103)
    clock.pause(True)
    at(moment, clock, 110)
    clock.pause(False)
    at(moment, clock, 112)
    assert clock.read_s() == 4 + 3 + 2


def test_what_was_stopped_counts_nothing_and_the_next_action_begins_at_zero(moment, clock):
    clock.begin(20)
    at(moment, clock, 4)
    clock.stop()
    assert clock.read_s() == 0
    at(moment, clock, 8)
    clock.begin(20)
    at(moment, clock, 9)
    assert clock.read_s() == 1
