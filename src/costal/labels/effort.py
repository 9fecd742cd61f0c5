"""The effort machine: from raw events of one presentation to seconds that a model may learn from. Pure.

    QUEUED -> SHOWN -> ACTIVE <-> PAUSED -> ANSWERED | SKIPPED | ABANDONED

Events come in, a new state comes out; no clock is read here. Only time between signs of an active expert counts: being
shown, activity, pausing (leaving the window is an act too), resuming, answering. A gap beyond the idle limit ends the
known part: the effort is right-censored at the last sign of activity. A skipped or abandoned crop's time is censored
too (at least so long). Suspend, crash and clock jumps make an effort unusable; nothing else does, and nothing ever adds
seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce

from costal.errors import EffortError

DERIVATION = 1
"""Version of the rules by which seconds follow from events; exports carry it."""
CLOCK_TOLERANCE_NS = 2_000_000_000
"""How far wall clock and monotonic clock may drift apart between two events."""
FASTEST_ANSWER_NS = 150_000_000
"""Nobody sees a crop and decides in less time: an answer that comes sooner was meant for the crop before."""


class EventKind(StrEnum):
    """What happened to a presentation."""

    SHOWN = "shown"
    ACTIVITY = "activity"
    PAUSED = "paused"
    RESUMED = "resumed"
    ANSWERED = "answered"
    SKIPPED = "skipped"
    ABANDONED = "abandoned"


class PauseReason(StrEnum):
    """Why the timer is paused; several reasons may apply at once."""

    FOCUS = "focus lost"
    USER = "user"
    MODAL = "modal window"
    IDLE = "idle"
    SUSPEND = "suspend"


class Phase(StrEnum):
    """Where a presentation is in its life."""

    QUEUED = "queued"
    ACTIVE = "active"
    PAUSED = "paused"
    ANSWERED = "answered"
    SKIPPED = "skipped"
    ABANDONED = "abandoned"


ENDS = {
    EventKind.ANSWERED: Phase.ANSWERED,
    EventKind.SKIPPED: Phase.SKIPPED,
    EventKind.ABANDONED: Phase.ABANDONED,
}
TERMINAL = frozenset(ENDS.values())


@dataclass(frozen=True, slots=True)
class Event:
    """One raw event: `perf_ns` of ``perf_counter_ns``, `utc_ns` of ``time_ns``, and why it paused or resumed."""

    kind: EventKind
    perf_ns: int
    utc_ns: int
    reason: PauseReason | None = None


@dataclass(frozen=True, slots=True)
class EffortState:
    """A presentation so far; `last` is the event that the next gap is measured from."""

    phase: Phase = Phase.QUEUED
    pauses: frozenset[PauseReason] = frozenset()
    shown_ns: int | None = None
    last: Event | None = None
    active_ns: int = 0
    known_part_ended: bool = False
    excluded: str = ""


@dataclass(frozen=True, slots=True)
class Effort:
    """The derived effort of one presentation: nanoseconds active, idle (pauses and gaps) and elapsed.

    `censored` says that `active_ns` is a lower bound; `usable` that the cost model may learn from it, `reason` why not.
    """

    active_ns: int
    idle_ns: int
    elapsed_ns: int
    censored: bool
    usable: bool
    reason: str = ""

    @property
    def active_s(self) -> float:
        """Seconds of activity."""
        return self.active_ns / 1e9


def advance(state: EffortState, event: Event, idle_limit_ns: int) -> EffortState:
    """Return the state after an event.

    Raises
    ------
    EffortError
        When the event cannot happen in this state: an answer before the crop was painted, anything after the end.
    """
    if state.phase in TERMINAL:
        raise EffortError(f"'{event.kind}' came after the presentation had ended as '{state.phase}'.")
    if state.phase is Phase.QUEUED and event.kind in (EventKind.ANSWERED, EventKind.SKIPPED):
        raise EffortError(f"'{event.kind}' came before the crop was shown. Wait until it is painted.")
    if event.kind in (EventKind.PAUSED, EventKind.RESUMED) and event.reason is None:
        raise EffortError(f"'{event.kind}' came without a reason. Say why the timer is paused.")
    if event.kind is EventKind.SHOWN and state.phase is not Phase.QUEUED:
        raise EffortError("A crop is shown once per presentation. Open a new presentation to show it again.")
    return _moved(_counted(_checked(state, event), event, idle_limit_ns), event)


def _checked(state: EffortState, event: Event) -> EffortState:
    """Exclude the effort when the clocks disagree or the machine slept."""
    if event.reason is PauseReason.SUSPEND:
        return replace(state, excluded="the machine was suspended")
    if state.last is None:
        return state
    passed_ns = event.perf_ns - state.last.perf_ns
    if passed_ns < 0 or abs((event.utc_ns - state.last.utc_ns) - passed_ns) > CLOCK_TOLERANCE_NS:
        return replace(state, excluded="the clock jumped or the machine was suspended")
    return state


def _counted(state: EffortState, event: Event, idle_limit_ns: int) -> EffortState:
    """Add the gap since the last event to the active time, or end the known part where the gap is too long."""
    if state.phase is not Phase.ACTIVE or state.last is None or state.known_part_ended:
        return state
    gap_ns = event.perf_ns - state.last.perf_ns
    if gap_ns > idle_limit_ns or (event.kind is EventKind.PAUSED and event.reason is PauseReason.IDLE):
        return replace(state, known_part_ended=True)
    return replace(state, active_ns=state.active_ns + max(gap_ns, 0))


def _moved(state: EffortState, event: Event) -> EffortState:
    """Return the state in the phase that the event leads to."""
    state = replace(state, last=event)
    if event.kind in ENDS:
        return replace(state, phase=ENDS[event.kind])
    if event.reason is not None:
        change = state.pauses.union if event.kind is EventKind.PAUSED else state.pauses.difference
        state = replace(state, pauses=change({event.reason}))
    if event.kind is EventKind.SHOWN:
        state = replace(state, shown_ns=event.perf_ns)
    if state.shown_ns is None:
        return state
    return replace(state, phase=Phase.PAUSED if state.pauses else Phase.ACTIVE)


def is_too_soon(state: EffortState, perf_ns: int) -> bool:
    """Return whether an answer of that moment comes before anybody can have seen the crop and decided."""
    return state.shown_ns is None or perf_ns - state.shown_ns < FASTEST_ANSWER_NS


def replay(events: Iterable[Event], idle_limit_ns: int) -> EffortState:
    """Return the state that a whole list of events leads to: the same as advancing live."""
    return reduce(lambda state, event: advance(state, event, idle_limit_ns), events, EffortState())


def derive(state: EffortState) -> Effort:
    """Return the effort of a presentation; one that never ended counts as a crash and is not usable."""
    elapsed_ns = state.last.perf_ns - state.shown_ns if state.last and state.shown_ns is not None else 0
    reason = state.excluded
    if state.shown_ns is None:
        reason = reason or "the crop was never shown"
    elif state.phase not in TERMINAL:
        reason = reason or "the presentation never ended (crash)"
    censored = state.known_part_ended or state.phase in (Phase.SKIPPED, Phase.ABANDONED)
    return Effort(state.active_ns, elapsed_ns - state.active_ns, elapsed_ns, censored, not reason, reason)
