"""An expert's sitting: crops presented one after another, answers committed, undone, and the effort kept."""

from typing import Literal

from costal.frames.grid import crop_at, crop_with_surroundings
from costal.labels.effort import EventKind
from costal.labels.store import AnswerRecord, CropLabel
from napari_costal._label_controller import LabelController, by_index
from napari_costal._presentation import Clock, Presentation, Presenter, system_clock

Kind = Literal["class", "skip", "abandoned"]


class Sitting:
    """The query being answered, and the crops that the expert clicks; the screen moves on only after a commit."""

    def __init__(self, controller: LabelController, clock: Clock = system_clock) -> None:
        self._controller, self._view = controller, controller.view
        self.presenter = Presenter(controller.view.cover, clock)
        self._waiting: list[tuple[int, int | None]] = []
        self._asked = 0
        self._history: list[tuple[int, Presentation]] = []
        self._saving = False
        controller.on_frame_left = self.leave

    @property
    def current(self) -> Presentation | None:
        """The crop on the bench."""
        return self.presenter.current

    def label_query(self) -> None:
        """Present the query, best first; score first when that was not done."""
        if self._controller.found is None:
            self._controller.score(then=self.label_query)
            return
        self._controller.recombine()
        picked = self._controller.picked
        if picked is None:
            return
        self._waiting = [(int(index), rank) for rank, index in enumerate(picked.picked_n, 1)]
        self._asked = len(self._waiting)
        if self.current is None:
            self._next()

    def click(self, index: int) -> None:
        """Present the crop that the user clicked, now; the one before it waits."""

        def go() -> None:
            if self._saving:
                return
            interrupted = self.current
            self._abandon()
            if interrupted is not None and interrupted.rank is not None and interrupted.index != index:
                self._waiting.insert(0, (interrupted.index, interrupted.rank))
            self._present(index, None)

        self._controller.place(go)

    def answer(self, class_id: int) -> None:
        """Label the crop on the bench."""
        self._end(EventKind.ANSWERED, class_id)

    def skip(self) -> None:
        """Leave the crop without a label: the expert cannot tell."""
        self._end(EventKind.SKIPPED, None)

    def stop(self) -> None:
        """Leave the bench; answers given are kept, the crop on it is abandoned."""
        self._abandon()
        self._waiting, self._asked = [], 0
        self._view.leave_bench()
        self._controller.recombine()

    def leave(self) -> None:
        """Leave the frame: nothing on it can be undone any more."""
        self._abandon()
        self._waiting, self._asked, self._history = [], 0, []
        self._view.leave_bench()

    def _next(self) -> None:
        self.presenter.current = None
        if self._waiting:
            self._present(*self._waiting.pop(0))
        elif self._asked:
            self.stop()
            self._controller.retrain()
        else:
            self._view.bench_says("Saved. Click another crop to label it, or leave with Esc and train.", False)

    def _present(self, index: int, rank: int | None) -> None:
        now = self._controller
        if now.placed is None or now.project is None or now.grid is None:
            return
        presentation = self.presenter.open(index, rank, round(now.project.idle_limit_s * 1e9))
        presentation.why = self._why(index)
        pixels, (y, x) = crop_with_surroundings(now.placed.plane_C_Y_X, now.grid, index, now.grid.crop // 2)
        title = f"Crop {rank} of {self._asked}" if rank is not None else "The crop you clicked"
        if index in now.labels:
            title += " (answered before)"
        limits = now.placed.placed.range
        crop = (y, x, now.grid.crop)
        self._view.present(now.project, pixels, crop, limits, title, presentation.active_s)
        self._view.bench_says("", False)

    def _why(self, index: int) -> dict[str, float | int | bool]:
        """Return what the model thought of a crop when it was presented."""
        found, picked = self._controller.found, self._controller.picked
        if found is None or found.scores is None:
            return {}
        why: dict[str, float | int | bool] = {
            "generation": found.generation,
            "information": float(found.scores.information_N[index]),
            "cost": float(found.scores.cost_N[index]),
            "prediction_shown": self._controller.shown == "predicted class",
        }
        if picked is not None and picked.value_N is not None:
            why["value"] = float(picked.value_N[index])
        return why

    def _end(self, kind: EventKind, class_id: int | None) -> None:
        """Commit the answer; only then comes the next crop. An answer that was not saved can be given again."""
        presentation, bench, ticket = self.current, self._controller.bench, self._controller.generation
        if presentation is None or bench is None or self._saving or presentation.is_paused:
            return
        if not presentation.has_ended and not presentation.record(kind):
            return
        record = self._record_of(presentation, "skip" if class_id is None else "class", class_id)
        if record is None:
            return
        self._saving = True

        def saved(label_id: int) -> None:
            self._saving = False
            if ticket != self._controller.generation:
                return
            side = record.pixels_C_H_W.shape[-1]
            label = CropLabel(label_id, record.frame_id, record.y, record.x, side, record.class_id)
            self._controller.relabelled(presentation.index, label, is_new=True)
            self._history.append((label_id, presentation))
            self._waiting = [each for each in self._waiting if each[0] != presentation.index]
            if self.current is presentation:
                self._next()

        def failed(reason: str) -> None:
            self._saving = False
            self._view.bench_says(f"Not saved: {reason} Your answer is still here: press its key again.", True)

        self._controller.store.run(bench.answer, record, then=saved, failed=failed)

    def _record_of(self, presentation: Presentation, kind: Kind, class_id: int | None) -> AnswerRecord | None:
        placed, grid = self._controller.placed, self._controller.grid
        if placed is None or grid is None:
            return None
        y, x = grid.origin(presentation.index)
        return AnswerRecord(
            placed.placed.id,
            y,
            x,
            crop_at(placed.plane_C_Y_X, grid, presentation.index),
            kind,
            class_id,
            self._controller.annotator,
            tuple(presentation.events),
            rank=presentation.rank,
            **presentation.why,  # type: ignore[arg-type]
        )

    def undo(self) -> None:
        """Take the last answer back and present its crop again."""
        bench, placed, grid = self._controller.bench, self._controller.placed, self._controller.grid
        if self._saving or bench is None or placed is None or grid is None:
            return
        if not self._history:
            self._view.bench_says("Nothing to undo in this sitting.", False)
            return
        label_id, answered = self._history.pop()
        ticket = self._controller.generation

        def work() -> dict[int, CropLabel]:
            bench.undo(label_id)
            return by_index(bench.labels(placed.placed.id), grid)

        def undone(labels: dict[int, CropLabel]) -> None:
            self._saving = False
            if ticket != self._controller.generation:
                return
            self._controller.relabelled(answered.index, labels.get(answered.index), is_new=False)
            interrupted = self.current
            self._abandon()
            if interrupted is not None and interrupted.index != answered.index:
                self._waiting.insert(0, (interrupted.index, interrupted.rank))
            self._present(answered.index, answered.rank)

        def failed(reason: str) -> None:
            self._saving = False
            self._history.append((label_id, answered))
            self._view.bench_says(reason, True)

        self._saving = True
        self._controller.store.run(work, then=undone, failed=failed)

    def _abandon(self) -> None:
        """End the crop on the bench unanswered; the time it took is kept as a lower bound."""
        presentation, self.presenter.current = self.current, None
        bench = self._controller.bench
        if presentation is None or not presentation.is_shown or bench is None:
            return
        presentation.record(EventKind.ABANDONED)
        record = self._record_of(presentation, "abandoned", None)
        if record is not None:
            self._controller.store.run(bench.answer, record, failed=self._view.complain)
