import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costal.errors import ProjectError
from costal.labels.exchange import json_stream
from costal.labels.exchange.exports import export
from costal.labels.exchange.lossless import import_json
from costal.labels.migrations import MIGRATIONS, migrate
from costal.labels.project_file import load_project
from costal.labels.store import Store
from costal.labels.tables import TABLES
from costal.types import finish


def write(project, target):
    with Store(project.store_path, read_only=True) as store:
        return finish(export(project, store, target, "json"))


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_project_comes_back_with_the_same_settings_and_rows(
    data, tmp_path_factory, make_project, acts, rows_of_store
):
    folder = tmp_path_factory.mktemp("lossless")
    project = make_project(folder / "neurons", data.draw(acts))
    write(project, folder / "neurons.json")
    found = finish(import_json(folder / "neurons.json", folder / "again"))
    assert rows_of_store(found.project) == rows_of_store(project)
    assert replace(found.project, folder=project.folder) == project
    assert found.project == load_project(folder / "again")
    with Store(project.store_path) as one, Store(found.project.store_path) as other:
        assert one.labels() == other.labels()
        assert one.presentations() == other.presentations()
        assert one.history("ada") == other.history("ada")
        assert one.arrivals() == other.arrivals()
        assert other.check() == []


def test_the_document_says_what_it_is_and_how_many_rows(project, tmp_path, rows_of_store):
    exported = write(project, tmp_path / "neurons.json")
    document = json.loads((tmp_path / "neurons.json").read_text("utf-8"))
    assert document["about"]["format"] == "napari-costal project"
    assert document["project"]["classes"][1]["name"] == "=fibres"
    rows = rows_of_store(project)
    assert exported.counts == {table: len(rows[table]) for table in TABLES}
    assert {table: len(document["tables"][table]) for table in TABLES} == exported.counts
    assert "Models are not in it" in exported.notes[0]


def test_a_document_that_was_written_anew_by_another_program_can_be_read(project, tmp_path, rows_of_store):
    write(project, tmp_path / "neurons.json")
    document = json.loads((tmp_path / "neurons.json").read_text("utf-8"))
    (tmp_path / "pretty.json").write_text(json.dumps(document, indent=4, sort_keys=True), "utf-8")
    found = finish(import_json(tmp_path / "pretty.json", tmp_path / "again"))
    assert rows_of_store(found.project) == rows_of_store(project)


def test_what_is_labelled_during_an_export_is_not_half_in_it(project, tmp_path, answer, rows_of_store, monkeypatch):
    before = rows_of_store(project)
    monkeypatch.setattr("costal.labels.exchange.lossless.A_WHILE", 1)
    with Store(project.store_path, read_only=True) as reader, Store(project.store_path) as writer:
        for number, _ in enumerate(export(project, reader, tmp_path / "neurons.json", "json")):
            writer.answer(answer(1 + number % 3, 24, 8 * (number % 5)))
    found = finish(import_json(tmp_path / "neurons.json", tmp_path / "again"))
    assert rows_of_store(found.project) == before


def test_an_older_documents_tables_are_brought_up_to_date(tmp_path, project):
    write(project, tmp_path / "neurons.json")
    document = json.loads((tmp_path / "neurons.json").read_text("utf-8"))
    document["about"]["store_version"] = 1
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, tmp_path / "unused", MIGRATIONS[:1])
        for table in TABLES:
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            rows = document["tables"][table]
            document["tables"][table] = [
                {key: row[key] for key in columns} for row in rows if row.get("kind") != "exclude"
            ]
    del document["tables"]["arrival"]
    (tmp_path / "old.json").write_text(json.dumps(document), "utf-8")
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
        (lambda d: d.pop("about"), "'tables' is not expected there"),
        (lambda d: d.pop("tables"), "'about', 'project' or 'tables' is missing"),
        (lambda d: d.pop("project"), "'about', 'project' or 'tables' is missing"),
        (lambda d: d["about"].update(format="recipes"), "is no exported project"),
        (lambda d: d["about"].update(version=99), "written by a newer version. Update napari-costal"),
        (lambda d: d["about"].update(store_version=99), "written by a newer version. Update napari-costal"),
        (lambda d: d["about"].update(store_version="2"), "its versions are 1 and 2"),
        (lambda d: d["project"].update(idle_limit_s=-1), "idle_limit_s = -1 should be"),
        (lambda d: d["project"].update(surprise=1), "'surprise' is not known"),
        (lambda d: d.update(project=[]), "its settings cannot be used"),
        (lambda d: d["tables"].update(spies=[]), "there is no table 'spies'"),
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
def test_a_document_that_cannot_be_a_project_is_refused_and_leaves_nothing(project, tmp_path, edit, sentence):
    write(project, tmp_path / "neurons.json")
    broken(tmp_path / "neurons.json", edit)
    with pytest.raises(ProjectError, match=re.escape(sentence)):
        finish(import_json(tmp_path / "neurons.json", tmp_path / "again"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["neurons", "neurons.json"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_document_that_was_cut_short_is_refused(project, tmp_path, share):
    write(project, tmp_path / "neurons.json")
    text = (tmp_path / "neurons.json").read_text("utf-8").strip()
    (tmp_path / "neurons.json").write_text(text[: int(len(text) * share)], "utf-8")
    with pytest.raises(ProjectError, match=r"neurons.json is damaged: .*Export the project again"):
        finish(import_json(tmp_path / "neurons.json", tmp_path / "again"))
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[1, 2]", b"", b"[" * 100_000])
def test_what_is_no_document_is_refused(tmp_path, content):
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(ProjectError, match="is damaged"):
        finish(import_json(tmp_path / "file.json", tmp_path / "again"))


def test_a_project_is_not_imported_over_another(project, tmp_path):
    write(project, tmp_path / "neurons.json")
    with pytest.raises(ProjectError, match="is not empty"):
        finish(import_json(tmp_path / "neurons.json", project.folder))


def test_an_empty_folder_will_do(project, tmp_path):
    write(project, tmp_path / "neurons.json")
    (tmp_path / "again").mkdir()
    assert finish(import_json(tmp_path / "neurons.json", tmp_path / "again")).project.name == "neurons"


def test_a_missing_document_is_an_error(tmp_path):
    with pytest.raises(ProjectError, match="cannot be imported"):
        finish(import_json(tmp_path / "nowhere.json", tmp_path / "again"))


def test_an_import_that_is_stopped_leaves_nothing(project, tmp_path, monkeypatch):
    write(project, tmp_path / "neurons.json")
    monkeypatch.setattr("costal.labels.exchange.lossless.A_WHILE", 1)
    monkeypatch.setattr(json_stream, "PIECE", 100)
    job = import_json(tmp_path / "neurons.json", tmp_path / "again")
    assert next(job).message == "Reading frame rows"
    job.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["neurons", "neurons.json"]
