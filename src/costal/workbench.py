"""One project at work: frames in, queries out, answers stored. Here frames, agent and labels meet.

A `Workbench` writes; it never loads torch. `score_frame` and `retrain` are jobs that may run in another process.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costal.agent.features import simple_features, spread_out
from costal.errors import ProjectError
from costal.frames.grid import crops
from costal.frames.normalise import IntensityRange, intensity_range, merge_ranges, normalise
from costal.labels.effort import derive, replay
from costal.labels.models import Generation, load_newest, save_agent
from costal.labels.project import Project, load_project, save_project
from costal.labels.store import AnswerRecord, CropLabel, FrameRecord, PresentedCrop, Store, require_store
from costal.loop import choose, learn, new_agent, score
from costal.seeds import rng_for
from costal.types import Answer, Floats, Frame, Grid, Job, Pool, Progress, Scores


@dataclass(frozen=True, slots=True)
class PlacedFrame:
    """A frame of the project: its id in the store and the range that its crops are normalised with."""

    id: int
    range: IntensityRange


class Workbench:
    """A project open for work. Use it from the thread that opened it; every answer it returns from is on disk."""

    def __init__(self, folder: Path) -> None:
        self.project = load_project(folder)
        require_store(self.project.store_path)
        self._store = Store(self.project.store_path)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def configure(self, project: Project) -> None:
        """Keep a project's new settings, on disk first."""
        save_project(project)
        self.project = project

    def place(self, frame: Frame, plane_C_Y_X: NDArray[np.generic], planes: str) -> PlacedFrame:
        """Return the frame as part of the project; the same content and planes are the same frame again."""
        found = intensity_range(plane_C_Y_X)
        _, height, width = plane_C_Y_X.shape
        record = FrameRecord(
            frame.content_hash, planes, frame.source, height, width, frame.pixel_um, found.low_C, found.high_C
        )
        frame_id = self._store.add_frame(record)
        return PlacedFrame(frame_id, range_in_use(self.project, found, self._store.ranges()))

    def answer(self, answer: AnswerRecord) -> int | None:
        """Return the label's id once it is on disk (see `Store.answer`)."""
        return self._store.answer(answer)

    def undo(self, label_id: int) -> None:
        """Take a label back."""
        self._store.undo(label_id)

    def labels(self, frame_id: int | None = None) -> list[CropLabel]:
        """Return the current labels of a frame, or of all."""
        return self._store.labels(frame_id)

    def label_counts(self) -> dict[int, int]:
        """Return how many crops each class id has."""
        return dict(Counter(label.class_id for label in self._store.labels() if label.class_id is not None))

    def presentation_count(self, annotator: str) -> int:
        """Return how many presentations this annotator has ended."""
        return self._store.presentation_count(annotator)


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


@dataclass(frozen=True, slots=True)
class FrameScores:
    """The scores of a frame's crops by model `generation`; without a committee None, `reason` why.

    `features_N_F` are simple features, for a first query that needs no model.
    """

    scores: Scores | None
    features_N_F: NDArray[np.float64]
    generation: int
    reason: str = ""


def score_frame(request: FrameRequest) -> Job[FrameScores]:
    """Return the scores of every crop of a frame, by the project's newest agent.

    Raises
    ------
    CostalError
        When the project or its model cannot be read.
    """
    batches = []
    for batch in crops(request.plane_C_Y_X, request.grid):
        batches.append(normalise(batch, request.range))
        yield Progress(sum(map(len, batches)), len(request.grid), "Cutting crops")
    pool = Pool(np.concatenate(batches), request.annotator, request.order)
    features_N_F = simple_features(pool.crops_N_C_H_W)
    generation = current_generation(request.project, pool.crops_N_C_H_W.shape[1:])
    if generation.agent.classifier is None:
        return FrameScores(None, features_N_F, generation.number, " ".join(generation.agent.notes))
    scores = yield from score(generation.agent, pool, request.seed, request.device)
    return FrameScores(scores, features_N_F, generation.number)


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
            "channel(s), not for these. Train to make one that fits."
        )
        return Generation(0, replace(fresh, notes=(note,)))
    return Generation(newest.number, replace(newest.agent, settings=fresh.settings))


@dataclass(frozen=True, slots=True)
class PickedCrops:
    """The chosen crops of a frame, best first, and every crop's value; None when no model could give one."""

    picked_n: NDArray[np.intp]
    value_N: Floats | None


def query_of(found: FrameScores, project: Project, candidates: NDArray[np.intp], seed: int) -> PickedCrops:
    """Return the query for the project's α, β and n among the candidate crops.

    Without a committee the crops are spread over simple features.

    Raises
    ------
    ProjectError
        When there is no candidate left.
    """
    if len(candidates) == 0:
        raise ProjectError("Every crop of this frame is labelled. Choose another frame, or undo a label.")
    if found.scores is not None:
        query = choose(found.scores, project.agent_settings(), seed, candidates)
        return PickedCrops(query.picked_n, query.value_N)
    features = found.features_N_F[candidates]
    return PickedCrops(candidates[spread_out(features, project.choices.n, rng_for(seed, "first query"))], None)


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """A project to retrain for crops of this shape."""

    project: Project
    crop_shape: tuple[int, int, int]
    seed: int
    device: str = "auto"


def retrain(request: RetrainRequest) -> Job[Generation]:
    """Return the agent retrained on all labels and efforts of a project, saved as its next generation.

    When neither model can be trained yet, nothing is saved and the generation is 0; its notes say why.

    Raises
    ------
    CostalError
        When training diverges or nothing can be written: the newest saved agent is still the old one.
    """
    project = request.project
    with Store(project.store_path, read_only=True) as store:
        presented, ranges = store.presented(), store.ranges()
    answers = answers_of(project, presented, ranges, request.crop_shape)
    agent = current_generation(project, request.crop_shape).agent
    agent = yield from learn(agent, answers, request.seed, request.device)
    left_out = len(presented) - len(answers)
    if left_out:
        side = request.crop_shape[1]
        agent = replace(agent, notes=(*agent.notes, f"{left_out} answers for crops unlike {side} px were not used."))
    if agent.classifier is None and agent.cost_model is None:
        return Generation(0, agent)
    return save_agent(project.model_folder, agent)


def answers_of(
    project: Project,
    presented: list[PresentedCrop],
    ranges: list[tuple[tuple[float, ...], tuple[float, ...]]],
    crop_shape: tuple[int, int, int],
) -> list[Answer]:
    """Return what the agent learns from: normalised crops of one shape, their labels and derived efforts."""
    idle_limit_ns = round(project.idle_limit_s * 1e9)
    known_ids = {label_class.id for label_class in project.classes}
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
                project.class_index(each.class_id) if each.class_id in known_ids else None,
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
    """Return the intensity range for crops of a frame: the frame's own, or that of all frames with as many channels."""
    if project.tiling.normalise == "frame":
        return own
    alike = [IntensityRange(low, high) for low, high in ranges if len(low) == len(own.low_C)]
    return merge_ranges(alike or [own])
