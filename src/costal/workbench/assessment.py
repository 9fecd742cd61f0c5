"""How good a project's model is by cross-validation, as it is kept beside the scores: values, and how they are read.

It may be deleted at any time, and is made again by `costal.workbench.assessing`.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from costal.errors import ProjectError
from costal.files import write_atomically
from costal.labels.lock import is_held_elsewhere
from costal.labels.project import Project, document_of
from costal.labels.records import ECHOES, CropLabel
from costal.labels.store import Store
from costal.numerals import counted

ASSESSMENT_FILE = "assessment.json"
VERSION = 2
TRAINED_BY = ("backbone", "passes", "augment", "class_weights", "seed", "ensemble", "training")
"""Settings of the agent that change what a model says of a crop; the others choose what is asked."""
MINUTES = 10
"""What the next so many minutes bring is foretold."""
NOT_RANDOM = (
    "These crops were chosen, not drawn at random, and are mostly harder, so this accuracy tends to be lower than "
    "the accuracy over all crops, which the controls show."
)


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

    @property
    def place(self) -> tuple[int, int, int, int]:
        """The crop: frame id, y, x and side."""
        return self.frame_id, self.y, self.x, self.side


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the next ten minutes bring from `labels` on: so many `more`, and percentage points of accuracy.

    `share` is the accuracy of then. `came_labels` and `came_points` are what came of it, None before that is known.
    """

    labels: int
    more: int
    points: float
    plus_minus: float
    share: float
    came_labels: int | None = None
    came_points: float | None = None

    @property
    def sentence(self) -> str:
        """What it says, in one line."""
        text = f"about {counted(self.more, 'label')}, {self.points:+.1f} ± {self.plus_minus:.1f} points"
        if self.came_labels is None or self.came_points is None:
            return f"The next {MINUTES} minutes at this pace: {text}."
        result = f"{counted(self.came_labels, 'label')}, {self.came_points:+.1f} points"
        return f"Forecast made at {counted(self.labels, 'label')}: {text}. What came: {result}."


@dataclass(frozen=True, slots=True)
class Assessment:
    """How good a project's model is; `reason` says why that cannot be told yet, and is empty otherwise.

    `share` of `count` labels was predicted right by models that had not learned from them, `low` to `high` with 95 %
    confidence; they are of so many `frames`. `left_out_by` tells what was left out together: "frames", or "blocks" of a
    frame. Classes are in the order of `class_ids`: `confusion_K_K` counts labels by true and predicted class,
    `recall_K` is the share of each that was predicted right, None for one without labels. `calibration_error` is that
    of probabilities at `temperature`, `raw_error` without it. `doubts` are the labels to look at again, the most
    doubtful first, never controls. `curve` has accuracies by the number of labels that were learned from, `forecast`
    what follows from it, None where that cannot be told. `settings` are those of the models, as a hash.
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
    frames: int = 0
    settings: str = ""
    curve: tuple[tuple[float, float], ...] = ()
    forecast: Forecast | None = None

    @property
    def sentence(self) -> str:
        """What there is to say in one line."""
        if self.reason:
            return f"Accuracy: not known yet. {self.reason}"
        return (
            f"Accuracy about {self.share:.0%} ({self.low:.0%} to {self.high:.0%}), cross-validated on {self.count} "
            f"labels. {NOT_RANDOM}"
        )

    @property
    def line(self) -> str:
        """The figure with what it is from, for a line on the screen."""
        if self.reason:
            return f"Accuracy in cross-validation: not yet. {self.reason}"
        labels, frames = counted(self.count, "label"), counted(self.frames, "frame")
        figures = f"{self.share:.2f} [{self.low:.2f}, {self.high:.2f}]"
        return f"Accuracy in cross-validation: {figures} from {labels} of {frames}"


@dataclass(frozen=True, slots=True)
class Kept:
    """The assessment that is kept, and whether labels or settings have changed since it was made."""

    assessment: Assessment
    is_outdated: bool

    @property
    def line(self) -> str:
        """The line of the assessment; an outdated one says so."""
        text = self.assessment.line
        return f"{text} (outdated: labels or settings have changed since)" if self.is_outdated else text


def counting(project: Project, labels: Iterable[CropLabel]) -> list[CropLabel]:
    """Return the labels that are cross-validated: of a class that is offered, and no echo of a prediction."""
    return [each for each in labels if each.given not in ECHOES and project.class_index(each.class_id) is not None]


def stamp_of(project: Project, labels: Iterable[CropLabel]) -> str:
    """Return what the assessment depends on, as a hash: labels that count, and settings."""
    pairs = sorted((each.first_id, each.class_id) for each in counting(project, labels))
    return _hash([VERSION, settings_of(project), project.choices.control_share, pairs])


def settings_of(project: Project) -> str:
    """Return the settings that models depend on, as a hash: of the agent, classes, tiling and channels."""
    document = document_of(project)
    agent = {key: document["agent"][key] for key in TRAINED_BY if key in document["agent"]}
    classes = [(each.id, each.merged_into, each.is_offered) for each in project.classes]
    return _hash([agent, classes, document["tiling"], document["channels"]])


def _hash(entries: list[Any]) -> str:
    return blake2b(json.dumps(entries, default=str).encode(), digest_size=16).hexdigest()


def kept_assessment(project: Project) -> Assessment | None:
    """Return what was found last, None where nothing was or it cannot be read; it may be about older labels."""
    try:
        return _read(json.loads(_file(project).read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def kept_now(project: Project) -> Kept | None:
    """Return the assessment that is kept and whether it is outdated, None where there is none. Reads the labels.

    Raises
    ------
    ProjectError
        When the store cannot be read.
    """
    assessment = kept_assessment(project)
    if assessment is None:
        return None
    with Store(project.store_path, read_only=True) as store:
        labels = store.labels()
    return Kept(assessment, assessment.stamp != stamp_of(project, labels))


def keep(project: Project, assessment: Assessment) -> Assessment:
    """Return what was found, kept where no other program writes to the project."""
    write_scores(project, ASSESSMENT_FILE, asdict(assessment))
    return assessment


def write_scores(project: Project, name: str, entries: Any) -> bool:
    """Write a small file beside the scores; return False where another program writes there, or the disk is full."""
    if is_held_elsewhere(project.folder):
        return False
    with suppress(ProjectError, OSError):  # it can be found again
        project.scores_folder.mkdir(exist_ok=True)
        write_atomically(project.scores_folder / name, json.dumps(entries, allow_nan=False).encode())
        return True
    return False


def without_doubts(assessment: Assessment, label_ids: Iterable[int]) -> Assessment:
    """Return an assessment without the doubts about some labels."""
    gone = set(label_ids)
    return replace(assessment, doubts=tuple(each for each in assessment.doubts if each.label_id not in gone))


def _file(project: Project) -> Path:
    return project.scores_folder / ASSESSMENT_FILE


def _read(entries: dict[str, Any]) -> Assessment:
    doubts = tuple(Doubt(**each) for each in entries.pop("doubts"))
    tables: dict[str, Any] = {name: tuple(map(tuple, entries.pop(name))) for name in ("confusion_K_K", "curve")}
    lists: dict[str, Any] = {name: tuple(entries.pop(name)) for name in ("class_ids", "recall_K")}
    forecast = entries.pop("forecast")
    foretold = Forecast(**forecast) if forecast is not None else None
    return Assessment(**entries, **lists, **tables, doubts=doubts, forecast=foretold)
