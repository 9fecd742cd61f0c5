"""What *Label crops* does, without Qt: frames in, queries out, answers stored, models retrained.

The store has a thread of its own, pixels are read on another, and torch lives in the engine process; this class runs
on the GUI thread and only passes values between them. `generation` counts what the user changed: results that are
older are dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from costal.errors import CostalError
from costal.frames.grid import crop_at, crop_with_surroundings, tile
from costal.frames.normalise import IntensityRange
from costal.labels.effort import EventKind, derive
from costal.labels.project import Project, checked, create_project, new_class, save_project
from costal.labels.store import AnswerRecord, CropLabel
from costal.types import Floats, Frame, Grid, Progress
from costal.workbench import (
    FrameRequest,
    FrameScores,
    PickedCrops,
    PlacedFrame,
    RetrainRequest,
    Workbench,
    query_of,
)
from napari_costal._layer_frames import LayerView, frame_of
from napari_costal._parcel import pack
from napari_costal._presentation import Clock, Presentation, Presenter, system_clock

Shown = Literal["value v", "information I", "cost C", "predicted class"]
SHOWN: tuple[Shown, ...] = ("value v", "information I", "cost C", "predicted class")


class View(Protocol):
    """The face that the controller speaks to."""

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


class Thread(Protocol):
    """A thread that runs functions one after another (see `Background`)."""

    def run(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        then: Callable[[Any], None] | None = None,
        failed: Callable[[str], None] | None = None,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Placed:
    """The frame in the project: pixels, place in the store, its labels, and how often the annotator was asked."""

    frame: Frame
    plane_C_Y_X: NDArray[np.generic]
    placed: PlacedFrame
    labels: list[CropLabel]
    counts: dict[int, int]
    asked_before: int


class LabelController:
    """One frame of one project at a time. Every public method is a thing that the user does."""

    def __init__(
        self,
        view: View,
        store: Thread,
        pixels: Thread,
        engine: Any,
        annotator: str,
        device: str = "auto",
        clock: Clock = system_clock,
    ) -> None:
        self._view, self._store, self._pixels, self._engine = view, store, pixels, engine
        self._annotator, self._device = annotator, device
        self.generation = 0
        self.project: Project | None = None
        self._bench: Workbench | None = None
        self.layer_view: LayerView | None = None
        self.grid: Grid | None = None
        self._placed: Placed | None = None
        self._found: FrameScores | None = None
        self._picked: PickedCrops | None = None
        self._shown: Shown = "value v"
        self.labels: dict[int, CropLabel] = {}
        self._waiting: list[tuple[int, int | None]] = []
        self._asked = 0
        self.presenter = Presenter(view.cover, clock)
        self._record: AnswerRecord | None = None
        self._saving = False
        self._history: list[tuple[int, Presentation]] = []
        self._job: Any = None

    # The project

    def make_project(
        self,
        folder: Path,
        settings: Callable[[Project], Project] = lambda project: project,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Make a project with these settings and open it."""
        self._store.run(
            lambda: save_project(settings(create_project(folder))),
            then=lambda _: self.open_project(folder, then),
            failed=self._view.complain,
        )

    def open_project(self, folder: Path, then: Callable[[], None] | None = None) -> None:
        """Open a project; the one before is closed."""
        before, self._bench = self._bench, None

        def work() -> tuple[Workbench, dict[int, int]]:
            if before is not None:
                before.close()
            bench = Workbench(folder)
            return bench, bench.label_counts()

        def opened(outcome: tuple[Workbench, dict[int, int]]) -> None:
            self._bench, counts = outcome
            self.project = self._bench.project
            self._view.show_project(self.project, counts)
            self.choose_frame(self.layer_view)
            if then is not None:
                then()

        self._store.run(work, then=opened, failed=self._view.complain)

    def close(self) -> Callable[[], None] | None:
        """Stop everything; return what the store's thread must do last."""
        self.generation += 1
        self.stop_labelling()
        self.cancel()
        bench, self._bench = self._bench, None
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
        if before is None or self._bench is None:
            return
        try:
            project = checked(edit(before))
        except CostalError as error:
            self._view.complain(str(error))
            self._view.show_project(before, self._counts())
            return
        self.project = project
        if save:
            bench = self._bench
            self._store.run(bench.configure, project, failed=self._view.complain)
        if project.tiling != before.tiling:
            self._forget_frame()
            self._lay_grid()
            self._place(lambda: None)
        elif project.classes != before.classes:
            self._view.show_project(project, self._counts())
            self._draw_labels()
            if len(project.classes) != len(before.classes):
                self._drop_scores("Classes changed: score again.")
        else:
            self._recombine()

    # The frame

    def choose_frame(self, layer_view: LayerView | None) -> None:
        """Work on another layer, or on another plane of it."""
        self.layer_view = layer_view
        self._forget_frame()
        self._lay_grid()
        if self._bench is not None and self.grid is not None:
            self._place(lambda: None)

    def _lay_grid(self) -> None:
        tiling = self.project.tiling if self.project is not None else None
        self.grid = None
        if self.layer_view is not None and tiling is not None:
            try:
                self.grid = tile(self.layer_view.shape, tiling.crop, tiling.stride, tiling.edge)
            except CostalError as error:
                self._view.complain(str(error))
        self._view.show_grid(self.grid, self.layer_view.pixel_um if self.layer_view else None)

    def _forget_frame(self) -> None:
        self.generation += 1
        self._abandon()
        self.stop_labelling()
        self.cancel()
        self._placed, self.labels, self._history = None, {}, []
        self._view.clear_labels()
        self._drop_scores("")

    def _drop_scores(self, why: str) -> None:
        self._found, self._picked = None, None
        self._view.clear_scores()
        if why:
            self._view.say(why)

    def _place(self, then: Callable[[], None]) -> None:
        """Read the frame, put it into the project, and draw its labels; then go on."""
        if self._placed is not None:
            then()
            return
        layer_view, grid, bench, ticket = self.layer_view, self.grid, self._bench, self.generation
        if layer_view is None or grid is None or bench is None:
            return
        self._view.say("Reading the frame …")

        def store_work(read: tuple[Frame, NDArray[np.generic]]) -> Placed:
            frame, plane = read
            placed = bench.place(frame, plane, layer_view.description)
            asked = bench.presentation_count(self._annotator)
            return Placed(frame, plane, placed, bench.labels(placed.id), bench.label_counts(), asked)

        def stored(placed: Placed) -> None:
            if ticket != self.generation:
                return
            self._placed = placed
            self.labels = self._by_index(placed.labels)
            self._draw_labels()
            known = len(self.labels)
            self._view.say(f"{len(grid)} crops, {known} labelled. Score the frame, or click a crop to label it.")
            then()

        self._pixels.run(
            frame_of,
            layer_view,
            then=lambda read: self._store.run(store_work, read, then=stored, failed=self._view.complain),
            failed=self._view.complain,
        )

    def _by_index(self, labels: list[CropLabel]) -> dict[int, CropLabel]:
        grid = self.grid
        if grid is None:
            return {}
        places = {grid.origin(index): index for index in range(len(grid))}
        fitting = (label for label in labels if label.side == grid.crop)
        return {places[label.y, label.x]: label for label in fitting if (label.y, label.x) in places}

    def _counts(self) -> dict[int, int]:
        return dict(self._placed.counts) if self._placed is not None else {}

    # Scores and the query

    def score(self, then: Callable[[], None] | None = None) -> None:
        """Score the frame's crops with the newest model."""
        self._place(lambda: self._score_placed(then))

    def _score_placed(self, then: Callable[[], None] | None) -> None:
        placed, project, grid, ticket = self._placed, self.project, self.grid, self.generation
        if placed is None or project is None or grid is None:
            return
        order = placed.asked_before
        limits, seed = placed.placed.range, project.choices.seed
        request = FrameRequest(
            project.folder, placed.plane_C_Y_X, limits, grid, self._annotator, order, seed, self._device
        )

        def scored(found: FrameScores) -> None:
            if ticket != self.generation:
                return
            self._found = found
            self._tell_model(found)
            self._recombine()
            if then is not None:
                then()

        self._run("costal.workbench:score_frame", request, scored, "Starting the engine …")

    def _tell_model(self, found: FrameScores) -> None:
        if found.scores is None:
            self._view.show_model("No model yet")
            self._view.say(f"{found.reason} The query is spread over the image by simple features.")
            return
        cost = "uniform cost" if found.scores.cost_is_uniform else "learned cost"
        self._view.show_model(f"Model {found.generation}, {cost}, {found.scores.device}")
        self._view.say(" ".join(found.scores.notes) or "Scored. Move the slider, or label the query.")

    def show(self, shown: Shown) -> None:
        """Show another score in the heatmap."""
        self._shown = shown
        self._draw_heatmap()

    def _recombine(self) -> None:
        """Turn cached I and C into v, the heatmap and the query: quick enough to follow a slider."""
        project, grid, found = self.project, self.grid, self._found
        if project is None or grid is None or found is None:
            return
        candidates = np.array([index for index in range(len(grid)) if index not in self.labels], dtype=np.intp)
        try:
            self._picked = query_of(found, project, candidates, project.choices.seed + found.generation)
        except CostalError as error:
            self._picked = None
            self._view.say(str(error))
        self._draw_heatmap()
        if self.presenter.current is None or self.presenter.current.rank is None:
            self._view.show_query(self._picked.picked_n if self._picked else np.empty(0, np.intp), grid)

    def _draw_heatmap(self) -> None:
        if self._found is None or self._found.scores is None or self.grid is None or self.project is None:
            return
        scores = self._found.scores
        if self._shown == "information I":
            values = scores.information_N
        elif self._shown == "cost C":
            values = scores.cost_N
        elif self._shown == "predicted class":
            values = scores.probs_N_K.argmax(axis=1).astype(np.float32)
        elif self._picked is not None and self._picked.value_N is not None:
            values = self._picked.value_N
        else:
            return
        self._view.show_heatmap(values, self.grid, self._shown, self.project)

    # Labelling

    def label_query(self) -> None:
        """Present the query, best first; score first when that was not done."""
        if self._picked is None:
            self.score(then=lambda: self.label_query() if self._picked is not None else None)
            return
        self._waiting = [(int(index), rank) for rank, index in enumerate(self._picked.picked_n, 1)]
        self._asked = len(self._waiting)
        self._next()

    def click(self, index: int) -> None:
        """Present the crop that the user clicked, now; the one before it waits."""

        def go() -> None:
            if self._saving:
                return
            if (
                self.presenter.current is not None
                and self.presenter.current.rank is not None
                and not self.presenter.current.has_ended
            ):
                self._waiting.insert(0, (self.presenter.current.index, self.presenter.current.rank))
            self._abandon()
            self._present(index, None)

        self._place(go)

    def _next(self) -> None:
        self.presenter.current = None
        if self._waiting:
            self._present(*self._waiting.pop(0))
        elif self._asked:
            self.stop_labelling()
            self.retrain()
        else:
            self._view.bench_says("Saved. Click another crop to label it, or leave with Esc and train.", False)

    def _present(self, index: int, rank: int | None) -> None:
        placed, project, grid = self._placed, self.project, self.grid
        if placed is None or project is None or grid is None:
            return
        self._record = None
        presentation = self.presenter.open(index, rank, round(project.idle_limit_s * 1e9))
        pixels, (y, x) = crop_with_surroundings(placed.plane_C_Y_X, grid, index, grid.crop // 2)
        title = f"Crop {rank} of {self._asked}" if rank is not None else "The crop you clicked"
        if index in self.labels:
            title += " (labelled before)"
        seconds = lambda: derive(presentation.state).active_s  # noqa: E731
        self._view.present(project, pixels, (y, x, grid.crop), placed.placed.range, title, seconds)
        self._view.bench_says("", False)

    def answer(self, class_id: int) -> None:
        """Label the crop on the bench."""
        self._end(EventKind.ANSWERED, class_id)

    def skip(self) -> None:
        """Leave the crop without a label: the expert cannot tell."""
        self._end(EventKind.SKIPPED, None)

    def _end(self, kind: EventKind, class_id: int | None) -> None:
        """Commit the answer; only then comes the next crop. An answer that was not saved can be given again."""
        presentation = self.presenter.current
        if presentation is None or self._saving or presentation.is_paused:
            return
        if not presentation.has_ended and not presentation.record(kind):
            return
        self._record = record = self._record_of(presentation, "skip" if class_id is None else "class", class_id)
        if record is None or self._bench is None:
            return
        self._saving = True
        self._store.run(
            self._bench.answer, record, then=lambda label_id: self._saved(label_id, record), failed=self._not_saved
        )

    def _record_of(
        self, presentation: Presentation, kind: Literal["class", "skip", "abandoned"], class_id: int | None
    ) -> AnswerRecord | None:
        placed, grid, index = self._placed, self.grid, presentation.index
        if placed is None or grid is None:
            return None
        y, x = grid.origin(index)
        scores = self._found.scores if self._found is not None else None
        value_N = self._picked.value_N if self._picked is not None else None
        return AnswerRecord(
            placed.placed.id,
            y,
            x,
            crop_at(placed.plane_C_Y_X, grid, index),
            kind,
            class_id,
            self._annotator,
            tuple(presentation.events),
            generation=self._found.generation if self._found is not None else 0,
            rank=presentation.rank,
            information=float(scores.information_N[index]) if scores is not None else None,
            cost=float(scores.cost_N[index]) if scores is not None else None,
            value=float(value_N[index]) if value_N is not None else None,
        )

    def _saved(self, label_id: int, record: AnswerRecord) -> None:
        self._saving = False
        presentation, placed, grid = self.presenter.current, self._placed, self.grid
        if presentation is None or placed is None or grid is None:
            return
        index = presentation.index
        before = self.labels.get(index)
        self.labels[index] = CropLabel(label_id, placed.placed.id, record.y, record.x, grid.crop, record.class_id)
        self._count(before.class_id if before else None, record.class_id)
        self._history.append((label_id, presentation))
        self._draw_labels()
        self._next()

    def _not_saved(self, reason: str) -> None:
        self._saving = False
        self._view.bench_says(f"Not saved: {reason} Your answer is still here: press its key again.", True)

    def _count(self, before: int | None, after: int | None) -> None:
        if self._placed is None or self.project is None:
            return
        counts = dict(self._placed.counts)
        for class_id, change in ((before, -1), (after, 1)):
            if class_id is not None:
                counts[class_id] = counts.get(class_id, 0) + change
        self._placed = replace(self._placed, counts=counts, asked_before=self._placed.asked_before + 1)
        self._view.show_project(self.project, counts)

    def undo(self) -> None:
        """Take the last answer back and present its crop again."""
        if self._saving or self._bench is None:
            return
        if not self._history:
            self._view.bench_says("Nothing to undo in this sitting.", False)
            return
        label_id, answered = self._history.pop()
        index = answered.index
        ticket = self.generation

        def undone(labels: list[CropLabel]) -> None:
            self._saving = False
            if ticket != self.generation:
                return
            taken_back = self.labels.pop(index, None)
            self.labels = self._by_index(labels)
            standing = self.labels.get(index)
            self._count(taken_back.class_id if taken_back else None, standing.class_id if standing else None)
            self._draw_labels()
            if self.presenter.current is not None and not self.presenter.current.has_ended:
                self._waiting.insert(0, (self.presenter.current.index, self.presenter.current.rank))
                self._abandon()
            self._present(index, answered.rank)

        self._saving = True
        bench, frame_id = self._bench, self._placed.placed.id if self._placed else None

        def work() -> list[CropLabel]:
            bench.undo(label_id)
            return bench.labels(frame_id)

        def failed(reason: str) -> None:
            self._saving = False
            self._history.append((label_id, answered))
            self._view.bench_says(reason, True)

        self._store.run(work, then=undone, failed=failed)

    def stop_labelling(self) -> None:
        """Leave the bench; answers given are kept, the crop on it is abandoned."""
        self._abandon()
        self.presenter.current = None
        self._waiting, self._asked = [], 0
        self._view.leave_bench()

    def _abandon(self) -> None:
        """End the crop on the bench unanswered; the time it took is kept as a lower bound."""
        presentation, self.presenter.current = self.presenter.current, None
        if presentation is None or not presentation.is_shown or self._bench is None:
            return
        presentation.record(EventKind.ABANDONED)
        record = self._record_of(presentation, "abandoned", None)
        if record is not None:
            self._store.run(self._bench.answer, record, failed=self._view.complain)

    def _draw_labels(self) -> None:
        if self.grid is None or self.project is None:
            return
        colours = {each.id: each.colour for each in self.project.classes}
        drawn = {index: colours.get(label.class_id or 0, "#888888") for index, label in self.labels.items()}
        self._view.show_labels(drawn, self.grid)

    # Training

    def retrain(self) -> None:
        """Retrain both models on all answers in the background, then score the frame again."""
        placed, project, grid = self._placed, self.project, self.grid
        if placed is None or project is None or grid is None:
            self._view.complain("There is nothing to train on yet. Choose a frame and label some crops.")
            return
        shape = (len(placed.plane_C_Y_X), grid.crop, grid.crop)
        request = RetrainRequest(project.folder, shape, project.choices.seed, self._device)
        ticket = self.generation

        def trained(generation: Any) -> None:
            if ticket != self.generation:
                return
            if generation.number:
                self.score()
            else:
                self._view.say(" ".join(generation.agent.notes))

        self._run("costal.workbench:retrain", request, trained, "Starting the engine …")

    # Jobs in the engine process

    def _run(self, function: str, request: object, then: Callable[[Any], None], first_words: str) -> None:
        """Start a job in the engine process; its progress and its failure are shown."""
        self.cancel()
        self._view.show_progress(Progress(0, 0, first_words))
        ticket = self.generation

        def start(parcel: Any) -> None:
            if ticket != self.generation:
                parcel.discard()
                self._view.show_progress(None)
                return
            self._job = job = self._engine.start(function, parcel)
            job.progress.connect(self._view.show_progress)

            def ended(go_on: Callable[[], None]) -> None:
                if self._job is job:
                    self._job = None
                    self._view.show_progress(None)
                    go_on()

            job.result.connect(lambda outcome: ended(lambda: then(outcome)))
            job.failed.connect(lambda reason: ended(lambda: self._view.complain(reason)))
            job.cancelled.connect(lambda: ended(lambda: self._view.say("Cancelled. The newest model is unchanged.")))

        def not_started(reason: str) -> None:
            self._view.show_progress(None)
            self._view.complain(reason)

        self._pixels.run(pack, (request,), then=start, failed=not_started)

    def cancel(self) -> None:
        """Stop the job that runs."""
        if self._job is not None:
            self._engine.cancel(self._job)
