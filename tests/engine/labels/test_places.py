"""Where images lie, as the store keeps it: found again when project and images move together."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from costal.labels.places import source_of, stored_source
from costal.labels.records import FrameRecord
from costal.labels.store import Store


def record(source, content="c"):
    return FrameRecord(content, "all", str(source), 32, 32, None, (0.0,), (1.0,))


@pytest.mark.parametrize(
    ("image", "stored"),
    [
        ("day/project/acquired/a.tif", "./acquired/a.tif"),
        ("day/a.tif", "../a.tif"),
        ("day/images/deep/a.tif", "../images/deep/a.tif"),
        ("day/project/../a.tif", "../a.tif"),
    ],
)
def test_an_image_in_or_beside_the_project_is_kept_relative_to_it(tmp_path, image, stored):
    project = tmp_path / "day" / "project"
    assert stored_source(str(tmp_path / image), project) == stored
    assert Path(source_of(stored, project)) == Path(tmp_path / image).resolve()


def test_an_image_elsewhere_keeps_its_absolute_path(tmp_path):
    elsewhere = str(tmp_path / "other" / "a.tif")
    assert stored_source(elsewhere, tmp_path / "day" / "project") == elsewhere


def test_beside_a_project_in_the_home_folder_paths_stay_absolute(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    image = str(tmp_path / "images" / "a.tif")
    assert stored_source(image, tmp_path / "project") == image
    assert stored_source(str(tmp_path / "project" / "a.tif"), tmp_path / "project") == "./a.tif"


@pytest.mark.parametrize(
    "stored", ["C:\\day\\a.tif", "/day/a.tif", "a.tif", "s3://bucket/a.zarr", "layer:field", "recovered frame 3"]
)
def test_what_earlier_versions_kept_is_read_as_it_was(tmp_path, stored):
    assert source_of(stored, tmp_path / "project") == stored


def test_a_store_moved_with_its_images_tells_where_they_lie_now(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    (before / "project").mkdir(parents=True)
    with Store(before / "project" / "labels.sqlite") as store:
        store.add_frame(record(before / "images" / "a.tif"))
    before.rename(after)
    with Store(after / "project" / "labels.sqlite", read_only=True) as store:
        assert store.frames()[1].source == str(after / "images" / "a.tif")


def test_the_file_of_a_store_has_no_path_of_this_machine(tmp_path):
    (tmp_path / "project").mkdir()
    with Store(tmp_path / "project" / "labels.sqlite") as store:
        store.add_frame(record(tmp_path / "images" / "a.tif"))
    with closing(sqlite3.connect(tmp_path / "project" / "labels.sqlite")) as connection:
        assert connection.execute("SELECT source FROM frame").fetchall() == [("../images/a.tif",)]


@pytest.mark.parametrize("is_old", [False, True])
def test_labels_are_found_by_the_place_of_their_frame_in_either_form(tmp_path, is_old):
    source = str(tmp_path / "a.tif")
    (tmp_path / "project").mkdir()
    with Store(tmp_path / "project" / "labels.sqlite") as store:
        frame_id = store.add_frame(record(source))
        if is_old:
            store._connection.execute("UPDATE frame SET source = ?", (source,))
        assert store.labels_in(source, "all", 32, 32) == []
        store._connection.execute(
            "INSERT INTO crop (frame_id, y, x, side, dtype, channels, pixels) VALUES (?, 0, 0, 8, '|u1', 1, x'00')",
            (frame_id,),
        )
        store._connection.execute("INSERT INTO label (crop_id, kind, class_id, utc_ns) VALUES (1, 'class', 1, 0)")
        assert [label.class_id for label in store.labels_in(source, "all", 32, 32)] == [1]


def test_frames_that_moved_are_kept_where_they_lie_now(tmp_path):
    (tmp_path / "project").mkdir()
    with Store(tmp_path / "project" / "labels.sqlite") as store:
        frame_id = store.add_frame(record("/gone/a.tif"))
        store.move_frames({frame_id: str(tmp_path / "a.tif")})
        assert store.frames()[frame_id].source == str(tmp_path / "a.tif")
        assert store._select("SELECT source FROM frame") == [("../a.tif",)]
