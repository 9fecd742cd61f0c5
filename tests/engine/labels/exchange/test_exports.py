import csv
import errno
import json
import uuid
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from pycocotools.coco import COCO

from costal import files
from costal.errors import ProjectError
from costal.frames.read import read
from costal.labels.effort import Event, EventKind
from costal.labels.exchange import sheets
from costal.labels.exchange.exports import EXPORT_KINDS, MARKER, export
from costal.labels.exchange.spreadsheet import unescaped
from costal.labels.project_file import load_project, save_project
from costal.labels.records import AnswerRecord, FrameRecord
from costal.labels.store import Store
from costal.types import Progress, finish


def write(project, target, kind, **more):
    with Store(project.store_path, read_only=True) as store:
        return finish(export(project, store, target, kind, **more))


def cells_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# a table


def test_the_table_has_one_row_per_current_label_under_todays_names(project, tmp_path):
    exported = write(project, tmp_path / "labels.csv", "csv")
    rows = cells_of(tmp_path / "labels.csv")
    assert [(row["y"], row["x"], row["kind"], row["class_id"], unescaped(row["class"])) for row in rows] == [
        ("0", "8", "class", "2", "=fibres"),
        ("8", "16", "skip", "", ""),
        ("16", "8", "class", "1", "rings"),  # given as puncta, which was merged into rings
        ("16", "8", "class", "1", "rings"),
        ("0", "0", "exclude", "", ""),
        ("0", "0", "class", "2", "=fibres"),
    ]
    assert exported.counts == {"=fibres": 2, "(skip)": 1, "rings": 2, "(exclude)": 1}
    assert (exported.path, exported.files, exported.splits) == (tmp_path / "labels.csv", 1, {"train": 6})


def test_every_column_says_what_the_store_knows(project, tmp_path, answer, why):
    with Store(project.store_path) as store:
        store.answer(answer(1, 16, 16, "class", 1, "eve", 2.5, why, pause_s=3, rank=4, generation=2, control=True))
    write(project, tmp_path / "labels.csv", "csv")
    row = cells_of(tmp_path / "labels.csv")[-1]
    assert row.pop("utc").startswith("20")
    assert row == {
        "frame": "/data/=cells 1.tif",
        "content_hash": "a" * 64,
        "planes": "all",
        "pixel_um": "0.02",
        "y": "16",
        "x": "16",
        "side": "8",
        "class_id": "1",
        "class": "rings",
        "kind": "class",
        "given": "single",
        "unsure": "False",
        "note": "",
        "annotator": "eve",
        "active_s": "2.5",
        "idle_s": "3.0",
        "elapsed_s": "5.5",
        "censored": "False",
        "usable": "True",
        "reason": "",
        "derivation": "1",
        "predicted": "'=fibres",
        "information": "0.5",
        "cost": "2.5",
        "value": "0.25",
        "control": "True",
        "rank": "4",
        "generation": "2",
        "split": "train",
    }


def test_text_that_begins_like_a_formula_is_escaped_in_the_table(project, tmp_path):
    write(project, tmp_path / "labels.csv", "csv")
    rows = cells_of(tmp_path / "labels.csv")
    assert rows[0]["class"] == "'=fibres"
    assert rows[0]["annotator"] == "'+bob"
    assert rows[0]["frame"] == "/data/=cells 1.tif"


