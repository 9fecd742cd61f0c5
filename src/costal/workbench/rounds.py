"""A round at the microscope: a frame is scored, a query chosen, the agent retrained.

`score_frame` and `retrain` are jobs that may run in another process; torch is loaded there alone.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from costal.agent.features import simple_features, spread_out
from costal.errors import ProjectError
from costal.frames.grid import tile
from costal.frames.information import blank_crops, told_blank
from costal.frames.normalise import IntensityRange, cut_when_sliced, merge_ranges, normalise, shared_range
from costal.labels.effort import derive, replay
from costal.labels.ledger import read_on
from costal.labels.models import Generation, Origin, load_newest, newest_number, save_agent
from costal.labels.project import Project
from costal.labels.records import CropLabel, PresentedCrop
from costal.labels.store import Store
from costal.loop import choose, learn, new_agent, score
from costal.seeds import rng_for, seed_for
from costal.types import Answer, Floats, Grid, Job, Pool, Progress, Scores
from costal.workbench.fitting import learned_shape, left_out, remedy
from costal.workbench.pixel_size import distinct, warning_for
from costal.workbench.review import review


@dataclass(frozen=True, slots=True)
class PlacedFrame:
    """A frame of the project: its id in the store, its content, and the range that its crops are normalised with."""

    id: int
    content_hash: str
    range: IntensityRange


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """A frame to be scored for a project: its plane, how it is cut and normalised, and who will be asked."""

    project: Project
    plane_C_Y_X: NDArray[np.generic]
    range: IntensityRange
    grid: Grid
    annotator: str
    order: int
    seed: int
    device: str = "auto"
    pixel_um: float | None = None


@dataclass(frozen=True, slots=True)
class FrameScores:
    """The scores of a frame's crops by model `generation`; without a committee None, `reason` why.

    `features_M_F` are simple features for that first query, which needs no model; `model_hash` names the model's file.
    `which_M` are the crops that were scored, or have features, in order; None when all. Those without information are
    never among them. `warnings` say so, and when the frame's pixels are of another size than was learned at.
    """

    scores: Scores | None
    generation: int
    reason: str = ""
    model_hash: str = ""
    features_M_F: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    which_M: NDArray[np.intp] | None = None
    warnings: tuple[str, ...] = ()

    def among(self, candidates: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return those of these crops (in order) that were scored, or have features."""
        if self.which_M is None:
            return candidates
        return candidates[np.isin(candidates, self.which_M, assume_unique=True)]

    def of_scored(self, values_N: Floats) -> Floats:
        """Return values of every crop, NaN for those that were not scored."""
        if self.which_M is None:
            return values_N
        kept_N = np.full(len(values_N), np.nan, np.float32)
        kept_N[self.which_M] = values_N[self.which_M]
        return kept_N


def grid_of(project: Project, plane_C_Y_X: NDArray[np.generic]) -> Grid:
    """Return how a project cuts a plane into crops.

    Raises
    ------
    FrameError
        When crops of the project's size do not fit.
    """
    tiling = project.tiling
    return tile(plane_C_Y_X.shape[1:], tiling.crop, tiling.stride, tiling.edge)


def by_index(labels: list[CropLabel], grid: Grid) -> dict[int, CropLabel]:
    """Return the labels of a frame by the crop of this grid that they belong to; others are left out."""
    found = {}
    for label in labels:
        row, rest_y = divmod(label.y, grid.stride)
        col, rest_x = divmod(label.x, grid.stride)
        if label.side == grid.crop and not (rest_y or rest_x) and row < grid.rows and col < grid.cols:
            found[row * grid.cols + col] = label
    return found


def unanswered(labels: Mapping[int, CropLabel], grid: Grid) -> NDArray[np.intp]:
    """Return the crops of a grid that have no answer, in order."""
    is_free_N = np.ones(len(grid), dtype=np.bool_)
    is_free_N[np.fromiter(labels, dtype=np.intp)] = False
    return np.flatnonzero(is_free_N)


