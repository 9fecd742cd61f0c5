"""A plane scored band by band: crop rows are read, cut, normalised, asked about, and kept one band after another.

A plane that is not kept in a folder is one band.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costal.frames.grid import Plane
from costal.frames.information import blank_crops
from costal.frames.lazy import Missing
from costal.frames.normalise import IntensityRange, LazyCrops
from costal.frames.windows import LazyPlane, Pixels, PlaneAddress
from costal.loop import random_information, score
from costal.scoring.features import FrameFeatures, features_of_crops
from costal.scoring.kept import BACKGROUND, BLANK, MISSING, SCORED, Band, load_band, nothing_scored, save_band
from costal.scoring.strips import Span, reading
from costal.types import Agent, Floats, Grid, Job, Pool, Progress, Scores, map_progress

BAND_CROPS = 1024
"""A band that is kept has at least so many crops, if the frame has."""
MOST_FEATURES = 200_000
"""In a frame of more crops their features are not kept."""
BACKGROUND_FILE = "background.npy"


@dataclass(frozen=True, slots=True)
class BandWork:
    """What the bands of a plane are made with; it travels to other processes.

    `plane` is its pixels (C, Y, X), or where they lie. Bands of `rows` crop rows are kept in `folder` under `digest`,
    the hash of what the scores are made of; without a folder they stay in memory. `has_background` tells that the
    folder holds a mask of the crops that are background. `features` says where those of a frozen backbone are kept.
    """

    plane: NDArray[np.generic] | PlaneAddress
    grid: Grid
    range: IntensityRange
    missing: Missing
    rows: int
    seed: int
    annotator: str = ""
    order: int = 0
    device: str = "auto"
    folder: Path | None = None
    digest: str = ""
    has_background: bool = False
    features: FrameFeatures | None = None

    @property
    def band_count(self) -> int:
        """How many bands there are."""
        return -(-self.grid.rows // self.rows)

    def span(self, number: int) -> Span:
        """Return the first crop of a band and the first after it."""
        size = self.rows * self.grid.cols
        return number * size, min(len(self.grid), (number + 1) * size)

    def open(self) -> Plane:
        """Return the plane, opened again where it is not in memory.

        Raises
        ------
        FrameError
            When it cannot be opened, or is another image than it was.
        """
        return self.plane.open() if isinstance(self.plane, PlaneAddress) else self.plane

    def kept(self, number: int) -> Band | None:
        """Return a band from the folder; None when it is not there, damaged, or made of something else."""
        first, end = self.span(number)
        return load_band(self.folder, number, self.digest, end - first) if self.folder is not None else None


@dataclass(frozen=True, slots=True)
class ScoredBands:
    """What came of scoring: the bands that are kept in no folder, by number, and on which device, with what notes."""

    bands: Mapping[int, Band]
    device: str = ""
    notes: tuple[str, ...] = ()


def as_sent(plane_C_Y_X: Plane) -> NDArray[np.generic] | PlaneAddress:
    """Return what travels to another process in a plane's place: where it lies, or its pixels."""
    return plane_C_Y_X.address if isinstance(plane_C_Y_X, LazyPlane) else np.asarray(plane_C_Y_X[:])


