"""*Apply classifier*: the chosen crop becomes a label, through *Label crops* where the project is open there."""

from dataclasses import replace

import pytest
from qtpy.QtCore import Qt

from costal.labels.project_file import load_project, save_project
from costal.labels.store import Store
from costal.workbench.session import ProjectSession
from napari_costal.label_crops.widget import LabelCrops
from tests.plugin.apply.test_apply import CROP, classify, dock, engine, field, project, viewer  # noqa: F401


@pytest.fixture
def applied(viewer, dock, engine, field, project, qtbot):  # noqa: F811
    choices = replace(project.choices, control_share=0.0)
    save_project(replace(load_project(project.folder), choices=choices))
    viewer.add_image(field.pixels_Y_X)
    classify(dock, engine, qtbot)
    return dock


def choose(dock, row=0):  # noqa: F811
    """Choose a crop in the table and another class than was predicted; return crop and class id."""
    dock.uncertain.selectRow(row)
    crop = dock.uncertain._crops[row]
    classes = dock.correcting.classes
    classes.setCurrentIndex((classes.findData(crop.class_id) + 1) % classes.count())
    return crop, classes.currentData()


def keep(dock, qtbot, until):  # noqa: F811
    qtbot.mouseClick(dock.correcting.keep_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(until, timeout=10_000)


def labels(project):  # noqa: F811
    with Store(project.store_path, read_only=True) as store:
        return [(each.y, each.x, each.side, each.class_id, each.given) for each in store.labels()]


def test_nothing_can_be_kept_before_a_crop_is_chosen(applied):
    assert not applied.correcting.keep_button.isEnabled()
    crop, _ = choose(applied)
    assert applied.correcting.keep_button.isEnabled()
    applied.correcting.choose(crop)
    assert applied.correcting.classes.currentData() == crop.class_id, "the predicted class is selected first"


def test_a_corrected_crop_is_a_label_of_the_project(applied, project, qtbot):  # noqa: F811
    crop, class_id = choose(applied)
    keep(applied, qtbot, lambda: "is labelled" in applied.status.text())
    assert labels(project) == [(crop.y, crop.x, CROP, class_id, "single")]


def test_while_another_program_writes_nothing_is_kept_and_that_is_said(applied, project, qtbot):  # noqa: F811
    with ProjectSession(project.folder, "ben"):
        choose(applied)
        keep(applied, qtbot, lambda: "open for reading only" in applied.status.text())
    assert labels(project) == []


def test_label_crops_shows_a_label_that_was_given_here(applied, viewer, project, chosen, qtbot):  # noqa: F811
    labels_dock = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(labels_dock, name="Label crops")
    labels_dock.session.open(project.folder)
    qtbot.waitUntil(lambda: labels_dock.frame.loaded is not None, timeout=20_000)
    crop, class_id = choose(applied)
    keep(applied, qtbot, lambda: len(labels_dock.frame.labels) == 1)
    (index,) = labels_dock.frame.labels
    assert labels_dock.frame.grid.origin(index) == (crop.y, crop.x)
    assert labels_dock.frame.labels[index].class_id == class_id
    labels_dock.labelling.undo()
    qtbot.waitUntil(lambda: labels_dock.frame.labels == {}, timeout=10_000)
    labels_dock.close()


def test_a_chosen_crop_is_opened_in_label_crops(applied, viewer, project, chosen, qtbot):  # noqa: F811
    labels_dock = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(labels_dock, name="Label crops")
    labels_dock.session.open(project.folder)
    qtbot.waitUntil(lambda: labels_dock.frame.loaded is not None, timeout=20_000)
    crop, _ = choose(applied, 3)
    qtbot.mouseClick(applied.correcting.open_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: labels_dock.labelling.current is not None, timeout=20_000)
    assert labels_dock.frame.grid.origin(labels_dock.labelling.current.index) == (crop.y, crop.x)
    labels_dock.close()
