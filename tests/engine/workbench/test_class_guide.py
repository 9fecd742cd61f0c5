"""What a class looks like: crops that stand, were given singly and surely, chosen ones first, then the typical ones."""

from dataclasses import replace

import numpy as np
import pytest

from costal.frames.normalise import IntensityRange
from costal.labels.classes import illustrate_class, merge_classes, retire_class
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord, CropLabel, FrameRecord
from costal.labels.store import Store
from costal.workbench.class_guide import Example, most_typical, read_guide

NOISE = np.random.default_rng(0).normal(0, 1, (1, 8, 8))


@pytest.fixture
def project(tmp_path):
    return create_project(tmp_path / "neurons", ("soma", "axon"))


def label(project, brightness, class_id=1, channels=1, **how):
    """Label a crop of this brightness and return the label's id."""
    pixels = np.repeat(np.float32(brightness) + NOISE.astype(np.float32), channels, axis=0)
    with Store(project.store_path) as store:
        frame = FrameRecord(
            f"hash {channels}", "all", "field.tif", 999, 999, None, (0.0,) * channels, (10.0,) * channels
        )
        at = store.row_count("crop")
        return store.answer(
            AnswerRecord(store.add_frame(frame), 0, 8 * at, pixels, "class", class_id, "ada", (), **how)
        )


def shown(project, class_id=1):
    found = next(each for each in read_guide(project) if each.label_class.id == class_id)
    return [each.label.label_id for each in found.shown]


def example(level, rough=0.0):
    pixels = np.full((1, 4, 4), level, np.float32)
    pixels[:, :, ::2] += rough
    return Example(CropLabel(1, 1, 0, 0, 4, 1), pixels, IntensityRange((0.0,), (1.0,)))


def test_the_most_typical_crops_are_those_of_medium_brightness():
    crops = [example(level) for level in (0.0, 0.5, 0.4, 0.9, 0.45)]
    assert most_typical(crops, 3) == [4, 2, 1]


def test_a_rough_crop_is_not_typical_of_smooth_ones():
    crops = [example(0.5), example(0.5), example(0.4, rough=0.2), example(0.5)]
    assert most_typical(crops, 3) == [0, 1, 3]


def test_there_are_at_most_six_examples(project):
    for brightness in range(9):
        label(project, brightness)
    assert len(shown(project)) == 6


def test_only_single_labels_that_are_sure_and_stand_are_examples(project):
    good = label(project, 1)
    label(project, 1, given="bulk")
    label(project, 1, given="accepted")
    label(project, 1, unsure=True)
    with Store(project.store_path) as store:
        store.undo(store.labels()[-1].label_id)
    gone = label(project, 1)
    with Store(project.store_path) as store:
        store.undo(gone)
    assert shown(project) == [good]


def test_chosen_crops_come_first_in_their_order_and_typical_ones_after_them(project):
    ids = [label(project, brightness) for brightness in (5, 5, 0, 5, 9)]
    project = illustrate_class(project, 1, [ids[4], ids[2]])
    assert shown(project)[:2] == [ids[4], ids[2]]
    assert sorted(shown(project)[2:]) == [ids[0], ids[1], ids[3]]


def test_a_chosen_crop_that_is_no_longer_of_the_class_is_left_out(project):
    first, second = label(project, 1), label(project, 2)
    project = illustrate_class(project, 1, [first, second])
    with Store(project.store_path) as store:
        store.undo(first)
    assert shown(project) == [second]


def test_chosen_crops_are_kept_in_the_project_file_and_a_seventh_is_not(project):
    save_project(illustrate_class(project, 2, range(1, 9)))
    assert [each.examples for each in load_project(project.folder).classes] == [(), (1, 2, 3, 4, 5, 6)]


def test_merged_classes_lend_their_crops_and_retired_ones_are_not_shown(project):
    ids = [label(project, 1, 1), label(project, 1, 2)]
    assert sorted(shown(merge_classes(project, 2, 1))) == ids
    assert [each.label_class.id for each in read_guide(retire_class(project, 2))] == [1]


def test_crops_of_other_channels_than_the_newest_are_left_out(project):
    label(project, 1)
    newest = label(project, 1, channels=3)
    assert shown(project) == [newest]


def test_a_project_without_labels_has_classes_without_examples(project):
    assert [(each.label_class.name, each.shown) for each in read_guide(project)] == [("soma", ()), ("axon", ())]


def test_the_range_is_that_of_the_crops_frame(project):
    label(project, 1)
    (soma, _) = read_guide(replace(project))
    assert soma.shown[0].limits == IntensityRange((0.0,), (10.0,))
