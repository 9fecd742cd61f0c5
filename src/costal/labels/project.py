"""A project as a value: classes with stable ids, tiling, intake and agent settings; and what they may be."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from costal.errors import ProjectError
from costal.types import ACQUISITION_NAMES, AgentSettings, BackboneName, Channel, PlaneChoice, PlaneRule, Training

PROJECT_FILE, STORE_FILE, MODEL_FOLDER, SCORES_FOLDER = "project.toml", "labels.sqlite", "models", "scores"
COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99", "#bbbbbb", "#ffaabb",
)  # fmt: skip
"""Paul Tol's *bright* scheme and its neighbours: told apart by colour-blind eyes."""
KEYS = "1234567890"
COLOUR = re.compile("#[0-9a-fA-F]{6}")
LARGEST = 10_000
"""Of crop size, n and T: beyond it is a slip of the finger."""
MOST_CHANNELS = 8
LARGEST_ID, LONGEST_NAME = 2**16 - 1, 200
"""Of a class: ids are the pixels of a label image."""
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class LabelClass:
    """One class of a project: `id` never changes, so labels stay readable whatever the class is called.

    A `retired` class is not offered and not learned any more; labels of a class that was `merged_into` another (0:
    none) count as that one's.
    """

    id: int
    name: str
    key: str
    colour: str
    acquisition_cost_s: float = 0.0
    retired: bool = False
    merged_into: int = 0

    @property
    def is_offered(self) -> bool:
        """Whether a crop can be given this class."""
        return not self.retired and not self.merged_into


