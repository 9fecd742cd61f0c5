"""The stage: shows the current frame alone and whole on the canvas, until the user moves or zooms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_costal.canvas.channel_layers import part_of
from napari_costal.canvas.layer_frames import SOURCE
from napari_costal.canvas.overlays import images_in

SHOWN_BEFORE = "was the current frame"
COVERING = ("translucent", "translucent_no_depth", "opaque")


class Stage:
    """Shows one frame at a time; layers, position and zoom that the user changes then stay until the next frame."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._frame: Any = None
        self._fitted: list[Image] = []
        self._camera: Any = None
        viewer.canvas.events.size.connect(self._resized)

    def stop(self) -> None:
        """Stop following the canvas."""
        self._viewer.canvas.events.size.disconnect(self._resized)

    def show(self, layers: Sequence[Image]) -> None:
        """Show the layers of a frame, hide other frames and images that cover it, and fit it to the canvas."""
        frame = [(_image_of(layer), layer.extent.world[:, -2:].tolist()) for layer in layers[:1]]
        if not layers or frame == self._frame:
            return
        self._frame = frame
        for layer in layers:
            layer.metadata[SHOWN_BEFORE] = True
            layer.visible = True
        for other in images_in(self._viewer):
            is_frame = SHOWN_BEFORE in other.metadata or SOURCE in other.metadata
            is_other = other not in layers and _image_of(other) != frame[0][0]
            if is_other and (is_frame or self.is_covered_by(other, layers)):
                other.visible = False
        self._fit(list(layers))

    def is_covered_by(self, other: Image, layers: Sequence[Image]) -> bool:
        """Return whether an image hides a part of a frame: it is above the frame, overlaps it, and is opaque."""
        order = self._viewer.layers
        is_above = order.index(other) > min(map(order.index, layers))
        (top, left), (bottom, right) = np.asarray(other.extent.world)[:, -2:]
        (first_y, first_x), (last_y, last_x) = np.asarray(layers[0].extent.world)[:, -2:]
        is_over = top <= last_y and bottom >= first_y and left <= last_x and right >= first_x
        return bool(other.visible and is_above and is_over and str(other.blending) in COVERING)

    def hide_cover(self, other: Image) -> bool:
        """Hide an image if it covers the current frame, and return whether it was hidden."""
        layers = [each for each in self._fitted if each in self._viewer.layers]
        is_covered = bool(layers) and other not in layers and self.is_covered_by(other, layers)
        if is_covered:
            other.visible = False
        return is_covered

    def _fit(self, layers: list[Image]) -> None:
        self._fitted = layers
        self._viewer.fit_to_view(layers=layers)
        self._camera = self._view()

    def _view(self) -> Any:
        camera = self._viewer.scene.camera
        return tuple(camera.center), camera.zoom

    def _resized(self, _event: Any = None) -> None:
        """Fit the frame again when the canvas changes its size, unless the user has moved or zoomed."""
        layers = [each for each in self._fitted if each in self._viewer.layers]
        if layers and self._view() == self._camera:
            self._fit(layers)


def _image_of(layer: Image) -> Any:
    """Return the identity of an image: its channels share it, and each frame shown in a layer has its own."""
    part = part_of(layer)
    return part.image if part is not None else (layer.metadata.get(SOURCE), id(layer))
