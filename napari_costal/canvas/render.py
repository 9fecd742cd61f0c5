"""Renders the pixels of a crop for the labelling page, with the colours that napari gives their layers."""

from collections.abc import Sequence

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from costal.frames.normalise import IntensityRange, normalise

CHANNEL_COLOURS = np.array(
    [[0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0.3, 0.3], [0.3, 1, 0.3], [0.4, 0.4, 1], [1, 1, 1], [1, 0.6, 0]],
    dtype=np.float32,
)


def render(pixels_C_H_W: NDArray[np.generic], layers: Sequence[Image], limits: IntensityRange) -> NDArray[np.uint8]:
    """Return RGBA pixels (H, W, 4), in the colours of the channels' layers.

    An RGB layer is shown within its contrast limits; with 8 bits these are the whole range, so its pixels are those of
    the file. Channels with one layer each are added up, each with the colormap, contrast limits, gamma and opacity of
    its layer; hidden ones are left out, unless all are hidden. Channels of one layer are added up in fixed colours,
    each within its own intensity range.
    """
    channels = len(pixels_C_H_W)
    if channels == 3 and layers and layers[0].rgb:
        return _opaque(_as_bytes(_scaled(np.moveaxis(pixels_C_H_W, 0, -1), layers[0])))
    if channels == len(layers):
        is_any_shown = any(each.visible for each in layers)
        pairs = zip(pixels_C_H_W, layers, strict=True)
        colours = [_coloured(pixels, layer) for pixels, layer in pairs if layer.visible or not is_any_shown]
        return _opaque(_as_bytes(np.clip(np.sum(colours, axis=0), 0, 1)))
    scaled_C = np.clip(normalise(pixels_C_H_W, limits), 0, 1)
    if channels == 1:
        return _opaque(_as_bytes(np.repeat(scaled_C[0, :, :, None], 3, axis=2)))
    return _opaque(_as_bytes(np.clip(np.einsum("chw,cr->hwr", scaled_C, CHANNEL_COLOURS[:channels]), 0, 1)))


def _scaled(pixels: NDArray[np.generic], layer: Image) -> NDArray[np.float64]:
    """Return intensities from 0 to 1, by the layer's contrast limits and gamma."""
    low, high = layer.contrast_limits
    scaled = np.clip((pixels.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
    return np.asarray(np.nan_to_num(scaled) ** layer.gamma)


def _coloured(pixels_H_W: NDArray[np.generic], layer: Image) -> NDArray[np.floating]:
    """Return the colours (H, W, 3) of pixels as their layer shows them."""
    scaled = _scaled(pixels_H_W, layer)
    strength = layer.opacity if str(layer.blending) == "additive" else 1.0
    coloured = layer.colormap.map(scaled.ravel().astype(np.float32))
    return np.asarray(coloured).reshape(*scaled.shape, -1)[..., :3] * strength


def _as_bytes(colours_H_W_3: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.round(colours_H_W_3 * 255).astype(np.uint8)


def _opaque(colours_H_W_3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width, _ = colours_H_W_3.shape
    pixels = np.full((height, width, 4), 255, dtype=np.uint8)
    pixels[..., :3] = colours_H_W_3
    return pixels