def test_the_time_of_a_label_is_iso_in_utc(project, tmp_path, monkeypatch, answer):
    monkeypatch.setattr("costal.labels.store.time.time_ns", lambda: 1_700_000_000_123_456_789)
    with Store(project.store_path) as store:
        store.answer(answer(1, 16, 16))
    write(project, tmp_path / "labels.csv", "csv")
    assert cells_of(tmp_path / "labels.csv")[-1]["utc"] == "2023-11-14T22:13:20.123+00:00"


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        pytest.param((), "no effort was measured", id="imported"),
        pytest.param(
            (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 10**9, 60 * 10**9)),
            "the clock jumped or the machine was suspended",
            id="a jump of the clock",
        ),
        pytest.param((Event(EventKind.ANSWERED, 0, 0),), "'answered' came before the crop was shown", id="impossible"),
    ],
)
def test_an_effort_that_cannot_be_used_says_why(project, tmp_path, answer, events, reason):
    with Store(project.store_path) as store:
        store.answer(replace(answer(1, 16, 16), events=events))
    write(project, tmp_path / "labels.csv", "csv")
    row = cells_of(tmp_path / "labels.csv")[-1]
    assert row["usable"] == "False"
    assert row["reason"].startswith(reason)
    assert (row["active_s"] == "") is (events == ())


def test_a_class_that_the_project_lost_is_called_after_its_id(project, tmp_path, answer):
    with Store(project.store_path) as store:
        store.answer(answer(1, 16, 16, class_id=9))
    write(project, tmp_path / "labels.csv", "csv")
    assert [cells_of(tmp_path / "labels.csv")[-1][name] for name in ("class_id", "class")] == ["9", "class 9"]


def test_parquet_holds_the_same_as_csv_with_types_and_nothing_escaped(project, tmp_path):
    write(project, tmp_path / "labels.csv", "csv")
    write(project, tmp_path / "labels.parquet", "parquet")
    table = pd.read_parquet(tmp_path / "labels.parquet")
    texts = [each.name for each in sheets.COLUMNS if each.dtype == "string"]
    from_csv = pd.read_csv(tmp_path / "labels.csv", dtype=dict.fromkeys(texts, "string"), keep_default_na=True)
    assert list(table) == list(from_csv) == [each.name for each in sheets.COLUMNS]
    for name in texts:
        assert table[name].fillna("").tolist() == [unescaped(each) for each in from_csv[name].fillna("")]
    for each in sheets.COLUMNS:
        if each.name not in texts:
            assert table[each.name].dtype == each.dtype
            np.testing.assert_array_equal(
                table[each.name].astype("float64"), from_csv[each.name].astype("float64"), err_msg=each.name
            )


def test_parquet_without_pyarrow_says_how_to_install_it(project, tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "find_spec", lambda name: None)
    with pytest.raises(ProjectError, match=r"napari-costal\[export\]"):
        write(project, tmp_path / "labels.parquet", "parquet")
    assert list(tmp_path.glob("labels*")) == []


# COCO


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
def test_coco_loads_in_pycocotools_with_frames_crops_and_classes(project, tmp_path):
    exported = write(project, tmp_path / "labels.json", "coco")
    coco = COCO(tmp_path / "labels.json")
    assert {each["name"]: each["id"] for each in coco.loadCats(coco.getCatIds())} == {"rings": 1, "=fibres": 2}
    images = coco.loadImgs(coco.getImgIds())
    assert [(each["file_name"], each["height"], each["width"], each["pixel_um"]) for each in images] == [
        ("/data/=cells 1.tif", 32, 40, 0.02),
        ("C:\\stacks\\b.tif#z3,t0", 32, 32, None),
        ("C:\\stacks\\b.tif#z4,t0", 32, 32, None),
    ]
    rings = coco.loadAnns(coco.getAnnIds(catIds=[1]))
    assert [(each["image_id"], each["bbox"], each["area"], each["iscrowd"]) for each in rings] == [
        (2, [8, 16, 8, 8], 64, 0),
        (3, [8, 16, 8, 8], 64, 0),
    ]
    mask = coco.annToMask(coco.loadAnns(coco.getAnnIds(imgIds=[2]))[0])
    expected = np.zeros((32, 32), np.uint8)
    expected[16:24, 8:16] = 1
    np.testing.assert_array_equal(mask, expected)
    assert exported.notes == ("2 skipped or excluded crops have no class and were left out.",)