def score_frame(request: FrameRequest) -> Job[FrameScores]:
    """Return the scores of every crop of a frame, by the project's newest agent; crops are cut batch by batch.

    Raises
    ------
    CostalError
        When the project or its model cannot be read.
    """
    plane_C_Y_X, grid = request.plane_C_Y_X, request.grid
    yield Progress(0, len(grid), "Reading the model")
    crop_shape = (len(plane_C_Y_X), grid.crop, grid.crop)
    generation = current_generation(request.project, crop_shape)
    blank_N = blank_crops(plane_C_Y_X, grid)
    which_M = np.flatnonzero(~blank_N) if blank_N.any() else None
    said = (told_blank(int(blank_N.sum()), len(grid)), warning_for(request.project, generation, request.pixel_um))
    warnings = tuple(filter(None, said))
    if blank_N.all():
        return FrameScores(None, generation.number, warnings[0], which_M=which_M, warnings=warnings)
    if not generation.agent.classifier:
        chosen = None if which_M is None else which_M.tolist()
        features_M_F = simple_features(cut_when_sliced(plane_C_Y_X, request.range, grid, chosen))
        reason = " ".join(generation.agent.notes)
        looked = FrameScores(None, generation.number, reason, features_M_F=features_M_F, which_M=which_M)
        return replace(looked, warnings=warnings)
    pool = Pool(cut_when_sliced(plane_C_Y_X, request.range, grid), request.annotator, request.order)
    scores = yield from score(generation.agent, pool, request.seed, request.device)
    found = FrameScores(without(scores, blank_N), generation.number, model_hash=generation.model_hash)
    return replace(found, which_M=which_M, warnings=warnings)


def without(scores: Scores, left_out_N: NDArray[np.bool_]) -> Scores:
    """Return scores in which some crops have none: information 0, cost 1, no probabilities."""
    if not left_out_N.any():
        return scores
    return replace(
        scores,
        information_N=np.where(left_out_N, np.float32(0), scores.information_N),
        cost_N=np.where(left_out_N, np.float32(1), scores.cost_N),
        probs_N_K=np.where(left_out_N[:, np.newaxis], np.float32(np.nan), scores.probs_N_K),
    )


def current_generation(project: Project, crop_shape: tuple[int, int, int]) -> Generation:
    """Return the newest agent, with the settings of today, if it fits the classes and these crops; else a new one."""
    fresh = new_agent(project.agent_settings(), crop_shape)
    newest = load_newest(project.model_folder)
    if newest is None:
        return Generation(0, fresh)
    made_for = (newest.agent.crop_shape, newest.agent.settings.class_ids)
    if made_for != (crop_shape, fresh.settings.class_ids):
        (channels, side, _), classes = made_for
        note = (
            f"The newest model was trained for {len(classes)} classes and crops of {side} px with {channels} "
            "channel(s), not for these. Train to make one that fits; labels of such crops are needed for that."
        )
        return Generation(0, replace(fresh, notes=(note,)))
    return replace(newest, agent=replace(newest.agent, settings=fresh.settings))


@dataclass(frozen=True, slots=True)
class PickedCrops:
    """The chosen crops of a frame, best first, and every crop's value; None when no model could give one.

    `control_n` tells which were drawn at random.
    """

    picked_n: NDArray[np.intp]
    value_N: Floats | None
    control_n: NDArray[np.bool_]


def query_of(found: FrameScores, project: Project, grid: Grid, candidates: NDArray[np.intp], seed: int) -> PickedCrops:
    """Return the query for the project's α, β and n, or its minutes, among the candidate crops.

    Without a committee the crops are spread over simple features, and none is a control: nothing was predicted.

    Raises
    ------
    ProjectError
        When there is no candidate left.
    """
    candidates = found.among(candidates)
    if len(candidates) == 0:
        if found.which_M is not None and len(found.which_M) == 0:
            raise ProjectError(f"{found.reason or told_blank(len(grid), len(grid))} Choose another frame.")
        if found.which_M is not None:
            raise ProjectError(
                "Every crop that was scored is labelled, and those without information are not asked. Train, score "
                "again to go on, or choose another frame."
            )
        raise ProjectError("Every crop of this frame is labelled. Choose another frame, or undo a label.")
    if found.scores is not None:
        places_N_2 = np.indices((grid.rows, grid.cols), dtype=np.int32).reshape(2, -1).T
        query = choose(found.scores, project.agent_settings(), seed, candidates, places_N_2)
        return PickedCrops(query.picked_n, query.value_N, query.control_n)
    places = candidates if found.which_M is None else np.searchsorted(found.which_M, candidates)
    features = found.features_M_F[places]
    picked_n = candidates[spread_out(features, project.choices.n, rng_for(seed, "first query"))]
    return PickedCrops(picked_n, None, np.zeros(len(picked_n), dtype=bool))


