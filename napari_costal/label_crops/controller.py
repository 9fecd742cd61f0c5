"""What *Label crops* does, without Qt: frames in, queries out, answers stored, models retrained.

The store has a thread of its own, pixels are read on another, and torch lives in the engine process; this class runs on
the GUI thread and only passes values between them. `generation` counts changes of the frame and its crops: a result of
an older one is dropped. Labelling itself is in `Sitting`.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from costal.agent.value import value
from costal.errors import CostalError, ProjectError
from costal.frames.grid import tile
from costal.frames.windows import LazyPlane
from costal.labels.project import Project, checked
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import CropLabel, FrameRecord
from costal.labels.store import require_store
from costal.types import Channel, Floats, Grid
from costal.workbench.channels import proposed, require_alike, with_channels
from costal.workbench.desk import Workbench
from costal.workbench.large import LargeRequest
from costal.workbench.rounds import (
    FrameRequest,
    FrameScores,
    PickedCrops,
    RetrainRequest,
    by_index,
    query_of,
    query_seed,
    unanswered,
)
from napari_costal.canvas.large_layer import read_for_store, request_for
from napari_costal.canvas.layer_frames import LayerView
from napari_costal.engine.calls import Caller, Thread
from napari_costal.label_crops.placed import Picture, Pixels, Placed, colour_of, picture_of
from napari_costal.label_crops.scoring import Scoring
from napari_costal.label_crops.trainer import Trainer
from napari_costal.label_crops.view import Shown, View

STALE = ". Stale: a label that it learned was taken back or replaced; train again."
MOST_DRAWN = 500
MOST_AT_ONCE = 20_000
"""Of so many crops a query is chosen within milliseconds."""


class LabelController:
    """One frame of one project at a time. Every public method is a thing that the user does."""

    def __init__(
        self, view: View, store: Thread, pixels: Thread, engine: Any, annotator: str, device: str = "auto"
    ) -> None:
        self.view, self.store, self._pixels = view, store, pixels
        self.annotator, self._device = annotator, device
        self._scoring = Scoring(Caller(pixels, engine, view.show_progress), pixels, self._filled)
        self.trainer = Trainer(Caller(pixels, engine, view.show_progress), store, view.complain)
        self._counts: dict[int, int] = {}
        self.labelled = 0
        """How many channels the project's labelled crops have, 0 while none is labelled."""
        self.generation = 0
        self.project: Project | None = None
        self.bench: Workbench | None = None
        self.layer_view: LayerView | None = None
        self.grid: Grid | None = None
        self.placed: Placed | None = None
        self.found: FrameScores | None = None
        self.picked: PickedCrops | None = None
        self.asked: PickedCrops | None = None
        self._combining = object()
        self._after_combining: Callable[[], None] | None = None
        self.shown: Shown = "value v"
        self._is_blind = False
        self._wanted: Callable[[], None] | None = None
        self.on_frame_left: Callable[[], None] = lambda: None
        self.on_learned: Callable[[], None] = lambda: None

    @property
    def labels(self) -> dict[int, CropLabel]:
        """The frame's labels by crop."""
        return self.placed.labels if self.placed is not None else {}

    @property
    def is_busy(self) -> bool:
        """Whether a job is on its way."""
        return self._scoring.is_busy or self.trainer.is_busy

    def may_write(self) -> bool:
        """Return whether answers can be kept; say who holds the project when another window does."""
        try:
            if self.bench is not None:
                self.bench.require_writing()
            if self.project is not None and not self.project.offered:
                raise ProjectError("No class is offered. Add one, or restore one with 'Edit class'.")
        except CostalError as error:
            self.view.complain(str(error))
            return False
        return True

    # The project

    def make_project(
        self,
        folder: Path,
        settings: Callable[[Project], Project] = lambda project: project,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Make a project with these settings and open it."""
        self.store.run(
            lambda: save_project(settings(create_project(folder))),
            then=lambda _: self.open_project(folder, then),
            failed=self.view.complain,
        )

    def open_project(self, folder: Path, then: Callable[[], None] | None = None) -> None:
        """Open a project and close the one before; when it cannot be opened, that one stays."""
        before = self.bench

        def work() -> tuple[Workbench, dict[int, int], int]:
            if before is not None and before.project.folder.resolve() == folder.resolve():
                require_store(load_project(folder).store_path)  # or else the one before must stay open
                before.close()  # it holds the lock
            bench = Workbench(folder, self.annotator)
            counts, shape = bench.store.label_counts(), bench.store.newest_crop_shape()
            return bench, counts, shape[0] if shape is not None and any(counts.values()) else 0

        def opened(outcome: tuple[Workbench, dict[int, int], int]) -> None:
            self.trainer.cancel()  # it trains the project before, to which others may write from now on
            self._forget_frame()
            self.bench, self._counts, self.labelled = outcome
            if before is not None:
                self.store.run(before.close)
            self.project = self.bench.project
            self.view.show_project(self.project, self._counts)
            self.view.show_holder(self.bench.holder)
            self.trainer.follow(self.project, self._tell_model)
            self.choose_frame(self.layer_view)
            if then is not None:
                then()

        self.store.run(work, then=opened, failed=self.view.complain)

    def close(self) -> Callable[[], None] | None:
        """Stop everything; return what the store's thread must do last."""
        self.on_frame_left()
        self.generation += 1
        self.trainer.cancel()
        self._scoring.stop()
        bench, self.bench = self.bench, None
        return bench.close if bench is not None else None

    def change(self, edit: Callable[[Project], Project], save: bool = True) -> None:
        """Change the project's settings and redraw what follows from them; `save` writes them to disk."""
        before = self.project
        if before is None or self.bench is None:
            return
        try:
            if save:
                self.bench.require_writing()
            project = checked(edit(before))
        except CostalError as error:
            self.view.complain(str(error))
            self.view.show_project(before, self._counts)
            return
        self.project = project
        if save:
            bench = self.bench
            self.store.run(bench.configure, project, failed=lambda reason: self._unsaved(bench, reason))
            if self.project is not project:
                return
        if project.tiling != before.tiling:
            self.choose_frame(self.layer_view)
            return
        if project.classes != before.classes:
            self.view.show_project(project, self._counts)
            self.draw_labels()
        if asks_otherwise(project, before):
            self._stop_scoring()
            if self.found is not None:
                self._drop_scores()
                self.view.say("The agent's settings changed: score again.")
        elif self.found is not None and project.choices != before.choices:
            self.recombine()

    def _unsaved(self, bench: Workbench, reason: str) -> None:
        """Go back to the settings that are kept, for nothing may be labelled by others, and say why."""
        if bench is self.bench and self.project != bench.project:
            self.reload()
        self.view.complain(reason)

    # The frame

    def choose_frame(self, layer_view: LayerView | None) -> None:
        """Work on another layer, on another plane of it, or on other crops of it."""
        self._forget_frame()
        self.layer_view = layer_view
        self.grid = None
        if layer_view is not None and self.project is not None:
            tiling = self.project.tiling
            try:
                require_alike(
                    self.project, layer_view.source, layer_view.crop_channels, layer_view.is_rgb, self.labelled
                )
                self.grid = tile(layer_view.shape, tiling.crop, tiling.stride, tiling.edge)
            except CostalError as error:
                self.view.complain(str(error))
        self.view.show_grid(self.grid, layer_view.pixel_um if layer_view else None)
        if self.grid is not None:
            self.place(lambda: None)

    def _forget_frame(self) -> None:
        self.on_frame_left()
        self.generation += 1
        self._stop_scoring()
        self._wanted = None
        self.placed = None
        self.view.clear_labels()
        self._drop_scores()

    def _stop_scoring(self) -> None:
        self._scoring.stop()
        self.trainer.go_on()

    def _drop_scores(self) -> None:
        self.found, self.picked, self.asked = None, None, None
        self._combining, self._after_combining = object(), None
        self.view.clear_scores()

    def place(self, then: Callable[[], None]) -> None:
        """Read the frame, put it into the project, and draw its labels; then go on."""
        if self.placed is not None:
            then()
            return
        layer_view, grid, bench, ticket = self.layer_view, self.grid, self.bench, self.generation
        if layer_view is None or grid is None or bench is None:
            self.view.say("Choose an image layer first.")
            return
        self._propose_channels(layer_view)
        self.view.say("Reading the frame …")

        def read() -> tuple[FrameRecord, Pixels] | None:
            return read_for_store(layer_view) if ticket == self.generation else None

        def keep(outcome: tuple[FrameRecord, Pixels] | None) -> Placed | None:
            if outcome is None or ticket != self.generation:
                return None
            record, plane = outcome
            placed = bench.place(record)
            labels = by_index(bench.store.labels(placed.id), grid)
            return Placed(plane, placed, labels, bench.store.presentation_count(self.annotator))

        def kept(placed: Placed | None) -> None:
            if placed is None or ticket != self.generation:
                return
            if self.placed is None:
                self.placed = placed
                self.draw_labels()
                seen = len(placed.labels)
                self.view.say(f"{len(grid):,} crops, {seen} answered. Score the frame, or click a crop to label it.")
            then()

        self._pixels.run(
            read,
            then=lambda outcome: self.store.run(keep, outcome, then=kept, failed=self.view.complain),
            failed=self.view.complain,
        )

    def choose_channels(self, channels: tuple[Channel, ...]) -> bool:
        """Make the project's frames of these channels; return False when its labels forbid that, or it is read only."""
        before = self.project
        self.change(lambda project: with_channels(project, channels, False, self.labelled))
        return before is not self.project

    def _propose_channels(self, layer_view: LayerView) -> None:
        """Let the first frame say which channels the project uses, as long as no crop is labelled."""
        if self.project is None or self.bench is None or self.bench.holder is not None:
            return
        project = proposed(self.project, layer_view.channels, layer_view.is_rgb, self.labelled)
        if project != self.project:
            self.project = project
            self.store.run(self.bench.configure, project, failed=self.view.complain)

    def fetch(
        self, index: int, then: Callable[[], None] = lambda: None, failed: Callable[[str], None] = lambda _: None
    ) -> None:
        """Read a crop that is not at hand on another thread; then go on."""
        placed, grid, ticket = self.placed, self.grid, self.generation
        if placed is None or grid is None:
            return
        if placed.is_at_hand(index):
            then()
            return

        def read() -> Picture | None:
            if ticket != self.generation:
                return None
            return placed.held.get(index) or picture_of(placed.plane_C_Y_X, grid, index)

        def held(picture: Picture | None) -> None:
            if picture is not None and ticket == self.generation:
                placed.hold(index, picture)
                then()

        self._pixels.run(read, then=held, failed=lambda reason: failed(reason) if ticket == self.generation else None)

    # Scores and the query

    def score(self, then: Callable[[], None] | None = None) -> None:
        """Score the frame's crops with the newest model; what is wanted then waits for a later scoring too."""
        self._wanted = then or self._wanted
        self.place(self._score_placed)

    def _score_placed(self) -> None:
        placed, project, grid = self.placed, self.project, self.grid
        if placed is None or project is None or grid is None:
            return
        request: FrameRequest | LargeRequest
        if isinstance(placed.plane_C_Y_X, LazyPlane):
            if not self.may_write():  # its scores are kept in the project's folder
                return
            request = request_for(project, placed.plane_C_Y_X, placed.placed, self.annotator, self._device)
        else:
            request = FrameRequest(
                project,
                placed.plane_C_Y_X,
                placed.placed.range,
                grid,
                self.annotator,
                placed.asked_before,
                project.choices.seed,
                self._device,
                self.layer_view.pixel_um if self.layer_view is not None else None,
            )

        def scored(found: FrameScores) -> None:
            self.found = found
            self._tell_model()
            self._tell_scores(found)
            self.recombine()
            wanted, self._wanted = self._wanted, None
            if wanted is not None:
                wanted()
            self.trainer.go_on()

        def failed(reason: str) -> None:
            self.view.complain(reason)
            self.trainer.go_on()

        self.trainer.put_off()
        self._scoring.score(request, scored, failed)

    def _filled(self, found: FrameScores) -> None:
        """Show what is there of a large frame, while it is scored or after that was cancelled."""
        self.found = found
        self._tell_model()
        self.recombine()
        total = 0 if self.grid is None else len(self.grid)
        done = total if found.which_M is None else len(found.which_M)
        after = "Cancel keeps them." if self._scoring.is_busy else "Score again to go on, or label a query among them."
        self.view.say(f"{done:,} of {total:,} crops are scored. {after}")

    def _tell_model(self) -> None:
        found = self.found
        if found is None or found.scores is None:
            text = "Not scored yet" if found is None else "No model yet"
        else:
            cost = "uniform cost" if found.scores.cost_is_uniform else "learned cost"
            text = ", ".join(filter(None, (f"Model {found.generation}", cost, found.scores.device)))
        self.view.show_model(text + (STALE if self.trainer.is_stale else ""))

    def _tell_scores(self, found: FrameScores) -> None:
        if found.which_M is not None and len(found.which_M) == 0:
            said = found.warnings
        elif found.scores is None:
            said = (found.reason, "The query is spread over the image by simple features.", *found.warnings)
        else:
            said = (*found.scores.notes, *found.warnings)
        self.view.say(" ".join(said) or "Scored. Move the slider, or label the query.")

    def show(self, shown: Shown) -> None:
        """Show another score in the heatmap; the predicted class not before the query has ended."""
        self.shown = shown
        self._tell_blind()
        self._draw_heatmap()

    def blind(self, is_blind: bool) -> None:
        """Show no predicted class while a query is answered: it would sway the expert. It comes back after it."""
        if is_blind == self._is_blind:
            return
        self._is_blind = is_blind
        self._tell_blind()
        if self.shown == "predicted class":
            self._draw_heatmap()
        self.view.hold_back_predictions(is_blind)

    def _tell_blind(self) -> None:
        if self._is_blind and self.shown == "predicted class":
            self.view.say("The predicted class is hidden until the query ends, and value v is shown in its place.")

    def recombine(self, then: Callable[[], None] | None = None) -> None:
        """Turn cached I and C into v, the heatmap and the query: quick enough to follow a slider; then go on.

        What is to be done then waits for the last of several that follow each other.

        What fits into a budget, and the best of very many crops, is found on another thread, where a query that another
        move of the slider has made old is not begun.
        """
        project, grid, found, placed = self.project, self.grid, self.found, self.placed
        if project is None or grid is None or found is None or placed is None:
            return
        candidates = unanswered(self.labels, grid)
        arguments = (found, project, grid, candidates, query_seed(project, found, placed.placed.id, len(self.labels)))
        self._combining = ticket = object()
        self._after_combining = then or self._after_combining
        self._draw_heatmap()

        def combined(picked: PickedCrops | None) -> None:
            if ticket is self._combining:
                self.picked = picked
                self.draw_query()
                after, self._after_combining = self._after_combining, None
                if after is not None:
                    after()

        def failed(reason: str) -> None:
            if ticket is self._combining:
                self.view.say(reason)
                combined(None)

        def wanted() -> PickedCrops | None:
            return query_of(*arguments) if ticket is self._combining else None

        if project.choices.by == "minutes" or len(grid) > MOST_AT_ONCE:
            self._pixels.run(wanted, then=combined, failed=failed)
            return
        try:
            picked = query_of(*arguments)
        except CostalError as error:
            failed(str(error))
        else:
            combined(picked)

    def draw_query(self) -> None:
        """Draw the query that is being answered, or the one that would be asked now."""
        picked = self.asked or self.picked
        if self.grid is not None:
            self.view.show_query(picked.picked_n if picked is not None else np.empty(0, np.intp), self.grid)

    def _draw_heatmap(self) -> None:
        if self.found is None or self.found.scores is None or self.grid is None or self.project is None:
            return
        scores, choices = self.found.scores, self.project.choices
        shown: dict[str, Callable[[], Floats]] = {
            "value v": lambda: value(scores.information_N, scores.cost_N, choices.alpha, choices.beta),
            "information I": lambda: scores.information_N,
            "cost C": lambda: scores.cost_N,
            "predicted class": lambda: scores.predicted_class_N,
        }
        name: Shown = "value v" if self._is_blind and self.shown == "predicted class" else self.shown
        self.view.show_heatmap(self.found.of_scored(shown[name]()), self.grid, name, self.project)

    def draw_labels(self) -> None:
        """Draw the labelled crops in their class colours, skipped ones in grey."""
        if self.grid is None or self.project is None:
            return
        newest = islice(reversed(self.labels.items()), MOST_DRAWN)
        self.view.show_labels({index: colour_of(label, self.project) for index, label in newest}, self.grid)

    def index_of(self, label: CropLabel) -> int | None:
        """Return the crop of this frame and grid that a label is for, None when it is another's."""
        if self.placed is None or self.grid is None or label.frame_id != self.placed.placed.id:
            return None
        return next(iter(by_index([label], self.grid)), None)

    def predicted_s(self, index: int) -> float:
        """Return how long a crop is expected to take, 0 where no model can say."""
        if self.found is None or self.found.scores is None or self.found.scores.cost_is_uniform:
            return 0.0
        return float(self.found.scores.cost_N[index])

    def relabelled(self, index: int, label: CropLabel | None, is_new: bool) -> None:
        """Note that a crop's label is another one now, or none; `is_new` when one more presentation has ended."""
        if self.placed is None or self.project is None:
            return
        labels = self.placed.labels
        before = labels.pop(index, None)
        if label is not None:
            labels[index] = label
            self.labelled = self.placed.plane_C_Y_X.shape[0]
        self.placed = replace(self.placed, asked_before=self.placed.asked_before + is_new)
        self._count(before, -1)
        self._count(label, 1)
        self.view.show_counts(self.project, self._counts)
        self.draw_labels()
        if self.trainer.revised(before, label):
            self._tell_model()

    def reload(self) -> None:
        """Show the project and its labels anew: they came in from elsewhere."""
        if self.bench is not None:
            self.project = self.bench.project
            self.view.show_project(self.project, self._counts)
            self.recount()
            self.choose_frame(self.layer_view)

    def recount(self) -> None:
        """Count all labels anew: one of another frame or grid was changed."""

        def counted(counts: dict[int, int]) -> None:
            self._counts = counts
            if self.project is not None:
                self.view.show_counts(self.project, counts)

        if self.bench is not None:
            self.store.run(self.bench.store.label_counts, then=counted, failed=self.view.complain)

    def _count(self, label: CropLabel | None, difference: int) -> None:
        if label is not None and label.class_id is not None:
            self._counts[label.class_id] = self._counts.get(label.class_id, 0) + difference

    def forget_wanted(self) -> None:
        """Want nothing more of a scoring, or of a query, that is on its way."""
        self._wanted = self._after_combining = None

    # Training

    def retrain(self) -> None:
        """Retrain both models on all answers in the background, then score the frame again."""
        placed, project = self.placed, self.project
        if placed is None or project is None:
            self.view.complain("There is nothing to train on yet. Choose a frame and label some crops.")
            return
        if not self.may_write():
            return
        request = RetrainRequest(project, project.choices.seed, self._device)

        def trained(generation: Any) -> None:
            if generation.number:
                self.on_learned()
                self.score()
            else:
                self.view.say(" ".join(generation.agent.notes))

        if isinstance(placed.plane_C_Y_X, LazyPlane):
            self._stop_scoring()  # it may take long, and what it scores by is old with the new model
        self.trainer.train(request, trained)

    def cancel(self) -> None:
        """Stop what the engine does; the newest model is unchanged."""
        self._wanted = None
        was_busy = [self.trainer.cancel(), self._scoring.cancel()]
        if any(was_busy):
            self.view.say("Cancelled. The newest model is unchanged.")


def asks_otherwise(project: Project, before: Project) -> bool:
    """Return whether scores of the one project say nothing about the other: classes or committee differ."""
    now, then = project.agent_settings(), before.agent_settings()
    return (now.class_ids, now.acquisition, now.passes) != (then.class_ids, then.acquisition, then.passes)
