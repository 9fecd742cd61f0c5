"""The watched folder in the dock: what arrived, in which order, scored in the background, opened by a click."""

import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from costal.frames.microscope import acquire, truth_of
from costal.frames.read import Planes
from costal.types import Arrival, Stamp, finish
from costal.workbench.arrivals import FramePriority
from napari_costal.label_crops.arrivals_part import ArrivalsModel, ArrivalsPart
from napari_costal.label_crops.intake import Intake
from napari_costal.label_crops.widget import LabelCrops


def arrival(path, mtime=1, state="ready", content="a", reason=""):
    return Arrival(path, Stamp(10, mtime), state, reason, content)


def offer(value=None, answered=0, content="a", description="all"):
    return FramePriority(Planes(), description, content, 64, answered, value, None if value is None else 90.0, 1)


def texts(model):
    return [tuple(row.text(column) for column in range(4)) for row in model.rows]


@pytest.fixture
def model(qapp):
    return ArrivalsModel()


def test_the_newest_file_stands_first(model):
    model.arrived([arrival("old.tif", 1), arrival("new.tif", 2)])
    assert [row.arrival.path for row in model.rows] == ["new.tif", "old.tif"]


def test_what_a_row_says_follows_the_file(model):
    model.arrived([arrival("a.tif", state="pending", reason="2 of 6 planes are missing.")])
    assert texts(model) == [("a.tif", "pending", "", "")]
    assert model.data(model.index(0, 0), Qt.ItemDataRole.ToolTipRole) == "2 of 6 planes are missing."
    model.arrived([arrival("a.tif")])
    assert texts(model) == [("a.tif", "ready", "", "")]
    model.offered("a.tif", (offer(3.21, description="z 0"), offer(1.0, 5, description="z 1")))
    assert texts(model) == [("a.tif  z 0", "64 crops", "3.2", "1.5"), ("a.tif  z 1", "5 of 64", "1", "1.5")]
    model.arrived([arrival("a.tif", state="gone")])
    assert texts(model) == []


def test_a_file_with_other_pixels_is_offered_anew(model):
    model.arrived([arrival("a.tif", content="a")])
    model.offered("a.tif", (offer(3.0),))
    model.arrived([arrival("a.tif", content="b")])
    assert model.rows[0].offer is None


def test_duplicates_are_not_listed(model):
    model.arrived([arrival("a.tif"), arrival("b.tif", state="duplicate")])
    assert [row.arrival.path for row in model.rows] == ["a.tif"]


def test_answers_are_counted_in_the_row_of_their_frame(model):
    model.arrived([arrival("a.tif")])
    model.offered("a.tif", (offer(content="x", description="z 0"), offer(content="y", description="z 1")))
    model.answered("y", 7)
    assert [row.state for row in model.rows] == ["64 crops", "7 of 64"]


class Caller:
    """Keeps the calls, and ends the one that runs when a test says so."""

    def __init__(self):
        self.calls, self.is_busy = [], False

    def call(self, function, arguments, then, failed, title):
        self.is_busy = True
        self.calls.append((arguments[0].path.name, then, failed))

    def end(self, outcome):
        self.is_busy = False
        self.calls[-1][1](outcome)

    def cancel(self):
        self.is_busy = False


@pytest.fixture
def intake(qtbot, tmp_path):
    from dataclasses import replace

    from costal.labels.project_file import create_project

    part = ArrivalsPart()
    qtbot.addWidget(part)
    caller, kept = Caller(), []
    frames = Intake(part, caller, kept.extend, lambda text: None, kept.append, lambda: True)
    project = create_project(tmp_path / "project")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    project = replace(project, intake=replace(project.intake, folder=str(inbox)))
    yield frames, part, caller, kept, project, inbox
    frames.stop()
    assert not [each for each in threading.enumerate() if each.name == "costal-watch"]


def test_a_file_that_arrives_is_scored_in_the_background_and_offered(intake, qtbot):
    frames, part, caller, kept, project, inbox = intake
    frames.follow(project, [], "me", "cpu")
    tifffile.imwrite(inbox / "a.tif", np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))
    qtbot.waitUntil(lambda: [call[0] for call in caller.calls] == ["a.tif"], timeout=10_000)
    assert [each.state for each in kept] == ["pending", "ready"], "what was seen is kept for the next start"
    caller.end((offer(2.5),))
    assert texts(part.model) == [("a.tif", "64 crops", "2.5", "1.5")]
    assert frames.best().arrival.path == "a.tif"


