"""*Apply classifier*: the controller without Qt, the dock with a made-up engine, and once both with the real one."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from unittest.mock import MagicMock

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from costal.applying.applied import NO_CLASS, Applied, ClassifiedCrop, Failure, FrameCounts
from costal.applying.files import AppliedFiles
from costal.frames.grid import index_at, tile
from costal.frames.read import Planes
from costal.frames.simulate import CLASS_NAMES, simulate_field
from costal.labels.effort import Event, EventKind
from costal.labels.project import Tiling
from costal.labels.project_file import create_project, save_project
from costal.labels.records import AnswerRecord
from costal.scoring.frame_planes import frame_of
from costal.scoring.prepare import grid_of
from costal.types import Progress
from napari_costal.apply.controller import ApplyController, View
from napari_costal.apply.layers import CHOSEN, CLASS_MAP, CONFIDENCE
from napari_costal.apply.widget import ApplyClassifier
from napari_costal.canvas.layer_frames import LayerView
from napari_costal.canvas.overlays import is_ours
from napari_costal.label_crops.widget import LabelCrops
from tests.plugin.fakes import Engine, Thread

ALL = Planes(None, None, None)

CROP, SIDE = 16, 96
PLANE = "costal.applying.classify:apply_to_frame"
FILES = "costal.applying.files:apply_to_files"
ONE_AFTER_ANOTHER = """
import json, sys
from costal.cli import main
for command in json.loads(sys.argv[1]):
    sys.argv = ["costal", *command]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


@pytest.fixture
def field():
    return simulate_field((SIDE, SIDE), CROP, seed=2, pixel_um=0.03)


@pytest.fixture
def project(tmp_path):
    made = replace(create_project(tmp_path / "neurons", CLASS_NAMES), tiling=Tiling(CROP, CROP))
    save_project(made)
    return made


@pytest.fixture
def engine():
    return Engine()


def answer_to(request, seed=0, grid=None):
    """Return classes and confidences that a classifier might have given."""
    grid = grid or grid_of(request.project, request.frame.pixels_C_Y_X)
    rng, count = np.random.default_rng(seed), len(grid)
    indices = rng.integers(0, 4, count).astype(np.uint16)
    confidence = rng.permutation(np.linspace(0.3, 1, count)).astype(np.float32)
    return Applied(grid, (1, 2, 3, 4), indices, confidence, 1 - confidence, 3, "abc", "cpu")


# the controller


def view_of_pixels(pixels, source="test.tif"):
    return LayerView(pixels, source, "the slice shown", (), False, 0.03)


@pytest.fixture
def controller(engine):
    return ApplyController(MagicMock(spec=View), Thread(), engine, "cpu")


def test_a_layers_plane_goes_to_the_engine_with_its_project(controller, engine, project, field):
    controller.apply_to_layer(project, view_of_pixels(field.pixels_Y_X))
    (job,) = engine.jobs
    assert (job.function, job.request.device, job.request.project) == (PLANE, "cpu", project)
    np.testing.assert_array_equal(job.request.frame.pixels_C_Y_X, field.pixels_Y_X[None])
    applied = answer_to(job.request)
    job.result.emit(applied)
    (result,) = controller.view.show_layer_result.call_args.args
    assert (result.project, result.frame.applied, result.frame.pixel_um) == (project, applied, 0.03)


def test_a_project_named_by_its_folder_is_read(controller, engine, project, field):
    controller.apply_to_layer(project.folder, view_of_pixels(field.pixels_Y_X))
    assert engine.jobs[0].request.project == project


def test_a_frame_too_small_for_a_crop_is_said_and_nothing_starts(controller, engine, project):
    controller.apply_to_layer(project, view_of_pixels(np.ones((8, 8))))
    assert engine.jobs == []
    (reason,) = controller.view.complain.call_args.args
    assert "crop of 16 pixels does not fit" in reason


