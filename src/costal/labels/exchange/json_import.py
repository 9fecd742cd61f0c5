"""A project from one JSON document, which earlier versions wrote: its settings and every row of its store.

The document may be larger than memory: it is read row by row. Crops' pixels are in it, models are not.
"""

import base64
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import tomli_w

from costal.errors import ProjectError
from costal.files import new_text, staged
from costal.labels.exchange.json_stream import JsonStream
from costal.labels.migrations import MIGRATIONS, migrate
from costal.labels.project import MODEL_FOLDER, PROJECT_FILE, STORE_FILE, Project
from costal.labels.project_file import load_project
from costal.labels.repair.soundness import row_fault
from costal.labels.store import Store
from costal.labels.tables import TABLES, Column, Row, columns_of, insert_row
from costal.types import Job, Progress

FORMAT, VERSION = "napari-costal project", 1
A_WHILE = 500
"""Rows between two signs of progress."""


@dataclass(frozen=True, slots=True)
class ImportedProject:
    """A project that was read from a document, and how many rows each table got."""

    project: Project
    counts: Mapping[str, int]


def import_json(path: Path, folder: Path) -> Job[ImportedProject]:
    """Return the project of a document, in a new or empty folder; nothing is there before all of it is.

    Raises
    ------
    ProjectError
        When the folder holds something, the document is none or damaged, or was written by a newer version.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ProjectError(f"{folder} is not empty. Choose a new folder.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with staged(folder) as new:
            (new / MODEL_FOLDER).mkdir(parents=True)
            with path.open(encoding="utf-8") as file:
                counts = yield from _read_project(file, path, new)
            Store(new / STORE_FILE).close()  # brings an older document's tables up to date
            project = load_project(new)
    except OSError as error:
        raise ProjectError(
            f"{path} cannot be imported to {folder}: {error.strerror or error}. Check both paths and the free space."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"{path} is damaged: {error}. Import another copy of it.") from error
    return ImportedProject(replace(project, folder=folder), counts)


def _read_project(file: TextIO, path: Path, new: Path) -> Job[Mapping[str, int]]:
    stream, version = JsonStream(file), 0
    counts: Mapping[str, int] = {}
    for part in stream.members():
        if part == "about":
            version = _store_version(stream.value(), path)
        elif part == "project":
            _write_settings(stream.value(), new)
        elif part == "tables" and version:
            with closing(sqlite3.connect(new / STORE_FILE, isolation_level=None)) as connection:
                migrate(connection, new / STORE_FILE, MIGRATIONS[:version])
                counts = yield from _read_tables(stream, connection)
        else:
            raise ValueError(f"'{part}' was not expected")
    stream.end()
    if not version or not (new / STORE_FILE).exists() or not (new / PROJECT_FILE).exists():
        raise ValueError("'about', 'project' or 'tables' is missing")
    return counts


def _store_version(about: Any, path: Path) -> int:
    """Return the version of the tables, or raise ProjectError when they are none of a project, or too new."""
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ProjectError(f"{path} is not an exported project. Choose a JSON file of a whole project.")
    version, store_version = about.get("version"), about.get("store_version")
    if not (isinstance(version, int) and isinstance(store_version, int) and min(version, store_version) > 0):
        raise ValueError(f"its versions are not valid ({version} and {store_version})")
    if version > VERSION or store_version > len(MIGRATIONS):
        raise ProjectError(f"{path} was written by a newer version. Update napari-costal to import it.")
    return store_version


def _write_settings(settings: Any, new: Path) -> None:
    try:
        with new_text(new / PROJECT_FILE, staged=True) as file:
            file.write(tomli_w.dumps(settings))
        load_project(new)
    except (TypeError, AttributeError, ProjectError) as error:
        raise ValueError(f"its settings cannot be used ({error})") from error


def _read_tables(stream: JsonStream, connection: sqlite3.Connection) -> Job[Mapping[str, int]]:
    counts = dict.fromkeys(TABLES, 0)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("BEGIN")
    connection.execute("PRAGMA defer_foreign_keys = ON")
    for table in stream.members():
        if table not in TABLES:
            raise ValueError(f"'{table}' is not a table of a project")
        columns = columns_of(connection, table)
        for row in stream.items():
            counts[table] += 1
            _insert(connection, table, columns, row, counts[table])
            if counts[table] % A_WHILE == 0:
                yield Progress(sum(counts.values()), 0, f"Reading {table} rows")
    try:
        connection.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        raise ValueError("some rows refer to rows that are missing") from error
    return counts


def _insert(connection: sqlite3.Connection, table: str, columns: tuple[Column, ...], row: Any, number: int) -> None:
    try:
        typed = _with_bytes(columns, row)
        if fault := row_fault(table, columns, typed):
            raise ValueError(fault)
        insert_row(connection, table, typed)
    except (ValueError, sqlite3.IntegrityError, sqlite3.ProgrammingError, OverflowError) as error:
        raise ValueError(f"{table} {number}: {error}") from error


def _with_bytes(columns: tuple[Column, ...], row: Any) -> Row:
    """Return the row as the table keeps it; ValueError when it has other columns."""
    if not isinstance(row, dict) or row.keys() != {each.name for each in columns}:
        raise ValueError(f"it should have {', '.join(each.name for each in columns)}")
    blobs = (name for name, kind in columns if kind == "BLOB" and isinstance(row[name], str))
    return row | {name: base64.b64decode(row[name], validate=True) for name in blobs}
