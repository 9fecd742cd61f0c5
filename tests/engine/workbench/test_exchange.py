"""Labels brought in from a CSV file, through the workbench."""

import csv
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from costal.errors import ProjectError
from costal.frames.grid import crop_at, tile
from costal.frames.read import Planes, frame_from_array, read
from costal.labels.classes import merge_classes, rename_class
from costal.labels.effort import Event, EventKind
from costal.labels.exchange.exports import export
from costal.labels.project import Intake, Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord
from costal.labels.store import Store
from costal.scoring.frame_planes import frame_of
from costal.types import finish
from costal.workbench.exchange import import_labels
from costal.workbench.retraining import answers_of
from costal.workbench.session import ProjectSession, recorded

ALL = Planes(None, None, None)

CROP = 16
S = 10**9
EVENTS = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 2 * S, 2 * S))


@pytest.fixture
def images(tmp_path):
    """Return a folder with two images of 48 x 64 px and a stack of three planes."""
    folder, rng = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(folder / name, rng.integers(0, 2**16, (48, 64), dtype=np.uint16))
    stack = rng.integers(0, 2**16, (3, 48, 64), dtype=np.uint16)
    tifffile.imwrite(folder / "stack.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    return folder


@pytest.fixture
def folder(tmp_path):
    project = create_project(tmp_path / "neurons", ("rings", "fibres"))
    save_project(replace(project, tiling=Tiling(CROP, CROP)))
    return project.folder


@pytest.fixture
def bring(folder, tmp_path, images):
    """Return a function that imports a table, given as text or rows, and says what it came to."""

    def run(table, **options):
        path = table
        if isinstance(table, str):
            path = tmp_path / "labels.csv"
            path.write_text(table, "utf-8")
        with ProjectSession(folder) as session:
            return finish(import_labels(session, path, **({"images": images} | options)))

    return run


def labels_of(folder):
    """Return every current label by its frame's source and place, with kind, today's class name and annotator."""
    project = load_project(folder)
    with Store(project.store_path, read_only=True) as store:
        return {
            (row.frame_hash, row.y, row.x, row.side): (
                row.kind,
                project.class_of(row.class_id).name if row.class_id else None,
                row.annotator,
            )
            for row in store.presentations()
            if row.stands
        }


def kept_in(folder):
    """Return all that the store holds, and the settings."""
    with closing(sqlite3.connect(folder / "labels.sqlite")) as connection:
        return [*connection.iterdump(), (folder / "project.toml").read_text("utf-8")]


def label(folder, path, said):
    """Label crops of an image in the usual way: {(y, x): (kind, class id, annotator)}."""
    frame = read(path)
    pixels = frame.pixels[None]
    with ProjectSession(folder) as session:
        stored = session.place(recorded(frame_of(frame_from_array(pixels, "CYX", frame.pixel_um, frame.source), ALL)))
        for (y, x), (kind, class_id, annotator) in said.items():
            crop = pixels[:, y : y + CROP, x : x + CROP]
            session.answer(AnswerRecord(stored.id, y, x, crop, kind, class_id, annotator, EVENTS))


def test_labels_come_in_with_their_frames_and_crops(bring, folder, images):
    found = bring(
        "frame,y,x,class,annotator\na.tif,0,16,rings,ada\nb.tif,32,48,2,\na.tif,16,0,fibres,\n", annotator="eve"
    )
    assert (found.added, found.unchanged, found.frames, found.classes) == (3, 0, 2, ())
    hashes = {
        name: frame_from_array(tifffile.imread(images / name)[None], "CYX", None, "").content_hash
        for name in ("a.tif", "b.tif")
    }
    assert labels_of(folder) == {
        (hashes["a.tif"], 0, 16, CROP): ("class", "rings", "ada"),
        (hashes["a.tif"], 16, 0, CROP): ("class", "fibres", "eve"),
        (hashes["b.tif"], 32, 48, CROP): ("class", "fibres", "eve"),
    }
    with Store(load_project(folder).store_path, read_only=True) as store:
        np.testing.assert_array_equal(
            store.presented()[0].pixels_C_H_W, tifffile.imread(images / "a.tif")[None, 0:16, 16:32]
        )


def test_imported_labels_say_so_and_keep_doubts_and_notes(bring, folder):
    bring("frame,y,x,class,unsure,note\na.tif,0,16,rings,true,out of focus\na.tif,0,32,rings,,\n")
    with Store(load_project(folder).store_path, read_only=True) as store:
        found = [(each.x, each.given, each.unsure, each.note) for each in store.labels()]
    assert found == [(16, "imported", True, "out of focus"), (32, "imported", False, "")]


def test_importing_twice_changes_nothing(bring, folder):
    table = "frame,y,x,class,kind\na.tif,0,16,rings,\na.tif,0,32,,skip\na.tif,0,16,rings,class\na.tif,0,48,,exclude\n"
    assert (bring(table).added, bring(table).added) == (3, 0)
    before = kept_in(folder)
    assert bring(table).unchanged == 4
    assert kept_in(folder) == before


def test_an_export_brings_the_same_labels_into_another_project(bring, folder, images, tmp_path):
    (tmp_path / "other").mkdir()
    other = create_project(tmp_path / "other" / "cells", ("=rings", "-fibres", "old"))
    save_project(replace(merge_classes(other, 3, 2), tiling=Tiling(CROP, CROP)))
    said = {
        (0, 0): ("class", 1, "+ada"), (0, 16): ("skip", None, "bob"), (0, 32): ("exclude", None, ""),
        (16, 0): ("class", 3, "ada"), (16, 16): ("abandoned", None, "ada"), (16, 32): ("class", 2, "ada"),
    }  # fmt: skip
    label(other.folder, images / "a.tif", said)
    label(other.folder, images / "b.tif", {(0, 0): ("class", 2, "ada"), (16, 0): ("class", 1, "=bob")})
    with Store(other.store_path, read_only=True) as store:
        finish(export(load_project(other.folder), store, tmp_path / "out.csv", "csv"))
    found = bring(tmp_path / "out.csv", add_classes=True, images=None)
    assert (found.added, found.frames, found.classes) == (7, 2, ("=rings", "-fibres"))
    expected = labels_of(other.folder)
    assert len(expected) == 7
    imported = labels_of(folder)
    nobody = {place: (*rest, by or "imported") for place, (*rest, by) in expected.items()}
    assert imported == nobody
    assert bring(tmp_path / "out.csv", images=None).added == 0


def test_imported_labels_teach_their_class_and_no_effort(bring, folder):
    bring("frame,y,x,class,active_s\na.tif,0,16,rings,3.5\na.tif,0,32,fibres,3.5\n")
    project = load_project(folder)
    with Store(project.store_path, read_only=True) as store:
        answers = [*answers_of(project, store.presented(), None, (1, CROP, CROP))]
    assert [(each.class_index, each.effort, each.censored) for each in answers] == [(0, None, False), (1, None, False)]


def test_the_first_image_of_a_table_gives_the_project_its_channels(bring, folder, images):
    colours = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    tifffile.imwrite(images / "rgb.tif", colours, photometric="rgb")
    bring("frame,y,x,class\nrgb.tif,0,0,rings\n")
    project = load_project(folder)
    assert project.intake.rgb
    assert [each.name for each in project.channels] == ["red", "green", "blue"]
    with Store(project.store_path, read_only=True) as store:
        (answer,) = answers_of(project, store.presented(), None, (3, CROP, CROP))
    red, green, blue = answer.crop_C_H_W
    scale, offset = np.polyfit(colours[:CROP, :CROP, 0].ravel(), red.ravel(), 1)
    for at, channel in enumerate((red, green, blue)):  # one straight line for all three: no colour is shifted
        np.testing.assert_allclose(channel, colours[:CROP, :CROP, at] * scale + offset, atol=1e-5)


def test_a_crop_that_the_project_has_needs_no_image(bring, folder, images):
    label(folder, images / "a.tif", {(0, 16): ("class", 1, "ada")})
    (images / "a.tif").unlink()
    found = bring("frame,y,x,class\na.tif,0,16,fibres\n", images=None, replace_labels=True)
    assert (found.added, found.contradicting) == (0, 1)
    assert [kind_class[:2] for kind_class in labels_of(folder).values()] == [("class", "fibres")]
    with pytest.raises(ProjectError, match=r"row 2, column frame: 'a\.tif': the project has no crop of this frame"):
        bring("frame,y,x,class\na.tif,0,32,fibres\n", images=None)


@pytest.mark.parametrize("named", ["hash", "path", "name", "hash column"])
def test_a_frame_of_the_project_is_known_by_its_hash_its_path_or_its_name(bring, folder, images, named):
    label(folder, images / "a.tif", {(0, 16): ("class", 1, "ada")})
    with Store(load_project(folder).store_path, read_only=True) as store:
        (record,) = store.frames().values()
    frame = {"hash": record.content_hash, "path": record.source, "name": "a.tif", "hash column": "moved/c.tif"}[named]
    content_hash = record.content_hash if named == "hash column" else ""
    found = bring(f"frame,y,x,class,content_hash\n{frame},16,16,fibres,{content_hash}\n")
    assert (found.added, found.frames) == (1, 0)


def test_a_class_that_was_merged_stands_already(bring, folder, images):
    label(folder, images / "a.tif", {(0, 16): ("class", 1, "ada")})
    save_project(rename_class(merge_classes(load_project(folder), 1, 2), 2, "threads"))
    assert bring("frame,y,x,class\na.tif,0,16,rings\n").unchanged == 1
    assert bring("frame,y,x,class\na.tif,0,16,threads\n").unchanged == 1


def test_another_class_takes_the_labels_place_when_asked_and_can_be_undone(bring, folder, images):
    label(folder, images / "a.tif", {(0, 16): ("class", 1, "ada")})
    bring("frame,y,x,class,annotator\na.tif,0,16,fibres,ada\n", replace_labels=True)
    assert [each[1] for each in labels_of(folder).values()] == ["fibres"]
    with ProjectSession(folder, "ada") as session:
        session.undo()
    assert [each[1] for each in labels_of(folder).values()] == ["rings"]


def test_rows_that_contradict_labels_are_counted_and_change_nothing_unless_asked(bring, folder, images):
    label(folder, images / "a.tif", {(0, 0): ("class", 1, "ada"), (0, 16): ("class", 1, "ada")})
    rows = ["a.tif,0,0,fibres,class,ada", "a.tif,0,16,rings,class,ada", "a.tif,0,32,rings,class,ada"]
    table = "frame,y,x,class,kind,annotator\n" + "\n".join(rows) + "\n"
    found = bring(table)
    assert (found.added, found.unchanged, found.contradicting, found.replaced) == (1, 1, 1, False)
    assert [each[1] for each in labels_of(folder).values()] == ["rings", "rings", "rings"]
    found = bring(table, replace_labels=True)
    assert (found.added, found.unchanged, found.contradicting, found.replaced) == (0, 2, 1, True)
    assert sorted(each[1] for each in labels_of(folder).values()) == ["fibres", "rings", "rings"]


# paths


@pytest.fixture
def wells(tmp_path):
    """Return a folder with one folder a well, and an image called 001.tif in each."""
    folder = tmp_path / "plate"
    for number, well in enumerate("ab"):
        (folder / well).mkdir(parents=True)
        pixels = np.random.default_rng(number).integers(0, 2**16, (48, 64), dtype=np.uint16)
        tifffile.imwrite(folder / well / "001.tif", pixels)
    return folder


def wells_of(folder):
    """Return the class names of the labels in each well."""
    project = load_project(folder)
    with Store(project.store_path, read_only=True) as store:
        return {
            record.source.split("/")[-2]: [project.class_of(each.class_id).name for each in store.labels(at)]
            for at, record in store.frames().items()
        }


@pytest.mark.parametrize("where", ["absolute", "images", "backslashes", "table", "project", "watched", "above images"])
def test_a_path_means_the_file_on_disk_whatever_else_is_called_so(bring, folder, wells, tmp_path, where):
    label(folder, wells / "a" / "001.tif", {(0, 16): ("class", 1, "ada")})
    path = {"absolute": str(wells / "b" / "001.tif"), "table": "plate/b/001.tif", "backslashes": "b\\001.tif"}
    path["project"] = "../plate/b/001.tif"
    path["above images"] = "plate/b/001.tif"
    options = {"images": wells if where in ("images", "backslashes", "above images") else None}
    if where == "watched":
        save_project(replace(load_project(folder), intake=Intake(str(wells))))
    if where == "above images":
        path["above images"], options["images"] = "old/plate/b/001.tif", wells
    found = bring(f"frame,y,x,class\n{path.get(where, 'b/001.tif')},0,0,fibres\n", **options)
    assert (found.added, found.frames) == (1, 1)
    assert wells_of(folder) == {"a": ["rings"], "b": ["fibres"]}


def test_a_path_into_another_folder_never_labels_an_image_of_the_same_name(bring, folder, wells):
    label(folder, wells / "a" / "001.tif", {(0, 16): ("class", 1, "ada")})
    for path in ("c/001.tif", "D:\\scope\\c\\001.tif", "/gone/c/001.tif"):
        with pytest.raises(
            ProjectError, match=r"row 2, .* the only files with this name are \S+/a/001\.tif.* Correct the path"
        ):
            bring(f"frame,y,x,class\n{path},0,0,fibres\n", images=None)
    assert wells_of(folder) == {"a": ["rings"]}


def test_a_bare_name_that_fits_several_images_is_refused_and_they_are_listed(bring, folder, wells):
    label(folder, wells / "a" / "001.tif", {(0, 16): ("class", 1, "ada")})
    fits = r"'001\.tif': it fits several images: \S+/a/001\.tif, \S+/b/001\.tif\. Write their paths"
    with pytest.raises(ProjectError, match=fits):
        bring("frame,y,x,class\n001.tif,0,0,fibres\n", images=wells)
    label(folder, wells / "b" / "001.tif", {(0, 16): ("class", 1, "ada")})
    with pytest.raises(ProjectError, match=fits):
        bring("frame,y,x,class\n001.tif,0,0,fibres\n", images=None)


def test_the_longest_end_of_a_moved_path_says_which_image_and_is_told(bring, folder, wells):
    for well in "ab":
        label(folder, wells / well / "001.tif", {(0, 16): ("class", 1, "ada")})
    found = bring("frame,y,x,class\nD:\\scope\\plate\\b\\001.tif,0,0,fibres\n", images=None)
    assert wells_of(folder) == {"a": ["rings"], "b": ["rings", "fibres"]}
    why = "was not found. Its labels are now on"
    note = f"'D:\\scope\\plate\\b\\001.tif' {why} {wells}/b/001.tif, because both paths end in the same way."
    assert found.notes == (("labels.csv", note),)


def test_two_paths_that_contradict_each_other_never_mean_one_image(bring, folder, wells):
    (wells / "b" / "001.tif").unlink()
    rows = "D:\\scope\\c\\001.tif,0,0,rings\nD:\\scope\\d\\001.tif,0,16,rings\n"
    with pytest.raises(ProjectError, match=r"row 3, .*c.001\.tif' in an earlier row matches"):
        bring(f"frame,y,x,class\n{rows}", images=wells / "a")


# stacks


def planes_by_content(folder):
    with Store(load_project(folder).store_path, read_only=True) as store:
        return [record.planes for record in store.frames().values()]


def test_a_stack_is_cut_as_the_project_says(bring, folder):
    save_project(replace(load_project(folder), intake=Intake("", "max", "each")))
    bring("frame,y,x,class\nstack.tif,0,16,rings\n")
    assert planes_by_content(folder) == ["max z"]


def test_one_plane_of_many_has_to_be_named(bring, folder):
    save_project(replace(load_project(folder), intake=Intake("", "each", "each")))
    with pytest.raises(ProjectError, match=r"row 2, .* has 3 planes \('z 0', 'z 1', 'z 2' …\). Name one"):
        bring("frame,y,x,class\nstack.tif,0,16,rings\n")
    bring("frame,y,x,class,planes\nstack.tif,0,16,rings,z 1\n")
    assert planes_by_content(folder) == ["z 1"]


def test_a_frame_that_is_one_plane_of_a_file_is_not_meant_by_the_file_alone(bring, folder):
    save_project(replace(load_project(folder), intake=Intake("", "each", "each")))
    bring("frame,y,x,class,planes\nstack.tif,0,16,rings,z 1\n")
    with pytest.raises(ProjectError, match=r"the project has its plane 'z 1', but the table names no plane"):
        bring("frame,y,x,class\nstack.tif,0,32,rings\n")


def test_a_plane_is_found_by_its_content_however_the_project_cuts_stacks_today(bring, folder, images):
    content = frame_from_array(tifffile.imread(images / "stack.tif")[1][None], "CYX", None, "").content_hash
    bring(f"frame,y,x,class,content_hash\nstack.tif,0,16,rings,{content}\n")
    assert planes_by_content(folder) == ["z 1"]


def test_an_image_with_other_pixels_than_the_table_is_about_is_refused(bring):
    with pytest.raises(ProjectError, match="does not have the pixels or planes that the row names"):
        bring(f"frame,y,x,class,content_hash\na.tif,0,16,rings,{'0' * 64}\n")


def test_frames_of_one_name_have_to_be_told_apart(bring, folder, images, tmp_path):
    label(folder, images / "a.tif", {(0, 16): ("class", 1, "ada")})
    (tmp_path / "again").mkdir()
    (images / "b.tif").rename(tmp_path / "again" / "a.tif")
    label(folder, tmp_path / "again" / "a.tif", {(0, 16): ("class", 1, "ada")})
    with pytest.raises(ProjectError, match=r"it fits several images: \S+again/a\.tif, \S+images/a\.tif\. Write their"):
        bring("frame,y,x,class\na.tif,0,16,rings\n", images=None)
    found = bring("frame,y,x,class\nagain/a.tif,0,16,fibres\n", images=None, replace_labels=True)
    assert (found.contradicting, found.frames) == (1, 0)
    assert sorted(each[1] for each in labels_of(folder).values()) == ["fibres", "rings"]


# padding


def test_a_crop_that_is_completed_by_reflection_is_cut_as_the_grid_does(bring, folder, images):
    save_project(replace(load_project(folder), tiling=Tiling(20, 20, "pad")))
    bring("frame,y,x,class\na.tif,40,60,rings\n")
    image = tifffile.imread(images / "a.tif")[None]
    grid = tile((48, 64), 20, 20, "pad")
    with Store(load_project(folder).store_path, read_only=True) as store:
        np.testing.assert_array_equal(store.presented()[0].pixels_C_H_W, crop_at(image, grid, len(grid) - 1))


# what cannot be


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("a.tif,33,0,rings,", r"row 3, column y, x: no crop of 16 px begins at \(33, 0\): .* frame of 48 x 64 px"),
        ("a.tif,0,49,rings,", r"row 3, column y, x: no crop of 16 px begins at \(0, 49\)"),
        ("a.tif,0,8,rings,", r"row 3, column y, x: no crop of 16 px begins at \(0, 8\): .*crops of 16 px every 16 px"),
        ("a.tif,48,0,rings,", r"row 3, column y, x: no crop of 16 px begins at \(48, 0\)"),
        ("a.tif,0,0,rings,65", r"row 3, column y, x: no crop of 65 px begins at \(0, 0\)"),
        ("a.tif,0,0,rings,8", r"row 3, column y, x: no crop of 8 px begins at \(0, 0\)"),
        ("a.tif,1_6,0,rings,", r"row 3, column y: '1_6' is not a whole number"),
        (
            "c.tif,0,0,rings,",
            r"row 3, column frame: 'c.tif': the project has no crop of this frame, and there is no such file",
        ),
        (
            "n" * 300 + ",0,0,rings,",
            r"row 3, column frame: 'n+': the project has no crop of this frame, and there is no such file",
        ),
        ("a.tif,0,0,rods,", r"names classes that 'neurons' does not have: rods"),
        ("a.tif,16,16,fibres,", r"row 3, column class: row 2 gives another label for this crop"),
        ("notes.tif,0,0,rings,", r"row 3, column frame: 'notes.tif': .*is not a TIFF"),
        ("a.tif,zero,0,rings,", r"row 3, column y: 'zero' is not a whole number"),
    ],
)
def test_a_table_with_one_bad_row_changes_nothing_and_the_row_is_named(bring, folder, images, row, sentence):
    (images / "notes.tif").write_text("no image at all")
    before = kept_in(folder)
    with pytest.raises(ProjectError, match=sentence):
        bring(f"frame,y,x,class,side\na.tif,16,16,rings,\n{row}\n")
    assert kept_in(folder) == before


