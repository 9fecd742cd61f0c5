"""Events on the bench become the effort machine's, with an injected clock."""

import numpy as np
import pytest

from costal.labels.effort import EventKind, PauseReason, derive
from napari_costal.labelling.presentation import ACTIVITY_EVERY_NS, COVERS, KeyStrokes, Presenter

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


def test_a_key_that_was_pressed_before_the_crop_was_painted_is_not_meant_for_it(presenter, clock):
    presentation = presenter.open(3, 1, 20 * SECOND)
    pressed = clock()
    clock.now += 1
    presenter.painted(clock())
    assert not presentation.may_end(pressed)
    assert presentation.may_end(clock())


def test_a_pause_covers_the_crop_and_stops_the_clock(presenter, clock, covers):
    presentation = presenter.open(0, None, 20 * SECOND)
    presenter.painted(clock())
    clock.now += SECOND
    presenter.pause(PauseReason.USER)
    presenter.pause(PauseReason.FOCUS)
    clock.now += 30 * SECOND
    presenter.resume(PauseReason.USER)
    assert presentation.is_paused, "the focus is still elsewhere"
    assert covers == [COVERS[PauseReason.USER], "Paused (focus lost)"]
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


@pytest.mark.parametrize(("ms", "is_taken"), [(0, False), (40, False), (149, False), (150, True), (900, True)])
def test_an_answer_sooner_than_anybody_can_decide_is_refused_with_its_time(presenter, clock, ms, is_taken):
    presenter.open(3, 1, 20 * SECOND)
    presenter.painted(clock())
    clock.now += ms * 10**6
    expected = "" if is_taken else f"Too fast: this crop was on screen for {ms} ms. Press again."
    assert presenter.refusal() == expected


def test_a_key_that_waited_is_judged_by_when_it_was_pressed(presenter, clock):
    presenter.key_heard(clock.now // 10**6)  # this one did not wait
    presenter.open(3, 1, 20 * SECOND)
    presenter.painted(clock())
    clock.now += 400 * 10**6
    presenter.key_heard(clock.now // 10**6 - 300)
    assert "on screen for 100 ms" in presenter.refusal()


def test_an_answer_before_the_first_paint_is_refused(presenter, clock):
    presenter.open(3, 1, 20 * SECOND)
    clock.now += SECOND
    assert "on screen for 0 ms" in presenter.refusal()


@pytest.mark.parametrize(
    ("key", "gap_ms", "is_repeat"), [(49, 0, True), (49, 19, True), (49, 20, False), (50, 0, False)]
)
def test_a_key_pressed_as_it_was_released_is_held(key, gap_ms, is_repeat):
    strokes = KeyStrokes()
    assert not strokes.is_repeat(49, 500), "it was never released"
    strokes.released(49, 1000)
    assert strokes.is_repeat(key, 1000 + gap_ms) is is_repeat


@pytest.mark.parametrize("reason", [PauseReason.IDLE, PauseReason.USER])
def test_only_a_pause_by_the_expert_or_by_idling_is_ended_by_a_key(presenter, clock, covers, reason):
    presentation = presenter.open(0, 1, 20 * SECOND)
    presenter.painted(clock())
    assert not presenter.uncover()
    presenter.pause(PauseReason.FOCUS)
    assert not presenter.uncover(), "a click elsewhere must do what it says"
    presenter.resume(PauseReason.FOCUS)
    presenter.pause(reason)
    assert covers[-1] == COVERS[reason]
    assert presenter.uncover()
    assert covers[-1] == ""
    assert not presentation.is_paused
