"""The classifier's results on frames: each crop's class, the uncertain crops, counts, and the class map.

None of these values holds pixels, only some ten bytes a crop: so the crops of a whole folder can be put in order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from costal.types import Floats, Grid

NOT_COVERED = 0
"""The pixel of a label TIFF that no crop covers, or one without information: ids of classes begin at 1."""
NO_CLASS = 2**16 - 1
"""The class index of a crop without information (see `costal.frames.information`)."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The class of every crop of a plane, in the order of its grid, by model `generation` with hash `model_hash`.

    `class_index_N` (uint16) indexes `class_ids`. `confidence_N`, in [1 / K, 1], is the committee's mean probability of
    that class; `information_N` is the project's acquisition function, or `std` where the project asks at random. Crops
    without information have the index `NO_CLASS`, and no confidence and information: NaN.

    `probs_N_K` (float32) are the probabilities of the classes; the greatest is the confidence; they sum to one.

    A frame that was resampled has a grid of other pixels than its own `frame_shape`.
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
    frame_shape: tuple[int, int] | None = None
    probs_N_K: Floats | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame in its own pixels."""
        return self.frame_shape or (self.grid.height, self.grid.width)

    @property
    def zoom_2(self) -> tuple[float, float]:
        """How many pixels of the grid there are to one of the frame, along y and x."""
        return self.grid.height / self.shape[0], self.grid.width / self.shape[1]

    @property
    def class_id_N(self) -> NDArray[np.intp]:
        """The id of each crop's class, 0 for crops without information."""
        ids = np.asarray(self.class_ids, dtype=np.intp)
        return np.where(self.is_blank_N, NOT_COVERED, ids[np.minimum(self.class_index_N, len(ids) - 1)])

    @property
    def is_blank_N(self) -> NDArray[np.bool_]:
        """Which crops have no information."""
        blank_N: NDArray[np.bool_] = self.class_index_N == NO_CLASS
        return blank_N

    @property
    def counts_K(self) -> NDArray[np.intp]:
        """How many crops each class has; with those without information their sum is N."""
        return np.bincount(self.class_index_N[~self.is_blank_N], minlength=len(self.class_ids))


@dataclass(frozen=True, slots=True)
class ClassifiedFrame:
    """A frame that was classified: where it came from, which of its planes, and the results of its crops."""

    source: str
    planes: str
    pixel_um: float | None
    applied: Applied
    notes: str = ""


@dataclass(frozen=True, slots=True)
class ClassifiedCrop:
    """One crop as the tables list it: `index` in its frame's grid, (y, x) its first pixel.

    Without information its `class_id` is 0, and it has no confidence.
    """

    source: str
    planes: str
    index: int
    y: int
    x: int
    side: int
    class_id: int
    confidence: float
    information: float
    probs_K: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A file, or some planes of it, that could not be classified, and the sentence that says why."""

    source: str
    planes: str
    reason: str


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """How many crops of a frame each class has, and their mean confidence, NaN when there is none.

    `blank` crops have no information and are in no class.
    """

    source: str
    planes: str
    counts_K: tuple[int, ...]
    confidence: float
    notes: str = ""
    blank: int = 0


def counts_of(frame: ClassifiedFrame) -> FrameCounts:
    """Return a frame's row of the table of counts."""
    applied = frame.applied
    counts_K = tuple(int(each) for each in applied.counts_K)
    blank = int(applied.is_blank_N.sum())
    confidence = float(np.nanmean(applied.confidence_N)) if blank < len(applied.grid) else float("nan")
    notes = " ".join(filter(None, (frame.notes, *applied.notes)))
    return FrameCounts(frame.source, frame.planes, counts_K, confidence, notes, blank)


def uncertain_first(frames: Sequence[ClassifiedFrame], most: int | None = None) -> Iterator[ClassifiedCrop]:
    """Return the crops of all frames: the lowest confidence first, among equals the greatest information.

    Crops without information come last. With `most` only that many, and none of these.
    """
    if not frames:
        return
    confidence = np.concatenate([each.applied.confidence_N for each in frames])
    information = np.concatenate([each.applied.information_N for each in frames])
    starts = np.cumsum([0, *(len(each.applied.grid) for each in frames)])
    if most is not None:
        most = min(most, int(np.isfinite(confidence).sum()))
    for at in np.lexsort((-information, confidence))[:most]:
        number = int(np.searchsorted(starts, at, side="right")) - 1
        yield crop_of(frames[number], int(at - starts[number]))


def crop_of(frame: ClassifiedFrame, index: int) -> ClassifiedCrop:
    """Return crop `index` of a frame as the tables list it, in the frame's own pixels, to the nearest whole one."""
    applied = frame.applied
    grid, zoom_2 = applied.grid, applied.zoom_2
    y, x = (round(at / zoom) for at, zoom in zip(grid.origin(index), zoom_2, strict=True))
    return ClassifiedCrop(
        frame.source,
        frame.planes,
        index,
        y,
        x,
        round(grid.crop / zoom_2[0]),
        _class_id(applied, index),
        float(applied.confidence_N[index]),
        float(applied.information_N[index]),
        tuple(applied.probs_N_K[index].tolist()) if applied.probs_N_K is not None else (),
    )


def _class_id(applied: Applied, index: int) -> int:
    at = int(applied.class_index_N[index])
    return NOT_COVERED if at == NO_CLASS else applied.class_ids[at]


def map_in_pieces(applied: Applied, step: int = 1) -> "ClassMap":
    """Return the class id of each pixel, or of those in every `step`-th row and column, to be cut into pieces.

    It is that of the crop with the nearest centre, which `frames.grid.index_at` names; 0 where no crop covers the
    pixel, or one without information.
    """
    grid = applied.grid
    dtype = np.dtype(np.uint8 if max(applied.class_ids) <= 255 else np.uint16)
    (height, width), (zoom_y, zoom_x) = applied.shape, applied.zoom_2
    row_Y, col_X = _owners(grid, height, zoom_y, grid.rows), _owners(grid, width, zoom_x, grid.cols)
    ids_R_C = applied.class_id_N.astype(dtype).reshape(grid.rows, grid.cols)
    return ClassMap(np.pad(ids_R_C, (0, 1), constant_values=NOT_COVERED), row_Y[::step], col_X[::step])


@dataclass(frozen=True, slots=True)
class ClassMap:
    """The class id of each pixel, cut when a piece of it is taken: a large one is never in memory.

    `ids_R_C` are those of the crops, with a last row and column of 0; `row_Y` and `col_X` tell the crop of each pixel,
    -1 where none covers it.
    """

    ids_R_C: NDArray[np.uint8 | np.uint16]
    row_Y: NDArray[np.intp]
    col_X: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return len(self.row_Y), len(self.col_X)

    @property
    def dtype(self) -> np.dtype[np.uint8 | np.uint16]:
        """The type of the ids: uint8, or uint16 where an id needs it."""
        return self.ids_R_C.dtype

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.uint8 | np.uint16]:
        """Return a piece."""
        return self.ids_R_C[np.ix_(self.row_Y[key[0]], self.col_X[key[1]])]


def _owners(grid: Grid, length: int, zoom: float, count: int) -> NDArray[np.intp]:
    """Return for each pixel along one side the row (or column) of the nearest centre, -1 where none covers it."""
    at = np.floor((np.arange(length) + 0.5) * zoom).astype(np.intp)
    nearest = np.clip(-((grid.stride - 2 * at + grid.crop - 1) // (2 * grid.stride)), 0, count - 1)
    return np.where(at - nearest * grid.stride < grid.crop, nearest, -1)
