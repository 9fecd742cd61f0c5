"""What is not as it should be in a project folder: settings, store, models, and what a crash left behind."""

import hashlib
import json
import sqlite3
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from costal.errors import ProjectError
from costal.files import NEW
from costal.labels.migrations import MIGRATIONS, version_of
from costal.labels.models import CARD_FORMAT, load_version
from costal.labels.project import MODEL_FOLDER, PROJECT_FILE, STORE_FILE, Project
from costal.labels.project_file import load_project
from costal.labels.repair.soundness import events_fault, row_fault
from costal.labels.store import Store, require_store
from costal.labels.tables import TABLES
from costal.numerals import counted

FindingKind = Literal["settings", "classes", "store", "model", "leftover"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is amiss with a file of a project, `where` within its folder; `repair` does what is `mendable`.

    A leftover of a crash is no damage: nothing of it was ever acknowledged.
    """

    kind: FindingKind
    where: str
    what: str
    mendable: bool = True

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.where}: {self.what}"


def examine(folder: Path) -> list[Finding]:
    """Return all that is amiss with a project; an empty list when it is whole. Nothing is changed.

    Raises
    ------
    ProjectError
        When the folder holds neither settings nor labels, or another program writes to the labels just now.
    """
    require_something(folder)
    project: Project | None = None
    try:
        project, findings = load_project(folder), list[Finding]()
    except ProjectError as error:
        findings = [Finding("settings", PROJECT_FILE, str(error), settings_text_is_broken(folder))]
    findings += _store(folder, project)
    findings += _models(folder / MODEL_FOLDER)
    findings += [
        Finding("leftover", path.relative_to(folder).as_posix(), "a crash left it half written")
        for path in sorted([*folder.glob(f"*{NEW}"), *(folder / MODEL_FOLDER).glob(f"*{NEW}")])
    ]
    return findings


def require_something(folder: Path) -> None:
    """Raise ProjectError when a folder has neither settings nor labels, and so is no project."""
    if not (folder / PROJECT_FILE).exists() and not (folder / STORE_FILE).exists():
        raise ProjectError(f"{folder} is not a project: it has no {PROJECT_FILE}. Choose another, or make a new one.")


def settings_text_is_broken(folder: Path) -> bool:
    """Return whether the settings are gone or no TOML; settings that are merely refused are for their author."""
    try:
        tomllib.loads((folder / PROJECT_FILE).read_text("utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return True
    except OSError:
        return False
    return False


def _store(folder: Path, project: Project | None) -> Iterator[Finding]:
    path = folder / STORE_FILE
    try:
        require_store(path)
    except ProjectError as error:
        yield Finding("store", STORE_FILE, str(error), mendable=False)
        return
    wrong: list[str] | None = None
    try:
        with Store(path, read_only=True) as store:
            wrong = store.check()
            if not wrong:
                yield from _rows(store, project)
    except ProjectError as error:
        if "locked" in str(error):
            raise
        wrong = _wrong_with_older(path)
        if wrong is None:
            mendable = any(sign in str(error) for sign in ("malformed", "decode"))
            yield Finding("store", STORE_FILE, str(error), mendable)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        yield Finding("store", STORE_FILE, f"it is damaged: {wrong[0]}{more}")


def _wrong_with_older(path: Path) -> list[str] | None:
    """Return what SQLite finds wrong with a store of an older version, which need not be; None for another."""
    is_older = False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            is_older = 0 < version_of(connection) < len(MIGRATIONS)
            faults = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    except sqlite3.Error as error:
        faults = [str(error)]
    return faults if is_older else None


def _rows(store: Store, project: Project | None) -> Iterator[Finding]:
    ends = store.table_ends()
    for table in TABLES:
        columns = store.columns(table)
        for number, row in enumerate(store.table_rows(table, ends[table]), 1):
            if fault := row_fault(table, columns, row):
                yield Finding("store", STORE_FILE, f"{table} {row.get('id', number)}: {fault}")
    for presentation, events in groupby(store.table_rows("event", ends["event"]), lambda row: row["presentation_id"]):
        if fault := events_fault(events):
            yield Finding("store", STORE_FILE, f"presentation {presentation}: {fault}")
    if project is not None:
        for class_id, count in given_classes(store).items():
            if class_id not in {each.id for each in project.classes}:
                text = f"class {class_id} is missing, but it is the class of {counted(count, 'label')}"
                yield Finding("classes", PROJECT_FILE, text)


def given_classes(store: Store) -> dict[int, int]:
    """Return how many labels, taken back or not, each class id has."""
    rows = store.table_rows("label", store.table_ends()["label"])
    return dict(sorted(Counter(row["class_id"] for row in rows if row["class_id"] is not None).items()))


def _models(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.glob("*.safetensors")):
        if not path.with_suffix(".json").exists():
            yield Finding(
                "leftover", f"{MODEL_FOLDER}/{path.name}", "a crash left it without its card: it is never used"
            )
    for path in sorted(each for each in folder.glob("*.json") if each.stem.isdecimal()):
        try:
            expected = load_version(folder, int(path.stem)).model_hash
            content = path.with_suffix(".safetensors").read_bytes()
        except (ProjectError, OSError) as error:
            yield Finding("model", f"{MODEL_FOLDER}/{path.name}", str(error), mendable=not _is_newer(path))
            continue
        if expected and hashlib.sha256(content).hexdigest() != expected:
            yield Finding("model", f"{MODEL_FOLDER}/{path.name}", "its model was changed after it was saved")


def _is_newer(card: Path) -> bool:
    try:
        return bool(json.loads(card.read_text("utf-8"))["format"] > CARD_FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return False
