"""A project as a value: classes with stable ids, tiling, intake and agent settings; and what they may be."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from costal.errors import ProjectError
from costal.settings import LARGEST, Setting, Tables, in_common, is_a_colour, is_a_line, keys_of, table_of
from costal.types import (
    AgentSettings,
    Asking,
    Augment,
    Channel,
    ClassWeights,
    ControlShare,
    Diverse,
    PlaneChoice,
    PlaneRule,
    Seed,
    Training,
)

PROJECT_FILE, STORE_FILE, MODEL_FOLDER, SCORES_FOLDER = "project.toml", "labels.sqlite", "models", "scores"
FEATURES_FOLDER = "features"
COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99", "#bbbbbb", "#ffaabb",
)  # fmt: skip
"""Paul Tol's *bright* scheme and its neighbours: told apart by colour-blind eyes."""
KEYS = "1234567890"
MOST_CHANNELS = 8
MOST_MB = 10_000_000
LARGEST_ID, LONGEST_NAME, LONGEST_DESCRIPTION = 2**16 - 1, 200, 1000
"""Of a class: ids are the pixels of a label image."""
DAY_S = 86_400.0
TRAINING = Training(4e-3, min_steps=300, epochs=0, schedule="one_cycle", most_steps=300)
"""How `gal2017` is trained in a project: one cycle of 300 steps, however many labels there are."""


@dataclass(frozen=True, slots=True)
class LabelClass:
    """One class of a project: `id` never changes, so labels stay readable whatever the class is called.

    A `retired` class is not offered and not learned any more; labels of a class that was `merged_into` another (0:
    none) count as that one's.
    """

    id: Annotated[int, Setting("Its number in the store and in label images.", ge=1, le=LARGEST_ID)]
    name: Annotated[
        str,
        Setting(
            "Its name.",
            fits=lambda text: bool(text.strip()) and text.isprintable() and len(text) <= LONGEST_NAME,
            expected=f"a name of at most {LONGEST_NAME} printable characters",
        ),
    ]
    key: Annotated[
        str,
        Setting(
            "Its key.",
            fits=lambda text: not text or (len(text) == 1 and text.isalnum()),
            expected='one digit or letter, or "" for none',
        ),
    ]
    colour: Annotated[str, Setting("Its colour.", fits=is_a_colour, expected="a colour as #rrggbb")]
    acquisition_cost_s: Annotated[
        float, Setting("Extra cost of each crop of this class, such as acquisition time.", ge=0, le=DAY_S, unit="s")
    ] = 0.0
    retired: Annotated[bool, Setting("Whether the class is hidden and no longer learned.")] = False
    merged_into: Annotated[int, Setting("The class that its labels count as; 0 for none.", ge=0, le=LARGEST_ID)] = 0
    description: Annotated[
        str,
        Setting(
            "A description of the class for the expert.",
            fits=lambda text: not text or (is_a_line(text) and len(text) <= LONGEST_DESCRIPTION),
            expected=f"one line of text with at most {LONGEST_DESCRIPTION} characters",
        ),
    ] = ""
    examples: Annotated[
        tuple[int, ...], Setting("The labels, by number, whose crops are shown as its examples.", ge=1)
    ] = ()

    @property
    def is_offered(self) -> bool:
        """Whether a crop can be given this class."""
        return not self.retired and not self.merged_into


@dataclass(frozen=True, slots=True)
class Tiling:
    """How frames are cut: crop side and stride in pixels, what happens at the edge, and how crops are normalised."""

    crop: Annotated[int, Setting("The side of a crop.", ge=8, le=LARGEST, unit="px")] = 64
    stride: Annotated[int, Setting("The distance from one crop to the next.", ge=1, le=LARGEST, unit="px")] = 64
    edge: Annotated[
        Literal["drop", "pad"], Setting("Pixels at the edge that fill no crop: left out, or filled up by reflection.")
    ] = "drop"
    normalise: Annotated[
        Literal["frame", "project"],
        Setting("Scale intensities to 0…1 by the intensity range of each frame, or of the whole project."),
    ] = "frame"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices(Asking):
    """What the user chose for the agent; a crop may look the same after a turn, so `augment`.

    A query asks for `n` crops, or ``by="minutes"`` for as many as fit into `minutes`.
    """

    diverse: Diverse = True
    control_share: ControlShare = 0.1
    repeat_share: Annotated[
        float,
        Setting(
            "Share of the answered crops that a later query shows again without notice, to measure how often the "
            "expert gives the same answer. No measured accuracy can be higher than that. 0 for none.",
            ge=0,
            le=0.5,
        ),
    ] = 0.03
    by: Annotated[
        Literal["crops", "minutes"],
        Setting("Whether a query has a fixed number of crops, or as many as fit into the minutes."),
    ] = "crops"
    minutes: Annotated[float, Setting("The time at hand for a query.", gt=0, le=LARGEST)] = 20.0
    retrain: Annotated[
        Literal["query", "answer", "hand"],
        Setting(
            "When the models learn: after each query; after each answer, which also reorders the rest of the query; "
            "or only when you press Train."
        ),
    ] = "query"
    seed: Seed = 0
    augment: Augment = True
    class_weights: ClassWeights = True


@dataclass(frozen=True, slots=True)
class Intake:
    """Where frames come from, and what becomes of Z stacks and time series: `folder` is watched, empty for none.

    With `rgb` the project's three channels are the samples of colour images, which share one intensity range, so that
    white stays white.
    """

    folder: Annotated[str, Setting("The folder that is watched; empty for none.")] = ""
    z: Annotated[PlaneChoice, Setting("How the Z stacks of files are read.")] = "max"
    t: Annotated[PlaneChoice, Setting("How the time series of files are read.")] = "each"
    rgb: Annotated[bool, Setting("Whether the three channels are the samples of colour images.")] = False