def test_the_frame_worth_most_comes_next_and_not_one_that_was_begun(intake):
    frames, part, *_ = intake
    part.model.arrived([arrival(name, content=name) for name in "abc"])
    for name, value, answered in (("a", 9.0, 3), ("b", 2.0, 0), ("c", 5.0, 0)):
        part.model.offered(name, (offer(value, answered, name),))
    assert frames.best().arrival.path == "c"


def test_what_was_ready_before_is_scored_again_after_a_restart_without_reading_it(intake):
    frames, part, caller, _, project, _ = intake
    frames.follow(project, [arrival("a.tif"), arrival("b.tif", state="broken", reason="cut")], "me", "cpu")
    assert [call[0] for call in caller.calls] == ["a.tif"]
    assert [row.state for row in part.model.rows] == ["ready", "broken"]


def test_after_learning_frames_are_scored_again(intake):
    frames, _, caller, _, project, _ = intake
    frames.follow(project, [arrival("a.tif")], "me", "cpu")
    caller.end((offer(1.0),))
    frames.rescore()
    assert [call[0] for call in caller.calls] == ["a.tif", "a.tif"]


@pytest.mark.timeout(120)
def test_a_frame_of_the_watched_folder_is_opened_labelled_and_counted(make_napari_viewer, chosen, qtbot, tmp_path):
    viewer = make_napari_viewer(show=True)
    dock = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(dock)
    dock.setup.crop.value = 32
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    paths = finish(acquire(inbox, 2, (128, 128), 32, seed=4))
    dock.arriving.watch_folder(str(inbox))
    qtbot.waitUntil(lambda: [r.state for r in dock.setup.arrivals.model.rows] == ["16 crops"] * 2, timeout=60_000)
    qtbot.mouseClick(dock.setup.arrivals.next_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.frame.loaded is not None, timeout=10_000)
    source = Path(dock.frame.layer_view.source)
    assert source in paths
    number = paths.index(source)
    np.testing.assert_array_equal(dock.frame.loaded.plane_C_Y_X[0], truth_of(4, number, (128, 128), 32).pixels_Y_X)
    qtbot.waitUntil(lambda: not dock.choice.settling.isActive())
    dock.present_at((5, 5))
    qtbot.waitUntil(lambda: dock.labelling.current is not None and dock.labelling.current.is_shown, timeout=10_000)
    dock.labelling.answer(1)
    qtbot.waitUntil(lambda: 0 in dock.frame.labels, timeout=5000)
    dock.labelling.stop()
    assert dock.intake.best().arrival.path != source.name, "the frame that was begun is not the next one"
    layers = len(viewer.layers)
    dock.arriving.open_next()
    qtbot.waitUntil(lambda: dock.frame.loaded is not None and dock.frame.layer_view.source != str(source))
    assert len(viewer.layers) == layers, "one layer shows them all, one after another"
    dock.close()


@pytest.mark.timeout(120)
def test_what_the_camera_snaps_is_kept_and_offered(make_napari_viewer, chosen, qtbot, monkeypatch):
    from pymmcore_plus.experimental.unicore import UniMMCore

    from tests.engine.frames.test_camera import CountingCamera

    core = UniMMCore()
    core.loadPyDevice("Camera", CountingCamera(64, 64))
    core.initializeDevice("Camera")
    core.setCameraDevice("Camera")
    monkeypatch.setattr("napari_costal.label_crops.arriving.running_core", lambda: core)
    dock = LabelCrops(make_napari_viewer(), chosen)
    qtbot.addWidget(dock)
    part = dock.setup.arrivals
    part.camera_button.click()
    qtbot.waitUntil(lambda: dock.session.project is not None and dock.intake._thread is not None, timeout=10_000)
    core.snapImage()
    folder = dock.session.project.folder / "acquired"
    qtbot.waitUntil(lambda: [row.arrival.state for row in part.model.rows] == ["ready"], timeout=20_000)
    assert [path.name for path in folder.iterdir()] == [part.model.rows[0].arrival.path]
    part.camera_button.click()
    core.snapImage()
    assert len(list(folder.iterdir())) == 1, "after that the camera is left alone"
    dock.close()


def test_without_a_core_the_camera_says_what_to_install(make_napari_viewer, chosen, qtbot, monkeypatch):
    from costal.errors import FrameError

    def missing():
        raise FrameError("Install it: napari-costal[camera]")

    monkeypatch.setattr("napari_costal.label_crops.arriving.running_core", missing)
    dock = LabelCrops(make_napari_viewer(), chosen)
    qtbot.addWidget(dock)
    dock.setup.arrivals.camera_button.click()
    qtbot.waitUntil(lambda: "napari-costal[camera]" in dock.status.text(), timeout=10_000)
    assert not dock.setup.arrivals.camera_button.isChecked()
    dock.close()