@pytest.mark.parametrize("kind", ["coco", "geojson"])
def test_a_crop_that_was_padded_reaches_no_further_than_its_frame(make_project, tmp_path, answer, kind):
    project = make_project(tmp_path / "padded")
    with Store(project.store_path) as store:
        frame = store.add_frame(FrameRecord("d" * 64, "all", "d.tif", 13, 20, None, (0.0,), (1.0,)))
        store.answer(replace(answer(1, 8, 16), frame_id=frame))
    write(project, tmp_path / "labels.json", kind)
    found = json.loads((tmp_path / "labels.json").read_text("utf-8"))
    if kind == "coco":
        assert found["annotations"][0]["bbox"] == [16, 8, 4, 5]
    else:
        assert np.max(found["features"][0]["geometry"]["coordinates"], axis=(0, 1)).tolist() == [20, 13]


# GeoJSON


def check_as_qupath(collection):
    """Check what QuPath documents, and what its reader takes: a FeatureCollection of annotations in pixels."""
    assert set(collection) == {"type", "features"}
    assert collection["type"] == "FeatureCollection"
    for each in collection["features"]:
        assert set(each) == {"type", "id", "geometry", "properties"}
        assert each["type"] == "Feature"
        assert str(uuid.UUID(each["id"])) == each["id"]
        assert each["geometry"]["type"] == "Polygon"
        (ring,) = each["geometry"]["coordinates"]
        assert len(ring) == 5
        assert ring[0] == ring[-1]
        x, y = np.array(ring).T
        assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0  # RFC 7946: the outer ring is counterclockwise
        plane = each["geometry"].get("plane", {"c": -1, "z": 0, "t": 0})
        assert all(isinstance(plane[axis], int) for axis in "czt")
        properties = each["properties"]
        assert properties["objectType"] == "annotation"
        assert isinstance(properties["classification"]["name"], str)
        assert len(properties["classification"]["color"]) == 3
        assert all(isinstance(part, int) and 0 <= part <= 255 for part in properties["classification"]["color"])
        assert all(isinstance(figure, float) for figure in properties["measurements"].values())


def test_geojson_has_a_file_per_frame_that_qupath_opens(project, tmp_path):
    exported = write(project, tmp_path / "geojson", "geojson")
    names = ["=cells 1_aaaaaaaa.geojson", "b_bbbbbbbb_z3_t0.geojson", "b_cccccccc_z4_t0.geojson"]
    assert sorted(each.name for each in (tmp_path / "geojson").iterdir()) == [*names, MARKER]
    assert exported.files == 3
    collections = [json.loads((tmp_path / "geojson" / name).read_text("utf-8")) for name in names]
    for each in collections:
        check_as_qupath(each)
    cells, *stack = (each["features"] for each in collections)
    assert [each["properties"]["classification"] for each in cells] == [
        {"name": "=fibres", "color": [0xEE, 0x66, 0x77]}
    ] * 2
    assert [each["geometry"] for (each,) in stack] == [
        {
            "type": "Polygon",
            "coordinates": [[[8, 16], [16, 16], [16, 24], [8, 24], [8, 16]]],
            "plane": {"c": -1, "z": z, "t": 0},
        }
        for z in (3, 4)
    ]
    measured = {"Effort (s)", "Information", "Predicted cost (s)", "Value"}
    assert set(stack[0][0]["properties"]["measurements"]) == measured


def test_a_crop_has_the_same_id_in_every_export_and_no_other_has_it(project, tmp_path):
    for name in ("one", "two"):
        write(project, tmp_path / name, "geojson")
    ids = {
        name: [
            feature["id"]
            for path in sorted((tmp_path / name).glob("*.geojson"))
            for feature in json.loads(path.read_text("utf-8"))["features"]
        ]
        for name in ("one", "two")
    }
    assert ids["one"] == ids["two"]
    assert len(set(ids["one"])) == 4


def test_geojson_of_one_frame_is_one_file(make_project, tmp_path):
    project = make_project(tmp_path / "single", [("answer", (1, 0, 0), "class", 1, "ada")])
    assert write(project, tmp_path / "labels.geojson", "geojson").files == 1
    check_as_qupath(json.loads((tmp_path / "labels.geojson").read_text("utf-8")))


