"""Which crops of a frame are asked next: by value, or without a model by their looks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from costal.agent.first_query import typical
from costal.agent.selection import reserved_for_controls, without
from costal.errors import ProjectError
from costal.frames.information import told_blank
from costal.labels.controls import control_numbers_of
from costal.labels.project import Project
from costal.labels.records import CropLabel
from costal.labels.store import Store
from costal.loop import choose, rest_of_query
from costal.scoring.prepare import Prepared
from costal.scoring.scores import FrameScores
from costal.scoring.starving import starving_text
from costal.seeds import rng_for, seed_for
from costal.types import Floats, Grid


@dataclass(frozen=True, slots=True)
class PickedCrops:
    """The chosen crops of a frame, best first, and every crop's value; None when no model could give one.

    `control_n` tells which were drawn at random, `starving` which class is hardly asked (see `starving_text`).
    """

    picked_n: NDArray[np.intp]
    value_N: Floats | None
    control_n: NDArray[np.bool_]
    starving: str = ""


def by_index(labels: list[CropLabel], grid: Grid) -> dict[int, CropLabel]:
    """Return the labels of a frame by the crop of this grid that they belong to; others are left out."""
    by_place = {}
    for label in labels:
        row, rest_y = divmod(label.y, grid.stride)
        col, rest_x = divmod(label.x, grid.stride)
        if label.side == grid.crop and not (rest_y or rest_x) and row < grid.rows and col < grid.cols:
            by_place[row * grid.cols + col] = label
    return by_place


def unanswered(labels: Mapping[int, CropLabel], grid: Grid) -> NDArray[np.intp]:
    """Return the crops of a grid that have no answer, in order."""
    is_free_N = np.ones(len(grid), dtype=np.bool_)
    is_free_N[np.fromiter(labels, dtype=np.intp)] = False
    return np.flatnonzero(is_free_N)


def labels_of(prepared: Prepared, store: Store) -> dict[int, CropLabel]:
    """Return the labels that a project's store has of a frame, by crop: of its content, else of its place."""
    grid = prepared.work.grid
    place = prepared.source, prepared.description, grid.height, grid.width
    return by_index(store.labels_of(prepared.content_hash) or store.labels_in(*place), grid)


def query_of(
    scores: FrameScores, project: Project, grid: Grid, candidates: NDArray[np.intp], seed: int, content_hash: str
) -> PickedCrops:
    """Return the query for the project's α, β and n, or its minutes, among the candidate crops.

    Which crops are controls follows from the frame's `content_hash` (see `labels.controls`). Without a committee they
    are typical crops of each kind by their features, and none is a control: nothing was predicted, so controls wait
    while there are enough others.

    Raises
    ------
    ProjectError
        When there is no candidate left.
    """
    which_M = scores.which_M
    candidates = scores.among(candidates)
    if len(candidates) == 0:
        if which_M is not None and len(which_M) == 0:
            raise ProjectError(f"{scores.reason or told_blank(len(grid), len(grid))} Choose another frame.")
        if which_M is not None:
            raise ProjectError(
                "Every scored crop is labelled, and crops without information are not queried. Train and score again, "
                "or choose another frame."
            )
        raise ProjectError("Every crop of this frame is labelled. Choose another frame, or undo a label.")
    number_N = control_numbers_of(project, content_hash, grid)
    if scores.scores is not None:
        places_N_2 = _places(grid)
        query = choose(scores.scores, project.agent_settings(), seed, candidates, places_N_2, number_N)
        starving = starving_text(scores, project, candidates, query.value_N)
        return PickedCrops(query.picked_n, query.value_N, query.control_n, starving)
    reserved = reserved_for_controls(candidates, project.choices.control_share, number_N)
    if len(candidates) - len(reserved) >= min(project.choices.n, len(candidates)):
        candidates = without(candidates, reserved)
    places = candidates if which_M is None else np.searchsorted(which_M, candidates)
    features = scores.features_M_F[places]
    picked_n = candidates[typical(features, project.choices.n, rng_for(seed, "first query"))]
    return PickedCrops(picked_n, None, np.zeros(len(picked_n), dtype=bool))


def rest_to_come(
    scores: FrameScores,
    project: Project,
    grid: Grid,
    rest: tuple[NDArray[np.intp], NDArray[np.bool_]],
    candidates: NDArray[np.intp],
    seed: int,
    content_hash: str,
) -> NDArray[np.intp]:
    """Return the crops that are still to come of a query by new scores, in the order in which they are asked.

    `rest` are those that were to come, and which of them keep their places; `candidates` are the other crops without an
    answer, of which controls are not taken (see `labels.controls`). Without a committee nothing changes.
    """
    picked_m = rest[0]
    if scores.scores is None:
        return picked_m
    number_N = control_numbers_of(project, content_hash, grid)
    others = scores.among(np.setdiff1d(candidates, picked_m))
    others = without(others, reserved_for_controls(others, project.choices.control_share, number_N))
    places_N_2 = _places(grid)
    return rest_of_query(scores.scores, project.agent_settings(), seed, rest, others, places_N_2)[0]


def _places(grid: Grid) -> NDArray[np.int32]:
    """Return the row and column of each crop (N, 2)."""
    return np.indices((grid.rows, grid.cols), dtype=np.int32).reshape(2, -1).T


def query_seed(project: Project, scores: FrameScores, frame_id: int, answered: int) -> int:
    """Return the seed of a query: another one for each frame, model and number of crops answered, whatever α and β."""
    return seed_for(project.choices.seed, "query", frame_id, scores.generation, answered)


def query_among(prepared: Prepared, scores: FrameScores, labels: Mapping[int, CropLabel]) -> PickedCrops | None:
    """Return what would be asked of a frame with these labels, None when every crop that is scored has an answer."""
    free_M = unanswered(labels, prepared.work.grid)
    if not len(scores.among(free_M)):
        return None
    seed = query_seed(prepared.project, scores, 0, len(labels))
    return query_of(scores, prepared.project, prepared.work.grid, free_M, seed, prepared.content_hash)
