"""A whole project as one zip file, and back: its settings, labels and models; no lock, and nothing that is a cache."""

import re
import shutil
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from costal.errors import ProjectError
from costal.files import explained, new_file, staged
from costal.labels.exchange.exports import require_free
from costal.labels.project import MODEL_FOLDER, PROJECT_FILE, STORE_FILE, Project
from costal.labels.project_file import load_project
from costal.labels.repair.findings import examine
from costal.labels.store import Store, require_store
from costal.types import Job, Progress

MODEL = re.compile(rf"{MODEL_FOLDER}/[\w.-]+\.(json|safetensors)", re.ASCII)
"""The models and their cards, as they are named in the zip file."""
PIECE = 1 << 20
"""Bytes that are copied at a time."""


@dataclass(frozen=True, slots=True)
class PackedProject:
    """A zip file of a project: where it is, how many files it holds, and its size in bytes."""

    path: Path
    files: int
    size: int


def pack(folder: Path, target: Path, overwrite: bool = False) -> Job[PackedProject]:
    """Return the zip file that now holds the project of a folder, which somebody else may write to meanwhile.

    Raises
    ------
    ProjectError
        When the project cannot be read, the target exists and `overwrite` is not set, or it cannot be written.
    """
    project = load_project(folder)
    require_store(project.store_path)
    models = [each for each in sorted(project.model_folder.glob("*")) if MODEL.fullmatch(f"{MODEL_FOLDER}/{each.name}")]
    with explained(target):
        require_free(target, project, overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        with staged(target) as new:
            yield Progress(0, len(models) + 2, "Copying the labels")
            store = new.with_name(f"{STORE_FILE}.copy")
            _copy_store(project.store_path, store)
            members = [(PROJECT_FILE, folder / PROJECT_FILE), (STORE_FILE, store)]
            members += [(f"{MODEL_FOLDER}/{each.name}", each) for each in models]
            with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as packed:
                for done, (name, path) in enumerate(members):
                    yield Progress(done, len(members), f"Packing {name}")
                    packed.write(path, name)
    return PackedProject(target, len(members), target.stat().st_size)


def _copy_store(source: Path, target: Path) -> None:
    """Copy a store as it is at one moment, by SQLite's own means, while others may write to it."""
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            original.backup(copy)
    except sqlite3.Error as error:
        raise ProjectError(f"{source} cannot be copied: {error}. Run 'costal project check' on its folder.") from error


def unpack(path: Path, folder: Path) -> Job[Project]:
    """Return the project of a zip file, in a new or empty folder; nothing is there before all of it was checked.

    Raises
    ------
    ProjectError
        When the folder holds something, or the file is no packed project, is damaged, or was made by a newer version.
    """
    with explained(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ProjectError(f"{folder} is not empty. Choose a new folder.")
        if not path.is_file():
            raise ProjectError(f"{path} is not a file. Choose a zip file that 'costal project pack' has written.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with staged(folder) as new:
            (new / MODEL_FOLDER).mkdir(parents=True)
            try:
                with zipfile.ZipFile(path) as packed:
                    yield from _extract(packed, path, new)
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
                raise ProjectError(f"{path} is damaged or not a zip file ({error}). Pack the project again.") from error
            yield Progress(0, 0, "Checking the labels")
            project = _checked(path, new)
    return replace(project, folder=folder)


def _extract(packed: zipfile.ZipFile, path: Path, new: Path) -> Job[None]:
    """Write the members, whose names and sizes are as they must be, into a new folder."""
    members = packed.infolist()
    names = [each.filename for each in members]
    for name in names:
        if name not in (PROJECT_FILE, STORE_FILE) and not MODEL.fullmatch(name):
            raise ProjectError(f"{path} contains {name!r}, which is not part of a project. Nothing was unpacked.")
    if len(set(names)) < len(names) or not {PROJECT_FILE, STORE_FILE} <= set(names):
        raise ProjectError(
            f"{path} is not a packed project: {PROJECT_FILE} or {STORE_FILE} is missing, or there twice. Choose a zip "
            "file that 'costal project pack' has written."
        )
    needed, free = sum(each.file_size for each in members), shutil.disk_usage(new).free
    if needed > free:
        raise ProjectError(
            f"{path} needs {needed >> 20} MB, but {new.parent.parent} has only {free >> 20} MB free. Free some space, "
            "or choose another folder."
        )
    for done, member in enumerate(members):
        yield Progress(done, len(members), f"Unpacking {member.filename}")
        left = member.file_size
        with packed.open(member) as source, new_file(new / member.filename, staged=True) as target:
            while piece := source.read(PIECE):
                left -= len(piece)
                if left < 0:
                    raise ValueError(f"{member.filename} is larger than the zip file says")
                target.write(piece)


def _checked(path: Path, new: Path) -> Project:
    """Return the unpacked project, brought up to date, or raise ProjectError with the first thing that is amiss."""
    try:
        project = load_project(new)
        require_store(project.store_path)
        Store(project.store_path).close()
        damage = [each for each in examine(new) if each.kind != "leftover"]
    except ProjectError as error:
        raise ProjectError(f"{path} contains a project that cannot be opened: {error}") from error
    if damage:
        raise ProjectError(f"{path} contains a damaged project ({damage[0]}). Pack the project again.")
    return project