# a folder of images


def test_crops_are_written_bit_exact_with_their_pixel_size(project, tmp_path, pixels):
    exported = write(project, tmp_path / "images", "images")
    found = sorted(each.relative_to(tmp_path / "images").as_posix() for each in (tmp_path / "images").rglob("*.tif"))
    assert found == [
        "train/=fibres/=cells 1_aaaaaaaa_0_0.tif",
        "train/=fibres/=cells 1_aaaaaaaa_0_8.tif",
        "train/rings/b_bbbbbbbb_z3_t0_16_8.tif",
        "train/rings/b_cccccccc_z4_t0_16_8.tif",
    ]
    assert exported.files == 4
    for name, (frame, y, x) in zip(found, [(0, 0, 0), (0, 0, 8), (1, 16, 8), (2, 16, 8)], strict=True):
        expected = pixels(frame, y, x)
        image = tifffile.imread(tmp_path / "images" / name)
        assert image.dtype == expected.dtype
        np.testing.assert_array_equal(image.reshape(expected.shape), expected)
        again = read(tmp_path / "images" / name)
        assert again.axes[-3:] == ("CYX" if frame else again.axes[-3:])
        assert again.pixel_um == (pytest.approx(0.02, rel=1e-6) if frame == 0 else None)


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8"])
def test_a_crop_keeps_its_bit_depth(make_project, tmp_path, answer, dtype):
    project = make_project(tmp_path / "depths")
    pixels = np.arange(2 * 8 * 8).reshape(2, 8, 8).astype(dtype)
    with Store(project.store_path) as store:
        store.answer(replace(answer(1, 0, 0), pixels_C_H_W=pixels))
    write(project, tmp_path / "images", "images")
    (path,) = (tmp_path / "images").rglob("*.tif")
    image = tifffile.imread(path)
    assert image.dtype == pixels.dtype
    np.testing.assert_array_equal(image, pixels)


def test_every_class_has_a_folder_of_its_own_on_every_system(make_project, tmp_path):
    acts = [("answer", (1, 8 * at, 0), "class", at + 1, "ada") for at in range(3)]
    names = [("rename", 1, "CON"), ("rename", 2, "con"), ("rename", 3, "_con.")]
    project = make_project(tmp_path / "names", [*acts, *names])
    write(project, tmp_path / "images", "images")
    folders = sorted(each.name for each in (tmp_path / "images" / "train").iterdir())
    assert folders == ["_CON", "_con_", "_con_2"]


# splits


@pytest.fixture
def many_frames(make_project, tmp_path, answer):
    """Return a project with three crops in each of twenty frames."""
    project = make_project(tmp_path / "many")
    with Store(project.store_path) as store:
        for number in range(20):
            record = FrameRecord(f"{number:064x}", "all", f"{number}.tif", 32, 32, None, (0.0,), (1.0,))
            frame = store.add_frame(record)
            for y in (0, 8, 16):
                store.answer(replace(answer(1, y, 0), frame_id=frame))
    return project


@pytest.mark.parametrize("kind", ["csv", "coco", "images"])
def test_no_frame_is_both_for_training_and_for_validation(many_frames, tmp_path, kind):
    exported = write(many_frames, tmp_path / "out", kind, validation=0.4)
    if kind == "csv":
        found = [(row["content_hash"], row["split"]) for row in cells_of(tmp_path / "out")]
    elif kind == "coco":
        images = json.loads((tmp_path / "out").read_text("utf-8"))["images"]
        found = [(each["content_hash"], each["split"]) for each in images for _ in range(3)]
    else:
        names = [each.relative_to(tmp_path / "out") for each in (tmp_path / "out").rglob("*.tif")]
        found = [(each.name.split("_")[0], each.parts[0]) for each in names]
    assert Counter(split for _, split in found) == exported.splits
    assert set(exported.splits) == {"train", "validation"}
    frames = {(frame, split) for frame, split in found}
    assert len(frames) == len({frame for frame, _ in frames}) == 20
    assert exported.notes == ()