def rows_of_band(grid: Grid) -> int:
    """Return the crop rows in a band that is kept, the last one apart; by the grid alone."""
    return -(-BAND_CROPS // grid.cols)


def score_bands(work: BandWork, plane_C_Y_X: Plane, agent: Agent, numbers: Sequence[int]) -> Job[ScoredBands]:
    """Score bands one after another and keep each; yields progress in crops of these bands.

    The next band is read while one is scored. Closed, the job keeps the bands that are finished.

    Raises
    ------
    CostalError
        When the frame cannot be read, chunks are missing that must not, or the agent cannot be asked.
    """
    total, done = sum(np.subtract(*work.span(number)[::-1]) for number in numbers), 0
    mask_N = _background(work)
    draws_N = random_information(work.seed, len(work.grid)) if agent.settings.acquisition == "random" else None
    bands, device, notes = dict[int, Band](), "", tuple[str, ...]()
    with reading(plane_C_Y_X, work.grid, work.missing, [work.span(number) for number in numbers]) as windows:
        for number, waiting in zip(numbers, windows, strict=True):
            first, end = work.span(number)
            yield Progress(done, total, "Reading")
            window, lacking_N = waiting.result()
            skipped_N = np.where(lacking_N, MISSING, SCORED).astype(np.uint8)
            if mask_N is not None:
                skipped_N[mask_N[first:end] & ~lacking_N] = BACKGROUND
            crops = _BandCrops(work, window, end - first)
            job = _scored(work, number, agent, crops, skipped_N, None if draws_N is None else draws_N[first:end])
            del window, waiting, crops
            band, scores = yield from map_progress(job, partial(_after, done, total))
            if scores is not None:
                device, notes = scores.device, scores.notes
            if work.folder is None:
                bands[number] = band
            else:
                save_band(work.folder, number, band, work.digest)
            done += end - first
            yield Progress(done, total, "Scoring")
    return ScoredBands(bands, device, notes)


def _after(done: int, total: int, progress: Progress) -> Progress:
    return Progress(done + progress.done, total, "Scoring")


def _background(work: BandWork) -> NDArray[np.bool_] | None:
    if not work.has_background or work.folder is None:
        return None
    mask_N: NDArray[np.bool_] = np.load(work.folder / BACKGROUND_FILE, allow_pickle=False)
    return mask_N


@dataclass(frozen=True, slots=True)
class _BandCrops:
    """The crops of a band, cut out of its pixels."""

    work: BandWork
    window_C_h_w: Pixels
    count: int

    @property
    def grid(self) -> Grid:
        """Where they lie within the band's pixels, which hold what is reflected."""
        whole, (_, high, wide) = self.work.grid, self.window_C_h_w.shape
        return replace(whole, height=high, width=wide, edge="drop", rows=self.count // whole.cols)

    def normalised(self, chosen: NDArray[np.intp]) -> Floats:
        """Return some of them, normalised; each is cut when it is asked for."""
        return LazyCrops(self.window_C_h_w, self.work.range, self.grid, chosen.tolist())


def _scored(
    work: BandWork,
    number: int,
    agent: Agent,
    crops: _BandCrops,
    skipped_N: NDArray[np.uint8],
    draws_N: Floats | None,
) -> Job[tuple[Band, Scores | None]]:
    """Return the scores of a band's crops, and what was said with them; yields progress in crops."""
    count, classes = len(skipped_N), agent.settings.class_count
    indices = np.flatnonzero(skipped_N == SCORED)
    skipped_N[indices[blank_crops(crops.window_C_h_w, crops.grid, indices.tolist())]] = BLANK
    chosen = np.flatnonzero(skipped_N == SCORED)
    if not len(chosen):
        return replace(nothing_scored(count, classes), skipped_N=skipped_N), None
    features_N_F = yield from features_of_crops(
        work.features, work.span(number), chosen, lambda at: crops.normalised(chosen[at]), agent, work.device
    )
    pool = Pool(crops.normalised(chosen), work.annotator, work.order, features_N_F)
    scores = yield from score(agent, pool, work.seed, work.device)
    features_N_F = scores.features_N_F
    if features_N_F is None or len(work.grid) > MOST_FEATURES:
        features_N_F = np.empty((len(chosen), 0), np.float32)
    band = Band(
        scores.information_N if draws_N is None else draws_N[chosen],
        scores.cost_N,
        scores.probs_N_K,
        features_N_F,
        skipped_N,
        scores.cost_spread,
    )
    return (band if len(chosen) == count else _spread_out(band, chosen)), scores


def _spread_out(band: Band, chosen: NDArray[np.intp]) -> Band:
    """Return the scores of some crops of a band as those of all of them, NaN for the others."""

    def whole(some_n: Floats) -> Floats:
        all_N = np.full((len(band.skipped_N), *some_n.shape[1:]), np.nan, np.float32)
        all_N[chosen] = some_n
        return all_N

    return replace(
        band,
        information_N=whole(band.information_N),
        cost_N=whole(band.cost_N),
        probs_N_K=whole(band.probs_N_K),
        features_N_F=whole(band.features_N_F),
    )
