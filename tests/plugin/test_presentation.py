"""Events on the bench become the effort machine's, with an injected clock."""

import numpy as np
import pytest

from costal.labels.effort import EventKind, PauseReason, derive
from napari_costal._presentation import ACTIVITY_EVERY_NS, Presenter

SECOND = 1_000_000_000


class FakeClock:
    """A clock that tests turn by hand; wall clock and monotonic clock agree."""

    def __init__(self) -> None:
        self.now = 5 * SECOND

    def __call__(self) -> tuple[int, int]:
        return self.now, 1_700_000_000 * SECOND + self.now


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def covers():
    return []


@pytest.fixture
def presenter(clock, covers):
    return Presenter(covers.append, clock)


def test_time_before_the_first_paint_does_not_count(presenter, clock):
    presentation = presenter.open(3, 1, 20 * SECOND)
    clock.now += 4 * SECOND
    presenter.painted(clock())
    clock.now += 2 * SECOND
    assert presentation.record(EventKind.ANSWERED)
    assert derive(presentation.state).active_ns == 2 * SECOND


def test_an_answer_before_the_first_paint_does_not_count(presenter):
    presentation = presenter.open(3, 1, 20 * SECOND)
    assert not presentation.record(EventKind.ANSWERED)
    assert presentation.events == []


def test_a_pause_covers_the_crop_and_stops_the_clock(presenter, clock, covers):
    presentation = presenter.open(0, None, 20 * SECOND)
    presenter.painted(clock())
    clock.now += SECOND
    presenter.pause(PauseReason.USER)
    presenter.pause(PauseReason.FOCUS)
    clock.now += 30 * SECOND
    presenter.resume(PauseReason.USER)
    assert presentation.is_paused, "the focus is still elsewhere"
    assert covers == ["Paused (user)", "Paused (focus lost)"]
    presenter.resume(PauseReason.FOCUS)
    assert covers[-1] == ""
    clock.now += SECOND
    presentation.record(EventKind.ANSWERED)
    effort = derive(presentation.state)
    assert (effort.active_ns, effort.idle_ns, effort.censored) == (2 * SECOND, 30 * SECOND, False)


def test_signs_of_activity_are_thinned(presenter, clock):
    presentation = presenter.open(0, None, 20 * SECOND)
    presenter.painted(clock())
    for _ in range(100):
        clock.now += ACTIVITY_EVERY_NS // 10
        presenter.active()
    kinds = [event.kind for event in presentation.events]
    assert kinds == [EventKind.SHOWN] + [EventKind.ACTIVITY] * 10


def test_thinning_never_costs_time(presenter, clock):
    presentation = presenter.open(0, None, 20 * SECOND)
    presenter.painted(clock())
    began = clock.now
    for gap in np.random.default_rng(0).integers(1, SECOND, 50):
        clock.now += int(gap)
        presenter.active()
    presentation.record(EventKind.ANSWERED)
    assert derive(presentation.state).active_ns == clock.now - began


def test_events_without_a_crop_on_the_bench_go_nowhere(presenter, covers):
    presenter.active()
    presenter.pause(PauseReason.FOCUS)
    presenter.resume(PauseReason.FOCUS)
    assert covers == []


def test_a_crop_painted_while_the_focus_is_elsewhere_is_paused_at_once(presenter, clock, covers):
    presenter.pause(PauseReason.FOCUS)
    presentation = presenter.open(0, 1, 20 * SECOND)
    presenter.painted(clock())
    assert presentation.is_paused
    assert covers == ["Paused (focus lost)"]
    clock.now += 10 * SECOND
    presenter.resume(PauseReason.FOCUS)
    clock.now += SECOND
    presentation.record(EventKind.ANSWERED)
    assert derive(presentation.state).active_ns == SECOND


def test_the_clock_on_the_screen_runs_and_stands_with_the_effort(presenter, clock):
    presentation = presenter.open(0, 1, 20 * SECOND)
    assert presentation.active_s() == 0
    presenter.painted(clock())
    clock.now += 3 * SECOND
    assert presentation.active_s() == 3
    presenter.pause(PauseReason.USER)
    clock.now += 5 * SECOND
    assert presentation.active_s() == 3
    presenter.resume(PauseReason.USER)
    clock.now += 500 * SECOND
    assert presentation.active_s() == 23, "no more than the idle limit is believed"
