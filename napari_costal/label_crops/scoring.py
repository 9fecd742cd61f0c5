"""The scoring of the frame on the screen: one in memory at once, a large one band by band, seen while it fills in."""

import time
from collections.abc import Callable
from typing import Any

from costal.types import Progress
from costal.workbench.first_look import FirstLook, begin
from costal.workbench.large import LargeRequest, Prepared
from costal.workbench.large_scores import LargeScores, gather
from costal.workbench.rounds import FrameRequest, FrameScores
from napari_costal.engine.calls import Caller, Thread
from napari_costal.engine.latest import Latest

FILLING_S = 1.0
"""The heatmap of a large frame fills in about so often."""


class Scoring:
    """Scores one frame at a time; `filled` takes the scores of a large frame that are there so far."""

    def __init__(self, caller: Caller, thread: Thread, filled: Callable[[FrameScores], None]) -> None:
        self._caller, self._thread, self._filled = caller, thread, filled
        self._newest = Latest()
        self._begun: Prepared | FirstLook | None = None
        self._so_far: LargeScores | None = None
        self._is_gathering = False
        self._gathered_at = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a frame is being scored."""
        return self._caller.is_busy

    def score(
        self,
        request: FrameRequest | LargeRequest,
        scored: Callable[[FrameScores], None],
        failed: Callable[[str], None],
    ) -> None:
        """Score a frame; exactly one of `scored` and `failed` is called, unless it is stopped."""
        self._begun, self._so_far = None, None
        ticket = self._newest.renew()
        if isinstance(request, FrameRequest):
            self._caller.call("costal.workbench.rounds:score_frame", (request,), scored, failed, "Scoring")
            return

        def ending(act: Callable[[Any], None]) -> Callable[[Any], None]:
            def end(outcome: Any) -> None:
                self._forget()
                act(outcome)

            return end

        def begun() -> tuple[Prepared | FirstLook]:
            made = begin(request)
            if ticket.is_current:
                self._begun = made
            return (made,)

        name = "costal.workbench.first_look:score_begun"
        self._caller.call(name, begun, ending(scored), ending(failed), "Scoring", self._heard)

    def stop(self) -> None:
        """Stop: another frame comes."""
        self._caller.cancel()
        self._forget()

    def _forget(self) -> None:
        self._newest.renew()
        self._begun = None

    def cancel(self) -> bool:
        """Stop, and say whether there was something to stop; `filled` takes what is done of a large frame."""
        was_busy = self._caller.cancel()
        if was_busy:
            self._gather(with_features=True)
        return was_busy

    def _heard(self, _progress: Progress) -> None:
        if not self._is_gathering and time.monotonic() - self._gathered_at > FILLING_S:
            self._gather(with_features=False)

    def _gather(self, with_features: bool) -> None:
        begun, ticket = self._begun, self._newest.ticket()
        if not isinstance(begun, Prepared):
            return

        def work() -> FrameScores | None:
            if not ticket.is_current:
                return None
            before = self._so_far
            is_same = before is not None and before.prepared is begun and not with_features
            self._so_far = gather(begun, before if is_same else None, with_features=with_features)
            return self._so_far.frame_scores

        def done(found: FrameScores | None) -> None:
            self._is_gathering, self._gathered_at = False, time.monotonic()
            if found is not None and ticket.is_current and (found.which_M is None or len(found.which_M)):
                self._filled(found)

        def failed(_reason: str) -> None:
            self._is_gathering, self._gathered_at = False, time.monotonic()

        self._is_gathering = True
        self._thread.run(work, then=done, failed=failed)