def test_one_frame_is_for_training_and_a_note_says_so(make_project, tmp_path):
    project = make_project(tmp_path / "single", [("answer", (1, 0, 0), "class", 1, "ada")])
    exported = write(project, tmp_path / "labels.csv", "csv", validation=0.5)
    assert exported.splits == {"train": 1}
    assert "only one frame" in exported.notes[0]


# where it is written


@pytest.mark.parametrize("kind", EXPORT_KINDS)
def test_an_export_is_replaced_only_when_that_is_allowed(project, tmp_path, kind):
    for _ in range(2):
        write(project, tmp_path / "out", kind, overwrite=True)
    with pytest.raises(ProjectError, match="exists already"):
        write(project, tmp_path / "out", kind)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["neurons", "out"]


@pytest.mark.parametrize("first", EXPORT_KINDS)
@pytest.mark.parametrize("second", ["csv", "images"])
def test_a_file_and_a_folder_can_replace_each_other(project, tmp_path, first, second):
    for kind in (first, second):
        write(project, tmp_path / "out", kind, overwrite=True)
    assert (tmp_path / "out").is_dir() is (second == "images")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["neurons", "out"]


@pytest.mark.parametrize("kind", EXPORT_KINDS)
def test_a_folder_that_is_no_export_is_never_replaced(project, tmp_path, kind):
    (tmp_path / "holidays").mkdir()
    (tmp_path / "holidays" / "beach.jpg").write_bytes(b"sand")
    with pytest.raises(ProjectError, match="napari-costal did not export"):
        write(project, tmp_path / "holidays", kind, overwrite=True)
    assert (tmp_path / "holidays" / "beach.jpg").read_bytes() == b"sand"


@pytest.mark.parametrize(
    "place", ["neurons", "neurons/labels.sqlite", "neurons/models/0001.json", "neurons/out.csv", "."]
)
def test_the_project_itself_is_never_overwritten(project, tmp_path, place):
    before = project.store_path.read_bytes()
    with pytest.raises(ProjectError, match="is the project's folder, or in it, or contains it"):
        write(project, tmp_path / place, "csv", overwrite=True)
    assert project.store_path.read_bytes() == before


def test_another_project_is_never_overwritten(project, make_project, tmp_path):
    other = make_project(tmp_path / "other")
    before = other.store_path.read_bytes()
    with pytest.raises(ProjectError, match="the folder of another project"):
        write(project, other.store_path, "csv", overwrite=True)
    assert other.store_path.read_bytes() == before


def test_a_name_that_no_system_takes_is_refused(project, tmp_path):
    with pytest.raises(ProjectError, match="cannot be written"):
        write(project, tmp_path / ("n" * 300), "csv")


@pytest.mark.parametrize("kind", EXPORT_KINDS)
def test_a_full_disk_leaves_what_was_there(project, tmp_path, monkeypatch, kind):
    write(project, tmp_path / "out", "csv")
    before = (tmp_path / "out").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_put", full)
    with pytest.raises(ProjectError, match=r"out cannot be written: No space left on device\. Free some space"):
        write(project, tmp_path / "out", kind, overwrite=True)
    assert (tmp_path / "out").read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["neurons", "out"]


