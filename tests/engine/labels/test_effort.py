import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.errors import EffortError
from costal.labels.effort import (
    CLOCK_TOLERANCE_NS,
    EffortState,
    Event,
    EventKind,
    PauseReason,
    Phase,
    advance,
    derive,
    is_too_soon,
    replay,
)

S = 1_000_000_000
LIMIT_NS = 20 * S
UTC_START = 1_700_000_000 * S
SHOWN, ACTIVITY, PAUSED, RESUMED, ANSWERED, SKIPPED, ABANDONED = EventKind
FOCUS, USER, MODAL, IDLE, SUSPEND = PauseReason


def event(kind, at_ns, reason=None, drift_ns=0):
    return Event(kind, 5_000 + at_ns, UTC_START + at_ns + drift_ns, reason)


def effort_of(*events):
    return derive(replay(events, LIMIT_NS))


# answers


@pytest.mark.parametrize(("after_ns", "is_refused"), [(-1, True), (S * 149 // 1000, True), (S * 150 // 1000, False)])
def test_nobody_answers_within_150_ms_of_the_first_paint(after_ns, is_refused):
    shown = replay([event(SHOWN, 7), event(ACTIVITY, S // 10)], LIMIT_NS)
    assert is_too_soon(shown, 5_007 + after_ns) is is_refused
    assert is_too_soon(EffortState(), 10**15), "a crop that was not painted"


def test_quick_answers_that_were_stored_before_the_rule_are_read_on():
    assert effort_of(event(SHOWN, 0), event(ANSWERED, 4)).usable


# seconds


def test_active_time_runs_from_shown_to_answered_to_the_nanosecond():
    effort = effort_of(event(SHOWN, 0), event(ACTIVITY, 3 * S + 1), event(ANSWERED, 7 * S + 3))
    assert (effort.active_ns, effort.idle_ns, effort.elapsed_ns) == (7 * S + 3, 0, 7 * S + 3)
    assert (effort.censored, effort.usable, effort.reason) == (False, True, "")
    assert effort.active_s == 7.000000003


def test_the_clock_starts_when_the_crop_is_painted_not_when_it_is_asked_for():
    assert effort_of(event(ACTIVITY, 0), event(SHOWN, 4 * S), event(ANSWERED, 6 * S)).elapsed_ns == 2 * S


def test_a_pause_is_idle_time():
    effort = effort_of(
        event(SHOWN, 0), event(PAUSED, 2 * S, FOCUS), event(RESUMED, 9 * S, FOCUS), event(ANSWERED, 10 * S)
    )
    assert (effort.active_ns, effort.idle_ns, effort.elapsed_ns) == (3 * S, 7 * S, 10 * S)
    assert not effort.censored


def test_a_pause_may_last_longer_than_the_idle_limit_without_censoring():
    effort = effort_of(
        event(SHOWN, 0), event(PAUSED, S, USER), event(RESUMED, 3600 * S, USER), event(ANSWERED, 3601 * S)
    )
    assert (effort.active_ns, effort.censored, effort.usable) == (2 * S, False, True)


@pytest.mark.parametrize("order", list(itertools.permutations([FOCUS, USER, MODAL])))
def test_the_clock_stands_still_until_the_last_of_several_reasons_is_gone(order):
    pauses = [event(PAUSED, (1 + index) * S, reason) for index, reason in enumerate((FOCUS, USER, MODAL))]
    resumes = [event(RESUMED, (11 + index) * S, reason) for index, reason in enumerate(order)]
    effort = effort_of(event(SHOWN, 0), *pauses, *resumes, event(ANSWERED, 15 * S))
    assert effort.active_ns == (1 + 2) * S


def test_the_same_reason_twice_is_one_pause():
    effort = effort_of(
        event(SHOWN, 0), event(PAUSED, 1 * S, FOCUS), event(PAUSED, 2 * S, FOCUS), event(RESUMED, 3 * S, FOCUS),
        event(ANSWERED, 5 * S),
    )  # fmt: skip
    assert effort.active_ns == 3 * S


def test_a_crop_shown_while_the_window_has_no_focus_waits_for_it():
    effort = effort_of(event(PAUSED, 0, FOCUS), event(SHOWN, S), event(RESUMED, 5 * S, FOCUS), event(ANSWERED, 8 * S))
    assert (effort.active_ns, effort.elapsed_ns) == (3 * S, 7 * S)


def test_an_answer_during_a_pause_ends_it_without_adding_time():
    assert effort_of(event(SHOWN, 0), event(PAUSED, 2 * S, USER), event(ANSWERED, 9 * S)).active_ns == 2 * S


# censoring


@pytest.mark.parametrize(
    ("gap_ns", "active_ns", "censored"),
    [(LIMIT_NS, 5 * S + LIMIT_NS + S, False), (LIMIT_NS + 1, 5 * S, True)],
    ids=["exactly the limit", "a nanosecond more"],
)
def test_a_gap_beyond_the_idle_limit_censors_at_the_last_activity(gap_ns, active_ns, censored):
    effort = effort_of(
        event(SHOWN, 0), event(ACTIVITY, 5 * S), event(ACTIVITY, 5 * S + gap_ns), event(ANSWERED, 6 * S + gap_ns)
    )
    assert (effort.active_ns, effort.censored, effort.usable) == (active_ns, censored, True)


@pytest.mark.parametrize("end", [SKIPPED, ABANDONED])
def test_a_skipped_or_abandoned_crop_took_at_least_so_long(end):
    effort = effort_of(event(SHOWN, 0), event(end, 4 * S))
    assert (effort.active_ns, effort.censored, effort.usable) == (4 * S, True, True)


def test_an_idle_pause_censors_at_the_last_activity():
    effort = effort_of(
        event(SHOWN, 0), event(ACTIVITY, 5 * S), event(PAUSED, 15 * S, IDLE), event(RESUMED, 60 * S, IDLE),
        event(ACTIVITY, 61 * S), event(ANSWERED, 63 * S),
    )  # fmt: skip
    assert (effort.active_ns, effort.elapsed_ns, effort.censored, effort.usable) == (5 * S, 63 * S, True, True)


def test_an_idle_pause_censors_where_nothing_was_done_at_all():
    effort = effort_of(event(SHOWN, 0), event(PAUSED, 20 * S, IDLE), event(ABANDONED, 90 * S))
    assert (effort.active_ns, effort.censored) == (0, True)


def test_an_idle_pause_is_a_pause_until_it_is_resumed():
    state = replay((event(SHOWN, 0), event(PAUSED, S, IDLE), event(ACTIVITY, 2 * S)), LIMIT_NS)
    assert state.phase is Phase.PAUSED
    assert advance(state, event(RESUMED, 3 * S, IDLE), LIMIT_NS).phase is Phase.ACTIVE


def test_growing_idle_while_the_window_has_no_focus_censors_nothing():
    effort = effort_of(
        event(SHOWN, 0), event(PAUSED, 2 * S, FOCUS), event(PAUSED, 22 * S, IDLE), event(RESUMED, 30 * S, FOCUS),
        event(RESUMED, 31 * S, IDLE), event(ANSWERED, 34 * S),
    )  # fmt: skip
    assert (effort.active_ns, effort.censored) == (5 * S, False)


def test_waking_up_when_nobody_was_idle_changes_nothing():
    plain = effort_of(event(SHOWN, 0), event(ANSWERED, 8 * S))
    assert effort_of(event(SHOWN, 0), event(RESUMED, 3 * S, IDLE), event(ANSWERED, 8 * S)) == plain


# what excludes


@pytest.mark.parametrize(
    "events",
    [
        pytest.param((event(PAUSED, S, SUSPEND), event(RESUMED, 2 * S, SUSPEND)), id="suspend told by the system"),
        pytest.param((event(ACTIVITY, S, drift_ns=CLOCK_TOLERANCE_NS + 1),), id="wall clock ahead: slept unseen"),
        pytest.param((event(ACTIVITY, S, drift_ns=-CLOCK_TOLERANCE_NS - 1),), id="wall clock set back"),
        pytest.param((event(ACTIVITY, 2 * S), event(ACTIVITY, S)), id="monotonic clock went back"),
    ],
)
def test_suspend_and_clock_jumps_exclude(events):
    drift_ns = events[-1].utc_ns - UTC_START - (events[-1].perf_ns - 5_000)
    effort = effort_of(event(SHOWN, 0), *events, event(ANSWERED, 3 * S, drift_ns=drift_ns))
    assert not effort.usable
    assert "suspended" in effort.reason


def test_a_clock_corrected_within_the_tolerance_does_not_exclude():
    effort = effort_of(event(SHOWN, 0), event(ANSWERED, S, drift_ns=CLOCK_TOLERANCE_NS))
    assert (effort.usable, effort.active_ns) == (True, S)


def test_a_presentation_without_an_end_is_a_crash():
    effort = effort_of(event(SHOWN, 0), event(ACTIVITY, 3 * S))
    assert not effort.usable
    assert "crash" in effort.reason


@pytest.mark.parametrize("events", [(), (event(ACTIVITY, 0),), (event(ABANDONED, 3 * S),)])
def test_a_crop_that_was_never_shown_has_no_effort(events):
    effort = effort_of(*events)
    assert (effort.active_ns, effort.elapsed_ns, effort.usable) == (0, 0, False)
    assert "never shown" in effort.reason


# the transition table

BEFORE = {
    Phase.QUEUED: (),
    Phase.ACTIVE: (event(SHOWN, 0),),
    Phase.PAUSED: (event(SHOWN, 0), event(PAUSED, 0, FOCUS)),
    Phase.ANSWERED: (event(SHOWN, 0), event(ANSWERED, 0)),
    Phase.SKIPPED: (event(SHOWN, 0), event(SKIPPED, 0)),
    Phase.ABANDONED: (event(SHOWN, 0), event(ABANDONED, 0)),
}
AFTER = {
    (Phase.QUEUED, SHOWN): Phase.ACTIVE,
    (Phase.QUEUED, ACTIVITY): Phase.QUEUED,
    (Phase.QUEUED, PAUSED): Phase.QUEUED,
    (Phase.QUEUED, RESUMED): Phase.QUEUED,
    (Phase.QUEUED, ABANDONED): Phase.ABANDONED,
    (Phase.ACTIVE, ACTIVITY): Phase.ACTIVE,
    (Phase.ACTIVE, PAUSED): Phase.PAUSED,
    (Phase.ACTIVE, RESUMED): Phase.ACTIVE,
    (Phase.ACTIVE, ANSWERED): Phase.ANSWERED,
    (Phase.ACTIVE, SKIPPED): Phase.SKIPPED,
    (Phase.ACTIVE, ABANDONED): Phase.ABANDONED,
    (Phase.PAUSED, ACTIVITY): Phase.PAUSED,
    (Phase.PAUSED, PAUSED): Phase.PAUSED,
    (Phase.PAUSED, RESUMED): Phase.ACTIVE,
    (Phase.PAUSED, ANSWERED): Phase.ANSWERED,
    (Phase.PAUSED, SKIPPED): Phase.SKIPPED,
    (Phase.PAUSED, ABANDONED): Phase.ABANDONED,
}


@pytest.mark.parametrize(("phase", "kind"), list(itertools.product(Phase, EventKind)))
def test_every_event_in_every_phase_moves_as_the_table_says_or_is_refused(phase, kind):
    state = replay(BEFORE[phase], LIMIT_NS)
    assert state.phase is phase
    reason = FOCUS if kind in (PAUSED, RESUMED) else None
    if (phase, kind) in AFTER:
        assert advance(state, event(kind, S, reason), LIMIT_NS).phase is AFTER[phase, kind]
    else:
        with pytest.raises(EffortError):
            advance(state, event(kind, S, reason), LIMIT_NS)


@pytest.mark.parametrize(
    ("before", "kind", "sentence"),
    [
        (Phase.QUEUED, ANSWERED, "'answered' came before the crop was shown"),
        (Phase.QUEUED, SKIPPED, "'skipped' came before the crop was shown"),
        (Phase.ACTIVE, SHOWN, "shown once per presentation"),
        (Phase.SKIPPED, ANSWERED, "'answered' came after the presentation had ended as 'skipped'"),
    ],
)
def test_a_refused_event_says_why(before, kind, sentence):
    with pytest.raises(EffortError, match=sentence):
        advance(replay(BEFORE[before], LIMIT_NS), event(kind, S), LIMIT_NS)


# invariants

GAPS_NS = st.integers(0, 2 * LIMIT_NS)
SHORT_GAPS_NS = st.integers(0, LIMIT_NS // 4)


@st.composite
def presentations(draw, gaps=GAPS_NS, reasons=(FOCUS, USER, MODAL, IDLE)):
    """Return the events of one whole presentation, in order."""
    pauses = st.tuples(st.sampled_from([PAUSED, RESUMED]), st.sampled_from(reasons))
    at_ns, events = 0, [event(SHOWN, 0)]
    for kind, reason in draw(st.lists(st.tuples(st.just(ACTIVITY), st.none()) | pauses, max_size=8)):
        at_ns += draw(gaps)
        events.append(event(kind, at_ns, reason))
    return [*events, event(draw(st.sampled_from([ANSWERED, SKIPPED, ABANDONED])), at_ns + draw(gaps))]


@given(presentations())
def test_replay_equals_advancing_live(events):
    live = EffortState()
    for each in events:
        live = advance(live, each, LIMIT_NS)
    assert replay(events, LIMIT_NS) == live


@given(presentations())
def test_active_and_idle_make_up_elapsed_and_none_is_negative(events):
    effort = effort_of(*events)
    assert effort.active_ns + effort.idle_ns == effort.elapsed_ns == events[-1].perf_ns - events[0].perf_ns
    assert 0 <= effort.active_ns <= effort.elapsed_ns
    assert effort.idle_ns >= 0


@given(presentations(SHORT_GAPS_NS, reasons=(FOCUS, USER, MODAL)), st.data())
def test_a_pause_more_never_adds_active_time(events, data):
    place = data.draw(st.integers(1, len(events) - 1))
    begin, end = events[place - 1].perf_ns - 5_000, events[place].perf_ns - 5_000
    pause = event(PAUSED, data.draw(st.integers(begin, end)), data.draw(st.sampled_from([FOCUS, USER, MODAL, IDLE])))
    paused = effort_of(*events[:place], pause, *events[place:])
    assert paused.active_ns <= effort_of(*events).active_ns


@given(presentations(), st.integers(1, 3 * LIMIT_NS))
def test_a_shorter_idle_limit_never_adds_active_time(events, limit_ns):
    short, long = derive(replay(events, limit_ns)), derive(replay(events, limit_ns + S))
    assert short.active_ns <= long.active_ns
    assert short.censored >= long.censored
