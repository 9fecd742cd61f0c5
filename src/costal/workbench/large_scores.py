"""The scores of a large frame, gathered from its folder: of all its bands, or of those that are there so far."""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costal.agent.value import value
from costal.errors import ProjectError
from costal.files import write_atomically
from costal.frames.grid import heatmap
from costal.frames.information import told_blank
from costal.frames.planes import describe
from costal.labels.store import Store
from costal.types import Floats, Grid, Job, Scores
from costal.workbench.bands import score_bands
from costal.workbench.large import LargeRequest, Prepared, prepare
from costal.workbench.rounds import FrameScores, PickedCrops, by_index, query_of, query_seed, unanswered
from costal.workbench.scores_folder import BLANK, HEATMAP, MISSING, PENDING, SCORED, load_band


@dataclass(frozen=True, slots=True)
class LargeScores:
    """The scores of the crops of a large frame; NaN where `skipped_N` is not `SCORED`.

    `probs_N_K` has no columns where it was not asked for; `features_N_F` are None where they are not kept.
    """

    prepared: Prepared
    information_N: Floats
    cost_N: Floats
    probs_N_K: Floats
    features_N_F: Floats | None
    skipped_N: NDArray[np.uint8]
    cost_spread: float = 0.0

    @property
    def grid(self) -> Grid:
        """Where the crops lie."""
        return self.prepared.work.grid

    @property
    def description(self) -> str:
        """Which planes of the frame these are."""
        return describe(self.prepared.work.planes)

    @property
    def value_N(self) -> Floats:
        """The value of each crop, for the project's α and β."""
        choices, scored = self.prepared.project.choices, self.skipped_N == SCORED
        found = np.full(len(self.grid), np.nan, np.float32)
        found[scored] = value(self.information_N[scored], self.cost_N[scored], choices.alpha, choices.beta)
        return found

    @property
    def frame_scores(self) -> FrameScores:
        """The same as of a frame in memory; only crops that are scored can be asked about."""
        generation, scored = self.prepared.generation, self.skipped_N == SCORED
        cost_M = self.cost_N[scored]
        scores = Scores(
            np.where(scored, self.information_N, np.float32(0)),
            np.where(scored, self.cost_N, np.float32(1)),
            self.probs_N_K,
            generation.agent.cost_model is None and bool((cost_M == cost_M[:1]).all()),
            "",
            (),
            self.features_N_F,
            self.cost_spread,
        )
        which_M = None if scored.all() else np.flatnonzero(scored)
        found = FrameScores(scores, generation.number, model_hash=generation.model_hash, which_M=which_M)
        return replace(found, warnings=self.notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of crops that were left out, and of the frame's pixel size."""
        lacking, blank = (int(np.count_nonzero(self.skipped_N == why)) for why in (MISSING, BLANK))
        missing = f"{lacking} crops that touch missing chunks are left out." if lacking else ""
        return tuple(filter(None, (missing, told_blank(blank, len(self.grid)), self.prepared.warning)))

    def query(self) -> PickedCrops | None:
        """Return what would be asked of it (see `query_of`), None when every crop that is scored has an answer."""
        prepared = self.prepared
        with Store(prepared.project.store_path, read_only=True) as store:
            work = prepared.work
            place = work.source, describe(work.planes), work.grid.height, work.grid.width
            labels = by_index(store.labels_of(prepared.content_hash) or store.labels_in(*place), work.grid)
        found, free_M = self.frame_scores, unanswered(labels, work.grid)
        if not len(found.among(free_M)):
            return None
        seed = query_seed(prepared.project, found, 0, len(labels))
        return query_of(found, prepared.project, work.grid, free_M, seed)


def gather(
    prepared: Prepared, before: LargeScores | None = None, with_probs: bool = True, with_features: bool = True
) -> LargeScores:
    """Return the scores of the bands that are there; those that are in `before` are not read again.

    The crops of the other bands are `PENDING`.
    """
    work, count = prepared.work, len(prepared.work.grid)
    if before is None:
        classes = prepared.agent.settings.class_count if with_probs else 0
        skipped_N = np.full(count, PENDING, np.uint8)
        information_N, cost_N = (np.full(count, np.nan, np.float32) for _ in range(2))
        probs_N_K, features_N_F, cost_spread = np.full((count, classes), np.nan, np.float32), None, 0.0
    else:
        information_N, cost_N, skipped_N = before.information_N.copy(), before.cost_N.copy(), before.skipped_N.copy()
        probs_N_K, features_N_F, cost_spread = before.probs_N_K.copy(), before.features_N_F, before.cost_spread
    for number in range(work.band_count):
        first, end = work.span(number)
        if skipped_N[first] != PENDING:
            continue
        band = load_band(work.folder, number, work.digest, end - first)
        if band is None:
            continue
        information_N[first:end], cost_N[first:end] = band.information_N, band.cost_N
        skipped_N[first:end], cost_spread = band.skipped_N, max(cost_spread, band.cost_spread)
        if with_probs:
            probs_N_K[first:end] = band.probs_N_K
        if with_features and band.features_N_F.shape[1]:
            if features_N_F is None:
                features_N_F = np.zeros((count, band.features_N_F.shape[1]), np.float32)
            features_N_F[first:end] = np.nan_to_num(band.features_N_F)
    return LargeScores(prepared, information_N, cost_N, probs_N_K, features_N_F, skipped_N, cost_spread)


def put_together(prepared: Prepared, with_probs: bool = False) -> LargeScores:
    """Return the scores of a frame whose bands are all there.

    Raises
    ------
    ProjectError
        When a band has gone or was damaged meanwhile.
    """
    found = gather(prepared, with_probs=with_probs)
    pending = np.flatnonzero(found.skipped_N == PENDING)
    if len(pending):
        work = prepared.work
        number = pending[0] // work.span(0)[1]
        raise ProjectError(f"Band {number} in {work.folder} has gone. Score again: what is there is kept.")
    return found


def write_heatmap(scores: LargeScores, value_N: Floats) -> Path:
    """Write the values of all crops as a float32 TIFF with a pixel for each crop, NaN where there is none.

    Raises
    ------
    ProjectError
        When it cannot be written.
    """
    import tifffile

    content = io.BytesIO()
    tifffile.imwrite(content, heatmap(scores.grid, value_N), photometric="minisblack", compression="zlib")
    path = scores.prepared.work.folder / HEATMAP
    write_atomically(path, content.getvalue())
    return path


def score_large(request: LargeRequest) -> Job[LargeScores]:
    """Return the scores of every crop of a large frame; bands that are there already are not scored again.

    Closed, the job keeps the bands that are finished.

    Raises
    ------
    CostalError
        See `prepare` and `score_bands`.
    """
    prepared = prepare(request)
    yield from score_bands(prepared.work, request.frame, prepared.agent, prepared.to_do)
    return put_together(prepared)
