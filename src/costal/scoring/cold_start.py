"""A frame without a model: features of its crops, or of some of them where there are many, for a first query."""

import numpy as np
from numpy.typing import NDArray

from costal.agent.features import simple_features
from costal.errors import FrameError
from costal.frames.grid import Plane
from costal.frames.information import blank_crops, told_blank
from costal.frames.normalise import LazyCrops
from costal.frames.windows import LARGE_BYTES, Box, LazyPlane, missing_boxes, plane_bytes
from costal.scoring.bands import BandWork
from costal.scoring.features import features_of_crops
from costal.scoring.kept import BLANK, MISSING, PENDING, SCORED
from costal.scoring.prepare import Prepared
from costal.scoring.scores import FrameScores
from costal.seeds import rng_for
from costal.types import Agent, Floats, Grid, Job, Progress

LOOKED_AT = 400
"""Of a plane of more than `LARGE_BYTES` so many crops, drawn at random, are looked at."""
MOST_FEATURES = 1000
"""So many are looked at through a frozen backbone, which takes milliseconds a crop."""


def cold_start(prepared: Prepared, plane_C_Y_X: Plane) -> Job[FrameScores]:
    """Return features of the crops of a frame; those that lack chunks, or have no information, are left out.

    They are those of the agent's frozen backbone, else simple ones.

    Raises
    ------
    CostalError
        When the frame cannot be read, no crop that was drawn shows anything, or the backbone's weights are not here.
    """
    work, grid, reason = prepared.work, prepared.work.grid, " ".join(prepared.agent.notes)
    yield Progress(0, len(grid), "Comparing crops")
    skipped_N = np.full(len(grid), PENDING, np.uint8)
    is_large = _is_large(plane_C_Y_X)
    most = LOOKED_AT if is_large else MOST_FEATURES if prepared.agent.backbone is not None else len(grid)
    chosen = np.sort(rng_for(work.seed, "first look").permutation(len(grid))[:most])
    skipped_N[chosen] = SCORED
    if isinstance(plane_C_Y_X, LazyPlane):
        if work.missing == "skip":
            boxes = missing_boxes(plane_C_Y_X.frame, plane_C_Y_X.planes, (0, grid.height, 0, grid.width))
            skipped_N[[index for index in chosen.tolist() if _touches(grid, index, boxes)]] = MISSING
        plane_C_Y_X = LazyPlane(plane_C_Y_X.frame, plane_C_Y_X.planes, "fill")
        if not is_large:
            plane_C_Y_X = plane_C_Y_X[:, :, :]  # once, and not the chunks of each crop
    there = np.flatnonzero(skipped_N == SCORED)
    skipped_N[there[blank_crops(plane_C_Y_X, grid, there.tolist())]] = BLANK
    which_M = np.flatnonzero(skipped_N == SCORED)
    warnings = (told_blank(int((skipped_N == BLANK).sum()), len(grid)), prepared.warning)
    if len(chosen) < len(grid):
        warnings = ("", prepared.warning)
        reason = f"{reason} The first query is chosen from {len(which_M)} crops drawn at random."
        if not len(which_M):
            raise FrameError(
                f"{prepared.source} has no information in the {len(chosen)} crops that were drawn: chunks are missing, "
                "or pixels are constant. Wait until it is fully written, or choose another frame."
            )
    sentences = tuple(filter(None, warnings))
    if not len(which_M):
        return FrameScores(
            None, prepared.model_version.number, (*sentences, reason)[0], skipped_N=skipped_N, warnings=sentences
        )
    features_M_F = yield from _features(work, plane_C_Y_X, which_M, prepared.agent)
    return FrameScores(
        None,
        prepared.model_version.number,
        reason,
        features_M_F=features_M_F,
        skipped_N=skipped_N if len(which_M) < len(grid) else None,
        warnings=sentences,
    )


def _features(work: BandWork, plane_C_Y_X: Plane, which_M: NDArray[np.intp], agent: Agent) -> Job[NDArray[np.floating]]:
    """Return features (M, F) of some crops of a frame."""

    def crops_of(places: NDArray[np.intp]) -> Floats:
        return LazyCrops(plane_C_Y_X, work.range, work.grid, which_M[places].tolist())

    whole = 0, len(work.grid)
    features_M_F = yield from features_of_crops(work.features, whole, which_M, crops_of, agent, work.device)
    return simple_features(crops_of(np.arange(len(which_M)))) if features_M_F is None else features_M_F


def _is_large(plane_C_Y_X: Plane) -> bool:
    """Return whether a plane is too large to be read whole for a first look."""
    if isinstance(plane_C_Y_X, LazyPlane):
        return plane_bytes(plane_C_Y_X.frame, plane_C_Y_X.planes) > LARGE_BYTES
    return np.asarray(plane_C_Y_X[:]).nbytes > LARGE_BYTES


def _touches(grid: Grid, index: int, boxes: list[Box]) -> bool:
    """Return whether a crop, within the frame, touches one of these boxes."""
    y, x = grid.origin(index)
    return any(y < y1 and y + grid.crop > y0 and x < x1 and x + grid.crop > x0 for y0, y1, x0, x1 in boxes)
