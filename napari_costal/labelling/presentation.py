"""One presented crop: its raw effort events, recorded with an injected clock. No Qt."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from costal.errors import EffortError
from costal.labels.effort import (
    TERMINAL,
    EffortState,
    Event,
    EventKind,
    PauseReason,
    Phase,
    advance,
    is_too_soon,
)
from costal.labels.records import NOBODY, Asker, QueryReason

LATE_NS = 500_000_000
LONGEST_LAG_NS = 10_000_000_000
LAGS_REMEMBERED = 50
AT_ONCE_NS = 50_000_000
ACTIVITY_EVERY_NS = 250_000_000
"""Mouse moves come by the hundred; one activity event in this time is enough."""

REPEAT_MS = 20
"""A finger needs longer to release a key and press it again."""
HOW_TO_GO_ON = "Press any key or click to show the crop again.\nThat key or click does nothing else."
COVERS = {
    PauseReason.IDLE: f"Paused: nothing happened for a while.\n{HOW_TO_GO_ON}",
    PauseReason.USER: f"Paused.\n{HOW_TO_GO_ON}",
}

Clock = Callable[[], tuple[int, int]]


def system_clock() -> tuple[int, int]:
    """Return the monotonic clock and the wall clock, in nanoseconds."""
    return time.perf_counter_ns(), time.time_ns()


@dataclass(slots=True)
class Presentation:
    """A crop of the frame being labelled: `index` in the grid, `rank` in the query (None if the expert chose it).

    `why` is the view of the model of `generation` when the crop was presented, and `asker` is that model; a `control`
    was drawn at random; a `repeated` crop was answered before and is shown again unmarked; `during_fit`: models
    were trained while the crop was on the screen.
    """

    index: int
    rank: int | None
    idle_limit_ns: int
    clock: Clock = system_clock
    why: QueryReason = field(default_factory=QueryReason)
    generation: int = 0
    control: bool = False
    prediction_shown: bool = False
    repeated: bool = False
    unsure: bool = False
    note: str = ""
    asker: Asker = NOBODY
    during_fit: bool = False
    state: EffortState = field(default_factory=EffortState)
    events: list[Event] = field(default_factory=list)

    @property
    def is_shown(self) -> bool:
        """Whether it was painted and has not ended; only then it can be answered."""
        return self.state.phase in (Phase.ACTIVE, Phase.PAUSED)

    @property
    def has_ended(self) -> bool:
        """Whether it was answered, skipped or abandoned."""
        return self.state.phase in TERMINAL

    @property
    def is_paused(self) -> bool:
        """Whether its timer is paused."""
        return bool(self.state.pauses)

    def may_end(self, at: tuple[int, int]) -> bool:
        """Return whether an answer at that time is for this crop: it is visible, and was when the key was pressed."""
        is_early = self.state.shown_ns is not None and at[0] < self.state.shown_ns
        return not self.is_paused and not is_early

    def idle_ns(self) -> int:
        """Return for how long nothing happened while the timer runs."""
        if self.state.phase is not Phase.ACTIVE or self.state.last is None:
            return 0
        return self.clock()[0] - self.state.last.perf_ns

    def active_s(self) -> float:
        """Return the seconds to show: those counted, plus those since the last event while the timer runs."""
        since_ns = 0
        if not self.state.known_part_ended:
            since_ns = min(self.idle_ns(), self.idle_limit_ns)
        return (self.state.active_ns + max(since_ns, 0)) / 1e9

    def record(self, kind: EventKind, reason: PauseReason | None = None, at: tuple[int, int] | None = None) -> bool:
        """Record an event and return whether it counted: activity that is late or too soon after the last does not.

        An event that happened before the last one but arrives after it gets the time of the last one.
        """
        perf_ns, utc_ns = at or self.clock()
        if at is not None and self.state.last is not None:
            late_ns = max(self.state.last.perf_ns - perf_ns, 0)
            perf_ns, utc_ns = perf_ns + late_ns, utc_ns + late_ns
        if kind is EventKind.ACTIVITY and not self._is_news(perf_ns):
            return False
        event = Event(kind, perf_ns, utc_ns, reason)
        try:
            self.state = advance(self.state, event, self.idle_limit_ns)
        except EffortError:
            return False
        self.events.append(event)
        return True

    def _is_news(self, perf_ns: int) -> bool:
        last = self.state.last
        return self.state.phase is Phase.ACTIVE and last is not None and perf_ns - last.perf_ns >= ACTIVITY_EVERY_NS


class KeyClock:
    """Measures how long a key event waited until it was handled: the window may have been busy.

    The event carries the window system's time. Its offset from our clock is unknown, but the smallest recent offset
    belongs to a key that did not wait.
    """

    def __init__(self) -> None:
        self._distances_ns: deque[int] = deque(maxlen=LAGS_REMEMBERED)

    def lag_ns(self, timestamp_ms: int, heard_ns: int) -> int:
        """Return how long a key waited, 0 if its time is not plausible."""
        if timestamp_ms <= 0:
            return 0
        self._distances_ns.append(heard_ns - timestamp_ms * 1_000_000)
        lag_ns = self._distances_ns[-1] - min(self._distances_ns)
        return lag_ns if lag_ns < LONGEST_LAG_NS else 0


class KeyStrokes:
    """Distinguishes a new key press from the repeats of a key that is held.

    X11 repeats a key by a release and a press at the same time, and Qt reports some of these as new presses.
    """

    def __init__(self) -> None:
        self._released_ms: dict[int, int] = {}

    def released(self, key: int, timestamp_ms: int) -> None:
        """Note when a key was released."""
        self._released_ms[key] = timestamp_ms

    def is_repeat(self, key: int, timestamp_ms: int) -> bool:
        """Return whether a pressed key has been held since its last press."""
        released_ms = self._released_ms.get(key)
        return released_ms is not None and 0 <= timestamp_ms - released_ms < REPEAT_MS


class Presenter:
    """The current presentation, if any, and the events that reach it; `cover` hides the crop behind a text."""

    def __init__(self, cover: Callable[[str], None], clock: Clock = system_clock) -> None:
        self._cover, self._clock = cover, clock
        self.current: Presentation | None = None
        self._standing: set[PauseReason] = set()
        self._ticked_ns = 0
        self._keys = KeyClock()
        self._key_heard_ns, self._key_lag_ns = 0, 0

    def open(self, index: int, rank: int | None, idle_limit_ns: int) -> Presentation:
        """Return a new presentation; its timer starts with the first paint."""
        self._standing -= {PauseReason.USER, PauseReason.IDLE}
        self.current = Presentation(index, rank, idle_limit_ns, self._clock)
        return self.current

    def painted(self, at: tuple[int, int]) -> None:
        """Start the timer: the crop is on the screen. Earlier reasons to pause, such as lost focus, still apply."""
        if self.current is not None and self.current.record(EventKind.SHOWN, at=at):
            for reason in sorted(self._standing):
                self.pause(reason)

    def key_heard(self, timestamp_ms: int) -> None:
        """Note a key event with the window system's time of the press."""
        self._key_heard_ns = self._clock()[0]
        self._key_lag_ns = self._keys.lag_ns(timestamp_ms, self._key_heard_ns)

    def moment(self) -> tuple[int, int]:
        """Return the time of the event being handled: for a key, the time when it was pressed."""
        perf_ns, utc_ns = self._clock()
        lag_ns = self._key_lag_ns if perf_ns - self._key_heard_ns < AT_ONCE_NS else 0
        return perf_ns - lag_ns, utc_ns - lag_ns

    def active(self) -> None:
        """Note that the expert moved, clicked or typed."""
        if self.current is not None:
            self.current.record(EventKind.ACTIVITY)

    def uncover(self) -> bool:
        """End a pause by the expert or by idling; return whether there was one, which uses up the key or click."""
        reasons = {PauseReason.IDLE, PauseReason.USER}
        current_pauses = reasons & self.current.state.pauses if self.current is not None else set()
        for reason in sorted(current_pauses):
            self.resume(reason)
        return bool(current_pauses)

    def refusal(self) -> str:
        """Return why an answer is refused now; empty if it is accepted."""
        now, perf_ns = self.current, self.moment()[0]
        if now is None or now.has_ended or not is_too_soon(now.state, perf_ns):
            return ""
        shown_ns = perf_ns if now.state.shown_ns is None else now.state.shown_ns
        return f"Too fast: this crop was on screen for {max(perf_ns - shown_ns, 0) // 1_000_000} ms. Press again."

    def tick(self) -> None:
        """Pause if nothing happened for longer than the idle limit; the effort is then a lower bound.

        A late tick does not pause: a key that was pressed meanwhile may still wait to be handled.
        """
        now_ns = self._clock()[0]
        was_late = now_ns - self._ticked_ns > LATE_NS
        self._ticked_ns = now_ns
        if self.current is not None and not was_late and self.current.idle_ns() > self.current.idle_limit_ns:
            self.pause(PauseReason.IDLE)

    def pause(self, reason: PauseReason) -> None:
        """Pause the timer and cover the crop."""
        self._standing.add(reason)
        if self.current is not None and self.current.is_shown and self.current.record(EventKind.PAUSED, reason):
            self._cover(COVERS.get(reason, f"Paused ({reason})"))

    def resume(self, reason: PauseReason) -> None:
        """Let the timer run again, unless there is another reason to pause."""
        self._standing.discard(reason)
        if self.current is not None and reason in self.current.state.pauses:
            self.current.record(EventKind.RESUMED, reason)
            if not self.current.is_paused:
                self._cover("")
