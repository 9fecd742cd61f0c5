"""The mosaic: a pool of N images shown as one frame, tiled back into the same N crops."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costal.frames.grid import heatmap
from costal.types import Floats, Grid


def mosaic_grid(count: int, side: int) -> Grid:
    """Return the near-square grid that holds `count` images: as many columns as rows, or one more."""
    cols = math.ceil(math.sqrt(count))
    rows = math.ceil(count / cols)
    return Grid(rows * side, cols * side, side, side, "drop", rows, cols)


def to_images(crops_N_C_H_W: Floats) -> NDArray[np.uint8]:
    """Return the first channel of crops as images (N, H, W): 0 … 1 becomes 0 … 255, what lies beyond is clipped."""
    images_N_H_W: NDArray[np.uint8] = np.rint(np.clip(crops_N_C_H_W[:, 0], 0, 1) * 255).astype(np.uint8)
    return images_N_H_W


def mosaic(images_N_H_W: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the images side by side in one array, row by row; places left over are black."""
    count, side, _ = images_N_H_W.shape
    grid = mosaic_grid(count, side)
    places = np.zeros((grid.rows * grid.cols, side, side), dtype=np.uint8)
    places[:count] = images_N_H_W
    return places.reshape(grid.rows, grid.cols, side, side).swapaxes(1, 2).reshape(grid.height, grid.width)


def mosaic_heatmap(values_N: ArrayLike, side: int) -> Floats:
    """Return the values as a (rows, cols) array over the mosaic; places left over are NaN."""
    values = np.asarray(values_N, dtype=np.float32)
    return heatmap(mosaic_grid(len(values), side), values, indices=range(len(values)))
