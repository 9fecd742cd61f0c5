"""A project assessed by cross-validation on its labels: a job for another process, for it loads torch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costal.labels.controls import control_numbers
from costal.labels.event_table import read_on
from costal.labels.project import Project
from costal.labels.records import CropLabel, PresentedCrop
from costal.labels.store import Store
from costal.seeds import rng_for
from costal.types import Answer, Job
from costal.workbench.assessment import (
    Assessment,
    Doubt,
    Forecast,
    counting,
    keep,
    kept_assessment,
    settings_of,
    stamp_of,
)
from costal.workbench.forecasts import keep_forecast, labels_to_come
from costal.workbench.retraining import learned_answers, material_of

FEWEST_LABELS = 20
FEWEST_FOR_CURVE = 40
"""A quarter of fewer labels is too few to learn from."""

CropKey = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class AssessmentRequest:
    """A project to assess."""

    project: Project
    device: str = "auto"


def assess_quietly(request: AssessmentRequest) -> Job[Assessment]:
    """Return what `assess` does, with one thread and the lowest priority: somebody labels meanwhile.

    For a process of its own, which stays so.
    """
    import os

    import torch

    if hasattr(os, "nice"):
        os.nice(19)
    torch.set_num_threads(1)
    return (yield from assess(request))


def assess(request: AssessmentRequest) -> Job[Assessment]:
    """Return how good the model of a project is, and keep it: what was kept, where nothing has changed since.

    Labels that may repeat a prediction do not count (see `ECHOES`), nor do skipped crops.

    Raises
    ------
    CostalError
        When the project cannot be read, or a training diverges.
    """
    project = request.project
    with Store(project.store_path, read_only=True) as store:
        labels = store.labels()
        controls = _controls(project, store, labels)
    stamp = stamp_of(project, labels)
    known = kept_assessment(project)
    if known is not None and known.stamp == stamp:
        return known
    counted = {each.first_id: each for each in counting(project, labels)}
    material = material_of(project)
    presented = [each for each in material.presented if each.pixels_C_H_W.shape == material.shape]
    labelled = [each for each in presented if each.label_id in counted]
    places = [counted[each.label_id] for each in labelled if each.label_id is not None]
    if reason := _too_few(project, labelled):
        return keep(project, Assessment(stamp, reason))
    from costal.agent.devices import choose_device
    from costal.workbench.cross_validation import cross_validate, learning_curve

    device = choose_device(request.device)
    complete = yield from learned_answers(replace(material, presented=presented), device)
    learned = [answer for answer, each in zip(complete, presented, strict=True) if each.label_id in counted]
    class_N = np.array([int(each.class_index or 0) for each in learned])
    group_N, left_out_by = _groups(places, class_N)
    if group_N is None:
        return keep(project, Assessment(stamp, left_out_by))
    overlaps_N_N = _overlaps(places, project.tiling.stride)
    arguments = material.fresh, learned, group_N, overlaps_N_N, project.choices.seed, device
    figures = yield from cross_validate(*arguments)
    assessment = _assessment(project, stamp, figures, places, class_N, controls)
    assessment = replace(assessment, left_out_by=left_out_by, frames=len({each.frame_id for each in places}))
    if len(learned) >= FEWEST_FOR_CURVE:
        curve = yield from learning_curve(*arguments)
        assessment = _with_forecast(project, assessment, curve, complete, group_N)
        keep_forecast(project, assessment.count, assessment.share, assessment.forecast)
    return keep(project, assessment)


def _controls(project: Project, store: Store, labels: Sequence[CropLabel]) -> set[CropKey]:
    """Return the labelled crops that are controls, or were drawn as such by an earlier version."""
    share, frames = project.choices.control_share, store.frames()
    drawn = read_on(store).presentations
    drawn = drawn[drawn["control"]]
    rows = zip(drawn["frame"].tolist(), drawn["y"].tolist(), drawn["x"].tolist(), strict=True)
    ever = set(rows)
    controls = set()
    for each in labels:
        place = each.frame_id, each.y, each.x, each.side
        number = control_numbers(
            project, frames[each.frame_id].content_hash, np.array([each.y]), np.array([each.x]), each.side
        )
        if number[0] < share or place[:3] in ever:
            controls.add(place)
    return controls


def _too_few(project: Project, labelled: Sequence[PresentedCrop]) -> str:
    """Return why so few labels say nothing yet, empty where they do."""
    if project.choices.backbone == "gal2017":
        return "With gal2017 cross-validation takes as long as ten trainings and is not run. See the control crops."
    if len(labelled) < FEWEST_LABELS:
        lacking = FEWEST_LABELS - len(labelled)
        plural = "s" * (lacking > 1)
        return f"Label {lacking} more crop{plural} one by one: {FEWEST_LABELS} are needed."
    counts = Counter(project.class_index(each.class_id) for each in labelled)
    if len(counts) < 2:
        return "All labels are of one class. Label crops of another class."
    rare = [project.offered[at].name for at, count in counts.items() if at is not None and count < 2]
    if rare:
        return f"Classes with only one label: {', '.join(rare)}. Label another crop of each."
    return ""


def _groups(places: Sequence[CropLabel], class_N: NDArray[np.int64]) -> tuple[NDArray[np.int64] | None, str]:
    """Return what is left out together, and what that is; None and the reason where nothing can be."""
    from costal.agent.validation import FOLDS, block_groups, frame_groups

    frame_N, y_N, x_N = (
        np.array([getattr(each, name) for each in places], np.int64) for name in ("frame_id", "y", "x")
    )
    groups = frame_groups(frame_N, class_N)
    if groups is not None and len(np.unique(groups)) >= FOLDS:
        return groups, "frames"
    blocks = block_groups(frame_N, y_N, x_N, places[0].side, class_N)
    if blocks is not None:
        return blocks, "blocks"
    return None, "The labelled crops are too close together for cross-validation. Label crops in other places."


def _overlaps(places: Sequence[CropLabel], stride: int) -> NDArray[np.bool_] | None:
    """Return which pairs of crops (N, N) have pixels in common, None where crops lie side by side."""
    side = places[0].side
    if stride >= side:
        return None
    frame_N, y_N, x_N = (np.array([getattr(each, name) for each in places]) for name in ("frame_id", "y", "x"))
    near = [np.abs(each[:, None] - each) < side for each in (y_N, x_N)]
    overlaps_N_N: NDArray[np.bool_] = (frame_N[:, None] == frame_N) & near[0] & near[1]
    return overlaps_N_N


def _assessment(
    project: Project,
    stamp: str,
    predictions: Any,
    places: Sequence[CropLabel],
    class_N: NDArray[np.int64],
    controls: set[CropKey],
) -> Assessment:
    return Assessment(
        stamp,
        "",
        count=predictions.count,
        share=round(predictions.share, 6),
        low=round(predictions.low, 6),
        high=round(predictions.high, 6),
        groups=predictions.groups,
        class_ids=tuple(each.id for each in project.offered),
        confusion_K_K=tuple(tuple(round(float(each), 2) for each in row) for row in predictions.confusion_K_K),
        recall_K=tuple(None if np.isnan(each) else round(float(each), 6) for each in predictions.recall_K),
        temperature=round(predictions.temperature, 4),
        calibration_error=round(predictions.calibration.expected_error, 6),
        raw_error=round(predictions.raw_error, 6),
        doubts=_doubts(project, predictions.probs_N_K, places, class_N, controls),
        settings=settings_of(project),
    )


def _doubts(
    project: Project,
    probs_N_K: NDArray[np.floating],
    places: Sequence[CropLabel],
    class_N: NDArray[np.int64],
    controls: set[CropKey],
) -> tuple[Doubt, ...]:
    """Return the labels to look at again. Controls are none: their first answer counts, whatever a model says."""
    from costal.agent.validation import doubtful

    ids = [each.id for each in project.offered]
    doubts = []
    for row in doubtful(probs_N_K.astype(np.float32), class_N):
        label, probs_K = places[row], probs_N_K[row]
        place = label.frame_id, label.y, label.x, label.side
        if place in controls:
            continue
        predicted = int(np.where(np.arange(len(probs_K)) == class_N[row], -1, probs_K).argmax())
        shares = (round(float(probs_K[at]), 4) for at in (class_N[row], predicted))
        doubts.append(Doubt(label.first_id, *place, ids[class_N[row]], ids[predicted], *shares))
    return tuple(doubts)


def _with_forecast(
    project: Project,
    assessment: Assessment,
    curve: tuple[NDArray[np.float64], NDArray[np.float64]],
    answers: Sequence[Answer],
    group_N: NDArray[np.int64],
) -> Assessment:
    """Return an assessment with its learning curve, and with what the next minutes bring where efforts are known."""
    from costal.agent.learning_curve import expected_gain

    right_S_N, learned_S = curve
    points = tuple(
        (round(float(learned), 1), round(float(right.mean()), 6))
        for learned, right in zip(learned_S, right_S_N, strict=True)
    )
    more = labels_to_come(answers)
    if not more or not (np.diff(learned_S) > 0).all():
        return replace(assessment, curve=points)
    rng = rng_for(project.choices.seed, "forecast")
    gain = expected_gain(right_S_N, learned_S, group_N, assessment.count, more, rng)
    forecast = Forecast(assessment.count, more, round(gain.points, 2), round(gain.plus_minus, 2), assessment.share)
    return replace(assessment, curve=points, forecast=forecast)
