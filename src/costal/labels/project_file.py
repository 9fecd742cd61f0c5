"""The project folder: ``project.toml`` read, written and made."""

import hashlib
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomli_w

from costal.errors import ProjectError
from costal.files import NEW, write_atomically
from costal.labels.classes import new_class
from costal.labels.project import (
    FILE,
    MODEL_FOLDER,
    PROJECT_FILE,
    STORE_FILE,
    Choices,
    Intake,
    LabelClass,
    Project,
    Tiling,
    checked,
    document_of,
)
from costal.labels.store import Store
from costal.types import Channel

FORMAT = 3


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
    document = {"format": FORMAT, **document_of(checked(project))}
    if not project.axes:
        del document["axes"]
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
            f"{folder} is not a project: it has no {PROJECT_FILE}. Choose another, or make a new one."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"{path} is broken: {error}. Restore it from a backup.") from error
    except OSError as error:
        raise ProjectError(
            f"{path} cannot be read: {error.strerror}. Check what it is, and its permissions."
        ) from error
    version = document.pop("format", None)
    if not isinstance(version, int) or version > FORMAT:
        raise ProjectError(
            f"{folder} has project format {version}; this version reads up to {FORMAT}. "
            "Update napari-costal to open it."
        )
    try:
        return checked(_project_of(FILE.read(document), folder))
    except ProjectError as error:
        raise ProjectError(f"{path}: {error}") from error


def _project_of(document: dict[str, Any], folder: Path) -> Project:
    """Return the project of what its file says."""
    return Project(
        folder,
        classes=tuple(LabelClass(**each) for each in document.pop("classes")),
        channels=tuple(Channel(**each) for each in document.pop("channels")),
        tiling=Tiling(**document.pop("tiling")),
        choices=Choices(**document.pop("agent")),
        intake=Intake(**document.pop("intake")),
        **{"name": folder.name, **document},
    )
