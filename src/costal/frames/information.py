"""Crops without information: they are constant or mostly NaN, so they are neither queried nor counted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from costal.frames.grid import Plane, crops
from costal.types import Grid

LEAST_FINITE = 0.5
"""The share of a channel's pixels in a crop that must be finite; below it the channel shows nothing."""


def is_blank(crops_B_C_H_W: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return which crops (B,) of raw pixels have no information.

    A channel shows something where at least half of its pixels in the crop are finite and these are not all equal. A
    crop without such a channel has no information: every channel is constant, or mostly NaN or infinite.
    """
    pixels = crops_B_C_H_W.reshape(*crops_B_C_H_W.shape[:2], -1)
    if pixels.dtype.kind != "f":
        shows = pixels.max(axis=2) > pixels.min(axis=2)
    else:
        finite = np.isfinite(pixels)
        lowest = np.where(finite, pixels, np.inf).min(axis=2)
        highest = np.where(finite, pixels, -np.inf).max(axis=2)
        shows = (highest > lowest) & (finite.mean(axis=2) >= LEAST_FINITE)
    blank_B: NDArray[np.bool_] = ~shows.any(axis=1)
    return blank_B


def blank_crops(plane_C_Y_X: Plane, grid: Grid, chosen: Sequence[int] | None = None) -> NDArray[np.bool_]:
    """Return which crops (N,) of a plane, or of those `chosen`, have no information (see `is_blank`)."""
    nothing = np.zeros(0, np.bool_)
    return np.concatenate([nothing, *(is_blank(batch) for batch in crops(plane_C_Y_X, grid, chosen))])


def told_blank(blank: int, total: int) -> str:
    """Return the note on a frame with this many crops without information, nothing without any."""
    if blank == 0:
        return ""
    if blank == total:
        return "The frame has no information: every crop is constant or mostly NaN, so none is queried or counted."
    return (
        f"{blank} of {total} crops have no information (constant, or mostly NaN): they are neither queried nor counted."
    )
