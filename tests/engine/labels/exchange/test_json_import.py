import base64
import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from costal.errors import ProjectError
from costal.labels.exchange import json_stream
from costal.labels.exchange.json_import import import_json
from costal.labels.migrations import MIGRATIONS, migrate
from costal.labels.project import Tiling
from costal.labels.project_file import load_project
from costal.labels.store import Store
from costal.types import finish

DOCUMENT = Path(__file__).parents[3] / "fixtures" / "project-document.json"
"""A project that an earlier version exported."""


@pytest.fixture
def document(tmp_path):
    """Return a copy of the document."""
    return Path(shutil.copy(DOCUMENT, tmp_path / "neurons.json"))


def as_stored(entry, column):
    return base64.b64decode(entry) if column == "pixels" else entry


def test_a_project_has_the_settings_and_every_row_of_its_document(document, tmp_path, rows_of_store, pixels):
    found = finish(import_json(document, tmp_path / "again"))
    tables = json.loads(document.read_text("utf-8"))["tables"]
    kept = rows_of_store(found.project)
    assert kept.pop("action") == kept.pop("recipe") == []  # tables that came later, as did the last columns of others
    assert {table: [row[: len(tables[table][0])] for row in rows] for table, rows in kept.items()} == {
        table: [tuple(as_stored(entry, column) for column, entry in row.items()) for row in rows]
        for table, rows in tables.items()
    }
    assert found.counts == {
        "frame": 3,
        "crop": 7,
        "recipe": 0,
        "presentation": 8,
        "event": 16,
        "action": 0,
        "label": 9,
        "arrival": 1,
    }
    assert found.project == load_project(tmp_path / "again")
    assert [each.name for each in found.project.classes] == ["rings", "=fibres", "puncta"]
    assert found.project.tiling == Tiling(8, 8)
    with Store(found.project.store_path) as store:
        assert [(each.kind, each.class_id) for each in store.labels()] == [
            ("class", 2),
            ("skip", None),
            ("class", 3),
            ("class", 1),
            ("exclude", None),
            ("class", 2),
        ]
        np.testing.assert_array_equal(store.crop_pixels(1, 0, 8, 8), pixels(0, 0, 8))
        np.testing.assert_array_equal(store.crop_pixels(3, 16, 8, 8), pixels(2, 16, 8))
        assert store.check() == []


def test_a_document_that_was_written_anew_by_another_program_can_be_read(document, tmp_path, rows_of_store):
    parts = json.loads(document.read_text("utf-8"))
    (tmp_path / "pretty.json").write_text(json.dumps(parts, indent=4, sort_keys=True), "utf-8")
    first = finish(import_json(document, tmp_path / "first"))
    second = finish(import_json(tmp_path / "pretty.json", tmp_path / "second"))
    assert rows_of_store(second.project) == rows_of_store(first.project)
    assert replace(second.project, folder=first.project.folder) == first.project


def test_an_older_documents_tables_are_brought_up_to_date(tmp_path, document):
    parts = json.loads(document.read_text("utf-8"))
    parts["about"]["store_version"] = 1
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, tmp_path / "unused", MIGRATIONS[:1])
        for table in parts["tables"]:
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            rows = parts["tables"][table]
            parts["tables"][table] = [
                {key: row[key] for key in columns} for row in rows if row.get("kind") != "exclude"
            ]
    del parts["tables"]["arrival"]
    (tmp_path / "old.json").write_text(json.dumps(parts), "utf-8")
    found = finish(import_json(tmp_path / "old.json", tmp_path / "again"))
    with Store(found.project.store_path) as store:
        assert len(store.labels()) == 5


def broken(path, edit):
    document = json.loads(path.read_text("utf-8"))
    edit(document)
    path.write_text(json.dumps(document), "utf-8")