def test_a_folder_that_cannot_be_moved_into_place_brings_the_old_one_back(project, tmp_path, monkeypatch):
    write(project, tmp_path / "out", "images")
    before = sorted((tmp_path / "out").rglob("*"))
    rename = type(tmp_path).rename

    def refuse(self, target):
        if self.parent.suffix == ".new" and not self.name.endswith(".old"):
            raise PermissionError(errno.EACCES, "Access is denied")
        return rename(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", refuse)
    with pytest.raises(ProjectError, match="Access is denied"):
        write(project, tmp_path / "out", "images", overwrite=True)
    assert sorted((tmp_path / "out").rglob("*")) == before


@pytest.mark.parametrize("kind", EXPORT_KINDS)
def test_a_place_that_cannot_be_is_refused(project, tmp_path, kind):
    (tmp_path / "file").write_text("")
    with pytest.raises(ProjectError, match="cannot be written"):
        write(project, tmp_path / "file" / "out", kind)


@pytest.mark.parametrize("kind", EXPORT_KINDS)
def test_an_export_that_is_stopped_leaves_nothing(project, tmp_path, kind):
    with Store(project.store_path, read_only=True) as store:
        job = export(project, store, tmp_path / "out", kind)
        for progress in job:
            assert isinstance(progress, Progress)
            break
        job.close()
    assert [each.name for each in tmp_path.iterdir()] == ["neurons"]


@pytest.mark.parametrize("kind", EXPORT_KINDS)
def test_a_project_without_labels_gives_an_empty_export(make_project, tmp_path, kind):
    exported = write(make_project(tmp_path / "empty"), tmp_path / "out", kind)
    assert sum(exported.counts.values()) == 0


def test_an_unknown_form_is_refused_with_those_there_are(project, tmp_path):
    with pytest.raises(ProjectError, match=r"'xml' is not an export format\. Use one of csv, parquet"):
        write(project, tmp_path / "out", "xml")


@pytest.mark.parametrize("kind", EXPORT_KINDS)
def test_labels_can_be_given_while_an_export_is_under_way(project, tmp_path, answer, kind):
    with Store(project.store_path, read_only=True) as reader, Store(project.store_path) as writer:
        writer._connection.execute("PRAGMA busy_timeout = 10")
        for number, _ in enumerate(export(project, reader, tmp_path / "out", kind)):
            writer.answer(answer(1, 24, 8 * number))


def test_settings_are_those_of_the_project(project, tmp_path):
    save_project(replace(project, idle_limit_s=1.0))
    write(load_project(project.folder), tmp_path / "labels.csv", "csv")
    assert {row["censored"] for row in cells_of(tmp_path / "labels.csv")} == {"True"}


def test_two_planes_of_one_stack_are_two_coco_images_of_other_names(project, tmp_path):
    with Store(project.store_path) as store:
        records = [
            FrameRecord(f"{number:064}", planes, "well b/stack.tif", 64, 64, None, (0.0,), (1.0,))
            for number, planes in enumerate(("z 0, t 1", "z 2, t 1", "all", "all"))
        ]
        for record in records:
            frame_id = store.add_frame(record)
            store.answer(AnswerRecord(frame_id, 0, 0, np.zeros((1, 16, 16), np.uint8), "class", 1, "ada", ()))
    write(project, tmp_path / "coco.json", "coco")
    images = json.loads((tmp_path / "coco.json").read_text("utf-8"))["images"]
    assert [(each["file_name"], each["source"], each["planes"]) for each in images[-4:]] == [
        ("well b/stack.tif#z0,t1", "well b/stack.tif", "z 0, t 1"),
        ("well b/stack.tif#z2,t1", "well b/stack.tif", "z 2, t 1"),
        ("well b/stack.tif", "well b/stack.tif", "all"),
        ("well b/stack.tif#000000000000", "well b/stack.tif", "all"),
    ]


def test_labels_on_a_slice_of_unknown_axes_are_noted_in_geojson(project, tmp_path):
    with Store(project.store_path) as store:
        frame_id = store.add_frame(FrameRecord("f" * 64, "slice 3", "stack.tif", 64, 64, None, (0.0,), (1.0,)))
        store.answer(AnswerRecord(frame_id, 0, 0, np.zeros((1, 16, 16), np.uint8), "class", 1, "ada", ()))
    notes = write(project, tmp_path / "out", "geojson").notes
    assert [note for note in notes if "slice" in note] == [
        "1 label of stack.tif is on a slice with unknown axes, so the export does not say on which plane. Open the "
        "image with 'costal open' and this project, then export again."
    ]
