"""A plane with other pixels: larger ones are the mean of what they cover, smaller ones are interpolated."""

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.types import Floats

MOST_PIXELS = 400_000_000
LEAST_OVERLAP = 1e-9
"""A share of a pixel: a smaller overlap is rounding, and would spread NaN."""


def resampled(plane_C_Y_X: NDArray[np.generic], zoom: float) -> Floats:
    """Return a plane with `zoom` times as many pixels a side, to the nearest whole one (float32).

    Larger pixels are the mean of what they cover, as a camera would bin; smaller ones lie on lines between the centres
    of the old ones. What touches NaN becomes NaN. A constant stays the same.

    Raises
    ------
    FrameError
        When it would have more than 400 million pixels.
    """
    shape = tuple(max(1, round(side * zoom)) for side in plane_C_Y_X.shape[1:])
    if len(plane_C_Y_X) * shape[0] * shape[1] > MOST_PIXELS:
        raise FrameError(
            f"Resampled it would be {shape[0]} x {shape[1]} pixels, which is too many. Split the frame, or label some "
            "crops at this pixel size and train."
        )
    rows, cols = (_weights(old, new) for old, new in zip(plane_C_Y_X.shape[1:], shape, strict=True))
    planes = [cols @ (rows @ channel.astype(np.float64)).T for channel in plane_C_Y_X]
    return np.stack([each.T for each in planes]).astype(np.float32)


def _weights(old: int, new: int):  # type: ignore[no-untyped-def]  # scipy's sparse arrays have no plain type
    """Return the sparse matrix (new, old) that makes new pixels along one side out of old ones."""
    from scipy.sparse import csr_array

    edges = np.arange(new + 1) * (old / new)
    if new < old:
        first = np.floor(edges[:-1]).astype(np.intp)[:, np.newaxis]
        at = first + np.arange(int(np.ceil(old / new)) + 1)
        weights = np.minimum(at + 1, edges[1:, np.newaxis]) - np.maximum(at, edges[:-1, np.newaxis])
    else:
        centres = np.clip((edges[:-1] + edges[1:]) / 2 - 0.5, 0, old - 1)[:, np.newaxis]
        at = np.floor(centres).astype(np.intp) + np.arange(2)
        weights = 1 - np.abs(centres - at)
    weights[(weights < LEAST_OVERLAP) | (at >= old)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    row, col = np.nonzero(weights)
    return csr_array((weights[row, col], (row, at[row, col])), shape=(new, old))
