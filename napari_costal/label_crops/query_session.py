"""The frame's scores and the query: scoring, ranking, labelling and training; torch runs in the engine process."""

from collections.abc import Callable
from typing import Any

import numpy as np
from psygnal import Signal

from costal.errors import CostalError
from costal.labels.project import Project
from costal.labels.records import CropLabel
from costal.scoring.prepare import ScoreRequest
from costal.scoring.queries import PickedCrops, query_of, query_seed, unanswered
from costal.scoring.scores import FrameScores
from costal.workbench.retraining import RetrainRequest
from napari_costal.canvas.large_layer import request_for
from napari_costal.engine.calls import Caller, Thread
from napari_costal.engine.latest import Latest
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.scores import asks_otherwise, filled_text, heatmap_values, model_text, scored_text
from napari_costal.label_crops.scoring import Scoring
from napari_costal.label_crops.trainer import Trainer
from napari_costal.label_crops.view import CanvasView, QueryView, Shown

MOST_AT_ONCE = 20_000
"""Up to this number of crops, a query is chosen within milliseconds."""


class QuerySession:
    """The scores of the current frame and the crops to label next. Every public method is an action of the user.

    `picked` are the crops of the next query, `open_query` those of the query being answered. `live` are scores by a
    model between two answers, which is not stored; nothing on the screen follows it while `is_still` is set.
    """

    learned = Signal()
    """The models were trained on the answers."""
    blinded = Signal(bool)
    """A query begins and predictions must be hidden, or it has ended."""
    scored = Signal(object)
    """The frame has new scores from the newest model."""

    def __init__(
        self,
        session: OpenProject,
        frame: FrameSession,
        view: QueryView,
        canvas: CanvasView,
        pixels: Thread,
        engine: Any,
        device: str = "auto",
    ) -> None:
        self._session, self._frame, self._view, self._canvas = session, frame, view, canvas
        self._pixels, self._device = pixels, device
        self._scoring = Scoring(Caller(pixels, engine, view.show_progress), pixels, self._filled)
        self.trainer = Trainer(Caller(pixels, engine, view.show_progress), session.store, view.complain)
        self.frame_scores: FrameScores | None = None
        self.picked: PickedCrops | None = None
        self.open_query: PickedCrops | None = None
        self.live: FrameScores | None = None
        self.is_still = False
        self.learns_live = False
        self._combining = Latest()
        self._after_combining: Callable[[], None] | None = None
        self._after_scoring: Callable[[], None] | None = None
        self.shown: Shown = "value v"
        self.is_blind = False
        # Called first: a training of the previous project must not restart when its frame is left.
        session.leaving.connect(self.trainer.cancel, priority=1)
        session.opened.connect(self._follow)
        session.changed.connect(self._changed)
        session.closing.connect(self._close)
        frame.left.connect(self._frame_left)
        frame.relabelled.connect(self._relabelled)

    @property
    def generation(self) -> int:
        """The number of the model that scored the frame, 0 if none did."""
        return self.frame_scores.generation if self.frame_scores is not None and self.frame_scores.scores else 0

    @property
    def shown_scores(self) -> FrameScores | None:
        """The scores that the heatmap shows and that choose a query."""
        return self.frame_scores if self.live is None or self.is_still else self.live

    @property
    def newest_scores(self) -> FrameScores | None:
        """The scores of the newest model; they are stored with a presented crop."""
        return self.live or self.frame_scores

    @property
    def is_fitting(self) -> bool:
        """Whether models are being trained now."""
        return self.learns_live or self.trainer.is_busy

    def take_live(self, frame_scores: FrameScores) -> None:
        """Take the scores of a model between two answers; the heatmap follows unless it is kept still."""
        self.live = frame_scores
        if not self.is_still:
            self._tell_model()
            self._draw_heatmap()

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self._scoring.is_busy or self.trainer.is_busy

    # Changes of the project and the frame

    def _follow(self) -> None:
        if self._session.project is not None:
            self.trainer.follow(self._session.project, self._tell_model)

    def _close(self) -> None:
        self.trainer.cancel()
        self._scoring.stop()

    def _frame_left(self) -> None:
        self._stop_scoring()
        self._after_scoring = None
        self._drop_scores()

    def _relabelled(self, before: CropLabel | None, label: CropLabel | None) -> None:
        self.trainer.revised(before, label)
        self._tell_model()
        if self.frame_scores is not None and self.frame_scores.scores is None:
            self._view.say("")  # the reason why nothing could be scored is outdated

    def _changed(self, before: Project, project: Project) -> None:
        """Follow the project's settings: other classes or another committee need new scores, the rest a new ranking."""
        if project.tiling != before.tiling:
            return
        if asks_otherwise(project, before):
            self._stop_scoring()
            if self.frame_scores is not None:
                self._drop_scores()
                self._view.say("The models' settings changed. Score again.")
        elif self.frame_scores is not None and project.choices != before.choices:
            self.recombine()

    def _stop_scoring(self) -> None:
        self._scoring.stop()
        self.trainer.go_on()

    def _drop_scores(self) -> None:
        self.frame_scores, self.picked, self.open_query, self.live = None, None, None, None
        self._view.show_starving("")
        self._combining.renew()
        self._after_combining = None
        self._canvas.clear_scores()

    # Scores

    def score(self, then: Callable[[], None] | None = None) -> None:
        """Score the frame's crops with the newest model; `then` also waits for a scoring that replaces this one."""
        self._after_scoring = then or self._after_scoring
        self._frame.place(self._score_placed)

    def _score_placed(self) -> None:
        request = self._request()
        if request is None:
            return

        def scored(frame_scores: FrameScores) -> None:
            self.frame_scores, self.live = frame_scores, None
            self._tell_model()
            self._view.say(scored_text(frame_scores))
            self.recombine()
            after, self._after_scoring = self._after_scoring, None
            self.scored.emit(frame_scores)
            if after is not None:
                after()
            self.trainer.go_on()

        def failed(reason: str) -> None:
            self._view.complain(reason)
            self.trainer.go_on()

        self.trainer.put_off()
        self._scoring.score(request, scored, failed)

    def _request(self) -> ScoreRequest | None:
        """Return the request to the engine, None if there is nothing to score or the scores cannot be stored."""
        session, loaded = self._session, self._frame.loaded
        if loaded is None or session.project is None or self._frame.grid is None:
            return None
        if loaded.is_lazy and not session.may_write():  # its scores are kept in the project's folder
            return None
        return request_for(session.project, loaded.frame, loaded.stored, session.annotator, self._device)

    def _filled(self, frame_scores: FrameScores) -> None:
        """Show the scores so far of a large frame, while it is scored or after cancelling."""
        self.frame_scores = frame_scores
        self._tell_model()
        self.recombine()
        grid = self._frame.grid
        self._view.say(filled_text(frame_scores, 0 if grid is None else len(grid), self._scoring.is_busy))

    def _tell_model(self) -> None:
        trainer, labels, project = self.trainer, self._session.label_count, self._session.project
        by_hand = project is not None and project.choices.retrain == "hand"
        learns_soon = (self.is_blind and not by_hand) or trainer.is_busy
        self._view.show_model(model_text(self.shown_scores, trainer.is_stale, trainer.has_model, labels, learns_soon))

    def show(self, shown: Shown) -> None:
        """Show another score in the heatmap; the predicted class only after the query has ended."""
        self.shown = shown
        self._tell_blind()
        self._draw_heatmap()

    def blind(self, is_blind: bool) -> None:
        """Hide the predicted class while a query is answered, because it would influence the expert."""
        if is_blind == self.is_blind:
            return
        self.is_blind = is_blind
        self.blinded.emit(is_blind)
        self._tell_blind()
        if self.shown == "predicted class":
            self._draw_heatmap()
        self._view.hold_back_predictions(is_blind)

    def _tell_blind(self) -> None:
        if self.is_blind and self.shown == "predicted class":
            self._view.say("The predicted class is hidden until the query ends; value v is shown instead.")

    # The query

    def recombine(self, then: Callable[[], None] | None = None) -> None:
        """Compute v, the heatmap and the query from cached I and C, fast enough for a slider; then go on.

        If several calls follow each other, `then` waits for the last one. A query by minutes, or from very many crops,
        is computed on another thread; an outdated one is skipped there.
        """
        project, grid, frame_scores, loaded = (
            self._session.project,
            self._frame.grid,
            self.shown_scores,
            self._frame.loaded,
        )
        if project is None or grid is None or frame_scores is None or loaded is None:
            return
        labels = self._frame.labels
        seed = query_seed(project, frame_scores, loaded.stored.id, len(labels))
        arguments = (frame_scores, project, grid, unanswered(labels, grid), seed, loaded.stored.content_hash)
        ticket = self._combining.renew()
        self._after_combining = then or self._after_combining
        self._draw_heatmap()

        def combined(picked: PickedCrops | None) -> None:
            self.picked = picked
            self._view.show_starving(picked.starving if picked is not None else "")
            self.draw_query()
            after, self._after_combining = self._after_combining, None
            if after is not None:
                after()

        def failed(reason: str) -> None:
            self._view.say(reason)
            combined(None)

        def rank_now() -> PickedCrops | None:
            return query_of(*arguments) if ticket.is_current else None

        if project.choices.by == "minutes" or len(grid) > MOST_AT_ONCE:
            self._pixels.run(rank_now, then=ticket.only(combined), failed=ticket.only(failed))
            return
        try:
            picked = query_of(*arguments)
        except CostalError as error:
            failed(str(error))
        else:
            combined(picked)

    def draw_query(self) -> None:
        """Draw the query that is being answered, or else the next one."""
        picked = self.open_query or self.picked
        if self._frame.grid is not None:
            self._canvas.show_query(picked.picked_n if picked is not None else np.empty(0, np.intp), self._frame.grid)

    def _draw_heatmap(self) -> None:
        project, grid = self._session.project, self._frame.grid
        frame_scores = self.shown_scores
        if frame_scores is None or frame_scores.scores is None or grid is None or project is None:
            return
        name: Shown = "value v" if self.is_blind and self.shown == "predicted class" else self.shown
        self._canvas.show_heatmap(heatmap_values(frame_scores, project, name), grid, name, project)

    def predicted_s(self, index: int) -> float:
        """Return the expected seconds for a crop, 0 if no model can predict them."""
        frame_scores = self.shown_scores
        if frame_scores is None or frame_scores.scores is None or frame_scores.scores.cost_is_uniform:
            return 0.0
        return float(frame_scores.scores.cost_N[index])

    def forget_callbacks(self) -> None:
        """Drop the callbacks of a running scoring or ranking."""
        self._after_scoring = self._after_combining = None

    # Training

    def retrain(self, new_range: bool = False) -> None:
        """Retrain both models on all answers in the background, then score the frame again.

        With `new_range` the common intensity range of the project's frames is measured again.
        """
        loaded, project = self._frame.loaded, self._session.project
        if loaded is None or project is None:
            self._view.complain("There is nothing to train on yet. Choose a frame and label some crops.")
            return
        if not self._session.may_write():
            return
        request = RetrainRequest(project, project.choices.seed, self._device, new_range)

        def trained(model_version: Any) -> None:
            if model_version.number:
                self.learned.emit()
                self.score()
            else:
                self._view.say(" ".join(model_version.agent.notes))

        if loaded.is_lazy:
            self._stop_scoring()  # it may take long, and the new model outdates its scores
        self.trainer.train(request, trained)

    def cancel(self) -> None:
        """Stop the jobs of the engine; the newest model is unchanged."""
        self._after_scoring = None
        was_busy = [self.trainer.cancel(), self._scoring.cancel()]
        if any(was_busy):
            self._view.say("Cancelled. The newest model is unchanged.")
