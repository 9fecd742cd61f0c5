"""What *Label crops* does, without Qt: frames in, queries out, answers stored, models retrained.

The store has a thread of its own, pixels are read on another, and torch lives in the engine process; this class runs on
the GUI thread and only passes values between them. `generation` counts changes of the frame and its crops: a result of
an older one is dropped. Labelling itself is in `Sitting`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from costal.errors import CostalError
from costal.frames.grid import tile
from costal.frames.normalise import IntensityRange
from costal.labels.project import Project, checked, create_project, new_class, save_project
from costal.labels.store import CropLabel
from costal.types import Floats, Frame, Grid, Progress
from costal.workbench import FrameRequest, FrameScores, PickedCrops, PlacedFrame, RetrainRequest, Workbench, query_of
from napari_costal._calls import Caller, Thread
from napari_costal._layer_frames import LayerView, frame_of

Shown = Literal["value v", "information I", "cost C", "predicted class"]
SHOWN: tuple[Shown, ...] = ("value v", "information I", "cost C", "predicted class")


class View(Protocol):
    """The face that the controller and the sitting speak to."""

    def say(self, text: str) -> None: ...
    def complain(self, text: str) -> None: ...
    def show_progress(self, progress: Progress | None) -> None: ...
    def show_project(self, project: Project, counts: dict[int, int]) -> None: ...
    def show_model(self, text: str) -> None: ...
    def show_grid(self, grid: Grid | None, pixel_um: float | None) -> None: ...
    def show_heatmap(self, values_N: Floats, grid: Grid, shown: Shown, project: Project) -> None: ...
    def show_query(self, indices: NDArray[np.intp], grid: Grid) -> None: ...
    def show_labels(self, colours: dict[int, str], grid: Grid) -> None: ...
    def clear_scores(self) -> None: ...
    def clear_labels(self) -> None: ...
    def present(
        self,
        project: Project,
        pixels_C_H_W: NDArray[np.generic],
        crop: tuple[int, int, int],
        limits: IntensityRange,
        title: str,
        active_s: Callable[[], float],
    ) -> None: ...
    def cover(self, text: str) -> None: ...
    def bench_says(self, text: str, alarming: bool) -> None: ...
    def leave_bench(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Placed:
    """The frame in the project: pixels, place in the store, labels by crop, and how often the annotator was asked."""

    plane_C_Y_X: NDArray[np.generic]
    placed: PlacedFrame
    labels: dict[int, CropLabel]
    counts: dict[int, int]
    asked_before: int


class LabelController:
    """One frame of one project at a time. Every public method is a thing that the user does."""

    def __init__(
        self, view: View, store: Thread, pixels: Thread, engine: Any, annotator: str, device: str = "auto"
    ) -> None:
        self.view, self.store, self._pixels = view, store, pixels
        self.annotator, self._device = annotator, device
        self._scoring, self._training = (Caller(pixels, engine, view.show_progress) for _ in range(2))
        self.generation = 0
        self.project: Project | None = None
        self.bench: Workbench | None = None
        self.layer_view: LayerView | None = None
        self.grid: Grid | None = None
        self.placed: Placed | None = None
        self.found: FrameScores | None = None
        self.picked: PickedCrops | None = None
        self.shown: Shown = "value v"
        self.on_frame_left: Callable[[], None] = lambda: None

    @property
    def labels(self) -> dict[int, CropLabel]:
        """The frame's labels by crop."""
        return self.placed.labels if self.placed is not None else {}

    @property
    def is_busy(self) -> bool:
        """Whether a job is on its way."""
        return self._scoring.is_busy or self._training.is_busy

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

        def work() -> tuple[Workbench, dict[int, int]]:
            bench = Workbench(folder)
            return bench, bench.label_counts()

        def opened(outcome: tuple[Workbench, dict[int, int]]) -> None:
            self._forget_frame()
            before = self.bench
            self.bench, counts = outcome
            if before is not None:
                self.store.run(before.close)
            self.project = self.bench.project
            self.view.show_project(self.project, counts)
            self.view.show_model("")
            self.choose_frame(self.layer_view)
            if then is not None:
                then()

        self.store.run(work, then=opened, failed=self.view.complain)

    def close(self) -> Callable[[], None] | None:
        """Stop everything; return what the store's thread must do last."""
        self.on_frame_left()
        self.generation += 1
        self.cancel()
        bench, self.bench = self.bench, None
        return bench.close if bench is not None else None

    def add_class(self) -> None:
        """Add a class with a name and a key that are free; the models train anew with the next answers."""

        def edit(project: Project) -> Project:
            taken = {each.name for each in project.classes}
            return new_class(project, next(name for n in count(1) if (name := f"class {n}") not in taken))

        self.change(edit)

    def change(self, edit: Callable[[Project], Project], save: bool = True) -> None:
        """Change the project's settings and redraw what follows from them; `save` writes them to disk."""
        before = self.project
        if before is None or self.bench is None:
            return
        try:
            project = checked(edit(before))
        except CostalError as error:
            self.view.complain(str(error))
            self.view.show_project(before, self._counts())
            return
        self.project = project
        if save:
            self.store.run(self.bench.configure, project, failed=self.view.complain)
        if project.tiling != before.tiling:
            self.choose_frame(self.layer_view)
            return
        if project.classes != before.classes:
            self.view.show_project(project, self._counts())
            self.draw_labels()
        if asks_otherwise(project, before):
            self._scoring.cancel()
            if self.found is not None:
                self._drop_scores()
                self.view.say("The agent's settings changed: score again.")
        elif self.found is not None and project.choices != before.choices:
            self.recombine()

    # The frame

    def choose_frame(self, layer_view: LayerView | None) -> None:
        """Work on another layer, on another plane of it, or on other crops of it."""
        self._forget_frame()
        self.layer_view = layer_view
        self.grid = None
        if layer_view is not None and self.project is not None:
            tiling = self.project.tiling
            try:
                self.grid = tile(layer_view.shape, tiling.crop, tiling.stride, tiling.edge)
            except CostalError as error:
                self.view.complain(str(error))
        self.view.show_grid(self.grid, layer_view.pixel_um if layer_view else None)
        if self.grid is not None:
            self.place(lambda: None)

    def _forget_frame(self) -> None:
        self.on_frame_left()
        self.generation += 1
        self._scoring.cancel()
        self.placed = None
        self.view.clear_labels()
        self._drop_scores()

    def _drop_scores(self) -> None:
        self.found, self.picked = None, None
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
        self.view.say("Reading the frame …")

        def read() -> tuple[Frame, NDArray[np.generic]] | None:
            return frame_of(layer_view) if ticket == self.generation else None

        def keep(outcome: tuple[Frame, NDArray[np.generic]] | None) -> Placed | None:
            if outcome is None or ticket != self.generation:
                return None
            frame, plane = outcome
            placed = bench.place(frame, plane, layer_view.description)
            labels = by_index(bench.labels(placed.id), grid)
            return Placed(plane, placed, labels, bench.label_counts(), bench.presentation_count(self.annotator))

        def kept(placed: Placed | None) -> None:
            if placed is None or ticket != self.generation:
                return
            if self.placed is None:
                self.placed = placed
                self.draw_labels()
                seen = len(placed.labels)
                self.view.say(f"{len(grid)} crops, {seen} answered. Score the frame, or click a crop to label it.")
            then()

        self._pixels.run(
            read,
            then=lambda outcome: self.store.run(keep, outcome, then=kept, failed=self.view.complain),
            failed=self.view.complain,
        )

    def _counts(self) -> dict[int, int]:
        return dict(self.placed.counts) if self.placed is not None else {}

    # Scores and the query

    def score(self, then: Callable[[], None] | None = None) -> None:
        """Score the frame's crops with the newest model."""
        self.place(lambda: self._score_placed(then))

    def _score_placed(self, then: Callable[[], None] | None) -> None:
        placed, project, grid = self.placed, self.project, self.grid
        if placed is None or project is None or grid is None:
            return
        request = FrameRequest(
            project,
            placed.plane_C_Y_X,
            placed.placed.range,
            grid,
            self.annotator,
            placed.asked_before,
            project.choices.seed,
            self._device,
        )

        def scored(found: FrameScores) -> None:
            self.found = found
            self._tell_model(found)
            self.recombine()
            if then is not None:
                then()

        self._scoring.call("costal.workbench:score_frame", (request,), scored, self.view.complain, "Scoring")

    def _tell_model(self, found: FrameScores) -> None:
        if found.scores is None:
            self.view.show_model("No model yet")
            self.view.say(f"{found.reason} The query is spread over the image by simple features.")
            return
        cost = "uniform cost" if found.scores.cost_is_uniform else "learned cost"
        self.view.show_model(f"Model {found.generation}, {cost}, {found.scores.device}")
        self.view.say(" ".join(found.scores.notes) or "Scored. Move the slider, or label the query.")

    def show(self, shown: Shown) -> None:
        """Show another score in the heatmap."""
        self.shown = shown
        self._draw_heatmap()

    def recombine(self) -> None:
        """Turn cached I and C into v, the heatmap and the query: quick enough to follow a slider."""
        project, grid, found = self.project, self.grid, self.found
        if project is None or grid is None or found is None:
            return
        candidates = np.setdiff1d(np.arange(len(grid)), np.fromiter(self.labels, dtype=np.intp))
        try:
            self.picked = query_of(found, project, candidates, project.choices.seed + found.generation)
        except CostalError as error:
            self.picked = None
            self.view.say(str(error))
        self._draw_heatmap()
        self.view.show_query(self.picked.picked_n if self.picked else np.empty(0, np.intp), grid)

    def _draw_heatmap(self) -> None:
        if self.found is None or self.found.scores is None or self.grid is None or self.project is None:
            return
        scores = self.found.scores
        value_N = self.picked.value_N if self.picked is not None else None
        values = {
            "value v": value_N,
            "information I": scores.information_N,
            "cost C": scores.cost_N,
            "predicted class": scores.predicted_class_N,
        }[self.shown]
        if values is not None:
            self.view.show_heatmap(values, self.grid, self.shown, self.project)

    def draw_labels(self) -> None:
        """Draw the labelled crops in their class colours, skipped ones in grey."""
        if self.grid is None or self.project is None:
            return
        colours = {each.id: each.colour for each in self.project.classes}
        drawn = {index: colours.get(label.class_id or 0, "#888888") for index, label in self.labels.items()}
        self.view.show_labels(drawn, self.grid)

    def relabelled(self, index: int, label: CropLabel | None, is_new: bool) -> None:
        """Note that a crop's label is another one now, or none; `is_new` when one more presentation has ended."""
        if self.placed is None or self.project is None:
            return
        counts, labels = dict(self.placed.counts), dict(self.placed.labels)
        before = labels.pop(index, None)
        if label is not None:
            labels[index] = label
        for each, difference in ((before, -1), (label, 1)):
            if each is not None and each.class_id is not None:
                counts[each.class_id] = counts.get(each.class_id, 0) + difference
        asked = self.placed.asked_before + is_new
        self.placed = replace(self.placed, counts=counts, labels=labels, asked_before=asked)
        self.view.show_project(self.project, counts)
        self.draw_labels()

    # Training

    def retrain(self) -> None:
        """Retrain both models on all answers in the background, then score the frame again."""
        placed, project, grid = self.placed, self.project, self.grid
        if placed is None or project is None or grid is None:
            self.view.complain("There is nothing to train on yet. Choose a frame and label some crops.")
            return
        shape = (len(placed.plane_C_Y_X), grid.crop, grid.crop)
        request = RetrainRequest(project, shape, project.choices.seed, self._device)

        def trained(generation: Any) -> None:
            if generation.number:
                self.score()
            else:
                self.view.say(" ".join(generation.agent.notes))

        self._training.call("costal.workbench:retrain", (request,), trained, self.view.complain, "Learning")

    def cancel(self) -> None:
        """Stop what the engine does; the newest model is unchanged."""
        was_busy = [self._scoring.cancel(), self._training.cancel()]
        if any(was_busy):
            self.view.say("Cancelled. The newest model is unchanged.")


def asks_otherwise(project: Project, before: Project) -> bool:
    """Return whether scores of the one project say nothing about the other: classes or committee differ."""
    now, then = project.agent_settings(), before.agent_settings()
    return (now.class_ids, now.acquisition, now.passes) != (then.class_ids, then.acquisition, then.passes)


def by_index(labels: list[CropLabel], grid: Grid) -> dict[int, CropLabel]:
    """Return the labels of a frame by the crop of this grid that they belong to; others are left out."""
    found = {}
    for label in labels:
        row, rest_y = divmod(label.y, grid.stride)
        col, rest_x = divmod(label.x, grid.stride)
        if label.side == grid.crop and not (rest_y or rest_x) and row < grid.rows and col < grid.cols:
            found[row * grid.cols + col] = label
    return found
