"""The project folder: classes with stable ids, tiling and agent settings in ``project.toml``."""

import math
import os
import time
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import tomli_w

from costal.errors import ProjectError
from costal.labels.store import Store
from costal.types import ACQUISITION_NAMES, AgentSettings, Training

FORMAT = 1
REPLACE_TRIES, REPLACE_PAUSE_S = 10, 0.05
PROJECT_FILE, STORE_FILE, MODEL_FOLDER = "project.toml", "labels.sqlite", "models"
COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99", "#bbbbbb", "#ffaabb",
)  # fmt: skip
"""Paul Tol's *bright* scheme and its neighbours: told apart by colour-blind eyes."""
KEYS = "1234567890"
RESERVED_KEYS = "SZP?"
LARGEST = 10_000
"""Of crop size, n and T: beyond it is a slip of the finger."""

Section = TypeVar("Section")


@dataclass(frozen=True, slots=True)
class LabelClass:
    """One class of a project: `id` never changes, so labels stay readable whatever the class is called."""

    id: int
    name: str
    key: str
    colour: str
    acquisition_cost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Tiling:
    """How frames are cut: crop side and stride in pixels, what happens at the edge, and how crops are normalised."""

    crop: int = 64
    stride: int = 64
    edge: Literal["drop", "pad"] = "drop"
    normalise: Literal["frame", "project"] = "frame"


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose for the agent: see `AgentSettings`; a crop may look the same after a turn, so `augment`."""

    acquisition: str = "std"
    alpha: float = 1.0
    beta: float = 0.3
    passes: int = 50
    n: int = 10
    seed: int = 0
    augment: bool = True
    class_weights: bool = True


@dataclass(frozen=True, slots=True)
class Project:
    """A project as its ``project.toml`` says; `idle_limit_s` is the longest gap that still counts as looking."""

    folder: Path
    name: str
    classes: tuple[LabelClass, ...]
    tiling: Tiling = field(default_factory=Tiling)
    choices: Choices = field(default_factory=Choices)
    idle_limit_s: float = 20.0

    @property
    def store_path(self) -> Path:
        """Where the labels are."""
        return self.folder / STORE_FILE

    @property
    def model_folder(self) -> Path:
        """Where the models are."""
        return self.folder / MODEL_FOLDER

    def class_index(self, class_id: int) -> int:
        """Return the network output that stands for a class."""
        return [label_class.id for label_class in self.classes].index(class_id)

    def agent_settings(self) -> AgentSettings:
        """Return the settings of an agent for this project."""
        chosen = self.choices
        return AgentSettings(
            class_count=len(self.classes),
            acquisition=chosen.acquisition,  # type: ignore[arg-type]  # checked when the file was read
            alpha=chosen.alpha,
            beta=chosen.beta,
            passes=chosen.passes,
            n=chosen.n,
            training=Training(augment=chosen.augment, class_weights=chosen.class_weights),
            acquisition_cost_K=tuple(label_class.acquisition_cost_s for label_class in self.classes),
            class_ids=tuple(label_class.id for label_class in self.classes),
        )


def new_class(project: Project, name: str) -> Project:
    """Return the project with one class more: the next free id, key and colour."""
    next_id = 1 + max((label_class.id for label_class in project.classes), default=0)
    used = {label_class.key for label_class in project.classes}
    key = next((key for key in KEYS if key not in used), "")
    colour = COLOURS[(next_id - 1) % len(COLOURS)]
    return checked(replace(project, classes=(*project.classes, LabelClass(next_id, name, key, colour))))


def checked(project: Project) -> Project:
    """Return the project, or raise ProjectError that names the setting that cannot be."""
    names = [label_class.name for label_class in project.classes]
    keys = [label_class.key for label_class in project.classes if label_class.key]
    ids = [str(label_class.id) for label_class in project.classes]
    for what, values in (("name", names), ("key", keys), ("id", ids)):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ProjectError(f"Two classes have the {what} '{twice}'. Give each its own.")
    if any(not name.strip() for name in names):
        raise ProjectError("A class has no name. Give it one.")
    if project.choices.acquisition not in ACQUISITION_NAMES:
        raise ProjectError(
            f"'{project.choices.acquisition}' is not an acquisition function. Use {', '.join(ACQUISITION_NAMES)}."
        )
    chosen = project.choices
    if not (0 <= chosen.alpha < math.inf and 0 <= chosen.beta < math.inf) or not (
        1 <= chosen.n <= LARGEST and 1 <= chosen.passes <= LARGEST
    ):
        raise ProjectError(f"α and β must be 0 or more, n and T 1 to {LARGEST}. Correct them in project.toml.")
    if chosen.seed < 0:
        raise ProjectError(f"The seed {chosen.seed} must be 0 or more. Correct it in project.toml.")
    for each in project.classes:
        if not 0 <= each.acquisition_cost_s < math.inf:
            raise ProjectError(
                f"The acquisition cost of '{each.name}' must be 0 s or more, not {each.acquisition_cost_s}."
            )
    for each in project.classes:
        if each.key and (len(each.key) != 1 or each.key.upper() in RESERVED_KEYS):
            raise ProjectError(
                f"'{each.key}' cannot be the key of '{each.name}'. Use one digit or a letter other than SZP."
            )
    tiling = project.tiling
    if not (8 <= tiling.crop <= LARGEST and 1 <= tiling.stride <= tiling.crop):
        raise ProjectError(
            f"Crops of {tiling.crop} px every {tiling.stride} px cannot be cut. Use 8 to {LARGEST} px and a stride of "
            "at most the crop."
        )
    if not 0 < project.idle_limit_s < math.inf:
        raise ProjectError(f"The idle limit of {project.idle_limit_s:g} s must be above 0. Correct it in project.toml.")
    return project


def create_project(folder: Path, classes: tuple[str, ...] = ("class 1", "class 2")) -> Project:
    """Return a new project in an empty or new folder, written to disk.

    Raises
    ------
    ProjectError
        When the folder holds something already, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ProjectError(f"{folder} is not empty. Choose a new folder, or open the project that is there.")
    project = Project(folder, folder.name, ())
    for name in classes:
        project = new_class(project, name)
    try:
        (folder / MODEL_FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(
            f"{folder} cannot be made: {error.strerror}. Choose a folder that you may write to."
        ) from error
    save_project(project)
    Store(project.store_path).close()
    return project


def save_project(project: Project) -> None:
    """Write ``project.toml`` so that it is whole at any moment, the old one or the new one."""
    checked(project)
    document = {
        "format": FORMAT,
        "name": project.name,
        "idle_limit_s": project.idle_limit_s,
        "tiling": asdict(project.tiling),
        "agent": asdict(project.choices),
        "classes": [asdict(label_class) for label_class in project.classes],
    }
    write_atomically(project.folder / PROJECT_FILE, tomli_w.dumps(document).encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content in one step that survives a power cut.

    Raises
    ------
    ProjectError
        When it cannot be written: the folder is read-only or the disk full.
    """
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _replace(beside, path)
    except OSError as error:
        raise ProjectError(
            f"{path} cannot be written: {error.strerror}. Free some space, or choose a folder that you may write to."
        ) from error


def _replace(new: Path, old: Path) -> None:
    """Put one file in another's place, waiting a little where Windows refuses because it is just being read."""
    for _ in range(REPLACE_TRIES - 1):
        try:
            new.replace(old)
            return
        except PermissionError:
            time.sleep(REPLACE_PAUSE_S)
    new.replace(old)


def load_project(folder: Path) -> Project:
    """Return the project of a folder.

    Raises
    ------
    ProjectError
        When there is none, it was made by a newer version, or its file is broken; says where.
    """
    path = folder / PROJECT_FILE
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ProjectError(
            f"{folder} is no project: it has no {PROJECT_FILE}. Choose another, or make a new one."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"{path} is broken: {error}. Restore it from a backup.") from error
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}.") from error
    found = document.get("format")
    if not isinstance(found, int) or found > FORMAT:
        raise ProjectError(
            f"{folder} has project format {found}; this version reads up to {FORMAT}. Update napari-costal to open it."
        )
    unknown = document.keys() - {"format", "name", "idle_limit_s", "tiling", "agent", "classes"}
    if unknown:
        raise ProjectError(f"{path}: '{min(unknown)}' is not known. Correct it or take it out.")
    project = Project(
        folder,
        _entry(document, "name", str, folder.name, path),
        tuple(_section(LabelClass, entry, f"{path}, classes") for entry in _entry(document, "classes", list, [], path)),
        _section(Tiling, document.get("tiling", {}), f"{path}, tiling"),
        _section(Choices, document.get("agent", {}), f"{path}, agent"),
        float(_entry(document, "idle_limit_s", float, 20.0, path)),
    )
    return checked(project)


def _section(kind: type[Section], entries: Mapping[str, Any], where: str) -> Section:
    """Return a dataclass from a table, or raise ProjectError that names the unknown, missing or mistyped key."""
    if not isinstance(entries, Mapping):
        raise ProjectError(f"{where}: {entries!r} should be a table. Correct it.")
    known = {each.name: each.type for each in fields(kind)}  # type: ignore[arg-type]
    for key, entry in entries.items():
        if key not in known:
            raise ProjectError(f"{where}: '{key}' is not known. Known are {', '.join(known)}.")
        expected = known[key]
        if isinstance(expected, type) and not _is_a(entry, expected):
            raise ProjectError(f"{where}: {key} = {entry!r} should be a {expected.__name__}. Correct it.")
        if get_origin(expected) is Literal and entry not in get_args(expected):
            raise ProjectError(
                f"{where}: {key} = {entry!r} should be one of {', '.join(get_args(expected))}. Correct it."
            )
    try:
        return kind(**entries)
    except TypeError as error:
        raise ProjectError(f"{where}: {error}. Add what is missing.") from error


def _entry(document: Mapping[str, Any], key: str, kind: type, default: object, path: Path) -> Any:
    """Return an entry of the file's top level, or raise ProjectError when it is of another type."""
    entry = document.get(key, default)
    if not _is_a(entry, kind):
        raise ProjectError(f"{path}: {key} = {entry!r} should be a {kind.__name__}. Correct it.")
    return entry


def _is_a(entry: object, expected: type) -> bool:
    """Return whether a TOML value fits a field: a whole number fits a float, true and false fit bool alone."""
    if isinstance(entry, bool):
        return expected is bool
    return isinstance(entry, (int, float) if expected is float else expected)