def pop_frame(document):
    document["tables"]["frame"].pop()


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda d: d.pop("about"), "'tables' was not expected"),
        (lambda d: d.pop("tables"), "'about', 'project' or 'tables' is missing"),
        (lambda d: d.pop("project"), "'about', 'project' or 'tables' is missing"),
        (lambda d: d["about"].update(format="recipes"), "is not an exported project"),
        (lambda d: d["about"].update(version=99), "written by a newer version. Update napari-costal"),
        (lambda d: d["about"].update(store_version=99), "written by a newer version. Update napari-costal"),
        (lambda d: d["about"].update(store_version="2"), "its versions are not valid (1 and 2)"),
        (lambda d: d["project"].update(idle_limit_s=-1), "idle_limit_s = -1 should be a number above 0"),
        (lambda d: d["project"].update(surprise=1), "'surprise' is not known"),
        (lambda d: d.update(project=[]), "its settings cannot be used"),
        (lambda d: d["tables"].update(spies=[]), "'spies' is not a table of a project"),
        (lambda d: d["tables"]["label"][2].pop("kind"), "label 3: it should have id, crop_id"),
        (lambda d: d["tables"]["label"][0].update({"id); DROP TABLE label; --": 1}), "label 1: it should have"),
        (lambda d: d["tables"]["label"][0].update(kind="praise"), "label 1: CHECK constraint"),
        (lambda d: d["tables"]["label"][1].update(id=1), "label 2: UNIQUE constraint"),
        (lambda d: d["tables"]["crop"][0].update(y="0"), "crop 1: y is '0'"),
        (lambda d: d["tables"]["crop"][0].update(pixels="AAAA"), "crop 1: its pixels are 3 bytes, not 128"),
        (lambda d: d["tables"]["crop"][0].update(pixels="*"), "crop 1: "),
        (lambda d: d["tables"]["crop"][0].update(dtype="quaternion"), "crop 1: it cannot be read"),
        (lambda d: d["tables"]["crop"][0].update(id=2**70), "crop 1: Python int too large"),
        (lambda d: d["tables"]["frame"][0].update(low="[NaN]"), "frame 1: its intensity range"),
        (lambda d: d["tables"]["presentation"][0].update(why="[]"), "presentation 1: it cannot be read"),
        (pop_frame, "some rows refer to rows that are missing"),
    ],
)
def test_a_document_that_cannot_be_a_project_is_refused_and_leaves_nothing(document, tmp_path, edit, sentence):
    broken(document, edit)
    with pytest.raises(ProjectError, match=re.escape(sentence)):
        finish(import_json(document, tmp_path / "again"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["neurons.json"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_document_that_was_cut_short_is_refused(document, tmp_path, share):
    text = document.read_text("utf-8").strip()
    document.write_text(text[: int(len(text) * share)], "utf-8")
    with pytest.raises(ProjectError, match=r"neurons.json is damaged: .*Import another copy of it"):
        finish(import_json(document, tmp_path / "again"))
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[1, 2]", b"", b"[" * 100_000])
def test_what_is_no_document_is_refused(tmp_path, content):
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(ProjectError, match="is damaged"):
        finish(import_json(tmp_path / "file.json", tmp_path / "again"))


def test_a_project_is_not_imported_over_another(document, project):
    with pytest.raises(ProjectError, match="is not empty"):
        finish(import_json(document, project.folder))


def test_an_empty_folder_will_do(document, tmp_path):
    (tmp_path / "again").mkdir()
    assert finish(import_json(document, tmp_path / "again")).project.name == "neurons"


def test_a_missing_document_is_an_error(tmp_path):
    with pytest.raises(ProjectError, match="cannot be imported"):
        finish(import_json(tmp_path / "nowhere.json", tmp_path / "again"))


def test_an_import_that_is_stopped_leaves_nothing(document, tmp_path, monkeypatch):
    monkeypatch.setattr("costal.labels.exchange.json_import.A_WHILE", 1)
    monkeypatch.setattr(json_stream, "PIECE", 100)
    job = import_json(document, tmp_path / "again")
    assert next(job).message == "Reading frame rows"
    job.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["neurons.json"]
