"""A new project, as the window and the command line make it: it looks through the frozen backbone, if that is here."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from costal.agent.cards import card_of, default_backbone
from costal.labels.project import Project
from costal.labels.project_file import create_project, save_project


def make_project(
    folder: Path,
    classes: tuple[str, ...] = ("class 1", "class 2"),
    backbone: str | None = None,
    edit: Callable[[Project], Project] = lambda project: project,
) -> tuple[Project, str]:
    """Return a new project with the settings that `edit` gives it, on disk, and what there is to say of its backbone.

    Raises
    ------
    CostalError
        When the folder holds something already or cannot be written, or there is no such backbone.
    """
    chosen, note = (backbone, "") if backbone is not None else default_backbone()
    card_of(chosen)
    project = create_project(folder, classes)
    project = edit(replace(project, choices=replace(project.choices, backbone=chosen)))
    save_project(project)
    return project, note
