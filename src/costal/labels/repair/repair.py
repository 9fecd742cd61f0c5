"""A project mended as far as it can be, after a copy of it was made. Nothing is ever deleted."""

import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from costal.errors import ProjectError
from costal.files import NEW, staged
from costal.labels.lock import HOLDER_FILE, LOCK_FILE, ProjectLock
from costal.labels.project import PROJECT_FILE, STORE_FILE
from costal.labels.project_file import load_project, save_project
from costal.labels.repair.findings import Finding, examine, given_classes, require_something
from costal.labels.repair.rebuild import rebuilt_project, with_recovered_classes
from costal.labels.repair.salvage import salvage
from costal.labels.store import Store
from costal.labels.tables import TABLES

LOST_AND_FOUND = "lost and found"
"""Where in the project's folder is put what belongs nowhere."""


def repair(folder: Path, now: datetime) -> list[str]:
    """Return what was done to a project, sentence by sentence; an empty list when there was nothing to do.

    It is first copied to a folder beside it, named after `now`, which is never touched again.

    Raises
    ------
    ProjectError
        When somebody works on the project, it cannot be copied, or nothing of its labels can be read.
    """
    require_something(folder)
    lock = ProjectLock(folder)
    holder = lock.acquire()
    if holder is not None:
        raise ProjectError(f"{folder} is in use: {holder} writes to it. Close it there first.")
    try:
        findings = examine(folder)
        if not any(each.mendable for each in findings):
            return []
        sentences = [f"Copied the project as it was to {_backed_up(folder, now)}."]
        sentences += _moved(folder, findings, now)
        if any(each.kind == "store" and each.mendable for each in findings):
            sentences += _salvaged(folder, now)
        sentences += _with_settings(folder, any(each.kind == "settings" and each.mendable for each in findings))
        return sentences
    except OSError as error:
        raise ProjectError(
            f"{folder} cannot be repaired: {error.strerror or error}. Free some space, or choose a folder that you "
            "may write to."
        ) from error
    finally:
        lock.release()


def _backed_up(folder: Path, now: datetime) -> Path:
    beside = folder.resolve().with_name(f"{folder.resolve().name} backup {now:%Y-%m-%d %H%M%S}")
    if beside.exists():
        raise ProjectError(f"{beside} exists already. Wait a second and try again.")
    with staged(beside) as copy:
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(LOCK_FILE, HOLDER_FILE))
    return beside


def _put_aside(folder: Path, path: Path, now: datetime) -> str:
    kept = folder / LOST_AND_FOUND / f"{now:%Y-%m-%d %H%M%S}" / path.relative_to(folder)
    kept.parent.mkdir(parents=True, exist_ok=True)
    path.rename(kept)
    return f"Moved {path.relative_to(folder).as_posix()} to {LOST_AND_FOUND}."


def _moved(folder: Path, findings: Sequence[Finding], now: datetime) -> list[str]:
    """Put leftovers aside, and models that cannot be used with their cards."""
    paths = {folder / each.where for each in findings if each.kind in ("leftover", "model") and each.mendable}
    models = {path.with_suffix(end) for path in paths if path.suffix == ".json" for end in (".json", ".safetensors")}
    return [_put_aside(folder, path, now) for path in sorted(paths | models) if path.exists()]


def _salvaged(folder: Path, now: datetime) -> list[str]:
    path, sentences = folder / STORE_FILE, list[str]()
    with tempfile.TemporaryDirectory(dir=folder, suffix=NEW) as beside:
        new = Path(beside) / STORE_FILE
        try:
            result = salvage(path, new)
            Store(new).close()  # brings an older store's tables up to date
        except sqlite3.Error as error:
            raise ProjectError(
                f"{path} cannot be read at all: {error}. Restore labels.sqlite from a backup."
            ) from error
        if not result.kept["label"]:
            raise ProjectError(f"No label in {path} can be read. Restore labels.sqlite from a backup.")
        journal = path.with_name(f"{path.name}-journal")
        if journal.exists():  # it belongs to the damaged file: in the new one it would undo what it must not
            sentences.append(_put_aside(folder, journal, now))
        new.replace(path)
    kept = ", ".join(f"{result.kept[table]} {table}" for table in TABLES)
    lost = ", ".join(f"{result.lost[table]} {table}" for table in TABLES if result.lost[table]) or "none known"
    sentences.append(f"Read {STORE_FILE} row by row into a new one. Rows kept: {kept}. Rows lost: {lost}.")
    return [*sentences, *result.notes]


def _with_settings(folder: Path, are_lost: bool) -> list[str]:
    """Put lost settings together again, and list every class that labels have."""
    path = folder / PROJECT_FILE
    try:
        with Store(folder / STORE_FILE, read_only=True) as store:
            class_ids, shape = given_classes(store), store.newest_crop_shape()
        if are_lost:
            text = path.read_text("utf-8", "replace") if path.exists() else ""
            project = rebuilt_project(folder, text, shape[1] if shape else None)
        else:
            project = load_project(folder)
    except ProjectError:  # what is amiss is for its author, and said in the end
        return []
    whole = with_recovered_classes(project, class_ids)
    recovered = [each.name for each in whole.classes if each not in project.classes]
    if not are_lost and not recovered:
        return []
    save_project(whole)
    return [f"Rebuilt {PROJECT_FILE}: check its settings."] * are_lost + [
        f"Added the missing class '{name}': rename it." for name in recovered
    ]