@dataclass(frozen=True, slots=True)
class Tiling:
    """How frames are cut: crop side and stride in pixels, what happens at the edge, and how crops are normalised."""

    crop: int = 64
    stride: int = 64
    edge: Literal["drop", "pad"] = "drop"
    normalise: Literal["frame", "project"] = "frame"


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose for the agent: see `AgentSettings`; a crop may look the same after a turn, so `augment`.

    `backbone` is the network that the agent looks through (see `costal.agent.cards`).

    A query asks for `n` crops, or ``by="minutes"`` for as many as fit into `minutes`; `control_share` of it is drawn at
    random, and with `diverse` near-duplicates and direct neighbours are thinned.
    """

    acquisition: str = "std"
    alpha: float = 1.0
    beta: float = 0.3
    passes: int = 50
    n: int = 10
    by: Literal["crops", "minutes"] = "crops"
    minutes: float = 20.0
    diverse: bool = True
    control_share: float = 0.1
    seed: int = 0
    augment: bool = True
    class_weights: bool = True
    backbone: BackboneName = "gal2017"


@dataclass(frozen=True, slots=True)
class Intake:
    """Where frames come from, and what becomes of Z stacks and time series: `folder` is watched, empty for none.

    With `rgb` the project's three channels are the samples of colour images, which share one intensity range, so that
    white stays white.
    """

    folder: str = ""
    z: PlaneChoice = "max"
    t: PlaneChoice = "each"
    rgb: bool = False


@dataclass(frozen=True, slots=True)
class Project:
    """A project as its ``project.toml`` says; `idle_limit_s` is the longest gap that still counts as looking.

    The newest `kept_models` model generations stay on disk. `channels` are those that all frames of the project are
    made of, in this order; empty before they were chosen, as in projects of earlier versions: then all are taken.
    `axes` are those that the user has set, in letters of TZCYX, by the kind of file (such as ``.tif QYX``: the end of
    its name, and what it says itself).
    """

    folder: Path
    name: str
    classes: tuple[LabelClass, ...]
    tiling: Tiling = field(default_factory=Tiling)
    choices: Choices = field(default_factory=Choices)
    intake: Intake = field(default_factory=Intake)
    idle_limit_s: float = 20.0
    kept_models: int = 10
    channels: tuple[Channel, ...] = ()
    axes: Mapping[str, str] = field(default_factory=dict)

    def plane_rule(self) -> PlaneRule:
        """Return which planes and channels of a file are frames."""
        return PlaneRule(self.intake.z, self.intake.t, tuple(each.index for each in self.channels) or None)

    @property
    def offered(self) -> tuple[LabelClass, ...]:
        """The classes that a crop can be given: the network has one output for each, in this order."""
        return tuple(each for each in self.classes if each.is_offered)

    @property
    def store_path(self) -> Path:
        """Where the labels are."""
        return self.folder / STORE_FILE

    @property
    def model_folder(self) -> Path:
        """Where the models are."""
        return self.folder / MODEL_FOLDER

    @property
    def scores_folder(self) -> Path:
        """Where the scores of large frames are; they can be made anew."""
        return self.folder / SCORES_FOLDER

    def class_of(self, class_id: int) -> LabelClass | None:
        """Return what a stored class id means today: the class that it was merged into, None when it is unknown."""
        by_id = {each.id: each for each in self.classes}
        found = by_id.get(class_id)
        while found is not None and found.merged_into:
            found = by_id.get(found.merged_into)
        return found

    def class_index(self, class_id: int | None) -> int | None:
        """Return the network output that stands for a stored class id, None when it is not learned any more."""
        meant = self.class_of(class_id) if class_id is not None else None
        return self.offered.index(meant) if meant is not None and meant.is_offered else None

    def agent_settings(self) -> AgentSettings:
        """Return the settings of an agent for this project."""
        chosen = self.choices
        return AgentSettings(
            class_count=len(self.offered),
            acquisition=chosen.acquisition,  # type: ignore[arg-type]  # checked when the file was read
            alpha=chosen.alpha,
            beta=chosen.beta,
            passes=chosen.passes,
            n=chosen.n,
            diverse=chosen.diverse,
            control_share=chosen.control_share,
            budget=60 * chosen.minutes if chosen.by == "minutes" else None,
            training=Training(augment=chosen.augment, class_weights=chosen.class_weights),
            acquisition_cost_K=tuple(label_class.acquisition_cost_s for label_class in self.offered),
            class_ids=tuple(label_class.id for label_class in self.offered),
            backbone=chosen.backbone,
        )


def checked(project: Project) -> Project:
    """Return the project, or raise ProjectError that names the setting that cannot be."""
    _check_classes(project)
    _check_choices(project.choices)
    _check_channels(project)
    tiling = project.tiling
    if not (8 <= tiling.crop <= LARGEST and 1 <= tiling.stride <= tiling.crop):
        raise ProjectError(
            f"Crops of {tiling.crop} px every {tiling.stride} px cannot be cut. Use 8 to {LARGEST} px and a stride of "
            "at most the crop."
        )
    if not 0 < project.idle_limit_s <= DAY_S:
        raise ProjectError(
            f"The idle limit of {project.idle_limit_s:g} s must be above 0 and at most {DAY_S:g}. Correct it in "
            "project.toml."
        )
    for kind, axes in project.axes.items():
        if not isinstance(axes, str) or len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes) <= set("TZCYX"):
            raise ProjectError(
                f"Files of the kind '{kind}' cannot have the axes {axes!r}. Use letters of TZCYX, each once, Y and X "
                "among them: correct project.toml."
            )
    if project.kept_models < 1:
        raise ProjectError(f"{project.kept_models} kept models are too few. Keep at least 1: correct project.toml.")
    return project


def _check_classes(project: Project) -> None:
    named = [each for each in project.classes if not each.merged_into]
    for what, values in (
        ("name", [each.name for each in named]),
        ("key", [each.key.upper() for each in project.offered if each.key]),
        ("id", [str(each.id) for each in project.classes]),
    ):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ProjectError(f"Two classes have the {what} '{twice}'. Give each its own.")
    for each in project.classes:
        if not each.name.strip() or not each.name.isprintable() or len(each.name) > LONGEST_NAME:
            raise ProjectError(
                f"A class cannot be called {each.name[:LONGEST_NAME]!r}. Give it a name of at most {LONGEST_NAME} "
                "printable signs."
            )
        if not 1 <= each.id <= LARGEST_ID:
            raise ProjectError(
                f"'{each.name}' cannot have the id {each.id}. Use 1 to {LARGEST_ID}: correct it in project.toml."
            )
        if not COLOUR.fullmatch(each.colour):
            raise ProjectError(f"'{each.colour}' is no colour for '{each.name}'. Write it as #rrggbb.")
        if not 0 <= each.acquisition_cost_s <= DAY_S:
            raise ProjectError(
                f"The acquisition cost of '{each.name}' must be 0 to {DAY_S:g} s, not {each.acquisition_cost_s}. "
                "Correct it in project.toml."
            )
        if each.key and (len(each.key) != 1 or not each.key.isalnum()):
            raise ProjectError(f"'{each.key}' cannot be the key of '{each.name}'. Use one digit or letter.")
        _check_merge(project, each)


def _check_merge(project: Project, merged: LabelClass) -> None:
    """Refuse a class that was merged into none of the project, or into itself by a detour."""
    by_id, seen, at = {each.id: each for each in project.classes}, set[int](), merged
    while at.merged_into:
        if at.id in seen or at.merged_into not in by_id:
            raise ProjectError(
                f"'{merged.name}' cannot be merged into class {at.merged_into}. Merge it into one of the project's own."
            )
        seen.add(at.id)
        at = by_id[at.merged_into]


def _check_channels(project: Project) -> None:
    places = [each.index for each in project.channels]
    if len(set(places)) != len(places) or min(places, default=0) < 0 or len(places) > MOST_CHANNELS:
        raise ProjectError(
            f"The channels {' '.join(map(str, places))} cannot be. Name each once, counted from 0, and at most "
            f"{MOST_CHANNELS}: correct project.toml."
        )
    if project.intake.rgb and places and len(places) != 3:
        raise ProjectError(f"RGB frames have 3 channels, not {len(places)}. Correct project.toml.")
    for each in project.channels:
        if each.colour and not COLOUR.fullmatch(each.colour):
            raise ProjectError(f"'{each.colour}' is no colour of a channel. Write it as #rrggbb, or leave it empty.")


def _check_choices(chosen: Choices) -> None:
    if chosen.acquisition not in ACQUISITION_NAMES:
        raise ProjectError(
            f"'{chosen.acquisition}' is not an acquisition function. Use {', '.join(ACQUISITION_NAMES)}."
        )
    if not (0 <= chosen.alpha < math.inf and 0 <= chosen.beta < math.inf) or not (
        1 <= chosen.n <= LARGEST and 1 <= chosen.passes <= LARGEST
    ):
        raise ProjectError(f"α and β must be 0 or more, n and T 1 to {LARGEST}. Correct them in project.toml.")
    if not 0 < chosen.minutes <= LARGEST:
        raise ProjectError(f"A budget of {chosen.minutes:g} minutes cannot be. Use more than 0, at most {LARGEST}.")
    if not 0 <= chosen.control_share <= 1:
        raise ProjectError(f"A control share of {chosen.control_share:g} cannot be. Use 0 (none) to 1 (all at random).")
    if chosen.seed < 0:
        raise ProjectError(f"The seed {chosen.seed} must be 0 or more. Correct it in project.toml.")
