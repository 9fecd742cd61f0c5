"""How good a project's model is, by cross-validation on its labels: a job for another process, for it loads torch.

What comes of it is kept beside the scores until labels or settings change, and may be deleted at any time.
"""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costal.errors import ProjectError
from costal.files import write_atomically
from costal.labels.lock import is_held_elsewhere
from costal.labels.project import Project, document_of
from costal.labels.records import ECHOES, CropLabel, PresentedCrop
from costal.labels.store import Store
from costal.scoring.features import files_of
from costal.scoring.generation import current_generation, range_of_project
from costal.types import Job
from costal.workbench.fitting import learned_shape
from costal.workbench.retraining import answers_of, with_kept_features

ASSESSMENT_FILE = "assessment.json"
FEWEST_LABELS = 20
VERSION = 1


@dataclass(frozen=True, slots=True)
class AssessmentRequest:
    """A project to assess."""

    project: Project
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A label that the others contradict: which crop, its class, the class that they say, and both probabilities."""

    label_id: int
    frame_id: int
    y: int
    x: int
    side: int
    class_id: int
    predicted_id: int
    probability: float
    predicted_probability: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """How good a project's model is; `reason` says why that cannot be told yet, and is empty otherwise.

    `share` of `count` labels was predicted right by models that had not learned from them, `low` to `high` with 95 %
    confidence. `left_out_by` tells what was left out together: "frames", or "blocks" of a frame. Classes are in the
    order of `class_ids`: `confusion_K_K` counts labels by true and predicted class, `recall_K` is the share of each
    that was predicted right, None for one without labels. `calibration_error` is that of probabilities at
    `temperature`, `raw_error` without it. `doubts` are the labels to look at again, the most doubtful first.
    """

    stamp: str
    reason: str
    count: int = 0
    share: float = 0.0
    low: float = 0.0
    high: float = 1.0
    left_out_by: str = ""
    groups: int = 0
    class_ids: tuple[int, ...] = ()
    confusion_K_K: tuple[tuple[float, ...], ...] = ()
    recall_K: tuple[float | None, ...] = ()
    temperature: float = 1.0
    calibration_error: float = 0.0
    raw_error: float = 0.0
    doubts: tuple[Doubt, ...] = ()

    @property
    def sentence(self) -> str:
        """What there is to say in one line."""
        if self.reason:
            return f"Accuracy: not known yet. {self.reason}"
        return (
            f"Accuracy about {self.share:.0%} ({self.low:.0%} to {self.high:.0%}), cross-validated on {self.count} "
            "labels. They were chosen, so they are no random sample: the control crops are."
        )


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
        presented, ranges = store.presented(), store.ranges()
        place_of = {each.first_id: each for each in store.labels()}
    labelled = [each for each in presented if _counts(project, each)]
    stamp = stamp_of(project, labelled)
    known = kept_assessment(project)
    if known is not None and known.stamp == stamp:
        return known
    shape = learned_shape(project, presented)
    presented = [each for each in presented if each.pixels_C_H_W.shape == shape]
    labelled = [each for each in presented if _counts(project, each)]
    places = [place_of[each.label_id] for each in labelled if each.label_id is not None]
    if reason := _too_few(project, labelled):
        return _kept(project, Assessment(stamp, reason))
    agent = current_generation(project, shape).agent
    answers = answers_of(project, presented, range_of_project(project, ranges, shape[0]), shape)
    complete = yield from with_kept_features(files_of(project), agent, answers, len(presented), request.device)
    learned = [answer for answer, each in zip(complete, presented, strict=True) if _counts(project, each)]
    class_N = np.array([int(each.class_index or 0) for each in learned])
    group_N, left_out_by = _groups(places, class_N)
    if group_N is None:
        return _kept(project, Assessment(stamp, left_out_by))
    from costal.workbench.cross_validation import cross_validate

    overlaps_N_N = _overlaps(places, project.tiling.stride)
    found = yield from cross_validate(agent, learned, group_N, overlaps_N_N, project.choices.seed, request.device)
    return _kept(project, _assessment(project, stamp, left_out_by, found, places, class_N))


def stamp_of(project: Project, labelled: list[PresentedCrop]) -> str:
    """Return what the assessment depends on, as a hash: labels, settings of the agent, classes and tiling."""
    document = document_of(project)
    said = {key: document[key] for key in ("agent", "classes", "tiling", "channels")}
    labels = [(each.label_id, each.class_id) for each in labelled]
    return blake2b(json.dumps([VERSION, said, labels]).encode(), digest_size=16).hexdigest()


def kept_assessment(project: Project) -> Assessment | None:
    """Return what was found last, None where nothing was or it cannot be read; it may be about older labels."""
    try:
        entries = json.loads(_file(project).read_text("utf-8"))
        return _read(entries)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _counts(project: Project, each: PresentedCrop) -> bool:
    return each.label_id is not None and each.given not in ECHOES and project.class_index(each.class_id) is not None


def _too_few(project: Project, labelled: list[PresentedCrop]) -> str:
    """Return why so few labels say nothing yet, empty where they do."""
    if project.choices.backbone == "gal2017":
        return "With gal2017 a cross-validation takes as long as ten trainings, so it is left out: see the controls."
    if len(labelled) < FEWEST_LABELS:
        lacking = FEWEST_LABELS - len(labelled)
        plural = "s" * (lacking > 1)
        return f"Label {lacking} more crop{plural} one by one: {FEWEST_LABELS} are needed."
    counts = Counter(project.class_index(each.class_id) for each in labelled)
    if len(counts) < 2:
        return "All labels are of one class. Label crops of another."
    rare = [project.offered[at].name for at, count in counts.items() if at is not None and count < 2]
    if rare:
        return f"There is one label only of {', '.join(rare)}. Label another crop of it."
    return ""


def _groups(places: list[CropLabel], class_N: NDArray[np.int64]) -> tuple[NDArray[np.int64] | None, str]:
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
    return None, "The labels lie too close together to leave some of each class out. Label crops of other places."


def _overlaps(places: list[CropLabel], stride: int) -> NDArray[np.bool_] | None:
    """Return which pairs of crops (N, N) have pixels in common, None where crops lie side by side."""
    side = places[0].side
    if stride >= side:
        return None
    frame_N, y_N, x_N = (np.array([getattr(each, name) for each in places]) for name in ("frame_id", "y", "x"))
    near = [np.abs(each[:, None] - each) < side for each in (y_N, x_N)]
    overlaps_N_N: NDArray[np.bool_] = (frame_N[:, None] == frame_N) & near[0] & near[1]
    return overlaps_N_N


def _assessment(
    project: Project, stamp: str, left_out_by: str, found: Any, places: list[CropLabel], class_N: NDArray[np.int64]
) -> Assessment:
    from costal.agent.validation import doubtful

    ids = tuple(each.id for each in project.offered)
    doubts = []
    for row in doubtful(found.probs_N_K, class_N):
        place, probs_K = places[row], found.probs_N_K[row]
        others_K = np.where(np.arange(len(probs_K)) == class_N[row], -1, probs_K)
        predicted = int(others_K.argmax())
        doubts.append(
            Doubt(
                place.first_id,
                place.frame_id,
                place.y,
                place.x,
                place.side,
                ids[class_N[row]],
                ids[predicted],
                round(float(probs_K[class_N[row]]), 4),
                round(float(probs_K[predicted]), 4),
            )
        )
    return Assessment(
        stamp,
        "",
        count=found.count,
        share=round(found.share, 6),
        low=round(found.low, 6),
        high=round(found.high, 6),
        left_out_by=left_out_by,
        groups=found.groups,
        class_ids=ids,
        confusion_K_K=tuple(tuple(round(float(each), 2) for each in row) for row in found.confusion_K_K),
        recall_K=tuple(None if np.isnan(each) else round(float(each), 6) for each in found.recall_K),
        temperature=round(found.temperature, 4),
        calibration_error=round(found.calibration.expected_error, 6),
        raw_error=round(found.raw_error, 6),
        doubts=tuple(doubts),
    )


def _file(project: Project) -> Path:
    return project.scores_folder / ASSESSMENT_FILE


def _kept(project: Project, found: Assessment) -> Assessment:
    """Return what was found, kept where no other program writes to the project."""
    if not is_held_elsewhere(project.folder):
        with suppress(ProjectError, OSError):  # a full disk: it can be found again
            project.scores_folder.mkdir(exist_ok=True)
            write_atomically(_file(project), json.dumps(asdict(found), allow_nan=False).encode())
    return found


def _read(entries: dict[str, Any]) -> Assessment:
    doubts = tuple(Doubt(**each) for each in entries.pop("doubts"))
    confusion = tuple(map(tuple, entries.pop("confusion_K_K")))
    lists: dict[str, Any] = {name: tuple(entries.pop(name)) for name in ("class_ids", "recall_K")}
    return Assessment(**entries, **lists, confusion_K_K=confusion, doubts=doubts)
