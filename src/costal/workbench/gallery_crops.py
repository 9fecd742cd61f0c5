"""The crops of a gallery, collected: of the frame at work, of frames whose scores are kept, and all that have labels.

Controls that nobody has answered alone are left out: what is said of them among others would not be unbiased.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import costal
from costal.agent.value import value
from costal.frames.grid import origins
from costal.frames.normalise import IntensityRange
from costal.labels.controls import control_numbers
from costal.labels.project import Project
from costal.labels.records import CropLabel, FrameRecord, QueryReason
from costal.labels.store import Store
from costal.scoring.model_version import range_in_use
from costal.scoring.queries import by_index
from costal.workbench.assessment import Doubt, kept_assessment
from costal.workbench.gallery import EXCLUDED, SKIPPED, UNLABELLED, GalleryCrops, Places, joined
from costal.workbench.gallery_frames import (
    FrameAtWork,
    GalleryFrame,
    Thought,
    kept_cards,
    nothing_thought,
    thought_at_work,
    thought_kept,
)
from costal.workbench.looked_again import open_doubts


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """The crops of a project and the frames that they are of, by id; `doubts` are labels to look at again, by row."""

    project: Project
    crops: GalleryCrops
    frames: Mapping[int, GalleryFrame] = field(default_factory=dict)
    doubts: Mapping[int, Doubt] = field(default_factory=dict)

    def why(self, row: int) -> QueryReason:
        """Return what the model thought of a crop; empty where none was asked."""
        crops, choices = self.crops, self.project.choices
        if not np.isfinite(crops.probs_N_K[row]).all():
            return QueryReason()
        frame = self.frames[int(crops.frame_id_N[row])]
        return QueryReason(
            crops.class_ids,
            tuple(round(float(prob), 6) for prob in crops.probs_N_K[row]),
            float(crops.information_N[row]),
            float(crops.cost_N[row]),
            frame.cost_spread,
            float(crops.value_N[row]),
            choices.alpha,
            choices.beta,
            choices.acquisition,
            choices.passes,
            choices.seed,
            frame.model_hash,
            f"napari-costal {costal.__version__}",
        )


def collect(project: Project, at_work: FrameAtWork | None = None) -> Gallery:
    """Return the gallery of a project, whose store is read here; frames in the order of their ids, that at work first.

    Raises
    ------
    ProjectError
        When the store cannot be read.
    """
    with Store(project.store_path, read_only=True) as store:
        records, ranges = store.frames(), store.ranges()
        labels, answered = store.labels(), store.answered_alone()
    by_frame: dict[int, list[CropLabel]] = {}
    for label in labels:
        by_frame.setdefault(label.frame_id, []).append(label)
    cards = kept_cards(project)
    parts, frames = list[GalleryCrops](), dict[int, GalleryFrame]()
    for frame_id in sorted(records, key=lambda each: (at_work is None or each != at_work.id, each)):
        record = records[frame_id]
        limits = range_in_use(project, IntensityRange(record.low_C, record.high_C), ranges)
        frame, thought = GalleryFrame(frame_id, record, limits), None
        if at_work is not None and at_work.id == frame_id:
            frame, thought = thought_at_work(project, frame, at_work)
        elif record.content_hash in cards:
            frame, thought = thought_kept(project, frame, *cards[record.content_hash])
        own = by_frame.get(frame_id, [])
        crops = _crops_of(project, frame, thought, own)
        crops = _without_controls(project, record.content_hash, crops, answered)
        if len(crops):
            parts.append(crops)
            frames[frame_id] = frame
    crops = joined(parts) if parts else _crops_of(project, NO_FRAME, None, [])
    known = kept_assessment(project)
    doubts = doubts_by_row(crops, open_doubts(project, known, labels).doubts) if known is not None else {}
    doubt_N = np.zeros(len(crops), np.int64)
    doubt_N[list(doubts)] = np.arange(len(doubts)) + 1
    return Gallery(project, replace(crops, doubt_N=doubt_N), frames, doubts)


def doubts_by_row(crops: GalleryCrops, doubts: Iterable[Doubt]) -> dict[int, Doubt]:
    """Return doubts by the rows of their crops, in their order; those about crops that are not there are left out."""
    places = Places(crops)
    return {row: each for each in doubts if (row := places.row(each.place)) is not None}


def _crops_of(project: Project, frame: GalleryFrame, thought: Thought | None, labels: list[CropLabel]) -> GalleryCrops:
    """Return a frame's crops: those of its grid that are shown or labelled, then labelled ones of other grids."""
    classes = len(project.offered)
    here = by_index(labels, frame.grid) if thought is not None and frame.grid is not None else {}
    on_grid = {label.label_id for label in here.values()}
    others = [label for label in labels if label.label_id not in on_grid]
    if thought is None or frame.grid is None:
        thought, count, places_N_2, side = nothing_thought(0, classes), 0, np.zeros((0, 2), np.int64), 0
    else:
        count, places_N_2, side = len(frame.grid), origins(frame.grid), frame.grid.crop
    is_shown_N = np.ones(count, np.bool_) if thought.is_shown_N is None else thought.is_shown_N.copy()
    is_shown_N[list(here)] = True
    rows = np.flatnonzero(is_shown_N)
    label_N, single_N = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    for index, label in here.items():
        label_N[index], single_N[index] = label_code(project, label), label.given == "single"
    beside = nothing_thought(len(others), classes)

    def both(of_grid_N: NDArray[Any], of_others: Any, dtype: type) -> NDArray[Any]:
        return np.concatenate([of_grid_N[rows], np.array(of_others, dtype).reshape(-1)])

    information_N, cost_N = (
        np.concatenate([one[rows], other])
        for one, other in (
            (thought.information_N, beside.information_N),
            (thought.cost_N, beside.cost_N),
        )
    )
    similarity = thought.similarity.taken(rows) if thought.similarity is not None else None
    return GalleryCrops(
        tuple(each.id for each in project.offered),
        np.full(len(rows) + len(others), frame.id, np.int64),
        both(places_N_2[:, 0], [label.y for label in others], np.int64),
        both(places_N_2[:, 1], [label.x for label in others], np.int64),
        both(np.full(count, side), [label.side for label in others], np.int64),
        both(label_N, [label_code(project, label) for label in others], np.int64),
        both(single_N, [label.given == "single" for label in others], np.bool_),
        np.concatenate([thought.probs_N_K[rows], beside.probs_N_K]),
        information_N,
        cost_N,
        _value_of(project, information_N, cost_N),
        np.zeros(len(rows) + len(others), np.int64),
        np.zeros(len(rows) + len(others), np.int64),
        (similarity,) if similarity is not None else (),
    )


