"""The colours of crops, taken from the frame's layers on the GUI thread and used on any thread."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from costal.frames.normalise import IntensityRange, normalise
from napari_costal.canvas.render import CHANNEL_COLOURS

SHADES = 256
Reals = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Looks:
    """The colours of a frame's channels as values: equal values give equal pictures.

    `strengths` are 0 for hidden layers, `tables` are the colormaps. The intensity limits are those of the layers, for
    the frame that they show.
    """

    is_rgb: bool
    low_C: tuple[float, ...] = ()
    high_C: tuple[float, ...] = ()
    gamma_C: tuple[float, ...] = ()
    strengths: tuple[float, ...] = ()
    tables: tuple[bytes, ...] = ()

    @property
    def channels(self) -> int:
        """The number of channels."""
        return 3 if self.is_rgb else len(self.tables)


PLAIN, PLAIN_RGB = Looks(False), Looks(True)
"""The looks without layers: each frame's own range."""


def looks_of(layers: Sequence[Image], is_rgb: bool = False) -> Looks:
    """Return the looks of layers; without layers, those of a project with RGB or other images."""
    if not layers:
        return PLAIN_RGB if is_rgb else PLAIN
    limits = [tuple(map(float, each.contrast_limits)) for each in layers]
    low_C, high_C = tuple(low for low, _ in limits), tuple(high for _, high in limits)
    gamma_C = tuple(float(each.gamma) for each in layers)
    if layers[0].rgb:
        return Looks(True, low_C, high_C, gamma_C)
    is_any_shown = any(each.visible for each in layers)
    strengths = tuple(
        0.0 if is_any_shown and not each.visible else each.opacity if str(each.blending) == "additive" else 1.0
        for each in layers
    )
    shades = np.linspace(0, 1, SHADES, dtype=np.float32)
    tables = tuple(np.asarray(each.colormap.map(shades), np.float32)[:, :3].tobytes() for each in layers)
    return Looks(False, low_C, high_C, gamma_C, strengths, tables)


def picture(pixels_C_H_W: NDArray[np.generic], looks: Looks, limits: IntensityRange, is_own: bool) -> NDArray[np.uint8]:
    """Return RGB pixels (H, W, 3) of a crop; `is_own`: the looks were taken from its frame.

    Crops of other frames have the same colours, within the range of their own frame.
    """
    channels = len(pixels_C_H_W)
    if looks.is_rgb and channels == 3:
        own = IntensityRange(looks.low_C * 3, looks.high_C * 3) if is_own and looks.low_C else limits
        return _as_bytes(np.moveaxis(_scaled(pixels_C_H_W, own, (looks.gamma_C or (1.0,)) * 3), 0, -1))
    if channels == looks.channels:
        own = IntensityRange(looks.low_C, looks.high_C) if is_own else limits
        scaled = _scaled(pixels_C_H_W, own, looks.gamma_C)
        shades_C_H_W = np.round(scaled * (SHADES - 1)).astype(np.intp)
        colours = np.zeros((*pixels_C_H_W.shape[1:], 3), np.float32)
        for shades, table, strength in zip(shades_C_H_W, looks.tables, looks.strengths, strict=True):
            if strength:
                colours += strength * np.frombuffer(table, np.float32).reshape(SHADES, 3)[shades]
        return _as_bytes(np.clip(colours, 0, 1))
    scaled = _scaled(pixels_C_H_W, limits, (1.0,) * channels)
    if channels == 1:
        return _as_bytes(np.repeat(scaled[0, :, :, np.newaxis], 3, axis=2))
    return _as_bytes(np.clip(np.einsum("chw,cr->hwr", scaled, CHANNEL_COLOURS[:channels]), 0, 1))


def _scaled(pixels_C_H_W: NDArray[np.generic], limits: IntensityRange, gamma_C: Sequence[float]) -> Reals:
    """Return intensities from 0 to 1 within limits, each channel by its gamma."""
    scaled = np.clip(normalise(pixels_C_H_W, limits), 0, 1)
    if any(gamma != 1 for gamma in gamma_C):
        scaled = scaled ** np.array(gamma_C, np.float32)[:, np.newaxis, np.newaxis]
    return scaled


def _as_bytes(colours_H_W_3: Reals) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.round(colours_H_W_3 * 255).astype(np.uint8))
