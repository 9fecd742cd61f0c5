"""Pixels of a crop as they are shown on the bench."""

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from costal.frames.normalise import IntensityRange, normalise

CHANNEL_COLOURS = np.array(
    [[0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0.3, 0.3], [0.3, 1, 0.3], [0.4, 0.4, 1], [1, 1, 1], [1, 0.6, 0]],
    dtype=np.float32,
)


def render(pixels_C_H_W: NDArray[np.generic], layer: Image | None, limits: IntensityRange) -> NDArray[np.uint8]:
    """Return RGBA pixels (H, W, 4): one channel as its layer shows it, three of an RGB layer as they are.

    Other channels are shown in colours that add up, each within its own intensity range.
    """
    channels = len(pixels_C_H_W)
    if channels == 1 and layer is not None:
        low, high = layer.contrast_limits
        scaled = np.clip((pixels_C_H_W[0].astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
        coloured = layer.colormap.map((np.nan_to_num(scaled) ** layer.gamma).ravel().astype(np.float32))
        return _opaque(np.asarray(coloured).reshape(*scaled.shape, -1)[..., :3])
    scaled_C = np.clip(normalise(pixels_C_H_W, limits), 0, 1)
    if channels == 1:
        return _opaque(np.repeat(scaled_C[0, :, :, None], 3, axis=2))
    if channels == 3 and layer is not None and layer.rgb:
        return _opaque(np.moveaxis(scaled_C, 0, -1))
    return _opaque(np.clip(np.einsum("chw,cr->hwr", scaled_C, CHANNEL_COLOURS[:channels]), 0, 1))


def _opaque(colours_H_W_3: NDArray[np.floating]) -> NDArray[np.uint8]:
    height, width, _ = colours_H_W_3.shape
    pixels = np.full((height, width, 4), 255, dtype=np.uint8)
    pixels[..., :3] = np.round(colours_H_W_3 * 255)
    return pixels
