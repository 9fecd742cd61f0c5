"""The active time of an action on several crops: from the first choice, or the new page, to the key. No Qt."""

from napari_costal.labelling.presentation import Clock, system_clock


class ActionClock:
    """Adds up the time between the expert's inputs; pauses, and gaps beyond the idle limit, do not count."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._idle_limit_ns = 0
        self._active_ns = 0
        self._last_ns: int | None = None
        self._is_paused = False

    @property
    def is_running(self) -> bool:
        """Whether an action has begun."""
        return self._last_ns is not None

    def begin(self, idle_limit_s: float) -> None:
        """Begin an action now, unless one has begun."""
        if self._last_ns is None:
            self._active_ns, self._idle_limit_ns = 0, round(idle_limit_s * 1e9)
            self._last_ns = self._clock()[0]

    def stop(self) -> None:
        """End or cancel the action."""
        self._last_ns = None

    def active(self) -> None:
        """Note that the expert moved, clicked or typed."""
        if self._last_ns is None:
            return
        now_ns = self._clock()[0]
        gap_ns = now_ns - self._last_ns
        if not self._is_paused and 0 <= gap_ns <= self._idle_limit_ns:
            self._active_ns += gap_ns
        self._last_ns = now_ns

    def pause(self, is_paused: bool) -> None:
        """Stop the clock while another window is active, or start it again."""
        self.active()
        self._is_paused = is_paused

    def read_s(self) -> float:
        """Return the active seconds up to now."""
        self.active()
        return self._active_ns / 1e9 if self.is_running else 0.0
