"""A large frame cut into bands of crop rows: read, cut, normalised, scored and kept one after another."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.grid import reflected
from costal.frames.information import is_blank
from costal.frames.lazy import LazyFrame, Missing, open_lazily
from costal.frames.normalise import IntensityRange, normalise
from costal.frames.ome_zarr import is_url
from costal.frames.read import Planes
from costal.frames.windows import Box, Pixels, missing_boxes, read_window
from costal.loop import random_information, score
from costal.types import Agent, Floats, Grid, Job, Pool, Progress, Result, retold
from costal.workbench.scores_folder import BACKGROUND, BLANK, MISSING, SCORED, Band, load_band, save_band

BAND_CROPS = 1024
"""A band has at least so many crops, if the frame has."""
POOL_PIXELS, PIECE_PIXELS = 6_000_000, 500_000
"""Of the crops that are asked about at once, and of those that are normalised at once."""
KEPT_STRIP_BYTES = 64_000_000
MOST_FEATURES = 200_000
"""In a frame of more crops their features are not kept."""
BACKGROUND_FILE = "background.npy"


@dataclass(frozen=True, slots=True)
class BandWork:
    """What the bands of a frame are made with; it travels to workers, which open the frame anew.

    `digest` is the hash of what the scores are made of, `rows` are the crop rows of a band. `has_background` tells that
    `folder` holds a mask of the crops that are background.
    """

    source: str
    identity: str
    axes: str
    planes: Planes
    grid: Grid
    range: IntensityRange
    missing: Missing
    folder: Path
    digest: str
    rows: int
    seed: int
    annotator: str = ""
    order: int = 0
    device: str = "auto"
    has_background: bool = False

    @property
    def band_count(self) -> int:
        """How many bands there are."""
        return -(-self.grid.rows // self.rows)

    def span(self, number: int) -> tuple[int, int]:
        """Return the first crop of a band and the first after it."""
        size = self.rows * self.grid.cols
        return number * size, min(len(self.grid), (number + 1) * size)


def known_as(frame: LazyFrame) -> str:
    """Return by what another process or machine opens a frame."""
    return frame.source if is_url(frame.source) else str(Path(frame.source).absolute())


def reopen(source: str, identity: str, missing: Missing, axes: str) -> LazyFrame:
    """Return an image that was opened before, perhaps by another process or machine.

    Raises
    ------
    FrameError
        When it cannot be opened, or is another one than it was.
    """
    frame = open_lazily(source, missing, axes)
    if frame.identity != identity:
        raise FrameError(
            f"{source} is another image here and now than where the scoring was started: it has changed, or this "
            "machine sees another one there. Open it again, from a place that all machines share, then score."
        )
    return frame


def rows_of_band(grid: Grid) -> int:
    """Return the crop rows in a band, the last one apart; by the grid alone."""
    return -(-BAND_CROPS // grid.cols)


def is_there(work: BandWork, number: int) -> bool:
    """Return whether a band is in the folder, whole and made of the same."""
    first, end = work.span(number)
    return load_band(work.folder, number, work.digest, end - first) is not None


def score_bands(work: BandWork, frame: LazyFrame, agent: Agent, numbers: Sequence[int]) -> Job[None]:
    """Score bands one after another and keep each in the work's folder; yields progress in crops of these bands.

    The next band is read while one is scored. Closed, the job keeps the bands that are finished.

    Raises
    ------
    CostalError
        When the frame cannot be read, chunks are missing that must not, or the agent cannot be asked.
    """
    total, done = sum(np.subtract(*work.span(number)[::-1]) for number in numbers), 0
    mask_N = np.load(work.folder / BACKGROUND_FILE, allow_pickle=False) if work.has_background else None
    draws_N = random_information(work.seed, len(work.grid)) if agent.settings.acquisition == "random" else None
    with _reading(work, frame, numbers) as windows:
        for number, waiting in zip(numbers, windows, strict=True):
            first, end = work.span(number)
            yield Progress(done, total, "Reading")
            window, skipped_N = waiting.result()
            if mask_N is not None:
                skipped_N[mask_N[first:end] & (skipped_N == SCORED)] = BACKGROUND
            job = _scored(work, agent, window, skipped_N, None if draws_N is None else draws_N[first:end])
            del window, waiting
            band = yield from _shifted(job, done, total)
            save_band(work.folder, number, band, work.digest)
            done += end - first
            yield Progress(done, total, "Scoring")


def _shifted(job: Job[Result], before: int, total: int) -> Job[Result]:
    return retold(job, lambda each: Progress(before + each.done, total, "Scoring"))


Read = tuple[Pixels, NDArray[np.uint8]]


@contextmanager
def _reading(work: BandWork, frame: LazyFrame, numbers: Sequence[int]) -> Iterator[Iterator[Future[Read]]]:
    """Provide the windows of bands one after another, the next one read meanwhile by a thread."""
    source, thread = _Source(work, frame), ThreadPoolExecutor(1, "band")

    def ahead() -> Iterator[Future[Read]]:
        waiting = None
        for number in numbers:
            after = thread.submit(source.band, number)
            if waiting is not None:
                yield waiting
            waiting = after
        if waiting is not None:
            yield waiting

    try:
        yield ahead()
    finally:
        source.stop.set()
        thread.shutdown(wait=False, cancel_futures=True)


class _Source:
    """Reads bands; rows of chunks that a band has read are kept for the next one, unless they are too large."""

    def __init__(self, work: BandWork, frame: LazyFrame) -> None:
        self._work, self._frame = work, frame
        self.stop = threading.Event()
        self._strips: dict[int, Pixels] = {}
        channels = frame.length("C") if work.planes.channels is None else len(work.planes.channels)
        width, high = work.grid.width, frame.chunk[0]
        row_bytes = channels * width * max(frame.dtype.itemsize, 4 * ("mean" in (work.planes.z, work.planes.t)))
        high *= -(-work.grid.crop // high)
        self._high = high if row_bytes * high <= KEPT_STRIP_BYTES else 0

    def band(self, number: int) -> Read:
        """Return the pixels (C, h, w) of a band, reflected where its crops reach past the frame, and which lack any."""
        work, grid = self._work, self._work.grid
        first, end = work.span(number)
        top, rows = first // grid.cols * grid.stride, (end - first) // grid.cols
        ys = reflected(top, (rows - 1) * grid.stride + grid.crop, grid.height)
        xs = reflected(0, (grid.cols - 1) * grid.stride + grid.crop, grid.width)
        y0, y1, width = int(ys.min()), int(ys.max()) + 1, min(int(xs.max()) + 1, grid.width)
        lacking = self._lacking(number, ys, xs, (y0, y1, 0, width))
        window = self._rows(y0, y1)
        if len(ys) > y1 - y0 or ys[0] != y0:
            window = window[:, ys - y0]
        return (window[:, :, xs] if xs[-1] != len(xs) - 1 else window[:, :, : len(xs)]), lacking

    def _lacking(self, number: int, ys: NDArray[np.intp], xs: NDArray[np.intp], box: Box) -> NDArray[np.uint8]:
        """Return for each crop of a band whether it is to be left out because a chunk is missing."""
        work, grid = self._work, self._work.grid
        first, end = work.span(number)
        lacking_N = np.full(end - first, SCORED, np.uint8)
        boxes = [] if work.missing == "fill" else missing_boxes(self._frame, work.planes, box)
        if boxes and work.missing == "raise":
            raise FrameError(told_missing(self._frame, boxes))
        rows, cols = np.divmod(np.arange(end - first), grid.cols)
        for y0, y1, x0, x1 in boxes:
            at_y, at_x = (np.flatnonzero((at >= a) & (at < b)) for at, a, b in ((ys, y0, y1), (xs, x0, x1)))
            is_row, is_col = _touching(at_y, grid, rows), _touching(at_x, grid, cols)
            lacking_N[is_row & is_col] = MISSING
        return lacking_N

    def _rows(self, y0: int, y1: int) -> Pixels:
        """Return whole rows of the frame."""
        frame, planes, width = self._frame, self._work.planes, self._work.grid.width
        if not self._high:
            return read_window(frame, planes, y0, y1, 0, width)
        height, high = self._work.grid.height, self._high
        wanted = range(y0 // high, -(-y1 // high))
        self._strips = {at: strip for at, strip in self._strips.items() if at in wanted}
        for at in wanted:
            if self.stop.is_set():
                raise FrameError("Reading was stopped.")
            if at not in self._strips:
                self._strips[at] = read_window(frame, planes, at * high, min(height, (at + 1) * high), 0, width)
        parts = [self._strips[at][:, max(0, y0 - at * high) : y1 - at * high] for at in wanted]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _touching(at: NDArray[np.intp], grid: Grid, places_N: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which crops, by row or column in the band, have one of these pixels."""
    first = places_N * grid.stride
    return np.searchsorted(at, first) < np.searchsorted(at, first + grid.crop)


