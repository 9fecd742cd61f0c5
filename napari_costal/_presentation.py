"""One crop before the expert: its raw effort events, recorded by an injected clock. No Qt."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from costal.errors import EffortError
from costal.labels.effort import TERMINAL, EffortState, Event, EventKind, PauseReason, Phase, advance

ACTIVITY_EVERY_NS = 250_000_000
"""Moves of the mouse come by the hundred; one sign of activity in this time is enough."""

Clock = Callable[[], tuple[int, int]]


def system_clock() -> tuple[int, int]:
    """Return the monotonic clock and the wall clock, in nanoseconds."""
    return time.perf_counter_ns(), time.time_ns()


@dataclass(slots=True)
class Presentation:
    """A crop of the frame on the bench: `index` in the grid, `rank` in the query (None when the expert chose it).

    `why` is what the model thought of it when it was presented, by the names of `AnswerRecord`.
    """

    index: int
    rank: int | None
    idle_limit_ns: int
    clock: Clock = system_clock
    why: dict[str, float | int | bool] = field(default_factory=dict)
    state: EffortState = field(default_factory=EffortState)
    events: list[Event] = field(default_factory=list)

    @property
    def is_shown(self) -> bool:
        """Whether it was painted and has not ended: only then can it be answered."""
        return self.state.phase in (Phase.ACTIVE, Phase.PAUSED)

    @property
    def has_ended(self) -> bool:
        """Whether it was answered, skipped or abandoned."""
        return self.state.phase in TERMINAL

    @property
    def is_paused(self) -> bool:
        """Whether its clock stands still."""
        return bool(self.state.pauses)

    def active_s(self) -> float:
        """Return the seconds to show: those that count, and since the last event, while the clock runs."""
        since_ns = 0
        if self.state.phase is Phase.ACTIVE and self.state.last is not None and not self.state.known_part_ended:
            since_ns = min(self.clock()[0] - self.state.last.perf_ns, self.idle_limit_ns)
        return (self.state.active_ns + max(since_ns, 0)) / 1e9

    def record(self, kind: EventKind, reason: PauseReason | None = None, at: tuple[int, int] | None = None) -> bool:
        """Return whether the event counted: a late sign of activity, or one too soon after the last, does not."""
        perf_ns, utc_ns = at or self.clock()
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


class Presenter:
    """The presentation on the bench, if any, and the events that reach it; `cover` hides the crop behind a text."""

    def __init__(self, cover: Callable[[str], None], clock: Clock = system_clock) -> None:
        self._cover, self._clock = cover, clock
        self.current: Presentation | None = None
        self._standing: set[PauseReason] = set()

    def open(self, index: int, rank: int | None, idle_limit_ns: int) -> Presentation:
        """Return a new presentation; its effort begins with the first paint."""
        self._standing.discard(PauseReason.USER)
        self.current = Presentation(index, rank, idle_limit_ns, self._clock)
        return self.current

    def painted(self, at: tuple[int, int]) -> None:
        """Begin the effort: the crop is on the screen. What paused before it came, such as lost focus, holds on."""
        if self.current is not None and self.current.record(EventKind.SHOWN, at=at):
            for reason in sorted(self._standing):
                self.pause(reason)

    def active(self) -> None:
        """Note that the expert moved, clicked or typed."""
        if self.current is not None:
            self.current.record(EventKind.ACTIVITY)

    def pause(self, reason: PauseReason) -> None:
        """Stop the clock and cover the crop."""
        self._standing.add(reason)
        if self.current is not None and self.current.is_shown and self.current.record(EventKind.PAUSED, reason):
            self._cover(f"Paused ({reason})")

    def resume(self, reason: PauseReason) -> None:
        """Let the clock run again, unless there is another reason to pause."""
        self._standing.discard(reason)
        if self.current is not None and reason in self.current.state.pauses:
            self.current.record(EventKind.RESUMED, reason)
            if not self.current.is_paused:
                self._cover("")
