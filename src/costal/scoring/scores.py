"""The scores of a frame, gathered from its bands: of all of them, or of those that are there so far."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costal.agent.value import value
from costal.errors import ProjectError
from costal.files import write_atomically
from costal.frames.grid import heatmap
from costal.frames.information import told_blank
from costal.labels.records import NOBODY, Asker
from costal.scoring.kept import BLANK, HEATMAP, MISSING, PENDING, SCORED, Band, copied, nothing_scored
from costal.scoring.prepare import Prepared
from costal.types import Floats, Grid, Scores, ValueRule

NOTHING: Mapping[int, Band] = {}


@dataclass(frozen=True, slots=True)
class FrameScores:
    """The scores of a frame's crops by model `generation`; without a committee None, `reason` why.

    `skipped_N` tells of each crop whether it was scored, or why not (see `costal.scoring.kept`); None when all were.
    Crops that were not have information 0, cost 1 and probabilities NaN. `features_M_F` are features of the
    crops that were looked at, for a first query, which needs no model; `model_hash` names the model's file. `warnings`
    say what was left out, and when the frame's pixels are of another size than was learned at. `asker` tells what the
    model was made from.
    """

    scores: Scores | None
    generation: int
    reason: str = ""
    model_hash: str = ""
    features_M_F: NDArray[np.floating] = field(default_factory=lambda: np.empty((0, 0)))
    skipped_N: NDArray[np.uint8] | None = None
    warnings: tuple[str, ...] = ()
    asker: Asker = NOBODY

    @property
    def is_live(self) -> bool:
        """Whether a model between two answers scored, which is not kept."""
        return bool(self.asker.recipe) and not self.model_hash

    @property
    def which_M(self) -> NDArray[np.intp] | None:
        """The crops that were scored, or looked at, in order; None when all."""
        return None if self.skipped_N is None else np.flatnonzero(self.skipped_N == SCORED)

    def among(self, candidates: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return those of these crops (in order) that were scored, or looked at."""
        if self.skipped_N is None:
            return candidates
        some: NDArray[np.intp] = candidates[self.skipped_N[candidates] == SCORED]
        return some

    def of_scored(self, values_N: Floats) -> Floats:
        """Return values of every crop, NaN for those that were not scored."""
        if self.skipped_N is None:
            return values_N
        return np.where(self.skipped_N == SCORED, values_N, np.float32(np.nan))

    def value_N(self, alpha: float, beta: float, rule: ValueRule = "paper") -> Floats | None:
        """Return the value of each crop, NaN for those that were not scored; None without a model."""
        own = self.scores
        if own is None:
            return None
        return self.of_scored(value(own.information_N, own.cost_N, alpha, beta, rule, own.probs_N_K))


def gather(
    prepared: Prepared,
    bands: Mapping[int, Band] = NOTHING,
    before: Band | None = None,
    with_features: bool = True,
) -> Band:
    """Return the scores of the bands that are there, given or kept, as one; those in `before` are not read again.

    The crops of the other bands are `PENDING`.
    """
    work, classes = prepared.work, prepared.agent.settings.class_count
    if len(bands) == work.band_count == 1:
        return bands[0] if with_features else replace(bands[0], features_N_F=bands[0].features_N_F[:, :0])
    whole = copied(before) if before is not None else nothing_scored(len(work.grid), classes)
    for number in range(work.band_count):
        first, end = work.span(number)
        if whole.skipped_N[first] != PENDING:
            continue
        band = bands.get(number) or work.kept(number)
        if band is None:
            continue
        whole.information_N[first:end], whole.cost_N[first:end] = band.information_N, band.cost_N
        whole.skipped_N[first:end] = band.skipped_N
        whole = replace(whole, cost_spread=max(whole.cost_spread, band.cost_spread))
        whole.probs_N_K[first:end] = band.probs_N_K
        if with_features and band.features_N_F.shape[1]:
            if not whole.features_N_F.shape[1]:
                some = np.zeros((len(work.grid), band.features_N_F.shape[1]), np.float32)
                whole = replace(whole, features_N_F=some)
            whole.features_N_F[first:end] = np.nan_to_num(band.features_N_F)
    return whole


def put_together(
    prepared: Prepared,
    bands: Mapping[int, Band] = NOTHING,
    device: str = "",
    notes: tuple[str, ...] = (),
    with_features: bool = True,
) -> FrameScores:
    """Return the scores of a frame whose bands are all there, given or kept.

    Raises
    ------
    ProjectError
        When a band has gone or was damaged meanwhile.
    """
    whole = gather(prepared, bands, with_features=with_features)
    pending = np.flatnonzero(whole.skipped_N == PENDING)
    if len(pending):
        work = prepared.work
        number = pending[0] // work.span(0)[1]
        raise ProjectError(f"Scores in {work.folder} are missing (part {number}). Score again: the others are kept.")
    return frame_scores(prepared, whole, device, notes)


def frame_scores(prepared: Prepared, bands: Band, device: str = "", notes: tuple[str, ...] = ()) -> FrameScores:
    """Return the scores of a frame's bands; only crops that are scored can be asked about."""
    model_version, skipped_N = prepared.model_version, bands.skipped_N
    scored, count = skipped_N == SCORED, len(skipped_N)
    lacking, blank = (int(np.count_nonzero(skipped_N == why)) for why in (MISSING, BLANK))
    missing = f"{lacking} crops are left out because chunks of the image are missing." if lacking else ""
    warnings = tuple(filter(None, (missing, told_blank(blank, count), prepared.warning)))
    if blank == count:
        return FrameScores(None, model_version.number, warnings[0], skipped_N=skipped_N, warnings=warnings)
    cost_M = bands.cost_N[scored]
    scores = Scores(
        np.where(scored, bands.information_N, np.float32(0)),
        np.where(scored, bands.cost_N, np.float32(1)),
        bands.probs_N_K,
        model_version.agent.cost_model is None and bool((cost_M == cost_M[:1]).all()),
        device,
        notes,
        bands.features_N_F if bands.features_N_F.shape[1] else None,
        bands.cost_spread,
    )
    skipped = None if scored.all() else skipped_N
    asker = Asker(model_version.provenance.recipe, len(model_version.provenance.label_ids))
    model = model_version.number, "", model_version.model_hash
    return FrameScores(scores, *model, skipped_N=skipped, warnings=warnings, asker=asker)


def write_heatmap(folder: Path, grid: Grid, value_N: Floats) -> Path:
    """Write the values of all crops as a float32 TIFF with a pixel for each crop, NaN where there is none.

    Raises
    ------
    ProjectError
        When it cannot be written.
    """
    import tifffile

    content = io.BytesIO()
    tifffile.imwrite(content, heatmap(grid, value_N), photometric="minisblack", compression="zlib")
    write_atomically(folder / HEATMAP, content.getvalue())
    return folder / HEATMAP
