"""Which crops of a project are its controls: a fixed share of all, whatever any model thinks and whenever it is asked.

Controls are asked one by one, in queries, and give the unbiased figures. A hash of project, frame and crop decides, so
that the same crops are controls after an undo, in another window and on another machine.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from costal.labels.project import Project
from costal.types import Grid


def control_numbers(
    project: Project, content_hash: str, y_N: NDArray[np.integer], x_N: NDArray[np.integer], side: int
) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each crop (N,) at these pixels; one below the control share makes it a control.

    A larger share keeps the controls of a smaller one and adds others.
    """
    key = blake2b(f"{project.choices.seed} {content_hash} {side}".encode(), digest_size=8).digest()
    places_N = (np.asarray(y_N, np.uint64) << np.uint64(32)) | np.asarray(x_N, np.uint64)
    numbers_N = _scattered(_scattered(places_N) ^ np.uint64(int.from_bytes(key, "little")))
    return (numbers_N >> np.uint64(11)) / float(2**53)


def control_numbers_of(project: Project, content_hash: str, grid: Grid) -> NDArray[np.float64]:
    """Return the numbers of all crops (N,) of a frame (see `control_numbers`)."""
    rows_N, cols_N = np.divmod(np.arange(len(grid)), grid.cols)
    return control_numbers(project, content_hash, rows_N * grid.stride, cols_N * grid.stride, grid.crop)


def control_flags(project: Project, content_hash: str, grid: Grid) -> NDArray[np.bool_]:
    """Return which crops (N,) of a frame are controls."""
    return control_numbers_of(project, content_hash, grid) < project.choices.control_share


def _scattered(numbers_N: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64-bit numbers that look random, another one for each.

    Source: the output function of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
    2014).
    """
    mixed_N = numbers_N + np.uint64(0x9E3779B97F4A7C15)
    mixed_N = (mixed_N ^ (mixed_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed_N = (mixed_N ^ (mixed_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed_N ^ (mixed_N >> np.uint64(31))