@pytest.mark.parametrize("act", ["cancel", "forget", "close", "again"])
def test_a_result_that_nobody_waits_for_any_more_is_dropped(controller, engine, project, field, act):
    view = view_of_pixels(field.pixels_Y_X)
    controller.apply_to_layer(project, view)
    if act == "again":
        controller.apply_to_layer(project, view)
    else:
        getattr(controller, act)()
    assert engine.stopped == engine.jobs[:1]
    engine.jobs[0].result.emit(answer_to(engine.jobs[0].request))
    controller.view.show_layer_result.assert_not_called()
    assert controller.result is None


def test_a_folder_goes_to_the_engine_with_where_its_results_go(controller, engine, project, tmp_path):
    controller.apply_to_files(project.folder, (tmp_path / "images",), tmp_path / "out", overwrite=True)
    (job,) = engine.jobs
    request = job.request
    assert (job.function, request.project, request.device) == (FILES, project, "cpu")
    assert (request.sources, request.out, request.overwrite) == ((tmp_path / "images",), tmp_path / "out", True)
    job.progress.emit(Progress(3, 10, "a.tif (1 of 2)"))
    assert controller.view.show_progress.call_args.args == (Progress(3, 10, "Classifying: a.tif (1 of 2)"),)
    job.failed.emit("There is no image.")
    controller.view.complain.assert_called_once_with("There is no image.")


def test_a_result_is_exported_in_every_form(controller, engine, project, field, tmp_path):
    controller.apply_to_layer(project, view_of_pixels(field.pixels_Y_X))
    engine.jobs[0].result.emit(answer_to(engine.jobs[0].request))
    for kind in ("crops", "counts", "labels", "geojson"):
        controller.export(kind, tmp_path / kind)
    assert len((tmp_path / "crops").read_text("utf-8").splitlines()) == 37
    assert len((tmp_path / "counts").read_text("utf-8").splitlines()) == 2
    assert tifffile.imread(tmp_path / "labels").shape == (SIDE, SIDE)
    assert len(json.loads((tmp_path / "geojson").read_text("utf-8"))["features"]) == 36
    controller.view.complain.assert_not_called()


def test_an_export_that_fails_is_said(controller, engine, project, field, tmp_path):
    controller.apply_to_layer(project, view_of_pixels(field.pixels_Y_X))
    engine.jobs[0].result.emit(answer_to(engine.jobs[0].request))
    controller.export("crops", tmp_path / "gone" / "crops.csv")
    assert "crops.csv cannot be written" in controller.view.complain.call_args.args[0]


# the dock


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def dock(viewer, chosen, engine, project, monkeypatch):
    monkeypatch.setattr(ApplyClassifier, "start", lambda self, *call: engine.start(*call))
    monkeypatch.setattr(ApplyClassifier, "cancel", lambda self, job: engine.cancel(job))
    widget = ApplyClassifier(viewer, chosen)
    viewer.window.add_dock_widget(widget, name="Apply classifier")
    widget.use_project(project.folder)
    yield widget
    widget.close()


def classify(dock, engine, qtbot, seed=0):
    """Press the button and let the engine answer."""
    before = len(engine.jobs)
    qtbot.mouseClick(dock.form.apply_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(engine.jobs) > before, timeout=10_000)
    applied = answer_to(engine.jobs[-1].request, seed)
    engine.jobs[-1].result.emit(applied)
    qtbot.waitUntil(
        lambda: (now := dock.controller.result) is not None and now.frame.applied is applied, timeout=10_000
    )
    return applied


def part(viewer, name):
    (own_layer,) = [layer for layer in viewer.layers if is_ours(layer) and layer.metadata["part"] == name]
    return own_layer


def seen(viewer):
    return {layer.metadata["part"] for layer in viewer.layers if is_ours(layer) and layer.visible}


PLACES = {
    "plain": {},
    "scaled": {"scale": (0.03, 0.05), "translate": (10, -3)},
    "turned": {"scale": (2, 2), "rotate": 30, "translate": (5, 7)},
    "sheared": {"shear": [0.4], "affine": [[1, 0.2, 3], [0, 1.5, 1], [0, 0, 1]]},
}


