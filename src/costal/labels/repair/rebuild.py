"""Settings of a project that are gone or damaged, put together again from what is left of them and from its labels."""

import re
import tempfile
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from costal.errors import ProjectError
from costal.files import write_atomically
from costal.labels.project import COLOURS, KEYS, PROJECT_FILE, LabelClass, Project, Tiling, checked
from costal.labels.project_file import FORMAT, load_project

SECTION = re.compile(r"^(?=\[)", re.MULTILINE)


def rebuilt_project(folder: Path, text: str, side: int | None) -> Project:
    """Return the project of a damaged ``project.toml``: every section of it that can still be used, else as it begins.

    `side` is that of its newest crop, for a project whose tiling is lost. Nothing is written.
    """
    document: dict[str, Any] = {"format": FORMAT, "name": folder.name}
    for part in SECTION.split(text):
        for key, entry in _parsed(part).items():
            rebuilt = (
                [*document.get(key, ()), *entry]
                if key in ("classes", "channels") and isinstance(entry, list)
                else entry
            )
            if _usable(folder, document | {key: rebuilt}):
                document[key] = rebuilt
    project = _loaded(folder, document)
    if side is not None and "tiling" not in document:
        project = replace(project, tiling=Tiling(side, side))
    return project


def with_recovered_classes(project: Project, class_ids: Collection[int]) -> Project:
    """Return the project with a class for each id that it lacks, called after its id, with a free key."""
    for class_id in sorted(set(class_ids) - {each.id for each in project.classes}):
        used = {each.key for each in project.offered}
        key = next((key for key in KEYS if key not in used), "")
        colour = COLOURS[(class_id - 1) % len(COLOURS)]
        recovered = LabelClass(class_id, f"class {class_id} (recovered)", key, colour)
        project = replace(project, classes=(*project.classes, recovered))
    return checked(project)


def _parsed(part: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(part)
    except (ValueError, RecursionError):
        return {}


def _usable(folder: Path, document: Mapping[str, Any]) -> bool:
    try:
        _loaded(folder, document)
    except ProjectError:
        return False
    return True


def _loaded(folder: Path, document: Mapping[str, Any]) -> Project:
    with tempfile.TemporaryDirectory() as elsewhere:
        write_atomically(Path(elsewhere) / PROJECT_FILE, tomli_w.dumps(document).encode())
        return replace(load_project(Path(elsewhere)), folder=folder)