def query_seed(project: Project, found: FrameScores, frame_id: int, answered: int) -> int:
    """Return the seed of a query: another one for each frame, model and number of crops answered, whatever α and β."""
    return seed_for(project.choices.seed, "query", frame_id, found.generation, answered)


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """A project to retrain."""

    project: Project
    seed: int
    device: str = "auto"


def retrain(request: RetrainRequest) -> Job[Generation]:
    """Return the agent retrained on all labels and efforts of a project, saved as its next generation.

    Crops of another shape than the project's (see `learned_shape`) are left out and counted in the notes. Without a
    classifier nothing is saved, for nothing could be asked of it: the generation is 0 and the notes say why.

    Raises
    ------
    CostalError
        When training diverges or nothing can be written: the newest saved agent is still the old one.
    """
    project = request.project
    with Store(project.store_path, read_only=True) as store:
        presented, ranges = store.presented(), store.ranges()
        figures = review(project, read_on(store))
        shape = learned_shape(project, presented)
        pixel_um = distinct(store.pixel_sizes(shape))
    answers = answers_of(project, presented, ranges, shape)
    agent = yield from learn(current_generation(project, shape).agent, answers, request.seed, request.device)
    notes = (*agent.notes, *left_out(presented, shape))
    if not agent.classifier:
        newest = newest_number(project.model_folder)
        stays = f" Model {newest} stays the newest." if newest else ""
        ends = (remedy(presented, shape), f"No model was saved.{stays}")
        return Generation(0, replace(agent, notes=(*notes, *filter(None, ends))))
    used = sorted(each.label_id for each in presented if each.label_id is not None and each.pixels_C_H_W.shape == shape)
    origin = Origin(tuple(used), request.seed, figures.metrics(), pixel_um=pixel_um)
    return save_agent(project.model_folder, replace(agent, notes=notes), origin, project.kept_models)


def answers_of(
    project: Project,
    presented: list[PresentedCrop],
    ranges: list[tuple[tuple[float, ...], tuple[float, ...]]],
    crop_shape: tuple[int, int, int],
) -> list[Answer]:
    """Return what the agent learns from: normalised crops of one shape, their labels and derived efforts."""
    idle_limit_ns = round(project.idle_limit_s * 1e9)
    answered: Counter[str] = Counter()
    answers = []
    for each in presented:
        order = answered[each.annotator]
        answered[each.annotator] += 1
        if each.pixels_C_H_W.shape != crop_shape:
            continue
        effort = derive(replay(each.events, idle_limit_ns))
        own = IntensityRange(each.low_C, each.high_C)
        answers.append(
            Answer(
                normalise(each.pixels_C_H_W, range_in_use(project, own, ranges)),
                project.class_index(each.class_id),
                effort.active_s if effort.usable else None,
                effort.censored,
                each.annotator,
                order,
            )
        )
    return answers


def range_in_use(
    project: Project, own: IntensityRange, ranges: list[tuple[tuple[float, ...], tuple[float, ...]]]
) -> IntensityRange:
    """Return the intensity range for crops of a frame: the frame's own, or that of all frames with as many channels.

    The store keeps what was measured of each channel. In a project of RGB images the three share the widest of these
    ranges, so that the network sees the file's colours; projects of earlier versions go on as they were trained.
    """
    found = own
    if project.tiling.normalise != "frame":
        alike = [IntensityRange(low, high) for low, high in ranges if len(low) == len(own.low_C)]
        found = merge_ranges(alike or [own])
    return shared_range(found) if project.intake.rgb else found