@pytest.mark.parametrize("tiling", [{}, {"stride": 5}, {"edge": "pad", "crop": 20, "stride": 20}], ids=str)
def test_class_map_and_confidence_lie_on_their_crops(viewer, dock, engine, qtbot, field, project, tiling):
    save_project(replace(project, tiling=replace(project.tiling, **tiling)))
    wrong = []
    for name, place in PLACES.items():
        viewer.layers.clear()
        frame = viewer.add_image(field.pixels_Y_X, **place)
        applied = classify(dock, engine, qtbot)
        grid, ids, sure = applied.grid, part(viewer, CLASS_MAP), part(viewer, CONFIDENCE)
        for pixel in [(3, 3), (37, 52), (SIDE // 2, SIDE - 20), (79, 79)]:
            index = index_at(grid, *pixel)
            world = frame.data_to_world(pixel)
            for layer, value_N in ((ids, applied.class_id_N), (sure, applied.confidence_N)):
                row, col = (int(each) for each in np.clip(np.round(layer.world_to_data(world)), 0, None))
                if layer.data[row, col] != value_N[index]:
                    wrong.append((name, layer.name, pixel))
    assert wrong == []


def test_classes_have_their_colours_and_names_and_the_frame_stays_selected(viewer, dock, engine, qtbot, field, project):
    frame = viewer.add_image(field.pixels_Y_X)
    classify(dock, engine, qtbot)
    layer = part(viewer, CLASS_MAP)
    for each in project.classes:
        rgb = np.round(np.asarray(layer.colormap.map(each.id)).ravel()[:3] * 255).astype(int)
        assert f"#{bytes(rgb.tolist()).hex()}" == each.colour
    assert dict(zip(layer.features["index"], layer.features["class"], strict=True))[3] == "fibres"
    assert viewer.layers.selection.active is frame


def test_one_of_class_map_and_confidence_is_seen(viewer, dock, engine, qtbot, field):
    viewer.add_image(field.pixels_Y_X)
    classify(dock, engine, qtbot)
    assert seen(viewer) == {CLASS_MAP}
    dock.shown.value = CONFIDENCE
    assert seen(viewer) == {CONFIDENCE}
    classify(dock, engine, qtbot)
    assert seen(viewer) == {CONFIDENCE}


def test_classifying_again_draws_into_the_same_layers(viewer, dock, engine, qtbot, field):
    viewer.add_image(field.pixels_Y_X)
    classify(dock, engine, qtbot)
    before = list(viewer.layers)
    applied = classify(dock, engine, qtbot, seed=1)
    assert list(viewer.layers) == before
    np.testing.assert_array_equal(part(viewer, CLASS_MAP).data.ravel(), applied.class_id_N)


def test_counts_and_uncertain_crops_are_listed(viewer, dock, engine, qtbot, field):
    viewer.add_image(field.pixels_Y_X)
    applied = classify(dock, engine, qtbot)
    table = dock.counts.table
    rows = [[table.item(row, column).text() for column in range(3)] for row in range(4)]
    assert rows == [
        [name, str(count), f"{count / 36:.1%}"] for name, count in zip(CLASS_NAMES, applied.counts_K, strict=True)
    ]
    listed = [dock.uncertain.item(row, 1).text() for row in range(36)]
    assert listed == [f"{each:.3f}" for each in np.sort(applied.confidence_N)]
    assert dock.uncertain.isColumnHidden(3)


def test_choosing_an_uncertain_crop_centres_the_camera_on_it(viewer, dock, engine, qtbot, field):
    frame = viewer.add_image(field.pixels_Y_X, scale=(0.5, 0.5), translate=(3, 4))
    applied = classify(dock, engine, qtbot)
    for row in (0, 5):
        dock.uncertain.selectRow(row)
        y, x = applied.grid.origin(int(np.argsort(applied.confidence_N)[row]))
        middle = frame.data_to_world((y + 7.5, x + 7.5))
        np.testing.assert_allclose(viewer.scene.camera.center[-2:], middle)
        np.testing.assert_allclose(part(viewer, CHOSEN).data, [[y + 7.5, x + 7.5]])


def test_a_map_is_seen_on_its_slice_alone_and_an_uncertain_crop_leads_back_to_it(viewer, dock, engine, qtbot, field):
    viewer.add_image(np.stack([field.pixels_Y_X] * 3))
    viewer.dims.set_current_step(0, 1)
    classify(dock, engine, qtbot)
    assert seen(viewer) == {CLASS_MAP}
    viewer.dims.set_current_step(0, 2)
    assert seen(viewer) == set()
    dock.shown.value = CONFIDENCE
    assert seen(viewer) == set()
    dock.uncertain.selectRow(0)
    assert viewer.dims.current_step[0] == 1
    assert seen(viewer) == {CONFIDENCE, CHOSEN}


def test_a_map_follows_its_layer_and_goes_with_other_pixels(viewer, dock, engine, qtbot, field):
    frame = viewer.add_image(field.pixels_Y_X)
    classify(dock, engine, qtbot)
    frame.translate = (100, 0)
    assert part(viewer, CLASS_MAP).translate[0] == 107.5
    frame.data = field.pixels_Y_X[::-1].copy()
    assert seen(viewer) == set()
    assert "Classify it again" in dock.status.text()
    frame.translate = (0, 0)
    assert seen(viewer) == set()


def test_a_layer_that_is_removed_takes_its_result_along(viewer, dock, engine, qtbot, field):
    frame = viewer.add_image(field.pixels_Y_X)
    classify(dock, engine, qtbot)
    viewer.layers.remove(frame)
    assert seen(viewer) == set()
    assert dock.controller.result is None
    assert dock.form.layer.value is None


def test_without_a_project_or_a_layer_it_says_what_to_do(viewer, dock, engine, qtbot):
    qtbot.mouseClick(dock.form.apply_button, Qt.MouseButton.LeftButton)
    assert dock.status.text() == "Choose an image layer first."
    dock.use_project(None)
    qtbot.mouseClick(dock.form.apply_button, Qt.MouseButton.LeftButton)
    assert dock.status.text().startswith("Open a project first")
    assert engine.jobs == []


def test_the_project_of_label_crops_is_used_unless_another_is_chosen(
    viewer, dock, engine, qtbot, field, chosen, tmp_path
):
    viewer.add_image(field.pixels_Y_X)
    labels_dock = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(labels_dock, name="Label crops")
    other = create_project(tmp_path / "other", CLASS_NAMES)
    labels_dock.session.open(other.folder)
    qtbot.waitUntil(lambda: labels_dock.session.project is not None, timeout=10_000)
    classify(dock, engine, qtbot)
    assert engine.jobs[-1].request.project.name == "neurons"
    assert dock.form.own_button.isEnabled()
    qtbot.mouseClick(dock.form.own_button, Qt.MouseButton.LeftButton)
    assert dock.form.project_label.text() == "<b>other</b>, open in Label crops"
    classify(dock, engine, qtbot)
    assert engine.jobs[-1].request.project.name == "other"
    labels_dock.close()


def test_the_planes_of_label_crops_are_taken_over(make_napari_viewer, chosen, field, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.stack([field.pixels_Y_X] * 3))
    labels_dock, dock = LabelCrops(viewer, chosen), ApplyClassifier(viewer, chosen)
    viewer.window.add_dock_widget(labels_dock)
    labels_dock.setup.planes.value = "maximum projection"
    viewer.window.add_dock_widget(dock)
    qtbot.waitUntil(lambda: dock.form.planes.value == "maximum projection", timeout=5000)
    labels_dock.close()
    dock.close()


def files_result(tmp_path, project, crops=()):
    counts = (FrameCounts("a.tif", "all", (1, 2, 3, 0), 0.9), FrameCounts("b.tif", "z 3", (0, 0, 6, 0), 0.8))
    failures = (Failure(str(tmp_path / "c.tif"), "", "c.tif is cut short."),)
    return AppliedFiles(tmp_path / "out", (1, 2, 3, 4), counts, failures, tuple(crops), 3, "abc")


def classify_folder(dock, engine, qtbot, tmp_path, project, crops=()):
    dock.form.tabs.setCurrentIndex(1)
    dock.form.images.setText(str(tmp_path / "images"))
    qtbot.mouseClick(dock.form.apply_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(engine.jobs), timeout=10_000)
    engine.jobs[-1].result.emit(files_result(tmp_path, project, crops))


def test_a_folders_counts_are_shown_together_and_by_frame_and_failures_are_named(
    viewer, dock, engine, qtbot, tmp_path, project
):
    classify_folder(dock, engine, qtbot, tmp_path, project)
    assert engine.jobs[0].request.out == tmp_path / "images-classified"
    table, frames = dock.counts.table, dock.counts.frame
    counted = lambda: [table.item(row, 1).text() for row in range(4)]  # noqa: E731
    assert [frames.itemText(at) for at in range(frames.count())] == ["all frames (2)", "a.tif", "b.tif  z 3"]
    assert counted() == ["1", "2", "9", "0"]
    frames.setCurrentIndex(2)
    assert counted() == ["0", "0", "6", "0"]
    assert dock.counts.failures.text() == "Not classified: c.tif. The reasons are in counts.csv."
    assert "cut short" in dock.counts.failures.toolTip()


def test_an_uncertain_crop_of_a_file_is_opened_and_centred(viewer, dock, engine, qtbot, field, tmp_path, project):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, field.pixels_Y_X)
    crops = [ClassifiedCrop(str(path), "all", 7, 16, 16, CROP, 2, 0.4, 0.1)]
    classify_folder(dock, engine, qtbot, tmp_path, project, crops)
    assert dock.uncertain.item(0, 3).text() == "a.tif"
    dock.uncertain.selectRow(0)
    qtbot.waitUntil(lambda: CHOSEN in seen(viewer), timeout=10_000)
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (23.5, 23.5))
    assert viewer.layers[-1] is part(viewer, CHOSEN)
    assert viewer.layers["a.tif"].data.shape == (SIDE, SIDE)


