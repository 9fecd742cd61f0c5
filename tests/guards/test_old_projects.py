"""Projects of earlier formats open, train and export, and nothing in them is lost."""

import csv
import hashlib
import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile

from costal.workbench.session import ProjectSession

FIXTURES = Path(__file__).parents[1] / "fixtures"
FORMATS = (1, 2)

# frame, y, x, what was said, seconds active and idle: 1 s, 0.3 s for each class id, 0.05 s for each crop before
SAID = {
    1: {
        ("field-1.tif", 0, 0, "(skip)", 1.3, 0.0),
        ("field-1.tif", 0, 16, "background", 1.4, 0.0),
        ("field-1.tif", 0, 24, "spot", 1.75, 0.0),
        ("field-2.tif", 0, 0, "(skip)", 1.3, 0.0),
        ("field-2.tif", 0, 16, "spot", 1.7, 0.0),
    },
    2: {
        ("field-1.tif", 0, 0, "(skip)", 1.3, 0.0),
        ("field-1.tif", 0, 16, "background", 1.4, 0.0),
        ("field-1.tif", 0, 24, "spot", 1.75, 0.0),
        ("field-1.tif", 0, 32, "spot", 1.8, 3.0),
        ("field-1.tif", 0, 40, "background", 1.55, 0.0),
        ("field-1.tif", 8, 0, "background", 1.6, 0.0),
        ("field-1.tif", 8, 8, "spot", 1.95, 0.0),
        ("field-2.tif", 0, 0, "(skip)", 1.3, 0.0),
        ("field-2.tif", 0, 16, "spot", 1.7, 0.0),
        ("field-2.tif", 0, 24, "spot", 1.75, 0.0),
        ("field-2.tif", 0, 32, "background", 1.5, 3.0),
        ("field-2.tif", 0, 40, "spot", 1.85, 0.0),
        ("field-2.tif", 8, 0, "spot", 1.9, 0.0),
        ("field-2.tif", 8, 8, "spot", 1.95, 0.0),
    },
}
PRESENTATIONS, UNDONE = {1: 9, 2: 18}, 2


@pytest.fixture(params=FORMATS, ids=lambda number: f"format {number}")
def number(request):
    return request.param


@pytest.fixture
def folder(number, tmp_path):
    """Return a copy of the project of a format."""
    with zipfile.ZipFile(FIXTURES / f"project-format-{number}.zip") as packed:
        packed.extractall(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def opened(folder):
    """Return the folder once a window has opened and closed the project."""
    ProjectSession(folder, "cleo").close()
    return folder


def rows(folder, table, name="labels.sqlite"):
    """Return all rows of a table by the names of its columns, in order."""
    with closing(sqlite3.connect(folder / name)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY id")]


def test_the_fixture_is_of_its_format(folder, number):
    with closing(sqlite3.connect(folder / "labels.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (number,)
    assert f"format = {number}\n" in (folder / "project.toml").read_text("utf-8")
    assert json.loads((folder / "models" / "0001.json").read_text("utf-8"))["format"] == number


def test_opening_keeps_every_row(folder, number):
    tables = ("frame", "crop", "presentation", "event", "label")
    before = {table: rows(folder, table) for table in tables}
    assert len(before["presentation"]) == PRESENTATIONS[number]
    ProjectSession(folder, "cleo").close()
    for table in tables:
        kept = [{name: row[name] for name in was} for row, was in zip(rows(folder, table), before[table], strict=True)]
        assert kept == before[table]


def test_opening_keeps_the_models_as_they_are(folder):
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "models").iterdir()}
    ProjectSession(folder, "cleo").close()
    assert {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "models").iterdir()
    } == before


def test_a_store_that_is_brought_up_to_date_stays_beside_the_new_one(opened, number):
    with closing(sqlite3.connect(opened / "labels.sqlite")) as connection:
        newest = connection.execute("PRAGMA user_version").fetchone()[0]
    kept = sorted(path.name for path in opened.glob("labels.sqlite.version-*"))
    assert kept == [f"labels.sqlite.version-{each}" for each in range(number, newest)]


def test_the_project_is_whole_and_tells_its_classes(costal, opened, number):
    assert costal("project", "check", opened)[0] == 0
    code, text, _ = costal("project", "info", opened, "--json")
    figures = json.loads(text)
    assert code == 0
    assert [each["name"] for each in figures["classes"]] == ["background", "spot"]
    assert figures["presentations"] == PRESENTATIONS[number]
    assert figures["model"]["generation"] == 1


def test_its_labels_and_efforts_are_exported(costal, opened, number, tmp_path):
    code, _, error = costal("export", opened, "--as", "csv", "--out", tmp_path / "labels.csv")
    assert code == 0, error
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    said = {
        (
            row["frame"],
            int(row["y"]),
            int(row["x"]),
            row["class"] or f"({row['kind']})",
            round(float(row["active_s"]), 6),
            round(float(row["idle_s"]), 6),
        )
        for row in table
    }
    assert said == SAID[number]
    assert len(table) == len(said)
    assert {row["annotator"] for row in table} == {"ada", "bo"}


@pytest.mark.parametrize("form", ["coco", "geojson", "images"])
def test_its_labels_are_written_for_other_programs(costal, opened, number, tmp_path, form):
    code, _, error = costal("export", opened, "--as", form, "--out", tmp_path / "out")
    assert code == 0, error
    classed = sum(each[3] != "(skip)" for each in SAID[number])
    if form == "coco":
        assert len(json.loads((tmp_path / "out").read_text("utf-8"))["annotations"]) == classed
    elif form == "geojson":
        pages = [json.loads(path.read_text("utf-8")) for path in (tmp_path / "out").glob("*.geojson")]
        assert sum(len(page["features"]) for page in pages) == classed
    else:
        assert len([*(tmp_path / "out").rglob("*.tif"), *(tmp_path / "out").rglob("*.png")]) == classed


def test_its_model_still_scores(costal, opened, tmp_path):
    pixels = np.random.default_rng(0).integers(200, 1200, (24, 32)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "new.tif", pixels)
    out = tmp_path / "scores.csv"
    code, text, _ = costal(
        "score", tmp_path / "new.tif", "--project", opened, "--out", out, "--device", "cpu", "--json"
    )
    assert (code, json.loads(text)["generation"]) == (0, 1)
    with out.open(encoding="utf-8", newline="") as file:
        information = [float(row["information"]) for row in csv.DictReader(file)]
    assert len(information) == 12
    assert np.isfinite(information).all()


def test_it_trains_as_it_is_and_keeps_its_older_model(costal, folder, number):
    code, text, _ = costal("train", "--project", folder, "--device", "cpu", "--json")
    figures = json.loads(text)
    assert code == 0
    assert figures["generation"] == 2
    assert figures["labels"] == sum(each[3] != "(skip)" for each in SAID[number])
    assert {path.name for path in (folder / "models").glob("*.safetensors")} == {"0001.safetensors", "0002.safetensors"}
    assert costal("project", "check", folder)[0] == 0


def test_what_was_undone_can_be_redone(opened, number):
    labels = rows(opened, "label")
    undone = [row["undoes"] for row in labels if row["kind"] == "undo"]
    assert len(undone) == UNDONE
    standing = len(SAID[number])
    with ProjectSession(opened, "ada") as session:
        label = session.redo()
        assert label is not None
        assert (label.y, label.x) == {1: (0, 32), 2: (8, 16)}[number]
        assert len(session.store.labels()) == standing + 1
