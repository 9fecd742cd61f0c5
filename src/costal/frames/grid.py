"""Frames tiled into crops, and crops found again in the frame."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costal.errors import FrameError
from costal.types import Floats, Grid

SMALLEST_CROP = 8
Crop = NDArray[np.generic]


class Plane(Protocol):
    """Pixels (C, Y, X): an array, or one that is read where it is cut (see `windows.LazyPlane`)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width."""

    def __getitem__(self, key: Any, /) -> Any: ...


def tile(shape: tuple[int, int], crop: int, stride: int | None = None, edge: Literal["drop", "pad"] = "drop") -> Grid:
    """Return the grid of crops of side `crop` on a frame of `shape` (height, width), `stride` apart (None: `crop`).

    With ``edge="drop"`` every crop lies within the frame and a remainder at the lower and right edge is left out; with
    ``"pad"`` every pixel is in a crop and the last row and column are completed by reflection.

    Raises
    ------
    FrameError
        If `crop` is below 8 or too large for the frame, or `stride` is not from 1 to `crop`.
    """
    height, width = shape
    stride = crop if stride is None else stride
    if crop < SMALLEST_CROP:
        raise FrameError(f"A crop of {crop} pixels is too small. Choose at least {SMALLEST_CROP}.")
    if not 1 <= stride <= crop:
        raise FrameError(f"A stride of {stride} does not fit crops of {crop} pixels. Choose 1 to {crop}.")
    largest = min(shape) if edge == "drop" else 2 * min(shape) - 1  # reflection has no more to give
    if crop > largest:
        raise FrameError(
            f"A crop of {crop} pixels does not fit a frame of {height} x {width}. Choose at most {largest}"
            + (", or pad the edge." if edge == "drop" and crop < 2 * min(shape) else ".")
        )
    rounded = math.floor if edge == "drop" else math.ceil
    rows, cols = (max(0, rounded((side - crop) / stride)) + 1 for side in shape)
    return Grid(height, width, crop, stride, edge, rows, cols)


def origins(grid: Grid, indices: ArrayLike | None = None) -> NDArray[np.intp]:
    """Return (y, x) of the first pixel of each of these crops (None: all), of shape (n, 2)."""
    chosen = np.arange(len(grid)) if indices is None else np.asarray(indices, dtype=np.intp)
    return np.stack(np.divmod(chosen, grid.cols), axis=-1) * grid.stride


def crop_at(plane_C_Y_X: Plane, grid: Grid, index: int) -> Crop:
    """Return crop `index` as (C, crop, crop) in the plane's dtype; it may share memory with the plane.

    Raises
    ------
    FrameError
        If the plane is not of the size that the grid was made for.
    IndexError
        If the grid has no such crop.
    """
    if plane_C_Y_X.shape[1:] != (grid.height, grid.width):
        raise FrameError(
            f"The frame is {' x '.join(map(str, plane_C_Y_X.shape[1:]))}, the grid is for {grid.height} x "
            f"{grid.width}. Tile this frame again."
        )
    y, x = grid.origin(index)
    if y + grid.crop <= grid.height and x + grid.crop <= grid.width:
        inside: Crop = plane_C_Y_X[:, y : y + grid.crop, x : x + grid.crop]
        return inside
    ys, xs = reflected(y, grid.crop, grid.height), reflected(x, grid.crop, grid.width)
    mirrored: Crop = plane_C_Y_X[:, ys[:, np.newaxis], xs]
    return mirrored


def crops(plane_C_Y_X: Plane, grid: Grid, indices: Sequence[int] | None = None, batch: int = 256) -> Iterator[Crop]:
    """Return the crops of `indices` (None: all), in that order, as arrays (B, C, crop, crop) with B <= `batch`."""
    chosen = range(len(grid)) if indices is None else indices
    for start in range(0, len(chosen), batch):
        yield np.stack([crop_at(plane_C_Y_X, grid, int(index)) for index in chosen[start : start + batch]])


def crop_with_surroundings(plane_C_Y_X: Plane, grid: Grid, index: int, margin: int) -> tuple[Crop, tuple[int, int]]:
    """Return what lies up to `margin` pixels around crop `index`, and the (y, x) of the crop's first pixel in it.

    Only pixels of the frame are shown: at an edge the surroundings end, and the reflected part of a padded crop is left
    out.
    """
    y, x = grid.origin(index)
    top, left = max(0, y - margin), max(0, x - margin)
    shown = plane_C_Y_X[:, top : y + grid.crop + margin, left : x + grid.crop + margin]
    return shown, (y - top, x - left)


def heatmap(grid: Grid, values_N: ArrayLike, indices: Sequence[int] | None = None) -> Floats:
    """Return one value per crop as (rows, cols) float32; NaN for the crops that are not among `indices`.

    Raises
    ------
    FrameError
        If there are not as many values as crops.
    """
    values = np.asarray(values_N, np.float32)
    chosen = None if indices is None else np.asarray(indices, np.intp)
    count = len(grid) if chosen is None else chosen.size
    if values.shape != (count,):
        raise FrameError(f"{values.size} values do not fit {count} crops. Give one value per crop.")
    if chosen is None:
        return values.reshape(grid.rows, grid.cols)
    flat = np.full(len(grid), np.nan, np.float32)
    flat[chosen] = values
    return flat.reshape(grid.rows, grid.cols)


def index_at(grid: Grid, y: int, x: int) -> int | None:
    """Return the crop that contains pixel (y, x), the one with the nearest centre where crops overlap.

    The upper or left one of two equally near; None outside the frame and where no crop covers it.
    """
    if not (0 <= y < grid.height and 0 <= x < grid.width):
        return None
    row, col = _nearest(grid, y, grid.rows), _nearest(grid, x, grid.cols)
    if max(y - row * grid.stride, x - col * grid.stride) >= grid.crop:
        return None
    return row * grid.cols + col


def crop_um(grid: Grid, pixel_um: float | None) -> float | None:
    """Return the side of a crop in micrometres, None where the pixel size is not known."""
    return None if pixel_um is None else grid.crop * pixel_um


def reflected(start: int, length: int, side: int) -> NDArray[np.intp]:
    """Return `length` positions from `start` on, those past the last pixel of a side mirrored at it."""
    at = np.arange(start, start + length)
    return np.where(at < side, at, 2 * (side - 1) - at)


def _nearest(grid: Grid, position: int, count: int) -> int:
    """Return the row (or column) whose centre is nearest; in doubled whole pixels, so that ties are exact."""
    ahead = 2 * position - (grid.crop - 1)
    return min(max(0, -((grid.stride - ahead) // (2 * grid.stride))), count - 1)