def label_code(project: Project, label: CropLabel | None) -> int:
    """Return what `GalleryCrops.label_N` says of a label."""
    if label is None:
        return UNLABELLED
    if label.class_id is None:
        return SKIPPED if label.kind == "skip" else EXCLUDED
    project_class = project.class_of(label.class_id)
    return project_class.id if project_class is not None else label.class_id


def _value_of(
    project: Project, information_N: NDArray[np.floating], cost_N: NDArray[np.floating]
) -> NDArray[np.float32]:
    is_known_N = np.isfinite(information_N) & np.isfinite(cost_N)
    value_N = np.full(len(information_N), np.nan, np.float32)
    choices = project.choices
    value_N[is_known_N] = value(information_N[is_known_N], cost_N[is_known_N], choices.alpha, choices.beta)
    return value_N


def _without_controls(
    project: Project, content_hash: str, crops: GalleryCrops, answered: set[tuple[int, int, int, int]]
) -> GalleryCrops:
    """Return the crops without the controls that were never answered alone."""
    is_control_N = np.zeros(len(crops), np.bool_)
    for side in np.unique(crops.side_N).tolist():
        alike = np.flatnonzero(crops.side_N == side)
        numbers_n = control_numbers(project, content_hash, crops.y_N[alike], crops.x_N[alike], side)
        is_control_N[alike] = numbers_n < project.choices.control_share
    for row in np.flatnonzero(is_control_N).tolist():
        place = crops.frame_id_N[row], crops.y_N[row], crops.x_N[row], crops.side_N[row]
        is_control_N[row] = tuple(map(int, place)) not in answered
    return crops.taken(np.flatnonzero(~is_control_N))


NO_FRAME = GalleryFrame(0, FrameRecord("", "", "", 0, 0, None, (), ()), IntensityRange((), ()))
