"""The crop under the mouse in the status bar: prediction, I, C, v and label, unless predictions are hidden."""

from typing import Any

import numpy as np
from napari.viewer import Viewer
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QLabel, QWidget

from costal.agent.value import value
from costal.frames.grid import index_at
from costal.labels.project import Project
from costal.labels.records import CropLabel
from costal.scoring.kept import SCORED
from costal.scoring.scores import FrameScores
from napari_costal.engine.client import main_window_of
from napari_costal.label_crops.frame_canvas import FrameCanvas
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.query_session import QuerySession

RESTING_MS = 150
"""Time that the mouse must rest: text that flashes by is not read, but would count as seen."""


def crop_text(index: int, scores: FrameScores | None, project: Project, label: CropLabel | None) -> str:
    """Return one line about a crop: its prediction and its label."""
    return " · ".join((f"Crop {index + 1}", *_scored_parts(index, scores, project), label_text(label, project)))


def _scored_parts(index: int, frame_scores: FrameScores | None, project: Project) -> tuple[str, ...]:
    if frame_scores is None:
        return ("not scored yet",)
    if frame_scores.scores is None:
        return ("no model yet",)
    if frame_scores.skipped_N is not None and frame_scores.skipped_N[index] != SCORED:
        return ("not scored",)
    scores, choices = frame_scores.scores, project.choices
    best = int(np.argmax(scores.probs_N_K[index]))
    information, cost = (each[index : index + 1] for each in (scores.information_N, scores.cost_N))
    worth = value(information, cost, choices.alpha, choices.beta)[0]
    return (
        f"{project.offered[best].name} {scores.probs_N_K[index, best]:.0%}",
        f"I = {information[0]:.3g}",
        "C uniform" if scores.cost_is_uniform else f"C = {cost[0]:.2g} s",
        f"v = {worth:.3g}",
    )


def label_text(label: CropLabel | None, project: Project) -> str:
    """Return the label of a crop, how it was given, and whether it is unsure."""
    if label is None:
        return "no label"
    if label.class_id is None:
        return {"skip": "skipped", "exclude": "excluded"}.get(label.kind, "no label")
    label_class = project.class_of(label.class_id)
    how = ", ".join((label.given,) * (label.given != "single") + ("unsure",) * label.unsure)
    note = f": {label.note}" if label.note else ""
    return f"label {label_class.name if label_class is not None else '?'}" + (f" ({how})" if how else "") + note


class Hover(QLabel):
    """A text in the window's status bar; `shown` carries the crop whose prediction was shown."""

    shown = Signal(int)

    def __init__(
        self, viewer: Viewer, canvas: FrameCanvas, session: OpenProject, frame: FrameSession, query: QuerySession
    ) -> None:
        super().__init__()
        self._viewer, self._canvas = viewer, canvas
        self._session, self._frame, self._query = session, frame, query
        self._index: int | None = None
        self._resting = QTimer(self, singleShot=True, interval=RESTING_MS)
        self._resting.timeout.connect(self.tell)
        viewer.mouse_move_callbacks.append(self._moved)

    def stop(self) -> None:
        """Stop watching."""
        self._resting.stop()
        if self._moved in self._viewer.mouse_move_callbacks:
            self._viewer.mouse_move_callbacks.remove(self._moved)
        self.setParent(None)
        self.deleteLater()

    def join_window(self, beside: QWidget) -> None:
        """Join the status bar of the window that a widget is in."""
        window = main_window_of(beside)
        if window is not None and self.window() is not window:
            window.statusBar().addPermanentWidget(self)

    def _moved(self, _viewer: Any, event: Any) -> None:
        grid, layer = self._canvas.grid, self._canvas.layer
        index = None
        if grid is not None and layer is not None and self._viewer.dims.ndisplay == 2:
            y, x = (int(np.floor(place + 0.5)) for place in layer.world_to_data(event.position)[-2:])
            index = index_at(grid, y, x)
        if index != self._index:
            self._index = index
            self.setText("")
            self._resting.start()

    def forget(self) -> None:
        """Clear the text: another frame follows, or predictions are hidden."""
        self._index = None
        self.setText("")

    def tell(self) -> None:
        """Show the crop under the mouse, unless predictions are hidden."""
        project, index = self._session.project, self._index
        if project is None or index is None or self._query.is_blind or self._frame.grid is None:
            self.setText("")
            return
        scores = self._query.frame_scores
        self.setText(crop_text(index, scores, project, self._frame.labels.get(index)))
        if scores is not None and scores.scores is not None:
            self.shown.emit(index)
