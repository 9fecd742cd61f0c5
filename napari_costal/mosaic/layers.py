"""The layers of a mosaic: the images of a pool as one frame, their values, and squares around the query."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.viewer import Viewer
from numpy.typing import NDArray

from costal.paper.mosaic import mosaic, mosaic_grid, mosaic_heatmap
from costal.types import Floats, Grid
from napari_costal.canvas.overlays import HEATMAP, FrameOverlay, centres
from napari_costal.canvas.placement import placement_of
from napari_costal.canvas.stage import Stage
from napari_costal.ui.colour_bar import ColourBar


class MosaicLayers:
    """One mosaic at a time, updated in place."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._overlay = FrameOverlay(viewer, "mosaic")
        self._stage = Stage(viewer)
        self.bar = ColourBar()
        self._grid: Grid | None = None
        self.image: Any = None

    def show(
        self,
        name: str,
        images_N_H_W: NDArray[np.uint8],
        values: tuple[str, Floats | None],
        picked_n: NDArray[np.intp],
        words_n: Sequence[str] | None = None,
    ) -> None:
        """Show a pool with its values and query; a pool of the same size keeps the zoom and position of the view."""
        pixels = mosaic(images_N_H_W)
        self._grid = mosaic_grid(*images_N_H_W.shape[:2])
        is_there = self.image is not None and self.image in self._viewer.layers
        if is_there:
            self.image.data, self.image.name = pixels, name
        else:
            self.image = self._viewer.add_image(pixels, name=name, contrast_limits=(0, 255))
        self.show_values(*values)
        self.show_query(picked_n, words_n)
        self._stage.show([self.image])

    def stop(self) -> None:
        """Stop following the viewer; what was drawn stays."""
        self._stage.stop()
        self._overlay.stop()

    def show_values(self, name: str, values_N: Floats | None) -> None:
        """Show the value of each image, or none."""
        if self._grid is None:
            return
        drawn_N = np.zeros(len(self._grid), np.float32) if values_N is None else values_N
        heatmap = mosaic_heatmap(drawn_N, self._grid.crop)
        limits = self._overlay.draw_heatmap(heatmap, self._grid, placement_of(self.image), name, None)
        self.bar.show_limits(name, None if values_N is None else limits)
        if values_N is None:  # drawn also while hidden, because the viewer fits hidden layers too
            self._overlay.hide(HEATMAP)

    def show_query(self, picked_n: NDArray[np.intp], words_n: Sequence[str] | None = None) -> None:
        """Show squares around the images of the query, with their ranks or other texts."""
        if self._grid is not None:
            spots, words = centres(self._grid, picked_n), list(words_n) if words_n is not None else None
            self._overlay.draw_query(spots, self._grid, placement_of(self.image), words)
