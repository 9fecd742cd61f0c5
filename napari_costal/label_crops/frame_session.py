"""The current frame of the open project: its crops, its pixels and its labels.

Pixels are read on a thread. The session reports changes of the frame by signals, and knows no query.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from costal.errors import CostalError
from costal.frames.grid import tile
from costal.frames.normalise import IntensityRange
from costal.labels.project import Project
from costal.labels.records import CropLabel, FrameRecord
from costal.numerals import counted
from costal.scoring.channels import require_alike
from costal.scoring.frame_planes import FramePlane
from costal.scoring.queries import by_index
from costal.types import Grid
from napari_costal.canvas.large_layer import read_for_store
from napari_costal.canvas.layer_frames import LayerView
from napari_costal.engine.calls import Thread
from napari_costal.engine.latest import Latest
from napari_costal.label_crops.loaded_frame import CropPicture, LoadedFrame, colour_of, picture_of
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.view import CanvasView, Words

MOST_DRAWN = 500


class FrameSession:
    """One frame at a time. `newest` counts changes of the frame and its crops: a result of an older one is dropped."""

    leaving = Signal()
    """The frame is about to be left, but is still loaded."""
    left = Signal()
    """The frame was left: everything shown for it is outdated."""
    kept = Signal()
    """The frame is stored in the project, and its labels are loaded."""
    relabelled = Signal(object, object)
    """A crop's label changed: the label before and the label now."""

    def __init__(self, session: OpenProject, words: Words, canvas: CanvasView, pixels: Thread) -> None:
        self._session, self._words, self._canvas, self._pixels = session, words, canvas, pixels
        self.newest = Latest()
        self.layer_view: LayerView | None = None
        self.grid: Grid | None = None
        self.loaded: LoadedFrame | None = None
        self.note = ""  # a message to show once with the next frame
        self._hidden: int | None = None
        session.leaving.connect(self._forget)
        session.renewed.connect(self._take_again)
        session.changed.connect(self._changed)
        session.closing.connect(self._close)

    @property
    def labels(self) -> dict[int, CropLabel]:
        """The frame's labels by crop."""
        return self.loaded.labels if self.loaded is not None else {}

    def choose(self, layer_view: LayerView | None) -> None:
        """Change to another layer, another plane or other crops."""
        self._forget()
        self.layer_view = layer_view
        self.grid = None
        project = self._session.project
        if layer_view is not None and project is not None:
            tiling, labelled = project.tiling, self._session.labelled
            try:
                require_alike(project, layer_view.source, layer_view.crop_channels, layer_view.is_rgb, labelled)
                self.grid = tile(layer_view.shape, tiling.crop, tiling.stride, tiling.edge)
            except CostalError as error:
                self._words.complain(str(error))
        self._canvas.show_grid(self.grid, layer_view.pixel_um if layer_view else None)
        if self.grid is not None:
            self.place(lambda: None)

    def _take_again(self) -> None:
        self.choose(self.layer_view)

    def _changed(self, before: Project, project: Project) -> None:
        """Follow the project's settings: another tiling needs the frame again, other classes other colours."""
        if project.tiling != before.tiling:
            self._take_again()
        elif project.classes != before.classes:
            self.draw_labels()

    def _forget(self) -> None:
        self._close()
        self.loaded = None
        self._canvas.clear_labels()
        self.left.emit()

    def _close(self) -> None:
        self.leaving.emit()
        self.newest.renew()

    def place(self, then: Callable[[], None]) -> None:
        """Read the frame, store it in the project and draw its labels; then go on."""
        if self.loaded is not None:
            then()
            return
        layer_view, grid, project_session, ticket = (
            self.layer_view,
            self.grid,
            self._session.project_session,
            self.newest.ticket(),
        )
        if layer_view is None or grid is None or project_session is None:
            self._words.say("Choose an image layer first.")
            return
        self._session.propose_channels(layer_view)
        self._words.say("Reading the frame …")

        def read() -> tuple[FrameRecord, FramePlane] | None:
            return read_for_store(layer_view) if ticket.is_current else None

        def keep(outcome: tuple[FrameRecord, FramePlane] | None) -> LoadedFrame | None:
            if outcome is None or not ticket.is_current:
                return None
            record, frame = outcome
            loaded = project_session.place(record)
            labels = by_index(project_session.store.labels(loaded.id), grid)
            return LoadedFrame(frame, loaded, labels, project_session.store.presentation_count(self._session.annotator))

        def kept(loaded: LoadedFrame | None) -> None:
            if loaded is None:
                return
            if self.loaded is None:
                self.loaded = loaded
                self.draw_labels()
                self.kept.emit()
                answered = len(loaded.labels)
                note, self.note = self.note, ""
                crops = counted(len(grid), "crop")
                self._words.say(f"{note}{crops}, {answered} answered. Score the frame, or click a crop to label it.")
            then()

        store, complain = self._session.store, self._words.complain
        self._pixels.run(
            read,
            then=lambda outcome: store.run(keep, outcome, then=ticket.only(kept), failed=complain),
            failed=complain,
        )

    def fetch(
        self, index: int, then: Callable[[], None] = lambda: None, failed: Callable[[str], None] = lambda _: None
    ) -> None:
        """Read a crop that is not in memory on another thread; then go on."""
        loaded, grid, ticket = self.loaded, self.grid, self.newest.ticket()
        if loaded is None or grid is None:
            return
        if loaded.is_at_hand(index):
            then()
            return

        def read() -> CropPicture | None:
            if not ticket.is_current:
                return None
            return loaded.held.get(index) or picture_of(loaded.plane_C_Y_X, grid, index)

        def keep(picture: CropPicture | None) -> None:
            if picture is not None:
                loaded.hold(index, picture)
                then()

        self._pixels.run(read, then=ticket.only(keep), failed=ticket.only(failed))

    def read_aside(self, read: Callable[[], Any], then: Callable[[Any], None], failed: Callable[[str], None]) -> None:
        """Read pixels of the frame on another thread; then go on."""
        self._pixels.run(read, then=then, failed=failed)

    def shown(self, index: int) -> tuple[NDArray[np.generic], tuple[int, int, int], IntensityRange]:
        """Return a crop with its surroundings, its position in them, and the frame's intensity range."""
        loaded, grid = self.loaded, self.grid
        if loaded is None or grid is None:
            raise RuntimeError("There is no frame to show a crop from.")
        picture = loaded.picture(grid, index)
        return picture.around_C_H_W, (*picture.at, grid.crop), loaded.stored.range

    def hide_label(self, index: int | None) -> None:
        """Hide the label of this crop: it is shown again as if it had none."""
        if index != self._hidden:
            self._hidden = index
            self.draw_labels()

    def draw_labels(self) -> None:
        """Draw the labelled crops in their class colours, skipped ones in grey."""
        project = self._session.project
        if self.grid is None or project is None:
            return
        drawn = (pair for pair in reversed(self.labels.items()) if pair[0] != self._hidden)
        newest = islice(drawn, MOST_DRAWN)
        self._canvas.show_labels({index: colour_of(label, project) for index, label in newest}, self.grid)

    def index_of(self, label: CropLabel) -> int | None:
        """Return the index of a label's crop in this frame and grid, None if it belongs to another."""
        if self.loaded is None or self.grid is None or label.frame_id != self.loaded.stored.id:
            return None
        return next(iter(by_index([label], self.grid)), None)

    def labelled_elsewhere(self, label: CropLabel) -> None:
        """Note a label that was given in another dock, for this frame or another one."""
        index = self.index_of(label)
        if index is not None:
            self.relabel(index, label, is_new=False)
        else:
            self._session.recount()

    def relabel(self, index: int, label: CropLabel | None, is_new: bool) -> None:
        """Note a crop's new label or its removal; `is_new` if one more presentation has ended."""
        if self.loaded is not None:
            self.loaded = replace(self.loaded, presentation_count=self.loaded.presentation_count + is_new)
            self.relabel_together({index: label})

    def relabel_together(self, labels: Mapping[int, CropLabel | None]) -> None:
        """Note new labels of crops or their removal."""
        if self.loaded is None or self._session.project is None:
            return
        labels_now = self.loaded.labels
        changes = []
        for index, label in labels.items():
            changes.append((labels_now.pop(index, None), label))
            if label is not None:
                labels_now[index] = label
        self._session.count(changes, self.loaded.plane_C_Y_X.shape[0])
        self.draw_labels()
        for before, label in changes:
            self.relabelled.emit(before, label)
