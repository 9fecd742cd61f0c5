"""The layers of *Apply classifier*: class map and confidence (one pixel per crop), and a square around a crop."""

from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from costal.applying.applied import Applied, ClassifiedCrop
from costal.labels.project import Project
from napari_costal.canvas.overlays import HELD_BACK, MARK, QUERY_WIDTH, REVEALS, FrameOverlay
from napari_costal.canvas.placement import Placement

CLASS_MAP, CONFIDENCE, CHOSEN = "class map", "confidence", "chosen crop"


def warm_up() -> None:
    """Load and compile what napari needs for its first labels layer, which would block the window for two seconds.

    No layer is made, because that is not safe outside the GUI thread.
    """
    import pandas  # noqa: F401

    DirectLabelColormap(color_dict={None: "black", 1: "white"}).map(np.arange(3, dtype=np.uint8))


class AppliedOverlay(FrameOverlay):
    """The layers over one classified frame: made when first needed, then updated in place."""

    from_below = (CLASS_MAP, CONFIDENCE, CHOSEN)
    confidence_limits: tuple[float, float] | None = None

    def draw_result(self, applied: Applied, project: Project, placement: Placement, shown: str) -> None:
        """Draw the class and the confidence of every crop; `shown` names the visible layer."""
        self._draw_confidence(applied, placement)
        self._draw_classes(applied, project, placement)
        self.show(shown)

    def show(self, shown: str) -> None:
        """Show the class map or the confidence, and hide the other."""
        for part in (CLASS_MAP, CONFIDENCE):
            layer = self._find(part)
            if layer is not None:
                layer.metadata.pop("hidden", None)
                layer.metadata.pop(HELD_BACK, None)
                if layer.visible != (part == shown):
                    layer.visible = part == shown

    def mark(self, crop: ClassifiedCrop, placement: Placement) -> None:
        """Draw a square around a crop."""
        middle = np.array([[crop.y, crop.x]], dtype=np.float64) + (crop.side - 1) / 2
        width = crop.side * QUERY_WIDTH
        self._squares(CHOSEN, middle, [crop.side - width], [width], placement, None)

    def _draw_classes(self, applied: Applied, project: Project, placement: Placement) -> None:
        grid, place = applied.grid, placement.of_crops(applied.grid, applied.zoom_2)
        # napari makes a colour for every possible value: 256 are quick.
        dtype = np.uint8 if max(applied.class_ids) <= 255 else np.uint16
        ids_R_C = applied.class_id_N.astype(dtype).reshape(grid.rows, grid.cols)
        colours: dict[int | None, str] = {None: "transparent", 0: "transparent"}
        colours |= {each.id: each.colour for each in project.classes}
        # The status bar names the class under the mouse with these.
        names = {"index": [each.id for each in project.classes], "class": [each.name for each in project.classes]}
        looks = colours, names
        layer = self._there(CLASS_MAP, place)
        if layer is None:
            layer = Labels(ids_R_C, name=CLASS_MAP, opacity=0.45, colormap=DirectLabelColormap(color_dict=colours))
            layer.features = names
            self._add(layer, place)
        elif layer.metadata.get("looks") != looks:
            layer.colormap = DirectLabelColormap(color_dict=colours)
            layer.features = names
        layer.metadata["looks"] = looks
        layer.data = ids_R_C

    def _draw_confidence(self, applied: Applied, placement: Placement) -> None:
        grid, place = applied.grid, placement.of_crops(applied.grid, applied.zoom_2)
        confidence_R_C = applied.confidence_N.reshape(grid.rows, grid.cols)
        lowest = float(np.nanmin(confidence_R_C, initial=1.0))
        limits = (min(1 / max(len(applied.class_ids), 2), lowest), 1.0)
        layer = self._there(CONFIDENCE, place)
        if layer is None:
            layer = Image(confidence_R_C, name=CONFIDENCE, opacity=0.6, blending="translucent", visible=False)
            layer.interpolation2d, layer.colormap = "nearest", "viridis"
            self._add(layer, place)
        layer.data = confidence_R_C
        layer.contrast_limits_range = limits
        layer.contrast_limits = self.confidence_limits = limits

    def _add(self, layer: Layer, transform: dict[str, Any]) -> None:
        """Add a layer on top; the user's selection stays on the frame."""
        layer.metadata = {MARK: self._owner, "part": layer.name, REVEALS: layer.name == CLASS_MAP}
        self._put(layer, transform)
        selected = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        if selected is not None:
            self._viewer.layers.selection.active = selected
