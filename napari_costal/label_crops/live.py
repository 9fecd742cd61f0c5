"""Learning between two answers, where the project is set so: the newest labels are learned while the expert looks.

One fit at a time, and each ends: labels that come meanwhile are learned by the next.
"""

from typing import Any

from costal.labels.project import Project
from costal.scoring.scores import FrameScores
from costal.workbench.live import MOST_CROPS, live_request
from napari_costal.canvas.large_layer import request_for
from napari_costal.engine.calls import Caller
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.labelling_session import LabellingSession
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.query_session import QuerySession
from napari_costal.label_crops.view import Words


class Live:
    """Fits both models when a crop is presented and labels came since the fit before, and reorders the query."""

    def __init__(
        self,
        session: OpenProject,
        frame: FrameSession,
        query: QuerySession,
        labelling: LabellingSession,
        words: Words,
        caller: Caller,
        device: str = "auto",
    ) -> None:
        self._session, self._frame, self._query, self._labelling = session, frame, query, labelling
        self._words, self._caller, self._device = words, caller, device
        self._has_news = False
        frame.relabelled.connect(self._relabelled)
        session.changed.connect(self._changed)
        labelling.presented.connect(self._presented)
        query.blinded.connect(self._blinded)
        query.learned.connect(self._all_learned)
        frame.leaving.connect(self._stop)
        session.closing.connect(self._stop)

    def keep_still(self, is_still: bool) -> None:
        """Let nothing on the screen follow what is learned while a query is answered, or let it follow again."""
        self._query.is_still = is_still

    @property
    def _is_on(self) -> bool:
        """Whether the models learn between answers now: a query is answered, of a frame that is quick to score."""
        return self._query.is_blind and 0 < self._crops_to_learn_of <= MOST_CROPS

    @property
    def _crops_to_learn_of(self) -> int:
        """How many crops the frame has; 0 where the project does not learn after each answer."""
        project, grid = self._session.project, self._frame.grid
        is_wanted = project is not None and project.choices.retrain == "answer"
        return len(grid) if is_wanted and grid is not None else 0

    def _relabelled(self, *_: Any) -> None:
        self._has_news = True

    def _changed(self, before: Project, project: Project) -> None:
        self._has_news |= before.classes != project.classes

    def _all_learned(self) -> None:
        self._has_news = False

    def _blinded(self, is_blind: bool) -> None:
        if not is_blind:
            self._stop()
        elif (count := self._crops_to_learn_of) > MOST_CROPS:
            self._words.say(
                f"This frame has {count:,} crops. With more than {MOST_CROPS:,} crops, the models learn when the "
                "query ends, not after each answer."
            )

    def _stop(self) -> None:
        """Let a fit go: the query has ended, and all is learned after it."""
        if self._caller.cancel():
            self._has_news = True
        self._query.learns_live = False

    def _presented(self, index: int | None) -> None:
        if index is not None:
            self._learn()

    def _learn(self) -> None:
        """Begin a fit, unless one runs, or there is nothing new."""
        loaded, project = self._frame.loaded, self._session.project
        if not self._is_on or not self._has_news or self._caller.is_busy or loaded is None or project is None:
            return
        self._has_news = False
        self._query.learns_live = True
        if self._labelling.current is not None:
            self._labelling.current.during_fit = True
        request = request_for(project, loaded.frame, loaded.stored, self._session.annotator, self._device)
        function = "costal.workbench.live:learn_between"
        self._caller.call(function, lambda: (live_request(request),), self._learned, self._failed, "Learning")

    def _learned(self, frame_scores: FrameScores) -> None:
        self._query.learns_live = False
        if frame_scores.scores is not None:
            self._query.take_live(frame_scores)
            self._labelling.model_changed(frame_scores)
        self._learn()

    def _failed(self, reason: str) -> None:
        self._query.learns_live = False
        self._words.complain(reason)
