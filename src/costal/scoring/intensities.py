"""What is learned of a frame before it is scored: its intensity range, and which crops are background."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.grid import Plane
from costal.frames.lazy import LazyFrame, Missing
from costal.frames.normalise import MOST_PIXELS, IntensityRange, intensity_range
from costal.frames.read import Planes
from costal.frames.windows import Box, LazyPlane, Pixels, missing_boxes, read_window
from costal.types import Grid

ENOUGH_PIXELS = 1_000_000
"""A level of fewer pixels than this tells percentiles worse than windows of a finer one."""
SAMPLED_SIDE = 2048
GRIDS = (8, 32, 128)
"""A frame is sampled by so many windows a side, of `SAMPLED_SIDE` rows and columns in all."""
FEWEST_WINDOWS = 4
MOST_MASKED = 64_000_000


def measured_range(plane_C_Y_X: Plane, missing: Missing) -> tuple[IntensityRange, str]:
    """Return the intensity range of a plane (see `intensity_range`), and what it was measured on.

    A plane in memory is measured as it is; one that lies elsewhere is read whole when it has at most 4 million pixels.
    A larger one is judged by its coarsest level that has a million pixels, or by windows spread evenly over it. Windows
    that touch a missing chunk are left out, if others are left.

    Raises
    ------
    FrameError
        When the plane cannot be read, or a channel has no finite pixel.
    """
    if not isinstance(plane_C_Y_X, LazyPlane):
        return intensity_range(plane_C_Y_X[:]), ""
    frame, planes = plane_C_Y_X.frame, plane_C_Y_X.planes
    sizes = [math.prod(frame.size_of(level)) for level in range(len(frame.levels))]
    level = max(at for at, size in enumerate(sizes) if at == 0 or (size >= ENOUGH_PIXELS and sizes[0] > MOST_PIXELS))
    where = f"level {level} of the pyramid" if level else "the image"
    height, width = frame.size_of(level)
    whole = (0, height, 0, width)
    if sizes[level] <= MOST_PIXELS and (missing == "raise" or not missing_boxes(frame, planes, whole, level)):
        note = f"The intensity range was measured on {where}, {height} x {width} pixels."
        return intensity_range(read_window(frame, planes, *whole, level)), note if level else ""
    windows = [read_window(frame, planes, *box, level) for box in _sampled(frame, planes, level, missing)]
    pixels = np.concatenate([window.reshape(len(window), -1) for window in windows], axis=1)
    note = f"The intensity range was measured in {len(windows)} windows spread over {where}."
    return intensity_range(pixels[:, np.newaxis]), note


def _sampled(frame: LazyFrame, planes: Planes, level: int, missing: Missing) -> list[Box]:
    """Return windows spread evenly over a level; by its size alone, but for those that lack chunks."""
    windows: list[Box] = []
    for count in GRIDS:
        boxes = list(_spread(frame.size_of(level), count))
        if missing == "raise":
            return boxes
        windows = [box for box in boxes if not missing_boxes(frame, planes, box, level)] or windows
        if len(windows) >= FEWEST_WINDOWS:
            return windows
    return windows or list(_spread(frame.size_of(level), GRIDS[0]))


def _spread(size: tuple[int, int], count: int) -> Iterator[Box]:
    high, wide = (min(side, max(1, SAMPLED_SIDE // count)) for side in size)
    for row in range(count):
        for col in range(count):
            y, x = (
                round((side - part) * at / (count - 1))
                for side, part, at in ((size[0], high, row), (size[1], wide, col))
            )
            yield y, y + high, x, x + wide


def background(plane_C_Y_X: Plane, grid: Grid) -> NDArray[np.bool_]:
    """Return which crops (N,) are background: no pixel of theirs is above Otsu's threshold, in any channel.

    Seen on the coarsest level that has a pixel for each crop.

    Raises
    ------
    FrameError
        When no such level is small enough to be looked at whole, or the plane cannot be read.

    Source
    ------
    Otsu 1979, *A threshold selection method from gray-level histograms*.
    """
    from skimage.filters import threshold_otsu

    small_C_Y_X = _small(plane_C_Y_X, grid) if isinstance(plane_C_Y_X, LazyPlane) else plane_C_Y_X[:]
    bright = np.zeros(small_C_Y_X.shape[1:], np.bool_)
    for channel in small_C_Y_X:
        finite = np.isfinite(channel)
        if finite.any() and np.ptp(channel[finite]) > 0:
            bright |= np.where(finite, channel, channel[finite].min()) > threshold_otsu(channel[finite])
    return ~_any_within(bright, grid)


def _small(plane: LazyPlane, grid: Grid) -> Pixels:
    """Return the coarsest level of a plane that has a pixel for each crop."""
    frame = plane.frame
    fine = [
        at for at in range(len(frame.levels)) if np.all(np.greater_equal(frame.size_of(at), (grid.rows, grid.cols)))
    ]
    level = max(fine, default=0)
    height, width = frame.size_of(level)
    if height * width > MOST_MASKED:
        raise FrameError(
            f"{frame.source} is too large to look for background: the smallest usable pyramid level has {height} x "
            f"{width} pixels. Add smaller levels, or score all crops with --background none."
        )
    return read_window(frame, plane.planes, 0, height, 0, width, level)


def _any_within(bright_Y_X: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Return which crops (N,) have a pixel set, on a level where the frame may be smaller."""
    spans = []
    for side, whole, count in zip(bright_Y_X.shape, (grid.height, grid.width), (grid.rows, grid.cols), strict=True):
        first = np.arange(count) * grid.stride
        end = np.minimum(first + grid.crop, whole)
        low, high = first * side // whole, -(-end * side // whole)
        spans.append((np.minimum(low, side - 1), np.clip(high, low + 1, side)))
    sums = np.zeros(np.add(bright_Y_X.shape, 1), np.int64)
    sums[1:, 1:] = bright_Y_X.cumsum(0).cumsum(1)
    (top, bottom), (left, right) = spans
    inside = sums[bottom][:, right] - sums[top][:, right] - sums[bottom][:, left] + sums[top][:, left]
    is_within: NDArray[np.bool_] = (inside > 0).ravel()
    return is_within