def test_results_go_beside_the_images_until_the_user_says_otherwise(dock, tmp_path, qtbot):
    dock.form.images.setText(str(tmp_path / "one"))
    assert dock.form.out.text() == str(tmp_path / "one-classified")
    dock.form.out.clear()
    qtbot.keyClicks(dock.form.out, "mine")
    dock.form.images.setText(str(tmp_path / "two"))
    assert dock.form.out.text() == "mine"


@pytest.mark.parametrize("how", ["the dock", "the window"])
def test_closing_leaves_no_thread_and_no_callback(viewer, dock, engine, qtbot, field, how):
    frame = viewer.add_image(field.pixels_Y_X)
    classify(dock, engine, qtbot)
    threads = lambda: [each for each in threading.enumerate() if each.name.startswith("costal-apply")]  # noqa: E731
    assert threads()
    if how == "the dock":
        viewer.window.remove_dock_widget(dock)
    else:
        viewer.window._qt_window.show()
        viewer.window._qt_window.hide()
    qtbot.waitUntil(lambda: not threads(), timeout=3000)
    before = part(viewer, CLASS_MAP).translate.tolist()
    frame.translate = (50, 50)
    viewer.layers.remove(frame)
    assert part(viewer, CLASS_MAP).translate.tolist() == before


# frames that are not to be trusted


