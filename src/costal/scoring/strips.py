"""Bands of crop rows read one after another: their pixels, and which of their crops lack some."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.grid import Plane, reflected
from costal.frames.lazy import LazyFrame, Missing
from costal.frames.windows import Box, LazyPlane, Pixels, missing_boxes, read_window
from costal.types import Grid

KEPT_STRIP_BYTES = 64_000_000
Span = tuple[int, int]
"""The first crop of a band and the first after it."""
Read = tuple[Pixels, NDArray[np.bool_]]
"""The pixels of a band, and which of its crops lack any."""


@contextmanager
def reading(
    plane_C_Y_X: Plane, grid: Grid, missing: Missing, spans: Sequence[Span]
) -> Iterator[Iterator[Future[Read]]]:
    """Provide bands one after another, the next one read meanwhile by a thread."""
    bands, thread = _Bands(plane_C_Y_X, grid, missing), ThreadPoolExecutor(1, "band")

    def ahead() -> Iterator[Future[Read]]:
        waiting = None
        for span in spans:
            after = thread.submit(bands.read, span)
            if waiting is not None:
                yield waiting
            waiting = after
        if waiting is not None:
            yield waiting

    try:
        yield ahead()
    finally:
        bands.stop.set()
        thread.shutdown(wait=False, cancel_futures=True)


def told_missing(frame: LazyFrame, boxes: Sequence[Box]) -> str:
    """Return what is to be said of chunks that are missing and must not."""
    y0, y1, x0, x1 = boxes[0]
    return (
        f"{frame.source} lacks {len(boxes)} chunks, the first at rows {y0} to {y1} and columns {x0} to {x1}. Wait "
        "until it is fully written, or copy it again. Or use --missing skip to leave out these crops, or --missing "
        "fill for a sparse image: missing pixels get the fill value."
    )


class _Bands:
    """Reads bands of a plane; rows of chunks that a band has read are kept for the next one, unless too large."""

    def __init__(self, plane_C_Y_X: Plane, grid: Grid, missing: Missing) -> None:
        self._plane, self._grid, self._missing = plane_C_Y_X, grid, missing
        self.stop = threading.Event()
        self._strips: dict[int, Pixels] = {}
        self._high = _strip_rows(plane_C_Y_X, grid)

    def read(self, span: Span) -> Read:
        """Return the pixels (C, h, w) of a band, reflected where its crops reach past the frame, and which lack any."""
        grid, (first, end) = self._grid, span
        top, rows = first // grid.cols * grid.stride, (end - first) // grid.cols
        ys = reflected(top, (rows - 1) * grid.stride + grid.crop, grid.height)
        xs = reflected(0, (grid.cols - 1) * grid.stride + grid.crop, grid.width)
        y0, y1, width = int(ys.min()), int(ys.max()) + 1, min(int(xs.max()) + 1, grid.width)
        lacking_N = self._lacking(end - first, ys, xs, (y0, y1, 0, width))
        window = self._rows(y0, y1)
        if len(ys) > y1 - y0 or ys[0] != y0:
            window = window[:, ys - y0]
        return (window[:, :, xs] if xs[-1] != len(xs) - 1 else window[:, :, : len(xs)]), lacking_N

    def _lacking(self, count: int, ys: NDArray[np.intp], xs: NDArray[np.intp], box: Box) -> NDArray[np.bool_]:
        """Return which crops of a band touch a missing chunk."""
        grid, lacking_N = self._grid, np.zeros(count, np.bool_)
        if self._missing == "fill" or not isinstance(self._plane, LazyPlane):
            return lacking_N
        boxes = missing_boxes(self._plane.frame, self._plane.planes, box)
        if boxes and self._missing == "raise":
            raise FrameError(told_missing(self._plane.frame, boxes))
        rows, cols = np.divmod(np.arange(count), grid.cols)
        for y0, y1, x0, x1 in boxes:
            at_y, at_x = (np.flatnonzero((at >= a) & (at < b)) for at, a, b in ((ys, y0, y1), (xs, x0, x1)))
            lacking_N |= _touching(at_y, grid, rows) & _touching(at_x, grid, cols)
        return lacking_N

    def _rows(self, y0: int, y1: int) -> Pixels:
        """Return whole rows of the frame."""
        if not self._high:
            return _whole_rows(self._plane, y0, y1)
        height, high = self._grid.height, self._high
        numbers = range(y0 // high, -(-y1 // high))
        self._strips = {at: strip for at, strip in self._strips.items() if at in numbers}
        for at in numbers:
            if self.stop.is_set():
                raise FrameError("Reading was stopped.")
            if at not in self._strips:
                self._strips[at] = _whole_rows(self._plane, at * high, min(height, (at + 1) * high))
        parts = [self._strips[at][:, max(0, y0 - at * high) : y1 - at * high] for at in numbers]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _whole_rows(plane_C_Y_X: Plane, y0: int, y1: int) -> Pixels:
    if isinstance(plane_C_Y_X, LazyPlane):  # which chunks it lacks was asked before
        return read_window(plane_C_Y_X.frame, plane_C_Y_X.planes, y0, y1, 0, plane_C_Y_X.shape[2])
    rows: Pixels = plane_C_Y_X[:, y0:y1]
    return rows


def _strip_rows(plane_C_Y_X: Plane, grid: Grid) -> int:
    """Return how many rows are read at once and kept: of whole chunks; 0 when they are not worth keeping."""
    if not isinstance(plane_C_Y_X, LazyPlane):
        return 0
    frame, planes = plane_C_Y_X.frame, plane_C_Y_X.planes
    item_bytes = max(frame.dtype.itemsize, 4 * ("mean" in (planes.z, planes.t)))
    high = frame.chunk[0] * -(-grid.crop // frame.chunk[0])
    return high if plane_C_Y_X.shape[0] * grid.width * item_bytes * high <= KEPT_STRIP_BYTES else 0


def _touching(at: NDArray[np.intp], grid: Grid, places_N: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which crops, by row or column in the band, have one of these pixels."""
    first = places_N * grid.stride
    return np.searchsorted(at, first) < np.searchsorted(at, first + grid.crop)
