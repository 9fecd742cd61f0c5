"""Axes of files in the window: a guess is said, and what is typed holds for the file and is remembered by its kind."""

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from costal.labels.project_file import load_project
from napari_costal.canvas.overlays import is_ours
from napari_costal.label_crops.widget import LabelCrops

PIXELS = np.random.default_rng(0).integers(1, 4000, (6, 96, 96)).astype(np.uint16)


@pytest.fixture
def image(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="minisblack")
    return tmp_path / "a.tif"


@pytest.fixture
def dock(make_napari_viewer, chosen, qtbot):
    viewer = make_napari_viewer()
    widget = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(widget, name="Label crops")
    yield widget
    widget.close()


def opened(dock, qtbot, path):
    before = len(frames(dock))
    dock.open_image(path)
    qtbot.waitUntil(lambda: len(frames(dock)) > before, timeout=20_000)
    qtbot.wait(500)
    return frames(dock)[-1]


def frames(dock):
    return [layer for layer in dock._viewer.layers if not is_ours(layer)]


def test_the_window_says_that_axes_were_guessed(dock, image, qtbot):
    layer = opened(dock, qtbot, image)
    assert layer.axis_labels == ("T", "Y", "X")
    assert "Axis 0 (length 6) has no name in the file; it was read as T." in dock.status.text()


def test_axes_that_are_typed_hold_for_the_next_image_and_are_kept_in_the_project(dock, image, qtbot, tmp_path):
    dock.session.make(tmp_path / "p")
    qtbot.waitUntil(lambda: dock.session.project is not None, timeout=20_000)
    dock.setup.axes.value = "zyx"
    assert opened(dock, qtbot, image).axis_labels == ("Z", "Y", "X")
    assert dock.setup.axes.value == ""
    qtbot.waitUntil(lambda: dict(load_project(tmp_path / "p").axes) == {".tif QYX": "ZYX"}, timeout=20_000)
    assert opened(dock, qtbot, image).axis_labels == ("Z", "Y", "X")


def test_axes_that_are_typed_for_the_image_shown_hold_from_then_on_and_in_the_project_made_later(
    dock, image, qtbot, tmp_path
):
    opened(dock, qtbot, image)
    dock.setup.axes.native.setText("ZYX")
    qtbot.keyClick(dock.setup.axes.native, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "Open the image again" in dock.status.text(), timeout=20_000)
    assert opened(dock, qtbot, image).axis_labels == ("Z", "Y", "X")
    done = []
    dock.start_project(lambda: done.append(True))
    qtbot.waitUntil(lambda: bool(done), timeout=20_000)
    assert dict(load_project(dock.session.project.folder).axes) == {".tif QYX": "ZYX"}


def test_axes_that_do_not_fit_are_refused_on_the_screen(dock, image, qtbot):
    dock.setup.axes.value = "ZCYX"
    dock.open_image(image)
    qtbot.waitUntil(lambda: "cannot have the axes ZCYX" in dock.status.text(), timeout=20_000)
    assert frames(dock) == []