def test_the_tick_box_asks_for_resampling_and_the_pixel_size_goes_along(viewer, dock, engine, qtbot, field):
    viewer.add_image(field.pixels_Y_X, scale=(0.5, 0.5), units=("um", "um"))
    classify(dock, engine, qtbot)
    assert (engine.jobs[-1].request.frame.pixel_um, engine.jobs[-1].request.resample) == (0.5, False)
    dock.form.resample.setChecked(True)
    classify(dock, engine, qtbot)
    assert engine.jobs[-1].request.resample


def test_a_warning_is_seen_below_the_counts_and_goes_into_the_table(viewer, dock, engine, qtbot, field, tmp_path):
    viewer.add_image(field.pixels_Y_X)
    qtbot.mouseClick(dock.form.apply_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(engine.jobs) > 0, timeout=10_000)
    applied = answer_to(engine.jobs[-1].request)
    index_N = applied.class_index_N.copy()
    index_N[:6] = NO_CLASS
    engine.jobs[-1].result.emit(replace(applied, class_index_N=index_N, notes=("Do not trust it.",)))
    qtbot.waitUntil(lambda: dock.controller.result is not None, timeout=10_000)
    assert dock.counts.notes.text() == "Do not trust it."
    assert not dock.counts.notes.isHidden()
    assert "30 crops" in dock.status.text()
    assert (part(viewer, CLASS_MAP).data[0] == 0).all()
    dock.controller.export("counts", tmp_path / "counts.csv")
    qtbot.waitUntil((tmp_path / "counts.csv").exists, timeout=10_000)
    assert (tmp_path / "counts.csv").read_text("utf-8").splitlines()[1].endswith(",6,Do not trust it.")


