"""The list of a project's frames: counts, states, pictures; and images that moved, found by their content."""

import json
import os
import shutil
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from costal.labels.project import Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord, FrameRecord
from costal.labels.store import Store
from costal.scoring.frame_planes import frames_of
from costal.scoring.job import score_prepared
from costal.scoring.prepare import ScoreRequest, prepare
from costal.types import Channel, finish
from costal.workbench import frames_list, last_frame, locating, thumbnails
from costal.workbench.frames_list import list_frames, places_of, with_places, worth_listing
from costal.workbench.last_frame import LastFrame, keep_last_frame
from costal.workbench.locating import locate, located_text
from costal.workbench.session import ProjectSession, recorded

SIDE = 48


def write(path: Path, seed: int, shape=(SIDE, SIDE)) -> Path:
    """Write an image whose pixels follow from the seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.random.default_rng(seed).integers(0, 4000, shape, np.uint16))
    return path


def place(project, path: Path, labels=()) -> int:
    """Put an image into a project, with the classes of its first crops (None: skipped)."""
    with ProjectSession(project.folder, "tester") as session:
        _, frames = frames_of(project, str(path))
        stored = session.place(recorded(next(iter(frames))))
        for at, class_id in enumerate(labels):
            kind = "skip" if class_id is None else "class"
            pixels = np.zeros((1, 16, 16), np.uint8)
            session.answer(AnswerRecord(stored.id, 0, 16 * at, pixels, kind, class_id, "tester", ()))
    return stored.id


def score(project, path: Path):
    _, frames = frames_of(project, str(path))
    return finish(score_prepared(prepare(ScoreRequest(project, next(iter(frames)), device="cpu"))))


def states(project):
    return {each.name: each.states for each in with_places(list_frames(project))}


def lost(project):
    return [each for each in with_places(list_frames(project)) if each.place in frames_list.LOST]


@pytest.fixture
def day(tmp_path):
    """Return a folder with a project of 16 px crops in it."""
    project = create_project(tmp_path / "day" / "project", ("a", "b"))
    save_project(replace(project, tiling=Tiling(16, 16)))
    return tmp_path / "day"


@pytest.fixture
def plain(day):
    return load_project(day / "project")


def test_a_frame_is_listed_with_its_labels_by_the_classes_of_today(day, plain):
    place(plain, write(day / "one.tif", 1), [1, 1, 2])
    place(plain, write(day / "two.tif", 2), [None])
    place(plain, write(day / "three.tif", 3))
    first, second = plain.classes
    merged = replace(plain, classes=(first, replace(second, merged_into=first.id)))
    listed = {each.name: each for each in list_frames(merged)}
    assert list(listed) == ["three.tif", "two.tif", "one.tif"]
    assert (dict(listed["one.tif"].labels), listed["one.tif"].unclassified) == ({1: 3}, 0)
    assert (dict(listed["two.tif"].labels), listed["two.tif"].unclassified) == ({}, 1)
    assert states(merged) == {"three.tif": (), "two.tif": ("labelled",), "one.tif": ("labelled",)}


def test_what_a_model_predicted_is_counted_and_outdated_by_the_next_model(project, tmp_path):
    image = write(tmp_path / "one.tif", 1)
    place(project, image)
    scores = score(project, image)
    counts = np.bincount(scores.scores.probs_N_K.argmax(axis=1), minlength=2)
    (listed,) = list_frames(project)
    assert {**{1: 0, 2: 0}, **listed.predicted} == {1: counts[0], 2: counts[1]}
    assert counts.sum() == 9
    assert (listed.generation, listed.states) == (1, ("scored",))
    for each in list(project.model_folder.iterdir()):
        shutil.copy(each, each.with_name(each.name.replace("1", "2", 1)))
    assert [each.states for each in list_frames(project)] == [("outdated",)]


def test_frames_that_are_not_the_project_s_leave_nothing_behind(project, tmp_path):
    score(project, write(tmp_path / "other.tif", 5))
    assert not (project.scores_folder / "frames").exists()


def test_a_damaged_summary_counts_as_not_scored(project, tmp_path):
    image = write(tmp_path / "one.tif", 1)
    place(project, image)
    score(project, image)
    (summary,) = (project.scores_folder / "frames").iterdir()
    summary.write_bytes(summary.read_bytes()[:20])
    assert [each.states for each in list_frames(project)] == [()]


def test_an_image_that_is_gone_is_missing_and_a_layer_is_only_in_a_window(day, plain):
    place(plain, write(day / "one.tif", 1), [1])
    with Store(plain.store_path) as store:
        store.add_frame(FrameRecord("x", "all", "layer:field", 32, 32, None, (0.0,), (1.0,)))
        store.add_frame(FrameRecord("y", "z 3", "s3://bucket/field.zarr", 32, 32, None, (0.0,), (1.0,)))
    os.remove(day / "one.tif")
    assert states(plain) == {
        "field.zarr  z 3": (),
        "field": ("unsaved layer",),
        "one.tif": ("labelled", "missing"),
    }


def test_a_file_in_another_case_is_not_there_where_the_system_tells_them_apart(day):
    write(day / "one.tif", 1)
    same = os.path.normcase("A") == os.path.normcase("a")
    source = str(day / "ONE.tif")
    assert places_of([source]) == {source: "there" if same else "missing"}


def test_a_drive_that_does_not_answer_blocks_nothing(tmp_path, monkeypatch):
    answers = threading.Event()
    real = frames_list._listed

    def listed(folder):
        if folder.name == "dead":
            answers.wait(30)
        return real(folder)

    monkeypatch.setattr(frames_list, "_listed", listed)
    dead, there = str(tmp_path / "dead" / "a.tif"), str(write(tmp_path / "here" / "b.tif", 1))
    before = time.monotonic()
    assert places_of([dead, there], wait_s=0.3) == {dead: "offline", there: "there"}
    assert time.monotonic() - before < 5
    answers.set()


def test_project_and_images_moved_together_are_found_without_a_search(day, plain):
    place(plain, write(day / "images" / "one.tif", 1), [1])
    place(plain, write(day / "project" / "acquired" / "two.tif", 2))
    moved = day.rename(day.with_name("elsewhere"))
    project = load_project(moved / "project")
    assert states(project) == {"two.tif": (), "one.tif": ("labelled",)}
    assert {each.record.source for each in list_frames(project)} == {
        str(moved / "images" / "one.tif"),
        str(moved / "project" / "acquired" / "two.tif"),
    }


def test_a_moved_and_renamed_image_is_found_by_its_content(day, plain, tmp_path):
    known = place(plain, write(day / "one.tif", 1), [1])
    (tmp_path / "archive" / "deep").mkdir(parents=True)
    target = (day / "one.tif").rename(tmp_path / "archive" / "deep" / "renamed.tif")
    write(tmp_path / "archive" / "another.tif", 9)
    located = finish(locate(plain, lost(plain), tmp_path / "archive"))
    assert located.sources == {known: str(target)}
    with ProjectSession(plain.folder) as session:
        session.move_frames(located.sources)
    assert states(plain) == {"renamed.tif": ("labelled",)}


def test_another_image_of_the_same_name_is_refused(day, plain, tmp_path):
    place(plain, write(day / "one.tif", 1), [1])
    os.remove(day / "one.tif")
    other = write(tmp_path / "archive" / "one.tif", 2)
    located = finish(locate(plain, lost(plain), other))
    assert (located.sources, located.others) == ({}, (str(other),))
    assert located_text(located) == (
        f"Found 0 of 1 images by their content. Not used: {other} (the name of a missing image, but other pixels). "
        "one.tif is still missing."
    )


def test_planes_and_channels_of_a_stack_are_found_in_it(day, plain, tmp_path):
    stack = np.random.default_rng(0).integers(0, 4000, (3, 2, SIDE, SIDE), np.uint16)
    tifffile.imwrite(day / "stack.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    settings = replace(plain, channels=(Channel(1),), intake=replace(plain.intake, z="each"))
    with ProjectSession(plain.folder) as session:
        ids = [session.place(recorded(each)).id for each in frames_of(settings, str(day / "stack.tif"))[1]]
        projected = replace(settings, intake=replace(plain.intake, z="max"))
        ids += [session.place(recorded(each)).id for each in frames_of(projected, str(day / "stack.tif"))[1]]
    assert len(ids) == 4
    target = (day / "stack.tif").rename(tmp_path / "moved.tif")
    assert finish(locate(plain, lost(plain), target)).sources == dict.fromkeys(ids, str(target))


def test_a_frame_of_a_window_is_found_in_the_file_that_was_saved_of_it(plain, tmp_path):
    path = write(tmp_path / "saved.tif", 4)
    record = recorded(next(iter(frames_of(plain, str(path))[1])))
    with Store(plain.store_path) as store:
        known = store.add_frame(replace(record, source="layer:field"))
    assert finish(locate(plain, lost(plain), path)).sources == {known: str(path)}


def test_damaged_images_on_the_way_are_counted(day, plain, tmp_path):
    place(plain, write(day / "one.tif", 1))
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "broken.tif").write_bytes(b"II*\0 no image")
    (day / "one.tif").rename(tmp_path / "archive" / "one.tif")
    located = finish(locate(plain, lost(plain), tmp_path / "archive"))
    assert (len(located.sources), len(located.unreadable)) == (1, 0), "the file of that name is looked into first"
    located = finish(locate(plain, lost(plain), tmp_path / "archive" / "broken.tif"))
    assert (len(located.sources), len(located.unreadable)) == (0, 1)


def test_only_images_of_the_size_of_a_missing_one_are_read(day, plain, tmp_path, monkeypatch):
    place(plain, write(day / "one.tif", 1))
    (tmp_path / "archive").mkdir()
    (day / "one.tif").rename(tmp_path / "archive" / "z.tif")
    write(tmp_path / "archive" / "a.tif", 2, (64, 64))
    read = []
    real = locating.content_hash
    monkeypatch.setattr(
        locating, "content_hash", lambda frame, planes: read.append(frame.source) or real(frame, planes)
    )
    assert len(finish(locate(plain, lost(plain), tmp_path / "archive")).sources) == 1
    assert [Path(each).name for each in read] == ["z.tif"]


def test_two_thousand_frames_are_listed_soon(day, plain):
    with Store(plain.store_path) as store, store.together():
        for at in range(2000):
            store.add_frame(
                FrameRecord(f"{at:064}", "all", str(day / "images" / f"{at}.tif"), 32, 32, None, (0.0,), (1.0,))
            )
    before = time.monotonic()
    listed = with_places(list_frames(plain))
    assert [each.name for each in listed[:2]] == ["1999.tif", "1998.tif"]
    assert len(listed) == 2000
    assert {each.states for each in listed} == {("missing",)}
    assert time.monotonic() - before < 3


def test_planes_that_were_only_looked_at_are_not_listed(day, plain):
    stack = np.random.default_rng(0).integers(0, 99, (3, SIDE, SIDE), np.uint16)
    tifffile.imwrite(day / "stack.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    settings = replace(plain, intake=replace(plain.intake, z="each"))
    with ProjectSession(plain.folder, "tester") as session:
        first, second, third = (
            session.place(recorded(each)).id for each in frames_of(settings, str(day / "stack.tif"))[1]
        )
    assert [each.id for each in worth_listing(list_frames(plain))] == [third]
    with ProjectSession(plain.folder, "tester") as session:
        session.answer(AnswerRecord(first, 0, 0, np.zeros((1, 16, 16), np.uint8), "class", 1, "tester", ()))
    assert [each.id for each in worth_listing(list_frames(plain))] == [first]
    assert [each.id for each in worth_listing(list_frames(plain), current=second)] == [second, first]


# Pictures


def test_a_picture_is_kept_and_shown_when_the_image_is_gone(day, plain):
    place(plain, write(day / "one.tif", 1))
    (listed,) = list_frames(plain)
    made = thumbnails.thumbnail_of(plain, listed.record)
    assert made.shape == (SIDE, SIDE, 3)
    os.remove(day / "one.tif")
    assert np.array_equal(thumbnails.thumbnail_of(plain, listed.record), made)
    shutil.rmtree(plain.folder / "thumbnails")
    assert thumbnails.thumbnail_of(plain, listed.record) is None


def test_a_damaged_picture_is_made_anew(day, plain):
    place(plain, write(day / "one.tif", 1))
    (listed,) = list_frames(plain)
    made = thumbnails.thumbnail_of(plain, listed.record)
    (kept,) = (plain.folder / "thumbnails").iterdir()
    kept.write_bytes(kept.read_bytes()[:30])
    assert np.array_equal(thumbnails.thumbnail_of(plain, listed.record), made)


def test_no_picture_is_made_of_another_image_in_the_frame_s_place(day, plain):
    place(plain, write(day / "one.tif", 1))
    (listed,) = list_frames(plain)
    write(day / "one.tif", 1, (64, 64))
    assert thumbnails.thumbnail_of(plain, listed.record) is None


def test_a_project_that_is_written_elsewhere_gets_no_pictures_and_none_is_lost(day, plain):
    place(plain, write(day / "one.tif", 1))
    (listed,) = list_frames(plain)
    (plain.folder / "writer.json").write_text(
        json.dumps({"user": "u", "host": "another", "pid": 1, "since": "now"}), "utf-8"
    )
    assert thumbnails.thumbnail_of(plain, listed.record).shape == (SIDE, SIDE, 3)
    assert not (plain.folder / "thumbnails").exists()


# The last frame


def test_the_last_frame_is_read_back_as_it_was_kept(tmp_path):
    last = LastFrame("c" * 64, "the slice shown", {"Z": 3}, (10.5, 20.0), 2.5, ((0.0, 100.0), (5.5, 7.0)))
    keep_last_frame(tmp_path, last)
    assert last_frame.last_frame(tmp_path) == last


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"content_hash": "c", "steps": 3}', '{"content_hash": "c", "zoom": "x"}']
)
def test_a_damaged_last_frame_counts_as_none(tmp_path, text):
    (tmp_path / last_frame.FILE).write_text(text, "utf-8")
    assert last_frame.last_frame(tmp_path) is None


def test_where_nothing_can_be_written_the_last_frame_is_not_kept(tmp_path):
    keep_last_frame(tmp_path / "gone", LastFrame("c"))
    assert last_frame.last_frame(tmp_path / "gone") is None


# The command line


def test_the_command_line_lists_frames_and_locates_them(costal, day, plain, tmp_path):
    place(plain, write(day / "one.tif", 1), [1, 1, 2])
    (tmp_path / "archive").mkdir()
    (day / "one.tif").rename(tmp_path / "archive" / "moved.tif")
    code, out, _ = costal("project", "frames", plain.folder)
    assert (code, out) == (0, "project: 1 frame\n  one.tif: labelled, missing\n    labels: 2 a, 1 b\n")
    code, _, err = costal("project", "locate", plain.folder, day)
    assert code == 1
    assert "There is no TIFF, PNG, JPEG or OME-Zarr image" in err
    write(day / "other.tif", 3)
    code, _, err = costal("project", "locate", plain.folder, day)
    assert (code, "Found 0 of 1 images by their content. one.tif is still missing." in err) == (1, True)
    code, out, _ = costal("project", "locate", plain.folder, tmp_path / "archive")
    assert (code, out) == (0, "Found 1 of 1 images by their content.\n")
    code, out, _ = costal("project", "frames", plain.folder, "--json")
    (frame,) = json.loads(out)["frames"]
    assert (frame["frame"], frame["states"], frame["labels"]) == (
        str(tmp_path / "archive" / "moved.tif"),
        ["labelled"],
        {"a": 2, "b": 1},
    )


def test_a_project_that_may_not_be_written_is_listed(costal, day, plain):
    place(plain, write(day / "one.tif", 1), [1])
    with closing(ProjectSession(plain.folder)):
        assert [each.states for each in with_places(list_frames(plain))] == [("labelled",)]
