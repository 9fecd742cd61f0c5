"""The project folder: ``project.toml`` read, written and made."""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import tomli_w

from costal.errors import ProjectError
from costal.files import NEW, write_atomically
from costal.labels.classes import new_class
from costal.labels.project import (
    MODEL_FOLDER,
    PROJECT_FILE,
    STORE_FILE,
    Choices,
    Intake,
    LabelClass,
    Project,
    Tiling,
    checked,
)
from costal.labels.store import Store
from costal.types import Channel

FORMAT = 3

Section = TypeVar("Section")


def create_project(folder: Path, classes: tuple[str, ...] = ("class 1", "class 2")) -> Project:
    """Return a new project in an empty or new folder, written to disk; when that fails, nothing is left of it.

    Raises
    ------
    ProjectError
        When the folder holds something already, or cannot be written.
    """
    project = Project(folder, folder.name.encode("utf-8", "replace").decode(), ())
    for name in classes:
        project = new_class(project, name)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ProjectError(f"{folder} is not empty. Choose a new folder, or open the project that is there.")
    except OSError as error:
        raise ProjectError(f"{folder} cannot be made: {error.strerror}. Choose another folder.") from error
    with _undone_when_it_fails(folder):
        (folder / MODEL_FOLDER).mkdir(parents=True, exist_ok=True)
        save_project(project)
        Store(project.store_path).close()
    return project


@contextmanager
def _undone_when_it_fails(folder: Path) -> Iterator[None]:
    """Remove what was made of a new project, and only that, when the rest cannot be made."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        yield
    except BaseException as error:
        files = [name + end for name in (PROJECT_FILE, STORE_FILE) for end in ("", NEW, "-journal")]
        for path in (folder / name for name in files):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        for path in (folder / MODEL_FOLDER, *missing):
            with suppress(OSError):  # what somebody else put there meanwhile stays
                path.rmdir()
        if isinstance(error, OSError):
            raise ProjectError(
                f"{folder} cannot be made: {error.strerror}. Free some space, or choose a folder that you may write to."
            ) from error
        raise


def save_project(project: Project) -> None:
    """Write ``project.toml`` so that it is whole at any moment, the old one or the new one."""
    checked(project)
    document = {
        "format": FORMAT,
        "name": project.name,
        "idle_limit_s": project.idle_limit_s,
        "kept_models": project.kept_models,
        "features_mb": project.features_mb,
        "intake": asdict(project.intake),
        "tiling": asdict(project.tiling),
        "agent": asdict(project.choices),
        "channels": [asdict(channel) for channel in project.channels],
        "classes": [asdict(label_class) for label_class in project.classes],
    }
    if project.axes:
        document["axes"] = dict(project.axes)
    write_atomically(project.folder / PROJECT_FILE, tomli_w.dumps(document).encode())


def settings_stamp(folder: Path) -> str:
    """Return the hash of ``project.toml`` as it is on disk, by which a change is known; empty when it is gone."""
    try:
        return hashlib.sha256((folder / PROJECT_FILE).read_bytes()).hexdigest()
    except OSError:
        return ""


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
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ProjectError(
            f"{folder} is no project: it has no {PROJECT_FILE}. Choose another, or make a new one."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"{path} is broken: {error}. Restore it from a backup.") from error
    except OSError as error:
        raise ProjectError(
            f"{path} cannot be read: {error.strerror}. Check what it is, and its permissions."
        ) from error
    found = document.get("format")
    if not isinstance(found, int) or found > FORMAT:
        raise ProjectError(
            f"{folder} has project format {found}; this version reads up to {FORMAT}. Update napari-costal to open it."
        )
    unknown = document.keys() - {
        "format", "name", "idle_limit_s", "kept_models", "intake", "tiling", "agent", "classes", "channels", "axes",
        "features_mb",
    }  # fmt: skip
    if unknown:
        raise ProjectError(f"{path}: '{min(unknown)}' is not known. Correct it or take it out.")
    project = Project(
        folder,
        _entry(document, "name", str, folder.name, path),
        tuple(_section(LabelClass, entry, f"{path}, classes") for entry in _entry(document, "classes", list, [], path)),
        _section(Tiling, document.get("tiling", {}), f"{path}, tiling"),
        _section(Choices, document.get("agent", {}), f"{path}, agent"),
        _section(Intake, document.get("intake", {}), f"{path}, intake"),
        float(_entry(document, "idle_limit_s", float, 20.0, path)),
        int(_entry(document, "kept_models", int, 10, path)),
        tuple(_section(Channel, entry, f"{path}, channels") for entry in _entry(document, "channels", list, [], path)),
        _entry(document, "axes", dict, {}, path),
        int(_entry(document, "features_mb", int, 2000, path)),
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
