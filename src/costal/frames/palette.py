"""Palettes: which are ramps, whose index is the intensity, and which are colours."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

RAMP = "The file's palette, a ramp from dark to bright, was left out; the values are intensities."
ENDS = 8
"""Longer palettes may mark the darkest and the brightest entry by colours of their own."""

LEAST_RISES = 16
"""Of a long palette: display tables of 16 bits rise in 256 steps."""


def is_ramp(palette: ArrayLike) -> bool:
    """Return whether a palette of shape (3, N), red, green and blue, only rises, or only falls, in each of them.

    The first and the last entry may stand out, as where they mark what is too dark or too bright, and entries of zeros
    at the end are taken as unused.
    """
    table_3_N = np.asarray(palette, dtype=np.int64)
    if table_3_N.ndim != 2 or len(table_3_N) != 3:
        return False
    used = np.flatnonzero(table_3_N.any(axis=0))
    if not len(used):
        return False
    whole = table_3_N[:, : used[-1] + 1]
    inner = whole[:, 1:-1] if whole.shape[1] > ENDS else whole
    return any(_is_monotone(sign * part) for part in (whole, inner) for sign in (1, -1))


def _is_monotone(table_3_N: NDArray[np.int64]) -> bool:
    """Return whether no entry is below the one before it, and enough of them are above it."""
    steps_3_N = np.diff(table_3_N, axis=1)
    rises = np.count_nonzero((steps_3_N > 0).any(axis=0))
    return bool((steps_3_N >= 0).all()) and rises >= max(1, min(steps_3_N.shape[1] // 4, LEAST_RISES))
