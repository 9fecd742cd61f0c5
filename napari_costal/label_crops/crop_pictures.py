"""Pictures of crops for the labelling page, in the colours of the layers; the next one is rendered ahead."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from costal.frames.normalise import IntensityRange
from napari_costal.canvas.render import render


class CropPictures:
    """Renders crops with the contrast of the frame's layers; `layers` returns the layers."""

    def __init__(self, layers: Callable[[], Sequence[Image]]) -> None:
        self.layers = layers
        self._ready: tuple[Any, NDArray[np.uint8]] | None = None
        self._shown: tuple[NDArray[np.generic], tuple[int, int, int], IntensityRange] | None = None

    def now(
        self, pixels_C_H_W: NDArray[np.generic], crop: tuple[int, int, int], limits: IntensityRange
    ) -> NDArray[np.uint8]:
        """Return the picture of the crop being labelled."""
        self._shown = pixels_C_H_W, crop, limits
        return self.rendered(*self._shown)

    def again(self) -> NDArray[np.uint8]:
        """Return the picture of the crop being labelled in the current colours of the layers."""
        if self._shown is None:
            raise RuntimeError("No crop was shown.")
        return self.rendered(*self._shown)

    def rendered(
        self, pixels_C_H_W: NDArray[np.generic], crop: tuple[int, int, int], limits: IntensityRange
    ) -> NDArray[np.uint8]:
        """Return RGBA pixels (H, W, 4), rendered once and cached until another picture is rendered."""
        layers = self.layers()
        looks = tuple(
            (tuple(each.contrast_limits), each.gamma, each.colormap.name, each.visible, each.opacity) for each in layers
        )
        key = pixels_C_H_W.__array_interface__["data"], pixels_C_H_W.shape, crop, looks
        if self._ready is None or self._ready[0] != key:
            self._ready = key, render(pixels_C_H_W, layers, limits)
        return self._ready[1]
