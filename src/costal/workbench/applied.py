"""What the classifier says of frames: each crop's class, which crops are uncertain, counts, and the map of classes.

None of these values holds pixels, only some ten bytes a crop: so the crops of a whole folder can be put in order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from costal.types import Floats, Grid

NOT_COVERED = 0
"""The pixel of a label TIFF that no crop covers: ids of classes begin at 1."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The class of every crop of a plane, in the order of its grid, by model `generation` with hash `model_hash`.

    `class_index_N` (uint16) indexes `class_ids`. `confidence_N`, in [1 / K, 1], is the committee's mean probability of
    that class; `information_N` is the project's acquisition function, or `std` where the project asks at random.
    """

    grid: Grid
    class_ids: tuple[int, ...]
    class_index_N: NDArray[np.uint16]
    confidence_N: Floats
    information_N: Floats
    generation: int
    model_hash: str
    device: str
    notes: tuple[str, ...] = ()

    @property
    def class_id_N(self) -> NDArray[np.intp]:
        """The id of each crop's class."""
        return np.asarray(self.class_ids, dtype=np.intp)[self.class_index_N]

    @property
    def counts_K(self) -> NDArray[np.intp]:
        """How many crops each class has; their sum is N."""
        return np.bincount(self.class_index_N, minlength=len(self.class_ids))


@dataclass(frozen=True, slots=True)
class ClassifiedFrame:
    """A frame that was classified: where it came from, which of its planes, and what was said of its crops."""

    source: str
    planes: str
    pixel_um: float | None
    applied: Applied
    notes: str = ""


@dataclass(frozen=True, slots=True)
class ClassifiedCrop:
    """One crop as the tables list it: `index` in its frame's grid, (y, x) its first pixel."""

    source: str
    planes: str
    index: int
    y: int
    x: int
    side: int
    class_id: int
    confidence: float
    information: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A file, or some planes of it, that could not be classified, and the sentence that says why."""

    source: str
    planes: str
    reason: str


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """How many crops of a frame each class has, and the mean confidence of all its crops."""

    source: str
    planes: str
    counts_K: tuple[int, ...]
    confidence: float
    notes: str = ""


def counts_of(frame: ClassifiedFrame) -> FrameCounts:
    """Return a frame's row of the table of counts."""
    applied = frame.applied
    counts_K = tuple(int(each) for each in applied.counts_K)
    return FrameCounts(frame.source, frame.planes, counts_K, float(applied.confidence_N.mean()), frame.notes)


def uncertain_first(frames: Sequence[ClassifiedFrame], most: int | None = None) -> Iterator[ClassifiedCrop]:
    """Return the crops of all frames: the lowest confidence first, among equals the greatest information.

    With `most` only so many.
    """
    if not frames:
        return
    confidence = np.concatenate([each.applied.confidence_N for each in frames])
    information = np.concatenate([each.applied.information_N for each in frames])
    starts = np.cumsum([0, *(len(each.applied.grid) for each in frames)])
    for at in np.lexsort((-information, confidence))[:most]:
        number = int(np.searchsorted(starts, at, side="right")) - 1
        yield crop_of(frames[number], int(at - starts[number]))


def crop_of(frame: ClassifiedFrame, index: int) -> ClassifiedCrop:
    """Return crop `index` of a frame as the tables list it."""
    applied = frame.applied
    y, x = applied.grid.origin(index)
    return ClassifiedCrop(
        frame.source,
        frame.planes,
        index,
        y,
        x,
        applied.grid.crop,
        applied.class_ids[applied.class_index_N[index]],
        float(applied.confidence_N[index]),
        float(applied.information_N[index]),
    )


def class_map(applied: Applied) -> NDArray[np.uint8 | np.uint16]:
    """Return the class id of each pixel (height, width), uint8 or uint16: that of the crop with the nearest centre.

    0 where no crop covers the pixel. It is the crop that `frames.grid.index_at` names.
    """
    grid = applied.grid
    dtype = np.dtype(np.uint8 if max(applied.class_ids) <= 255 else np.uint16)
    row_Y, col_X = _owners(grid, grid.height, grid.rows), _owners(grid, grid.width, grid.cols)
    painted = applied.class_id_N.astype(dtype).reshape(grid.rows, grid.cols)[np.ix_(row_Y, col_X)]
    painted[row_Y < 0] = NOT_COVERED
    painted[:, col_X < 0] = NOT_COVERED
    return painted


def _owners(grid: Grid, length: int, count: int) -> NDArray[np.intp]:
    """Return for each pixel along one side the row (or column) of the nearest centre, -1 where none covers it."""
    at = np.arange(length)
    nearest = np.clip(-((grid.stride - 2 * at + grid.crop - 1) // (2 * grid.stride)), 0, count - 1)
    return np.where(at - nearest * grid.stride < grid.crop, nearest, -1)
