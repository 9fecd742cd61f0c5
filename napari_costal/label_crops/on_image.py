"""Interaction on the image: the crop under the mouse, the crop being labelled, and crops chosen with Shift."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from napari.viewer import Viewer
from qtpy.QtWidgets import QStackedWidget

from costal.frames.grid import index_at
from napari_costal.label_crops.chosen_page import ChosenPage
from napari_costal.label_crops.frame_canvas import FrameCanvas
from napari_costal.label_crops.frame_choice import FrameChoice
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.hover import Hover
from napari_costal.label_crops.labelling_session import LabellingSession
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.page import CropPage
from napari_costal.label_crops.query_session import QuerySession
from napari_costal.label_crops.selection import Selection, crops_within
from napari_costal.ui.dock import Dock
from napari_costal.ui.tools import STOP


class OnImage:
    """Connects the canvas with the sessions: hover, the frame of the crop being labelled, and the chosen crops."""

    def __init__(
        self,
        viewer: Viewer,
        dock: Dock,
        pages: QStackedWidget,
        keys: Mapping[str, str],
        choice: FrameChoice,
        canvas: FrameCanvas,
        page: CropPage,
        session: OpenProject,
        frame: FrameSession,
        query: QuerySession,
        labelling: LabellingSession,
        start_project: Callable[[Callable[[], Any]], None],
    ) -> None:
        self._dock, self._pages, self._canvas, self._session = dock, pages, canvas, session
        self._frame, self._labelling, self._start_project = frame, labelling, start_project
        self.hover = Hover(viewer, canvas, session, frame, query)
        self.selection = Selection(session, frame, query, labelling)
        self.chosen = ChosenPage(keys)
        self.hover.shown.connect(labelling.note_seen)
        frame.left.connect(self.hover.forget)
        frame.relabelled.connect(lambda *_: self.hover.tell())
        labelling.presented.connect(self._presented)
        choice.chosen_at.connect(self._choose_at)
        choice.stretched.connect(self._stretch)
        choice.boxed.connect(self._box)
        self.selection.changed.connect(self._show_chosen)
        self.selection.given.connect(self._say)
        self.chosen.given.connect(self.selection.give)
        acts = {"undo": labelling.undo, "redo": labelling.redo, STOP: self._leave}
        self.chosen.asked_for.connect(lambda name: acts.get(name, lambda: None)())
        page.message.connect(self.chosen.say)

    def stop(self) -> None:
        """Stop watching."""
        self.chosen.end()
        self.hover.stop()

    def hold_back(self, are_held_back: bool) -> None:
        """Hide predictions, or show them again."""
        if are_held_back:
            self.hover.forget()

    def _presented(self, index: int | None) -> None:
        self._canvas.show_on_bench(index)

    def _choose_at(self, position: Any) -> None:
        grid = self._canvas.grid
        y, x = (int(np.floor(value + 0.5)) for value in position)
        index = index_at(grid, y, x) if grid is not None else None
        if index is not None:
            self._with_frame(lambda: self.selection.toggle(index))

    def _stretch(self, start: Any, end: Any) -> None:
        """Frame the crops that the rectangle would add."""
        grid = self._canvas.grid
        if grid is not None:
            more = crops_within(grid, start, end).tolist()
            self._canvas.show_chosen([*dict.fromkeys((*self.selection.indices, *more))])

    def _box(self, start: Any, end: Any) -> None:
        grid = self._canvas.grid
        if grid is None:
            return
        indices = crops_within(grid, start, end).tolist()
        if indices:
            self._with_frame(lambda: self.selection.add(indices))

    def _with_frame(self, act: Callable[[], None]) -> None:
        self._start_project(lambda: self._frame.place(act))

    def _show_chosen(self, indices: tuple[int, ...]) -> None:
        self._canvas.show_chosen(indices)
        project = self._session.project
        if not indices or project is None:
            return
        self._pages.setCurrentWidget(self.chosen)
        self.chosen.say("")
        self.chosen.show_chosen(len(indices), project.offered)

    def _say(self, text: str) -> None:
        self.chosen.say(text)
        self._dock.say(text)

    def _leave(self) -> None:
        self.selection.clear()
