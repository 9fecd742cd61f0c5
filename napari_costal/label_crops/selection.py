"""Crops chosen on the image, to be labelled together as one action. No Qt."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from costal.frames.grid import crop_at
from costal.labels.controls import control_flags
from costal.labels.project import Project
from costal.labels.records import NOBODY, ActionRecord, AnswerRecord, CropLabel
from costal.types import Grid
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.labelling_session import LabellingSession
from napari_costal.label_crops.loaded_frame import LoadedFrame
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.query_reason import reason_of
from napari_costal.label_crops.query_session import QuerySession
from napari_costal.labelling.presentation import Clock, system_clock

MOST_CHOSEN = 500
"""Each chosen crop has a frame on the image; more would not be visible."""


def crops_within(grid: Grid, start_2: tuple[float, float], end_2: tuple[float, float]) -> NDArray[np.intp]:
    """Return the crops whose middle lies in the rectangle between two places (y, x) of the frame, in order."""
    low, high = np.minimum(start_2, end_2), np.maximum(start_2, end_2)
    first = np.maximum(np.ceil((low - (grid.crop - 1) / 2) / grid.stride), 0).astype(int)
    last = np.floor((high - (grid.crop - 1) / 2) / grid.stride).astype(int)
    rows = np.arange(first[0], min(last[0], grid.rows - 1) + 1)
    cols = np.arange(first[1], min(last[1], grid.cols - 1) + 1)
    return (rows[:, None] * grid.cols + cols).ravel().astype(np.intp)


class Selection:
    """The chosen crops of the frame; `changed` carries them, `given` a message about the label given to all of them.

    The crop being labelled waits meanwhile. Controls are left out: they are labelled one by one.
    """

    changed = Signal(object)
    given = Signal(str)

    def __init__(
        self,
        session: OpenProject,
        frame: FrameSession,
        query: QuerySession,
        labelling: LabellingSession,
        clock: Clock = system_clock,
    ) -> None:
        self._session, self._frame, self._query, self._labelling = session, frame, query, labelling
        self._clock = clock
        self._moments_ns: list[int] = []
        self._saving = False
        self.indices: tuple[int, ...] = ()
        frame.leaving.connect(self._forget)

    def toggle(self, index: int) -> None:
        """Choose a crop, or drop it if it is chosen."""
        chosen = self.indices
        self._choose([each for each in chosen if each != index] if index in chosen else [*chosen, index])

    def add(self, indices: Iterable[int]) -> None:
        """Choose these crops too."""
        self._choose(dict.fromkeys((*self.indices, *indices)))

    def _choose(self, indices: Iterable[int]) -> None:
        if self._saving or not self._session.may_write():
            return
        if not self.indices:
            self._moments_ns = []
            self._labelling.set_aside()
        self._moments_ns.append(self._clock()[0])
        self.indices = tuple(indices)[:MOST_CHOSEN]
        self.changed.emit(self.indices)

    def clear(self) -> None:
        """Drop all chosen crops, and go on with the query if one waits."""
        self._forget()
        self._labelling.go_on()

    def _forget(self) -> None:
        if self.indices:
            self.indices = ()
            self.changed.emit(self.indices)

    def give(self, class_id: int) -> None:
        """Label all chosen crops as one action; they are read on another thread."""
        loaded, grid, project_session = self._frame.loaded, self._frame.grid, self._session.project_session
        project, ticket = self._session.project, self._frame.newest.ticket()
        if (
            loaded is None
            or grid is None
            or project_session is None
            or project is None
            or self._saving
            or not self.indices
        ):
            return
        free, controls = without_controls(self.indices, project, loaded, grid)
        if not free:
            self.given.emit("Nothing was labelled: controls are labelled one by one, in queries.")
            return
        action = ActionRecord("bulk", self._session.annotator, self._active_s(project.idle_limit_s))
        plane_C_Y_X = loaded.plane_C_Y_X

        def read() -> list[AnswerRecord]:
            return [
                self._record(each, crop_at(plane_C_Y_X, grid, each), class_id, project, loaded, grid) for each in free
            ]

        def saved(label_ids: tuple[int, ...]) -> None:
            self._saving = False
            if ticket.is_current:
                self._relabel(free, label_ids, class_id, loaded, grid)
                self._labelling.drop(free)
                self._forget()
                self.given.emit(given_text(len(free), controls, project, class_id))
                self._labelling.go_on()

        def failed(reason: str) -> None:
            self._saving = False
            self.given.emit(f"Not saved: {reason} The crops are still chosen: press the key again.")

        def keep(answers: list[AnswerRecord]) -> None:
            self._session.store.run(project_session.answer_together, action, answers, then=saved, failed=failed)

        self._saving = True
        self._frame.read_aside(read, keep, failed)

    def _active_s(self, idle_limit_s: float) -> float:
        """Return the seconds from the first choice to now, without the part of gaps beyond the idle limit."""
        moments_ns = [*self._moments_ns, self._clock()[0]]
        return sum(min((after - before) / 1e9, idle_limit_s) for before, after in pairwise(moments_ns))

    def _record(
        self,
        index: int,
        pixels_C_H_W: NDArray[np.generic],
        class_id: int,
        project: Project,
        loaded: LoadedFrame,
        grid: Grid,
    ) -> AnswerRecord:
        query = self._query
        y, x = grid.origin(index)
        return AnswerRecord(
            loaded.stored.id,
            y,
            x,
            pixels_C_H_W,
            "class",
            class_id,
            self._session.annotator,
            (),
            query.generation,
            prediction_shown=self._labelling.knows_prediction(index),
            why=reason_of(query.frame_scores, query.picked, project, index),
            given="bulk",
            asker=query.frame_scores.asker if query.frame_scores is not None else NOBODY,
        )

    def _relabel(
        self, indices: list[int], label_ids: tuple[int, ...], class_id: int, loaded: LoadedFrame, grid: Grid
    ) -> None:
        self._frame.relabel_together(
            {
                index: CropLabel(label_id, loaded.stored.id, *grid.origin(index), grid.crop, class_id, given="bulk")
                for index, label_id in zip(indices, label_ids, strict=True)
            }
        )


def without_controls(
    indices: Iterable[int], project: Project, loaded: LoadedFrame, grid: Grid
) -> tuple[list[int], int]:
    """Return the crops that may be labelled together, in order, and the number of unlabelled controls left out."""
    is_control_N = control_flags(project, loaded.stored.content_hash, grid)
    every = list(indices)
    free = [each for each in every if not is_control_N[each] or each in loaded.labels]
    return free, len(every) - len(free)


def given_text(count: int, controls: int, project: Project, class_id: int) -> str:
    """Return a message: how many crops were labelled, and how many left out."""
    label_class = project.class_of(class_id)
    name = label_class.name if label_class is not None else "?"
    text = f"{count} crop{'s were' if count != 1 else ' was'} labelled '{name}' together; undo takes all of them back."
    if controls:
        left_out = "1 control was" if controls == 1 else f"{controls} controls were"
        text += f" {left_out} left out: controls are labelled one by one, in queries."
    return text
