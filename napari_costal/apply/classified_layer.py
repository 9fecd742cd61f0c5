"""The classified layer: its class map follows it, is shown on its slice, and ends when the pixels change."""

from collections.abc import Callable, Sequence
from typing import Any

from napari.layers import Image
from napari.viewer import Viewer

from costal.applying.applied import ClassifiedCrop
from costal.errors import CostalError
from napari_costal.apply.controller import LayerResult
from napari_costal.apply.layers import AppliedOverlay
from napari_costal.canvas.layer_frames import SLICE_SHOWN, LayerView, show_slice, view_of
from napari_costal.canvas.placement import placement_of

MOVES = ("scale", "translate", "rotate", "shear", "affine")


class ClassifiedLayer:
    """One layer at a time, with its classified plane; `changed` is called when its pixels change."""

    def __init__(self, viewer: Viewer, overlay: AppliedOverlay, shown: str, changed: Callable[[], None]) -> None:
        self._viewer, self._overlay, self._changed = viewer, overlay, changed
        self.layers: tuple[Image, ...] = ()
        self.view: LayerView | None = None
        self._result: LayerResult | None = None
        self._shown = shown
        viewer.dims.events.current_step.connect(self._slice_changed)

    @property
    def layer(self) -> Image | None:
        """The layer, or the first of those that form the frame."""
        return self.layers[0] if self.layers else None

    def take(self, layers: Sequence[Image], view: LayerView | None) -> None:
        """Follow the layers of a frame from now on; hide what was drawn over the previous frame."""
        before, self.layers, self.view, self._result = self.layers, tuple(layers), view, None
        self._overlay.hide()
        self._follow(before, layers)

    def _follow(self, before: Sequence[Image], layers: Sequence[Image]) -> None:
        for each, act in (*((each, "disconnect") for each in before), *((each, "connect") for each in layers)):
            getattr(each.events.data, act)(self._pixels_changed)
            for name in MOVES:
                getattr(getattr(each.events, name), act)(self._draw)

    def draw(self, result: LayerResult) -> None:
        """Draw the result of the layer's plane."""
        self._result = result
        self._draw()

    def show(self, shown: str) -> None:
        """Show the class map or the confidence."""
        self._shown = shown
        if self._result is not None and self._is_on_its_slice():
            self._overlay.show(shown)

    def close(self) -> None:
        """Stop following; what was drawn stays."""
        self._viewer.dims.events.current_step.disconnect(self._slice_changed)
        self._overlay.stop()
        self._follow(self.layers, ())
        self.layers, self._view, self._result = (), None, None

    def look_at(self, crop: ClassifiedCrop) -> None:
        """Centre the canvas on a crop, on the classified slice."""
        layer, view = self.layer, self.view
        if layer is None or view is None:
            return
        if view.planes == SLICE_SHOWN and not self._is_on_its_slice():
            show_slice(self._viewer.dims, layer, view.steps)
        centre_on(self._viewer, self._overlay, layer, crop)

    def _draw(self, _event: Any = None) -> None:
        result = self._result
        if result is not None and self.layer is not None and self._is_on_its_slice():
            place = placement_of(self.layer)
            self._overlay.draw_result(result.frame.applied, result.project, place, self._shown)

    def _pixels_changed(self, _event: Any = None) -> None:
        self._changed()

    def _slice_changed(self, _event: Any = None) -> None:
        if self._result is None or self.view is None or self.view.planes != SLICE_SHOWN:
            return
        if self._is_on_its_slice():
            self._draw()
        else:
            self._overlay.hide()

    def _is_on_its_slice(self) -> bool:
        if self.layer is None or self.view is None:
            return False
        try:
            now = view_of(self.layers, self._viewer.dims, self.view.planes)
        except CostalError:  # rolled axes or 3D: nothing can be drawn over it
            return False
        return now.description == self.view.description


def centre_on(viewer: Viewer, overlay: AppliedOverlay, layer: Image, crop: ClassifiedCrop) -> None:
    """Centre the canvas on a crop of a layer, and draw a square around it."""
    at = layer.world_to_data(viewer.dims.point)
    at = (*at[:-2], crop.y + (crop.side - 1) / 2, crop.x + (crop.side - 1) / 2)
    camera = viewer.scene.camera
    camera.center = (*camera.center[:-2], *layer.data_to_world(at)[-2:])
    overlay.mark(crop, placement_of(layer))