def test_notes_of_a_folder_name_their_frame_and_equal_ones_are_said_once(dock, project):
    notes = ["same", "own", "same", "third", "fourth", ""]
    frames = [FrameCounts(f"{at}.tif", "all", (1, 0, 0, 0), 0.5, note) for at, note in enumerate(notes)]
    dock.counts.fill(project, (1, 2, 3, 4), frames)
    assert dock.counts.notes.text().splitlines() == [
        "2 frames: same",
        "1.tif: own",
        "3.tif: third",
        "1 more notes are in counts.csv.",
    ]
    dock.counts.frame.setCurrentIndex(2)
    assert dock.counts.notes.text() == "own"
    dock.counts.frame.setCurrentIndex(6)
    assert dock.counts.notes.isHidden()


def test_the_map_of_a_resampled_layer_lies_on_the_layer(viewer, dock, engine, qtbot, field):
    frame = viewer.add_image(field.pixels_Y_X[:48, :48])
    qtbot.mouseClick(dock.form.apply_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(engine.jobs) > 0, timeout=10_000)
    applied = answer_to(engine.jobs[-1].request, grid=tile((96, 96), CROP))
    engine.jobs[-1].result.emit(replace(applied, frame_shape=(48, 48)))
    qtbot.waitUntil(lambda: dock.controller.result is not None, timeout=10_000)
    layer = part(viewer, CLASS_MAP)
    for pixel in [(0, 0), (7, 8), (40, 47)]:
        row, col = (int(each) for each in np.round(layer.world_to_data(frame.data_to_world(pixel))))
        assert (row, col) == (pixel[0] // 8, pixel[1] // 8)


# with the real engine


def labelled(project, field):
    """Label 20 crops of the field in the project's store."""
    from costal.frames.read import frame_from_array
    from costal.workbench.session import ProjectSession, recorded

    with ProjectSession(project.folder) as session:
        frame = frame_from_array(field.pixels_Y_X[None], "CYX", field.pixel_um, "field")
        loaded = session.place(recorded(frame_of(frame, ALL)))
        for index in range(20):
            y, x = field.grid.origin(index)
            pixels = frame.pixels[:, y : y + CROP, x : x + CROP]
            class_id = project.classes[field.classes_N[index]].id
            events = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 10**9, 10**9))
            session.answer(AnswerRecord(loaded.id, y, x, pixels, "class", class_id, "ada", events))


def test_the_window_says_the_same_as_the_command_line(viewer, chosen, project, field, qtbot, tmp_path):
    labelled(project, field)
    path, out = tmp_path / "field.tif", tmp_path / "out"
    tifffile.imwrite(path, field.pixels_Y_X)
    where = ["--project", str(project.folder), "--device", "cpu"]
    commands = [["train", *where], ["apply", str(path), "--out", str(out), *where]]
    subprocess.run([sys.executable, "-c", ONE_AFTER_ANOTHER, json.dumps(commands)], check=True, timeout=300)
    viewer.add_image(field.pixels_Y_X, name="field")
    dock = ApplyClassifier(viewer, chosen)
    viewer.window.add_dock_widget(dock)
    dock.use_project(project.folder)
    qtbot.mouseClick(dock.form.apply_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.controller.result is not None, timeout=120_000)
    dock.controller.export("labels", tmp_path / "window.tif")
    qtbot.waitUntil(lambda: dock.status.text().startswith("Wrote"), timeout=10_000)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "window.tif"), tifffile.imread(out / "field-classes.tif"))
    dock.close()
