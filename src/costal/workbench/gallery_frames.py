"""What is known of the frames of a gallery: of the one at work, and of those whose scores are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costal.frames.normalise import IntensityRange
from costal.frames.windows import PlaneAddress
from costal.labels.project import Project
from costal.labels.records import FrameRecord
from costal.scoring.kept import SCORED, card, digest_of, load_band
from costal.scoring.scores import FrameScores
from costal.types import Grid
from costal.workbench.gallery import Similarity


@dataclass(frozen=True, slots=True, eq=False)
class FrameAtWork:
    """The frame on the screen: its id in the store, its crops, its pixels or where they lie, and its scores if any."""

    id: int
    grid: Grid
    plane: NDArray[np.generic] | PlaneAddress
    scores: FrameScores | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GalleryFrame:
    """A frame of the gallery: what the store knows of it, and the range that its crops are normalised with.

    `plane` are its pixels, or where they lie, as far as that is known. Its predictions are by the model of
    `generation` (0: not known) and `model_hash`; `cost_spread` is as in `Scores`.
    """

    id: int
    record: FrameRecord
    range: IntensityRange
    plane: NDArray[np.generic] | PlaneAddress | None = None
    grid: Grid | None = None
    generation: int = 0
    model_hash: str = ""
    cost_spread: float = 0.0

    @property
    def name(self) -> str:
        """What it is called in a list."""
        own = Path(self.record.source.removeprefix("layer:")).name or self.record.source
        return " ".join(filter(None, (own, self.record.planes)))


@dataclass(frozen=True, slots=True, eq=False)
class Thought:
    """What is known of the crops (N,) of one grid: probabilities, I and C, NaN where none; features of some."""

    probs_N_K: NDArray[np.floating]
    information_N: NDArray[np.floating]
    cost_N: NDArray[np.floating]
    similarity: Similarity | None = None
    is_shown_N: NDArray[np.bool_] | None = None


def thought_at_work(project: Project, frame: GalleryFrame, at_work: FrameAtWork) -> tuple[GalleryFrame, Thought]:
    """Return the frame on the screen with what its scores say."""
    frame = replace(frame, plane=at_work.plane, grid=at_work.grid)
    frame_scores, count = at_work.scores, len(at_work.grid)
    nothing = nothing_thought(count, len(project.offered))
    if frame_scores is None:
        return frame, nothing
    rows = np.arange(count) if frame_scores.which_M is None else frame_scores.which_M
    is_shown_N = np.isin(np.arange(count), rows)
    if frame_scores.scores is None:
        features_M_F = frame_scores.features_M_F
        similarity = Similarity(rows, features_M_F) if features_M_F.size and len(features_M_F) == len(rows) else None
        return frame, replace(nothing, similarity=similarity)
    scores = frame_scores.scores
    if scores.probs_N_K.shape[1] != len(project.offered):
        return frame, nothing
    features_N_F = scores.features_N_F
    return (
        replace(
            frame,
            generation=frame_scores.generation,
            model_hash=frame_scores.model_hash,
            cost_spread=scores.cost_spread,
        ),
        Thought(
            np.where(is_shown_N[:, np.newaxis], scores.probs_N_K, np.float32(np.nan)),
            np.where(is_shown_N, scores.information_N, np.float32(np.nan)),
            np.where(is_shown_N, scores.cost_N, np.float32(np.nan)),
            Similarity(rows, features_N_F[rows]) if features_N_F is not None else None,
            is_shown_N,
        ),
    )


def kept_cards(project: Project) -> dict[str, tuple[Path, Mapping[str, Any]]]:
    """Return the folders of scores of a project by the content of their frame, with what these are made of."""
    cards = dict[str, tuple[Path, Mapping[str, Any]]]()
    for folder in sorted(project.scores_folder.glob("*")):
        made_of = card(folder)
        if isinstance(made_of.get("plane"), str):
            cards.setdefault(made_of["plane"], (folder, made_of))
    return cards


def thought_kept(
    project: Project, frame: GalleryFrame, folder: Path, made_of: Mapping[str, Any]
) -> tuple[GalleryFrame, Thought | None]:
    """Return a frame with its kept scores; None in place of these where they are of other crops or classes."""
    try:
        facts = dict(made_of["grid"])
        band_rows = int(facts.pop("band"))
        grid, class_ids = Grid(**facts), tuple(made_of["settings"]["class_ids"])
    except (KeyError, TypeError, ValueError):
        return frame, None
    tiling = project.tiling
    is_alike = (grid.crop, grid.stride, grid.edge) == (tiling.crop, tiling.stride, tiling.edge)
    if not is_alike or class_ids != tuple(each.id for each in project.offered):
        return frame, None
    thought = nothing_thought(len(grid), len(class_ids))
    is_shown_N, features, spread = np.zeros(len(grid), np.bool_), list[tuple[Any, Any]](), 0.0
    digest, size = digest_of(made_of), band_rows * grid.cols
    for number, first in enumerate(range(0, len(grid), size)):
        end = min(first + size, len(grid))
        band = load_band(folder, number, digest, end - first)
        if band is None or band.probs_N_K.shape[1] != len(class_ids):
            continue
        scored_M = np.flatnonzero(band.skipped_N == SCORED)
        rows_M, spread = first + scored_M, max(spread, band.cost_spread)
        thought.probs_N_K[rows_M], thought.information_N[rows_M] = (
            band.probs_N_K[scored_M],
            band.information_N[scored_M],
        )
        thought.cost_N[rows_M], is_shown_N[rows_M] = band.cost_N[scored_M], True
        if band.features_N_F.shape[1]:
            features.append((rows_M, band.features_N_F[scored_M]))
    similarity = Similarity(*(np.concatenate(each) for each in zip(*features, strict=True))) if features else None
    model_hash = str(made_of.get("model", "")).removesuffix(" without costs")
    return (
        replace(frame, grid=grid, model_hash=model_hash, cost_spread=spread),
        replace(thought, similarity=similarity, is_shown_N=is_shown_N),
    )


def nothing_thought(count: int, classes: int) -> Thought:
    """Return what is known of so many crops that no model was asked about."""
    probs_N_K = np.full((count, classes), np.nan, np.float32)
    return Thought(probs_N_K, np.full(count, np.nan, np.float32), np.full(count, np.nan, np.float32))