def test_padding_does_not_let_crops_lie_anywhere(bring, folder):
    save_project(replace(load_project(folder), tiling=Tiling(20, 20, "pad")))
    for place in ("41,60", "60,0", "40,100"):
        with pytest.raises(ProjectError, match="no crop of 20 px begins at"):
            bring(f"frame,y,x,class\na.tif,{place},rings\n")


def test_classes_are_added_only_when_every_row_is_good(bring, folder):
    with pytest.raises(ProjectError, match="no crop of 16 px"):
        bring("frame,y,x,class\na.tif,0,0,rods\na.tif,99,0,rods\n", add_classes=True)
    assert [each.name for each in load_project(folder).classes] == ["rings", "fibres"]
    assert bring("frame,y,x,class\na.tif,0,0,rods\n", add_classes=True).classes == ("rods",)
    assert [each.name for each in load_project(folder).classes] == ["rings", "fibres", "rods"]


def test_a_rehearsal_says_what_would_come_and_keeps_nothing(bring, folder):
    table = "frame,y,x,class\na.tif,0,16,rings\nb.tif,0,0,rods\n"
    before = kept_in(folder)
    tried = bring(table, add_classes=True, dry_run=True)
    assert (tried.added, tried.frames, tried.classes) == (2, 2, ("rods",))
    assert kept_in(folder) == before
    assert len(load_project(folder).classes) == 2
    assert bring(table, add_classes=True) == tried


def test_an_import_that_is_stopped_keeps_nothing(folder, images, tmp_path):
    (tmp_path / "labels.csv").write_text("frame,y,x,class\na.tif,0,16,rings\nb.tif,0,0,rings\n", "utf-8")
    with ProjectSession(folder) as session:
        job = import_labels(session, tmp_path / "labels.csv", images)
        assert next(job).done == 1
        job.close()
        assert session.store.labels() == []
        assert session.store.frames() == {}


def test_a_project_that_somebody_else_writes_to_takes_no_labels(bring, folder):
    with ProjectSession(folder), pytest.raises(ProjectError, match="open for reading only"):
        bring("frame,y,x,class\na.tif,0,16,rings\n")


def test_a_thousand_rows_come_in_at_once(bring, folder, tmp_path):
    save_project(replace(load_project(folder), tiling=Tiling(8, 1)))
    with (tmp_path / "many.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("frame", "y", "x", "class"), *(("a.tif", at // 50, at % 50, 1 + at % 2) for at in range(1000))]
        )
    assert bring(tmp_path / "many.csv").added == 1000
    with Store(load_project(folder).store_path, read_only=True) as store:
        assert store.label_counts() == {1: 500, 2: 500}