@dataclass(frozen=True, slots=True)
class Project:
    """A project as its ``project.toml`` says.

    `channels` are those that all frames of the project are made of, in this order; empty before they were chosen, as in
    projects of earlier versions: then all are taken.
    `axes` are those that the user has set, in letters of TZCYX, by the kind of file (such as ``.tif QYX``: the end of
    its name, and what it says itself).
    """

    folder: Path
    name: Annotated[str, Setting("Its name.", absent="the name of the folder")]
    classes: tuple[LabelClass, ...]
    tiling: Tiling = field(default_factory=Tiling)
    choices: Choices = field(default_factory=Choices)
    intake: Intake = field(default_factory=Intake)
    idle_limit_s: Annotated[
        float, Setting("The longest gap without input that still counts as active time.", gt=0, le=DAY_S, unit="s")
    ] = 20.0
    kept_models: Annotated[int, Setting("How many models stay on disk, the newest ones.", ge=1)] = 10
    channels: tuple[Channel, ...] = ()
    axes: Annotated[
        Mapping[str, str], Setting("The axes of each kind of file.", expected="a table of texts such as ZCYX")
    ] = field(default_factory=dict)
    features_mb: Annotated[
        int,
        Setting(
            "The largest size of the folder 'features', where the features of a frozen backbone are stored; 0 stores "
            "none. Features that were not used for longest are deleted first. You may delete the folder at any time.",
            ge=0,
            le=MOST_MB,
            unit="MB",
        ),
    ] = 2000

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
        """Where the scores of large frames are; they can be made again."""
        return self.folder / SCORES_FOLDER

    @property
    def features_folder(self) -> Path:
        """Where the features of crops are that a frozen backbone made; they can be made again."""
        return self.folder / FEATURES_FOLDER

    def class_of(self, class_id: int) -> LabelClass | None:
        """Return what a stored class id means today: the class that it was merged into, None when it is unknown."""
        by_id = {each.id: each for each in self.classes}
        project_class = by_id.get(class_id)
        while project_class is not None and project_class.merged_into:
            project_class = by_id.get(project_class.merged_into)
        return project_class

    def class_index(self, class_id: int | None) -> int | None:
        """Return the network output that stands for a stored class id, None when it is not learned any more."""
        project_class = self.class_of(class_id) if class_id is not None else None
        return self.offered.index(project_class) if project_class is not None and project_class.is_offered else None

    def agent_settings(self) -> AgentSettings:
        """Return the settings of an agent for this project."""
        chosen = self.choices
        return AgentSettings(
            len(self.offered),
            budget=60 * chosen.minutes if chosen.by == "minutes" else None,
            training=replace(TRAINING, **in_common(chosen, Training)),
            acquisition_cost_K=tuple(label_class.acquisition_cost_s for label_class in self.offered),
            class_ids=tuple(label_class.id for label_class in self.offered),
            **in_common(chosen, AgentSettings),
        )


FILE = Tables(
    ProjectError,
    keys_of(Project),
    {"intake": keys_of(Intake), "tiling": keys_of(Tiling), "agent": keys_of(Choices)},
    {"channels": ("channel", keys_of(Channel)), "classes": ("class", keys_of(LabelClass))},
)


def document_of(project: Project) -> dict[str, Any]:
    """Return a project as the tables of its file."""
    return {
        **table_of(project),
        "axes": dict(project.axes),
        "intake": table_of(project.intake),
        "tiling": table_of(project.tiling),
        "agent": table_of(project.choices),
        "channels": [table_of(channel) for channel in project.channels],
        "classes": [table_of(label_class) for label_class in project.classes],
    }


def checked(project: Project) -> Project:
    """Return the project, or raise ProjectError that names the setting that cannot be."""
    FILE.read(document_of(project))
    _check_classes(project)
    _check_channels(project)
    tiling = project.tiling
    if tiling.stride > tiling.crop:
        raise ProjectError(
            f"Crops of {tiling.crop} px every {tiling.stride} px would leave gaps. Choose a stride of at most "
            f"{tiling.crop} px."
        )
    for kind, axes in project.axes.items():
        if len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes) <= set("TZCYX"):
            raise ProjectError(
                f"Files of the kind '{kind}' cannot have the axes {axes!r}. Use letters of TZCYX, each once, Y and X "
                "among them: correct project.toml."
            )
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
            raise ProjectError(f"Two classes have the {what} '{twice}'. Give each class its own {what}.")
    for each in project.classes:
        _check_merge(project, each)


def _check_merge(project: Project, merged: LabelClass) -> None:
    """Refuse a class that was merged into none of the project, or into itself by a detour."""
    by_id, seen, at = {each.id: each for each in project.classes}, set[int](), merged
    while at.merged_into:
        if at.id in seen or at.merged_into not in by_id:
            raise ProjectError(
                f"'{merged.name}' cannot be merged into class {at.merged_into}. Merge it into another class."
            )
        seen.add(at.id)
        at = by_id[at.merged_into]


def _check_channels(project: Project) -> None:
    places = [each.index for each in project.channels]
    if len(set(places)) != len(places) or len(places) > MOST_CHANNELS:
        raise ProjectError(
            f"The channels {' '.join(map(str, places))} are not valid. Name at most {MOST_CHANNELS} channels, "
            "each once, counted from 0: correct project.toml."
        )
    if project.intake.rgb and places and len(places) != 3:
        raise ProjectError(f"RGB frames have 3 channels, not {len(places)}. Correct project.toml.")
