"""The scoring of the current frame; the heatmap of a large one fills in band by band."""

import time
from collections.abc import Callable
from typing import Any

from costal.scoring.kept import SCORED, Band
from costal.scoring.prepare import Prepared, ScoreRequest, prepare
from costal.scoring.scores import FrameScores, frame_scores, gather
from costal.types import Progress
from napari_costal.engine.calls import Caller, Thread
from napari_costal.engine.latest import Latest

FILLING_S = 1.0
"""Seconds between two updates of the heatmap of a large frame."""


class Scoring:
    """Scores one frame at a time; `filled` takes the scores so far of a large frame."""

    def __init__(self, caller: Caller, thread: Thread, filled: Callable[[FrameScores], None]) -> None:
        self._caller, self._thread, self._filled = caller, thread, filled
        self._newest = Latest()
        self._begun: Prepared | None = None
        self._so_far: Band | None = None
        self._is_gathering = False
        self._gathered_at = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a frame is being scored."""
        return self._caller.is_busy

    def score(
        self,
        request: ScoreRequest,
        scored: Callable[[FrameScores], None],
        failed: Callable[[str], None],
    ) -> None:
        """Score a frame; exactly one of `scored` and `failed` is called, unless it is stopped."""
        self._begun, self._so_far = None, None
        ticket = self._newest.renew()

        def ending(act: Callable[[Any], None]) -> Callable[[Any], None]:
            def end(outcome: Any) -> None:
                self._forget()
                act(outcome)

            return end

        def begun() -> tuple[Prepared]:
            made = prepare(request)
            if ticket.is_current:
                self._begun = made
            return (made,)

        name = "costal.scoring.job:score_prepared"
        self._caller.call(name, begun, ending(scored), ending(failed), "Scoring", self._heard)

    def stop(self) -> None:
        """Stop: another frame follows."""
        self._caller.cancel()
        self._forget()

    def _forget(self) -> None:
        self._newest.renew()
        self._begun = None

    def cancel(self) -> bool:
        """Stop, and return whether a scoring ran; `filled` takes the scores so far of a large frame."""
        was_busy = self._caller.cancel()
        if was_busy:
            self._gather(with_features=True)
        return was_busy

    def _heard(self, _progress: Progress) -> None:
        if not self._is_gathering and time.monotonic() - self._gathered_at > FILLING_S:
            self._gather(with_features=False)

    def _gather(self, with_features: bool) -> None:
        begun, ticket = self._begun, self._newest.ticket()
        if begun is None or begun.work.folder is None:
            return

        def work() -> FrameScores | None:
            if not ticket.is_current:
                return None
            self._so_far = so_far = gather(
                begun, before=None if with_features else self._so_far, with_features=with_features
            )
            return frame_scores(begun, so_far) if (so_far.skipped_N == SCORED).any() else None

        def done(scores: FrameScores | None) -> None:
            self._is_gathering, self._gathered_at = False, time.monotonic()
            if scores is not None and ticket.is_current:
                self._filled(scores)

        def failed(_reason: str) -> None:
            self._is_gathering, self._gathered_at = False, time.monotonic()

        self._is_gathering = True
        self._thread.run(work, then=done, failed=failed)
