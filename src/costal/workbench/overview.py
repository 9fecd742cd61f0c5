"""What stands in a project's folder now, read while another window or program writes to it."""

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from costal.errors import ProjectError
from costal.labels.event_table import EventTable, read_on
from costal.labels.lock import ProjectLock
from costal.labels.models import ModelVersion, kept_versions, roll_back
from costal.labels.project import MODEL_FOLDER, PROJECT_FILE, SCORES_FOLDER, STORE_FILE, Project
from costal.labels.project_file import load_project
from costal.labels.records import CropLabel
from costal.labels.store import Store, require_store
from costal.workbench.assessment import ASSESSMENT_FILE, Forecast, Kept, kept_assessment, stamp_of
from costal.workbench.forecasts import FORECASTS_FILE, last_fulfilled
from costal.workbench.looked_again import KEPT_FILE, open_doubts
from costal.workbench.review import Review, review

Stamp = tuple[int, int]
LOOKED_AT = (
    MODEL_FOLDER, PROJECT_FILE, STORE_FILE,
    *(f"{SCORES_FOLDER}/{name}" for name in (ASSESSMENT_FILE, KEPT_FILE, FORECASTS_FILE)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Overview:
    """A project's figures and its kept model generations, newest first.

    `taken_back` labels that the newest model learned from stand no more, and `not_learned` have come since. `planted`
    predictions were wrong on purpose when pages of them were accepted, and `caught` of these were noticed. `kept` is
    the last cross-validation, without doubts that are settled; `came` the newest forecast of which is known what came.
    """

    project: Project
    review: Review
    model_versions: tuple[ModelVersion, ...]
    taken_back: int
    not_learned: int
    event_table: EventTable = field(repr=False)
    stamps: tuple[Stamp, ...] = field(repr=False)
    planted: int = 0
    caught: int = 0
    kept: Kept | None = None
    came: Forecast | None = None


def look(folder: Path, before: Overview | None = None) -> Overview:
    """Return what stands in a project's folder: `before` itself where nothing has changed since.

    Raises
    ------
    ProjectError
        When it is no project, or its store cannot be read.
    """
    if before is not None and before.project.folder != folder:
        before = None
    stamps = tuple(_stamp(folder / name) for name in LOOKED_AT)  # before it is read
    if before is not None and before.stamps == stamps:
        return before
    project = load_project(folder)
    require_store(project.store_path)
    with Store(project.store_path, read_only=True) as store:
        event_table = read_on(store, before.event_table if before is not None else EventTable())
        planted_errors = store.planted_errors()
        labels = store.labels()
    if before is not None and before.stamps[0] == stamps[0]:
        model_versions = before.model_versions
    else:
        model_versions = tuple(kept_versions(project.model_folder))
    learned = model_versions[0].provenance.label_ids if model_versions else ()
    standing = event_table.current()["place"]
    return Overview(
        project,
        review(project, event_table),
        model_versions,
        len(set(learned) - set(standing.tolist())),
        int((standing > max(learned, default=0)).sum()),
        event_table,
        stamps,
        *planted_errors,
        _kept(project, labels),
        last_fulfilled(project),
    )


def _kept(project: Project, labels: list[CropLabel]) -> Kept | None:
    assessment = kept_assessment(project)
    if assessment is None:
        return None
    return Kept(open_doubts(project, assessment, labels), assessment.stamp != stamp_of(project, labels))


def roll_back_to(folder: Path, number: int) -> ModelVersion:
    """Return an older model of a project saved again as its newest. The labels are untouched.

    Raises
    ------
    ProjectError
        When another program writes to the project, or there is no such model.
    """
    lock = ProjectLock(folder)
    holder = lock.acquire()
    if holder is not None and (holder.pid, holder.host) != (os.getpid(), socket.gethostname()):
        raise ProjectError(f"{folder.name} cannot be changed: {holder} writes to it. Close it there, then roll back.")
    try:
        return roll_back(folder / MODEL_FOLDER, number)
    finally:
        lock.release()


def _stamp(path: Path) -> Stamp:
    """Return when a file or folder was changed last, and its size; zeros where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size