def told_missing(frame: LazyFrame, boxes: Sequence[tuple[int, int, int, int]]) -> str:
    """Return what is to be said of chunks that are missing and must not."""
    y0, y1, x0, x1 = boxes[0]
    return (
        f"{frame.source} lacks {len(boxes)} chunks, the first at rows {y0} to {y1} and columns {x0} to {x1}. Wait "
        "until it is fully written, or copy it again; --missing skip leaves out the crops there, and --missing fill "
        "takes them for the fill value, as a sparse image is meant."
    )


def _scored(
    work: BandWork, agent: Agent, window: Pixels, skipped_N: NDArray[np.uint8], draws_N: Floats | None
) -> Job[Band]:
    """Return the scores of a band's crops; yields progress in crops."""
    count, classes = len(skipped_N), agent.settings.class_count
    information_N, cost_N = (np.full(count, np.nan, np.float32) for _ in range(2))
    probs_N_K, features_N_F = np.full((count, classes), np.nan, np.float32), np.empty((count, 0), np.float32)
    cost_spread = 0.0
    most = max(1, POOL_PIXELS // (len(window) * work.grid.crop**2))
    _mark_blank(work, window, skipped_N)
    scored = np.flatnonzero(skipped_N == SCORED)
    for start in range(0, len(scored), most):
        chosen = scored[start : start + most]
        pool = Pool(_cut(work, window, chosen), work.annotator, work.order)
        found = yield from _shifted(score(agent, pool, work.seed, work.device), start, count)
        information_N[chosen] = found.information_N if draws_N is None else draws_N[chosen]
        cost_N[chosen], probs_N_K[chosen], cost_spread = found.cost_N, found.probs_N_K, found.cost_spread
        if found.features_N_F is not None and len(work.grid) <= MOST_FEATURES:
            if not features_N_F.shape[1]:
                features_N_F = np.full((count, found.features_N_F.shape[1]), np.nan, np.float32)
            features_N_F[chosen] = found.features_N_F
    return Band(information_N, cost_N, probs_N_K, features_N_F, skipped_N, cost_spread)


def _cut(work: BandWork, window: Pixels, chosen: NDArray[np.intp]) -> Floats:
    """Return crops of a band, normalised."""
    crops = np.empty((len(chosen), len(window), work.grid.crop, work.grid.crop), np.float32)
    for part, piece in _pieces(work, window, chosen):
        crops[part] = normalise(piece, work.range)
    return crops


def _mark_blank(work: BandWork, window: Pixels, skipped_N: NDArray[np.uint8]) -> None:
    """Note which crops of a band that would be scored have no information."""
    wanted = np.flatnonzero(skipped_N == SCORED)
    for part, piece in _pieces(work, window, wanted):
        skipped_N[wanted[part][is_blank(piece)]] = BLANK


def _pieces(work: BandWork, window: Pixels, chosen: NDArray[np.intp]) -> Iterator[tuple[slice, Pixels]]:
    """Return some crops (B, C, H, W) of a band after others, and which of those that are chosen they are."""
    grid = work.grid
    many = max(1, PIECE_PIXELS // (len(window) * grid.crop**2))
    # one view of every crop there could be; only what is chosen is copied
    views = sliding_window_view(window, (grid.crop, grid.crop), axis=(1, 2))[:, :: grid.stride, :: grid.stride]
    for start in range(0, len(chosen), many):
        part = slice(start, start + many)
        rows, cols = np.divmod(chosen[part], grid.cols)
        yield part, views[:, rows, cols].swapaxes(0, 1)
