"""Labels that come in as a CSV file: its rows read and checked, and the classes that they name."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from costal.errors import ProjectError
from costal.labels.classes import new_class
from costal.labels.exchange.spreadsheet import unescaped
from costal.labels.project import Project
from costal.labels.records import AnswerKind
from costal.numerals import whole_number
from costal.settings import LARGEST

REQUIRED = ("frame", "y", "x", "class")
KNOWN = (*REQUIRED, "side", "annotator", "kind", "content_hash", "planes", "unsure", "note")
KINDS: tuple[AnswerKind, ...] = ("class", "skip", "exclude")
FARTHEST = 2**31


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A row of the file: `number` counts lines, the header is 1. Columns that the file lacks are None or empty.

    `frame` is a content hash, a path or a file's name; `class_name` a name or an id, empty unless `kind` is "class".
    """

    number: int
    frame: str
    y: int
    x: int
    kind: AnswerKind
    class_name: str
    side: int | None = None
    annotator: str = ""
    content_hash: str = ""
    planes: str | None = None
    unsure: bool = False
    note: str = ""


def read_label_rows(path: Path) -> tuple[LabelRow, ...]:
    """Return the rows of a CSV file with the columns frame, y, x and class.

    The columns side, annotator, kind, content_hash, planes, unsure and note are read where they are there, and all
    others left out: efforts above all, which are measured, never told.

    Raises
    ------
    ProjectError
        When the file cannot be read, lacks a column, or a cell cannot be used; names file, row and column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            table = csv.DictReader(file, delimiter=max(",;\t", key=header.count), strict=True)
            table.fieldnames = [name.strip().lower() for name in table.fieldnames or ()]
            missing = [name for name in REQUIRED if name not in table.fieldnames]
            if missing:
                raise ProjectError(
                    f"{path} has no column {' and no '.join(missing)}. Its first row must name {', '.join(REQUIRED)}."
                )
            twice = next((name for name in KNOWN if table.fieldnames.count(name) > 1), None)
            if twice is not None:
                raise ProjectError(f"{path} has two columns {twice}. Remove one of them.")
            return tuple(_row(path, table.line_num, cells) for cells in table)
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from error
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path} is not in UTF-8. Save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise ProjectError(f"{path} is not a CSV file: {error}. Save it as CSV in UTF-8.") from error


def refuse(path: Path, number: int, column: str, reason: str) -> ProjectError:
    """Return the error that names a cell of the file."""
    return ProjectError(f"{path}, row {number}, column {column}: {reason} Nothing was imported.")


def _row(path: Path, number: int, cells: Mapping[str | None, str | None]) -> LabelRow:
    if None in cells:
        raise ProjectError(f"{path}, row {number}: it has more cells than the first row. Nothing was imported.")
    texts = {str(name): unescaped(cell or "") for name, cell in cells.items()}
    kind = next((each for each in KINDS if each == (texts.get("kind") or "class")), None)
    if kind is None:
        raise refuse(path, number, "kind", f"'{texts['kind']}' is not one of {', '.join(KINDS)}.")
    if not texts["frame"]:
        raise refuse(path, number, "frame", "it is empty.")
    class_name = texts["class"].strip() if kind == "class" else ""
    if kind == "class" and not class_name:
        raise refuse(path, number, "class", "it is empty. Fill it in, or remove the row.")
    return LabelRow(
        number,
        texts["frame"],
        _whole(path, number, "y", texts["y"], 0, FARTHEST),
        _whole(path, number, "x", texts["x"], 0, FARTHEST),
        kind,
        class_name,
        _whole(path, number, "side", texts["side"], 8, LARGEST) if texts.get("side") else None,
        texts.get("annotator", ""),
        texts.get("content_hash", ""),
        texts.get("planes") or None,
        _yes_or_no(path, number, "unsure", texts.get("unsure", "")),
        texts.get("note", ""),
    )


def _yes_or_no(path: Path, number: int, column: str, text: str) -> bool:
    if text.strip().lower() in ("", "0", "false", "no"):
        return False
    if text.strip().lower() in ("1", "true", "yes"):
        return True
    raise refuse(path, number, column, f"'{text}' is neither true nor false.")


def _whole(path: Path, number: int, column: str, text: str, low: int, high: int) -> int:
    whole = whole_number(text)
    if whole is not None and low <= whole <= high:
        return whole
    raise refuse(path, number, column, f"'{text}' is not a whole number from {low} to {high}.")


def with_classes(
    project: Project, rows: Sequence[LabelRow], path: Path, add: bool = False
) -> tuple[Project, Mapping[str, int]]:
    """Return the project, with the classes that it lacked if `add`, and the class id that each name stands for.

    A class is named by what it is called, or by its id; one that was merged stands for the class that it counts as.

    Raises
    ------
    ProjectError
        When the project lacks classes and `add` is not set: lists them.
    """
    names = dict.fromkeys(row.class_name for row in rows if row.class_name)
    unknown = [name for name in names if name not in _known(project)]
    if unknown and not add:
        raise ProjectError(
            f"{path} names classes that '{project.name}' does not have: {', '.join(unknown)}. Correct them, or add "
            "them to the project (--add-classes). Nothing was imported."
        )
    for name in unknown:
        project = new_class(project, name)
    known = _known(project)
    return project, {name: known[name] for name in names}


def _known(project: Project) -> dict[str, int]:
    """Return what each name and id stands for; a name goes before an id, a class of today before a merged one."""
    known: dict[str, int] = {}
    ranked = sorted(project.classes, key=lambda each: bool(each.merged_into))
    for texts in ([(each.name, each) for each in ranked], [(str(each.id), each) for each in ranked]):
        for text, each in texts:
            project_class = project.class_of(each.id)
            if project_class is not None:
                known.setdefault(text.strip(), project_class.id)
    return known
