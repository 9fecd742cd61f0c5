"""A new project, as the window and the command line make it: with what was measured to serve best, if that is here."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from costal.agent.cards import card_of, default_backbone
from costal.labels.project import Project
from costal.labels.project_file import create_project, save_project
from costal.types import AcquisitionName

NEW_ACQUISITION: AcquisitionName = "predictive_entropy"
"""How a new project measures information: chosen with β = 0.3 in resources/evidence/choice.md.

A project file that names no acquisition function means STD, the paper's, as it always did.
"""


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
    project = edit(replace(project, choices=replace(project.choices, backbone=chosen, acquisition=NEW_ACQUISITION)))
    save_project(project)
    return project, note
