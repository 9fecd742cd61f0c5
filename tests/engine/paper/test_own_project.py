from dataclasses import replace

import numpy as np
import pytest

from costal.errors import DatasetError, ProjectError
from costal.frames.grid import crop_at
from costal.frames.normalise import intensity_range, normalise
from costal.frames.read import Planes, frame_from_array
from costal.frames.simulate import CLASS_NAMES, simulate_field
from costal.labels.classes import merge_classes, new_class
from costal.labels.effort import Event, EventKind, PauseReason
from costal.labels.project import Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord
from costal.paper.datasets import load_dataset
from costal.paper.sources import initial_indices
from costal.scoring.frame_planes import frame_of
from costal.workbench.session import ProjectSession, recorded

ALL = Planes(None, None, None)

CROP = 16
S = 1_000_000_000


@pytest.fixture(scope="module")
def field():
    return simulate_field((128, 128), CROP, seed=1)


@pytest.fixture
def folder(tmp_path, field):
    """Return a project of which all 64 crops of a field are labelled, crop i within 1 + i / 10 seconds."""
    project = create_project(tmp_path / "neurons", CLASS_NAMES)
    save_project(replace(project, tiling=Tiling(CROP, CROP)))
    with ProjectSession(project.folder, "ada") as session:
        for index in range(64):
            give(session, field, index, 1 + index / 10)
    return project.folder


def answer(folder, field, index, seconds, **rest):
    with ProjectSession(folder, "ada") as session:
        give(session, field, index, seconds, **rest)


def give(session, field, index, seconds, class_id=None, kind="class", pause=None, crop=CROP):
    end = {"class": EventKind.ANSWERED, "skip": EventKind.SKIPPED}[kind]
    ends = round(seconds * S)
    between = (Event(EventKind.PAUSED, 0, 0, pause), Event(EventKind.RESUMED, ends, ends, pause)) if pause else ()
    events = (Event(EventKind.SHOWN, 0, 0), *between, Event(end, ends, ends))
    if kind == "class" and class_id is None:
        class_id = 1 + int(field.classes_N[index])
    frame = frame_from_array(field.pixels_Y_X[np.newaxis], "CYX", field.pixel_um, "a field")
    stored = session.place(recorded(frame_of(frame, ALL)))
    y, x = field.grid.origin(index)
    pixels = crop_at(frame.pixels, field.grid, index)[:, :crop, :crop]
    session.answer(AnswerRecord(stored.id, y, x, pixels, kind, class_id, "ada", events))


def all_efforts(dataset):
    return sorted(np.round(dataset.effort(np.arange(dataset.train_size), 0, 0), 3).tolist())


def test_crops_classes_and_efforts_are_those_of_the_project(folder, field):
    dataset = load_dataset(str(folder))
    assert (dataset.name, dataset.class_names, dataset.effort_unit) == ("neurons", CLASS_NAMES, "s")
    rows = np.arange(dataset.train_size)
    crops, classes = dataset.take(rows)
    plane = field.pixels_Y_X[np.newaxis]
    for crop, each, seconds in zip(crops, classes, dataset.effort(rows, 0, 0), strict=True):
        index = round((float(seconds) - 1) * 10)
        assert each == field.classes_N[index]
        np.testing.assert_array_equal(crop, normalise(crop_at(plane, field.grid, index), intensity_range(plane)))


def test_a_quarter_of_each_class_is_for_tests(folder, field):
    dataset = load_dataset(str(folder))
    counts = np.bincount(field.classes_N)
    assert np.bincount(dataset.test()[1]).tolist() == (counts // 4).tolist()
    assert dataset.train_size == 64 - (counts // 4).sum()
    assert len(initial_indices(dataset, 0, 0)) == 8


def test_labels_without_a_usable_effort_are_left_out_and_counted(folder, field):
    whole = load_dataset(str(folder))
    answer(folder, field, 0, 100.0)  # beyond the idle limit: at least so long
    answer(folder, field, 1, 5.0, pause=PauseReason.SUSPEND)
    answer(folder, field, 2, 5.0, kind="skip")
    dataset = load_dataset(str(folder))
    assert dataset.notes[1:] == ("2 of 63 labels were left out: they have no usable effort.",)
    assert dataset.train_size + len(dataset.test()[1]) == 61
    assert dataset.fingerprint != whole.fingerprint
    assert whole.notes[1:] == ()


def test_a_corrected_label_counts_once_with_its_own_effort(folder, field):
    answer(folder, field, 0, 9.5, class_id=1)
    dataset = load_dataset(str(folder))
    assert dataset.train_size + len(dataset.test()[1]) == 64
    assert 1.0 not in all_efforts(dataset)


def test_merged_classes_count_as_one(folder, field):
    project = load_project(folder)
    save_project(merge_classes(project, 2, 1))
    dataset = load_dataset(str(folder))
    assert len(dataset.class_names) == 3
    rows = dataset.classes(np.arange(dataset.train_size))
    assert np.bincount(rows).min() > 0


def test_crops_of_another_size_than_the_projects_are_left_out_whichever_came_last(folder, field):
    answer(folder, field, 0, 3.0, crop=12)
    dataset = load_dataset(str(folder))
    assert dataset.notes[1:] == ("1 of 65 labels were left out: their crops are 12 px, the project's are 16 px.",)
    assert dataset.crop_shape == (1, CROP, CROP)
    assert dataset.train_size + len(dataset.test()[1]) == 64


def test_a_project_whose_labels_are_all_of_an_old_crop_size_is_refused_with_the_reason(folder):
    save_project(replace(load_project(folder), tiling=Tiling(24, 24)))
    with pytest.raises(
        DatasetError, match="64 of 64 labels were left out: their crops are 16 px, the project's are 24"
    ):
        load_dataset(str(folder))


def test_a_class_without_labels_is_refused_by_name(folder):
    save_project(new_class(load_project(folder), "astrocytes"))
    with pytest.raises(DatasetError, match="neurons has fewer than 2 crops to draw from in: astrocytes"):
        load_dataset(str(folder))


def test_a_project_without_labels_is_refused(tmp_path):
    folder = create_project(tmp_path / "empty").folder
    with pytest.raises(DatasetError, match="has 0 labels and none with a measured effort"):
        load_dataset(str(folder))


def test_a_broken_project_is_refused_in_its_own_words(folder):
    (folder / "project.toml").write_text("[", "utf-8")
    with pytest.raises(ProjectError, match="is broken"):
        load_dataset(str(folder))


def test_reading_a_project_leaves_it_as_it_was_even_while_it_is_open(folder):
    with ProjectSession(folder, "grace"):
        before = (folder / "labels.sqlite").read_bytes()
        load_dataset(str(folder))
        assert (folder / "labels.sqlite").read_bytes() == before
