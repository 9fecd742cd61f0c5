"""The overlays of *Label crops* on the frame: the grid, scores, the query and labels."""

from collections.abc import Sequence

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtGui import QColor

from costal.frames.grid import heatmap
from costal.labels.project import Project
from costal.types import Floats, Grid
from napari_costal.canvas.overlays import (
    CHANGED,
    CHOSEN,
    CROP_AT_WORK,
    GRID,
    HEATMAP,
    LABELS,
    MOST_BOXES,
    QUERY,
    FrameOverlay,
    centres,
)
from napari_costal.canvas.placement import placement_of
from napari_costal.canvas.stage import Stage
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.setup_page import SetupPage
from napari_costal.label_crops.view import Shown

READYING_MS = 100
DRAWING_MS = 60
"""The next crop is painted first, then the labels over the frame."""


class FrameCanvas(QObject):
    """Draws over the layer chosen in the form; the form shows the number of crops."""

    heatmap_shown = Signal()

    def __init__(self, viewer: Viewer, setup: SetupPage, session: OpenProject, parent: QObject) -> None:
        super().__init__(parent)
        self._setup, self._session = setup, session
        self._overlay, self._stage = FrameOverlay(viewer, "label crops"), Stage(viewer)
        self.grid: Grid | None = None
        self._readying, self._unready = QTimer(self, interval=READYING_MS), list[str]()
        self._drawing = QTimer(self, singleShot=True, interval=DRAWING_MS)
        self._labels_wanted: tuple[dict[int, str], Grid] | None = None
        self._query_wanted: tuple[NDArray[np.intp], Grid] | None = None
        self._framed: dict[str, tuple[int, ...]] = {CHOSEN: (), CROP_AT_WORK: ()}
        self._readying.timeout.connect(self._make_ready)
        self._drawing.timeout.connect(self._draw_boxes)

    @property
    def layer(self) -> Image | None:
        """The layer that is drawn over."""
        layer: Image | None = self._setup.layer.value
        return layer

    def show_frame(self, layers: Sequence[Image]) -> None:
        """Show only the layers of a frame, and all of it."""
        self._stage.show(layers)

    def hide_cover(self, layer: Image) -> bool:
        """Hide an image that covers the frame, and return whether it did."""
        return self._stage.hide_cover(layer)

    def hide(self) -> None:
        """Hide all overlays: another frame follows."""
        self._overlay.hide()

    def show_grid(self, grid: Grid | None, pixel_um: float | None) -> None:
        """Show the grid over the frame and how many crops it has."""
        layer = self.layer
        self.grid = grid
        self._setup.show_grid(grid, pixel_um)
        if grid is None or layer is None:
            self._overlay.hide(GRID)
        else:
            self._overlay.draw_grid(grid, placement_of(layer))
            if self._session.project is not None:
                self._unready = [HEATMAP, LABELS, QUERY]
                self._readying.start()

    def _make_ready(self) -> None:
        """Make the layers for scores and labels one by one while a frame opens, not during labelling."""
        layer = self.layer
        if self._unready and self.grid is not None and layer is not None:
            self._overlay.prewarm(self._unready.pop(0), self.grid, placement_of(layer))
        else:
            self._readying.stop()
            self._overlay.rest()

    def show_heatmap(self, values_N: Floats, grid: Grid, shown: Shown, project: Project) -> None:
        """Show one value per crop over the frame."""
        layer = self.layer
        if layer is None:
            return
        colours = None
        if shown == "predicted class":
            rgba = [QColor(each.colour).getRgbF() for each in project.offered]
            colours = Colormap(rgba, name="classes", interpolation="zero")
        limits = self._overlay.draw_heatmap(heatmap(grid, values_N), grid, placement_of(layer), shown, colours)
        self._setup.colour_bar.show_limits(shown, None if colours is not None else limits)
        self.heatmap_shown.emit()

    def show_query(self, indices: NDArray[np.intp], grid: Grid) -> None:
        """Show the query's crops with their ranks, soon."""
        self._setup.show_query(len(indices), MOST_BOXES)
        self._query_wanted = indices, grid
        self._drawing.start()

    def show_labels(self, colours: dict[int, str], grid: Grid) -> None:
        """Show the labelled crops in their class colours, soon."""
        self._labels_wanted = colours, grid
        self._drawing.start()

    def show_changes(self, changed_N: NDArray[np.bool_], are_wanted: bool) -> None:
        """Mark the crops whose predicted class changed, or remove the marks."""
        layer, grid = self.layer, self.grid
        if are_wanted and layer is not None and grid is not None:
            self._overlay.draw_flags(heatmap(grid, changed_N.astype(np.float32)), grid, placement_of(layer))
        else:
            self.clear_changes()

    def clear_changes(self) -> None:
        """Remove the marks of changed crops."""
        self._overlay.hide(CHANGED)

    def show_on_bench(self, index: int | None) -> None:
        """Frame the crop being labelled, soon; None removes the frame."""
        self._frame_crops(CROP_AT_WORK, () if index is None else (index,))

    def show_chosen(self, indices: Sequence[int]) -> None:
        """Frame the crops that are chosen to be labelled at once, soon."""
        self._frame_crops(CHOSEN, tuple(indices))

    def _frame_crops(self, part: str, indices: tuple[int, ...]) -> None:
        if self._framed[part] != indices:
            self._framed[part] = indices
            self._drawing.start()

    def _draw_frames(self, layer: Image, grid: Grid) -> None:
        for part, indices in self._framed.items():
            self._overlay.draw_frames(part, centres(grid, list(indices)), grid, placement_of(layer))

    def _draw_boxes(self) -> None:
        """Draw the labels, the query and the crop frames that wait."""
        layer = self.layer
        labels, self._labels_wanted = self._labels_wanted, None
        query, self._query_wanted = self._query_wanted, None
        if labels is not None and layer is not None:
            colours, grid = labels
            self._overlay.draw_labels(centres(grid, list(colours)), list(colours.values()), grid, placement_of(layer))
        if query is not None and layer is not None:
            indices, grid = query
            self._overlay.draw_query(centres(grid, indices[:MOST_BOXES]), grid, placement_of(layer))
        if self.grid is not None and layer is not None:
            self._draw_frames(layer, self.grid)

    def clear_scores(self) -> None:
        """Hide the heatmap and the query: they are outdated."""
        self._query_wanted = None
        self._setup.show_query(0, MOST_BOXES)
        self._overlay.hide(HEATMAP, QUERY)
        self._setup.colour_bar.show_limits("", None)

    def clear_labels(self) -> None:
        """Hide the labels of another frame."""
        self._labels_wanted = None
        self._overlay.hide(LABELS)

    def stop(self) -> None:
        """Stop drawing."""
        self._readying.stop()
        self._drawing.stop()
        self._stage.stop()
        self._overlay.stop()
