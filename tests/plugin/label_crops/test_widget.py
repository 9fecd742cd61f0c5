"""*Label crops* in a real viewer, with a real store and a real engine process."""

import threading
from dataclasses import replace

import numpy as np
import platformdirs
import psutil
import pytest
import tifffile
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtGui import QKeyEvent

from costal.agent.added import added_folder
from costal.frames.simulate import simulate_field
from costal.labels.effort import PauseReason, derive, replay
from costal.labels.models import load_newest
from costal.labels.project import Choices, Intake, Project, Tiling
from costal.labels.project_file import create_project
from costal.labels.store import Store
from napari_costal.canvas.overlays import GRID, HEATMAP, LABELS, QUERY, is_ours
from napari_costal.label_crops.setup_page import SetupPage
from napari_costal.label_crops.widget import LabelCrops

CROP, SIDE = 16, 96


@pytest.fixture
def field():
    return simulate_field((SIDE, SIDE), CROP, seed=2, pixel_um=0.03)


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 900)
    return viewer


@pytest.fixture
def dock(viewer, chosen, field, qtbot):
    viewer.add_image(field.pixels_Y_X, name="field", scale=(0.03, 0.03), units=("micrometer", "micrometer"))
    widget = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(widget, name="Label crops")
    widget.setup.crop.value = CROP
    yield widget
    widget.close()


def parts(viewer):
    return {layer.metadata["part"]: layer for layer in viewer.layers if is_ours(layer) and layer.visible}


def is_idle(dock):
    return not dock.progress.isVisible() and not dock.query.is_busy


def wait_for_crop(qtbot, dock):
    qtbot.waitUntil(lambda: (now := dock.labelling.presenter.current) is not None and now.is_shown, timeout=60_000)
    return dock.labelling.presenter.current


def wait_for_look(qtbot, dock):
    """Wait until somebody can have seen the crop."""
    qtbot.waitUntil(lambda: not dock.labelling.presenter.refusal(), timeout=5000)


def press_class(qtbot, dock, class_index):
    project = dock.session.project
    button = dock.labelling_page.findChild(object, f"class-{project.classes[class_index].id}")
    before = dock.labelling.presenter.current
    wait_for_look(qtbot, dock)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.labelling.presenter.current is not before, timeout=5000)


def test_the_grid_and_n_are_shown_before_anything_runs(viewer, dock):
    assert "6 × 6 = <b>36 crops</b> of 16 px = 0.48 µm" in dock.setup.grid_label.text()
    assert set(parts(viewer)) == {GRID}
    assert dock.session.project is None


def test_a_crop_larger_than_the_frame_is_said_on_the_screen(dock):
    dock.setup.crop.value = 500
    assert "500" in dock.status.text()
    assert "96" in dock.status.text()


def test_label_train_score_and_go_on(viewer, dock, field, qtbot, chosen):
    """The whole loop: first query by features, labels by mouse, both models, heatmap, second query, reopening."""
    qtbot.mouseClick(dock.setup.label_button, Qt.MouseButton.LeftButton)
    wait_for_crop(qtbot, dock)
    assert "a typical crop from each group" in dock.status.text()
    labelled = {}
    for _ in range(10):
        crop = wait_for_crop(qtbot, dock)
        labelled[crop.index] = int(field.classes_N[crop.index] == 0)
        press_class(qtbot, dock, labelled[crop.index])
    qtbot.waitUntil(lambda: HEATMAP in parts(viewer) and is_idle(dock), timeout=120_000)
    assert "Model 1" in dock.model_label.text()
    assert "cpu" in dock.model_label.text()
    folder = dock.session.project.folder
    assert load_newest(folder / "models").agent.label_count == 10
    assert len(parts(viewer)[LABELS].data) == 10
    assert parts(viewer)[HEATMAP].data.shape == (6, 6)
    with Store(folder / "labels.sqlite", read_only=True) as store:
        presented, stored = store.presented(), store.labels()
    assert {(label.y // CROP) * 6 + label.x // CROP: label.class_id - 1 for label in stored} == labelled
    assert all(derive(replay(each.events, 10**10)).usable for each in presented)
    for each, label in zip(presented, stored, strict=True):
        np.testing.assert_array_equal(
            each.pixels_C_H_W[0], field.pixels_Y_X[label.y : label.y + CROP, label.x : label.x + CROP]
        )
    before = parts(viewer)[HEATMAP].data.copy()
    for shown in ("information I", "cost C", "predicted class", "value v"):
        dock.setup.shown.value = shown
        assert parts(viewer)[HEATMAP].name == f"heatmap: {shown}"
    np.testing.assert_array_equal(parts(viewer)[HEATMAP].data, before)
    dock.setup.beta.setValue(2.0)
    assert not np.array_equal(parts(viewer)[HEATMAP].data, before), "the heatmap follows the slider at once"

    reopened = LabelCrops(viewer, chosen)
    qtbot.addWidget(reopened)
    reopened.session.open(folder)
    qtbot.waitUntil(lambda: len(reopened.frame.labels) == 10, timeout=10_000)
    assert set(reopened.frame.labels) == set(labelled)
    reopened.close()


def test_a_click_on_the_image_presents_that_crop(viewer, dock, qtbot):
    y, x = 2 * CROP + 5, 3 * CROP + 9
    canvas = viewer.window._qt_viewer.canvas
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    qtbot.wait(100)
    width, height = canvas.native.width(), canvas.native.height()
    at = QPoint(
        round(width / 2 + (x * 0.03 - camera.center[-1]) * camera.zoom),
        round(height / 2 + (y * 0.03 - camera.center[-2]) * camera.zoom),
    )
    qtbot.mouseClick(canvas.native, Qt.MouseButton.LeftButton, pos=at)
    crop = wait_for_crop(qtbot, dock)
    assert crop.index == 2 * 6 + 3
    press_class(qtbot, dock, 1)
    assert dock.frame.labels[2 * 6 + 3].class_id == 2


def test_keys_answer_while_a_crop_is_presented_and_only_then(viewer, dock, qtbot, press):
    window = viewer.window._qt_window
    dock.present_at((5, 5))
    first = wait_for_crop(qtbot, dock)
    wait_for_look(qtbot, dock)
    press(window, "2")
    qtbot.waitUntil(lambda: dock.labelling.presenter.current is not first, timeout=5000)
    assert dock.frame.labels[0].class_id == 2
    press(window, "z")
    undone = wait_for_crop(qtbot, dock)
    assert undone.index == 0
    assert dock.frame.labels == {}
    press(window, "Escape")
    qtbot.waitUntil(lambda: dock.labelling.presenter.current is None, timeout=5000)
    assert not dock.labelling_page.keys.are_bound


def test_pausing_covers_the_crop(dock, qtbot):
    dock.present_at((5, 5))
    crop = wait_for_crop(qtbot, dock)
    qtbot.mouseClick(dock.labelling_page.buttons["pause"], Qt.MouseButton.LeftButton)
    assert crop.is_paused
    assert dock.labelling_page.crop_view._cover.startswith("Paused.\nPress any key or click")
    dock.labelling.answer(1)
    assert dock.frame.labels == {}, "a covered crop cannot be answered"
    qtbot.mouseClick(dock.labelling_page.buttons["pause"], Qt.MouseButton.LeftButton)
    assert not crop.is_paused
    assert dock.labelling_page.crop_view._cover == ""


def test_an_answer_before_anybody_can_decide_is_refused_with_a_hint_and_stored_as_nothing(dock, qtbot):
    dock.present_at((5, 5))
    crop = wait_for_crop(qtbot, dock)
    button = dock.labelling_page.findChild(object, f"class-{dock.session.project.classes[0].id}")
    shown = crop.state
    crop.state = replace(shown, shown_ns=crop.clock()[0] + 10**12)  # however slow this machine is
    for each in (button, dock.labelling_page.buttons["skip"], dock.labelling_page.buttons["exclude"]):
        dock.labelling_page.say("")
        qtbot.mouseClick(each, Qt.MouseButton.LeftButton)
        assert "Too fast: this crop was on screen for" in dock.labelling_page._message.text()
    assert dock.labelling.current is crop
    assert not crop.has_ended
    crop.state = shown
    press_class(qtbot, dock, 0)
    assert dock.frame.labels[0].class_id == 1


def test_a_key_that_is_held_does_nothing_more(viewer, dock, qtbot):
    dock.present_at((5, 5))
    wait_for_crop(qtbot, dock)
    wait_for_look(qtbot, dock)
    window = viewer.window._qt_window
    window.activateWindow()
    event = QKeyEvent(QEvent.Type.ShortcutOverride, Qt.Key.Key_1, Qt.KeyboardModifier.NoModifier, "1", True)
    dock.labelling_page.eventFilter(window, event)
    heard = []
    dock.labelling_page.answered.connect(heard.append)
    dock.labelling_page.asked_for.connect(heard.append)
    for shortcut in dock.labelling_page.keys.shortcuts:
        shortcut.activated.emit()
    assert heard == []
    assert not any(shortcut.autoRepeat() for shortcut in dock.labelling_page.keys.shortcuts)


@pytest.mark.parametrize("reason", [PauseReason.IDLE, PauseReason.USER])
def test_the_first_key_or_click_uncovers_the_crop_and_does_nothing_else(viewer, dock, qtbot, press, reason):
    window, presenter = viewer.window._qt_window, dock.labelling.presenter
    dock.present_at((5, 5))
    wait_for_crop(qtbot, dock)
    press_class(qtbot, dock, 0)
    dock.present_at((5, CROP + 5))
    crop = wait_for_crop(qtbot, dock)
    wait_for_look(qtbot, dock)
    heard = []
    dock.labelling_page.answered.connect(heard.append)
    dock.labelling_page.asked_for.connect(heard.append)
    buttons = [dock.labelling_page.buttons[name] for name in ("undo", "skip", "pause", "stop")]
    clicks = [lambda each=each: qtbot.mouseClick(each, Qt.MouseButton.LeftButton) for each in buttons]
    for act in (*clicks, *(lambda key=key: press(window, key) for key in ("2", "z", "Escape"))):
        presenter.pause(reason)
        assert "Press any key or click" in dock.labelling_page.crop_view._cover
        act()
        qtbot.waitUntil(lambda: not crop.is_paused, timeout=5000)
        qtbot.wait(50)
        assert dock.labelling_page.crop_view._cover == ""
        assert heard == []
    assert dock.labelling.current is crop
    assert list(dock.frame.labels) == [0]
    press(window, "2")
    qtbot.waitUntil(lambda: len(dock.frame.labels) == 2, timeout=5000)
    assert dock.frame.labels[1].class_id == 2


def test_what_was_said_of_a_crop_leaves_with_it(dock, qtbot):
    dock.present_at((5, 5))
    wait_for_crop(qtbot, dock)
    for leave in (
        lambda: dock.present_at((5, CROP + 5)),
        dock.labelling.skip,
        dock.labelling.undo,
        dock.labelling.exclude,
        dock.labelling.back,
    ):
        before = dock.labelling.current or dock.present_at((5, 2 * CROP + 5)) or wait_for_crop(qtbot, dock)
        dock.labelling.show_prediction()
        assert "Why this crop" in dock.labelling_page._message.text()
        leave()
        qtbot.waitUntil(lambda before=before: dock.labelling.current is not before, timeout=5000)
        assert "Why this crop" not in dock.labelling_page._message.text() or dock.labelling.current is None
        qtbot.wait(50)
    dock.labelling_page.say("Why this crop")
    dock.labelling.stop()
    assert dock.labelling_page._message.text() == ""


def test_classes_are_added_and_renamed_on_disk(dock, qtbot):
    from costal.labels.project_file import load_project

    qtbot.mouseClick(dock.setup.classes.add_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.setup.classes.table.rowCount() == 3, timeout=5000)
    dock.setup.classes.table.item(0, 1).setText("background")
    folder = dock.session.project.folder
    qtbot.waitUntil(lambda: load_project(folder).classes[0].name == "background", timeout=5000)
    dock.setup.classes.table.item(1, 1).setText("background")
    assert "Two classes have the name" in dock.status.text()
    assert dock.setup.classes.table.item(1, 1).text() == "class 2"


def test_the_slice_of_a_stack_is_a_frame_of_its_own(make_napari_viewer, chosen, qtbot):
    viewer = make_napari_viewer()
    stack = np.random.default_rng(0).integers(0, 4000, (3, 64, 64)).astype(np.uint16)
    viewer.add_image(stack, name="stack")
    widget = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(widget)
    widget.setup.crop.value = 32
    viewer.dims.set_current_step(0, 1)
    widget.present_at((5, 5))
    wait_for_placed = lambda: widget.frame.loaded is not None and not widget.choice.settling.isActive()  # noqa: E731
    qtbot.waitUntil(wait_for_placed, timeout=5000)
    np.testing.assert_array_equal(widget.frame.loaded.plane_C_Y_X[0], stack[1])
    widget.labelling.stop()
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(wait_for_placed, timeout=5000)
    np.testing.assert_array_equal(widget.frame.loaded.plane_C_Y_X[0], stack[2])
    widget.close()


def test_a_slider_that_rolls_while_a_crop_is_labelled_is_said_and_goes_back_with_the_next_crop(
    make_napari_viewer, chosen, qtbot
):
    viewer = make_napari_viewer()
    stack = np.random.default_rng(0).integers(0, 4000, (3, 64, 64)).astype(np.uint16)
    viewer.add_image(stack, name="stack", axis_labels=("t", "y", "x"))
    widget = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(widget)
    widget.setup.crop.value = 32
    viewer.dims.set_current_step(0, 1)
    widget.present_at((5, 5))
    qtbot.waitUntil(lambda: widget.labelling.current is not None, timeout=20_000)
    first = widget.labelling.current
    viewer.dims.set_current_step(0, 2)
    assert widget.labelling.current is first, "looking at the next plane helps to decide"
    assert "The canvas shows t 2, but the crop is from t 1." in widget.labelling_page._message.text()
    widget.present_at((5, 40))
    qtbot.waitUntil(lambda: widget.labelling.current not in (None, first), timeout=5000)
    assert viewer.dims.current_step[0] == 1
    viewer.dims.set_current_step(0, 0)
    widget.labelling.stop()
    assert viewer.dims.current_step[0] == 1
    assert not widget.choice.settling.isActive(), "its scores are true as ever"
    np.testing.assert_array_equal(widget.frame.loaded.plane_C_Y_X[0], stack[1])
    widget.close()


def test_a_frame_that_changes_under_a_crop_is_left_and_that_is_said(viewer, dock, field, qtbot):
    dock.present_at((5, 5))
    wait_for_crop(qtbot, dock)
    viewer.layers["field"].data = field.pixels_Y_X[::-1]
    assert dock.labelling.current is None
    qtbot.waitUntil(lambda: "labelling stopped; your answers are saved" in dock.status.text(), timeout=10_000)


@pytest.mark.parametrize("how", ["the dock", "the window"])
def test_closing_during_a_job_leaves_nothing_behind(viewer, dock, field, qtbot, how):
    dock.present_at((5, 5))
    wait_for_crop(qtbot, dock)
    press_class(qtbot, dock, 0)
    dock.query.score()
    qtbot.waitUntil(lambda: dock._engine_now is not None and dock._engine_now.pid > 0, timeout=20_000)
    engine = dock._engine_now
    pid = engine.pid
    if how == "the dock":
        viewer.window.remove_dock_widget(dock)
    else:
        viewer.window._qt_window.hide()
    qtbot.waitUntil(lambda: not psutil.pid_exists(pid), timeout=3000)
    qtbot.waitUntil(
        lambda: not [each for each in threading.enumerate() if each.name.startswith("costal")], timeout=3000
    )
    assert engine.pid == 0
    assert not dock.labelling_page._ticker.isActive()
    with Store(dock._preferences.projects_folder.glob("*/labels.sqlite").__next__()) as store:
        assert len(store.labels()) == 1, "the store is free for the next writer, and the label is there"


def test_a_layer_that_goes_away_takes_its_frame_along(viewer, dock):
    viewer.layers.remove("field")
    assert dock.setup.layer.value is None
    assert dock.frame.grid is None
    assert QUERY not in parts(viewer)


@pytest.mark.parametrize(("asked", "is_said"), [(500, False), (501, True), (0, False)])
def test_that_not_every_crop_asked_has_a_box_is_said(qtbot, asked, is_said):
    page = SetupPage(lambda _: [], "tester")
    qtbot.addWidget(page)
    page.show_query(asked, 500)
    assert page.boxes_label.isVisibleTo(page.label_tab) is is_said
    assert ("first 500 of 501" in page.boxes_label.text()) is is_said


def test_the_form_offers_the_backbones_that_are_here_and_shows_the_projects_own(qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_data_path", lambda name: tmp_path / name)
    page = SetupPage(lambda _: [], "tester")
    qtbot.addWidget(page)
    assert page.backbone.choices == ("gal2017", "efficientnet_lite0")
    added_folder().mkdir(parents=True)
    (added_folder() / "timm-resnet18.json").write_text("{}")
    project = Project(tmp_path, "neurons", ())
    elsewhere = replace(project, choices=replace(project.choices, backbone="timm:convnext_atto"))
    page.fill(elsewhere, {})
    assert page.backbone.choices == ("gal2017", "efficientnet_lite0", "timm:resnet18", "timm:convnext_atto")
    assert page.with_choices(project).choices.backbone == "timm:convnext_atto"
    page.fill(project, {})
    assert page.backbone.choices == ("gal2017", "efficientnet_lite0", "timm:resnet18")


def test_the_form_gives_back_the_settings_that_it_was_filled_with(qtbot, tmp_path):
    page = SetupPage(lambda _: [], "tester")
    qtbot.addWidget(page)
    project = replace(
        create_project(tmp_path / "neurons"),
        tiling=Tiling(48, 24, "pad", "project"),
        choices=Choices(
            acquisition="bald",
            alpha=11.5,
            beta=1.25,
            passes=7,
            n=3,
            by="minutes",
            minutes=12.5,
            diverse=False,
            control_share=0.35,
            backbone="efficientnet_lite0",
        ),
        intake=Intake(z="mean", t="first"),
        idle_limit_s=7.5,
        features_mb=300,
    )
    page.fill(project, {})
    plain = replace(project, tiling=Tiling(), choices=Choices(), intake=Intake(), idle_limit_s=20.0, features_mb=1)
    assert page.with_choices(page.with_tiling(plain)) == project


def test_a_query_asked_for_while_the_frame_comes_to_rest_is_not_lost(viewer, chosen, field, qtbot):
    viewer.add_image(np.stack([field.pixels_Y_X, field.pixels_Y_X[::-1]]), name="stack")
    dock = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(dock, name="Label crops")
    dock.setup.crop.value = CROP
    dock.start_project(lambda: None)
    qtbot.waitUntil(lambda: dock.frame.loaded is not None, timeout=20_000)
    viewer.dims.set_current_step(0, 1 - viewer.dims.current_step[0])
    assert dock.choice.settling.isActive()
    qtbot.mouseClick(dock.setup.label_button, Qt.MouseButton.LeftButton)
    assert wait_for_crop(qtbot, dock).index in dock.query.picked.picked_n
    dock.close()


def test_renaming_the_layer_and_adding_another_keeps_the_crop_on_the_page(viewer, dock, field, qtbot):
    qtbot.mouseClick(dock.setup.label_button, Qt.MouseButton.LeftButton)
    crop = wait_for_crop(qtbot, dock)
    viewer.layers["field"].name = "field 7, green"
    viewer.add_image(field.pixels_Y_X[::-1], name="another")
    qtbot.wait(300)
    assert dock.labelling.presenter.current is crop
    assert dock.setup.layer.value is viewer.layers["field 7, green"]


def test_closing_in_the_very_turn_of_a_saved_answer_raises_nothing_and_keeps_it(viewer, dock, qtbot):
    dock.present_at((5, 5))
    wait_for_crop(qtbot, dock)
    wait_for_look(qtbot, dock)
    closed = []

    def close(*_labels):
        viewer.window.remove_dock_widget(dock)
        closed.append(True)

    dock.frame.relabelled.connect(close)
    dock.labelling.answer(1)
    qtbot.waitUntil(lambda: bool(closed), timeout=10_000)
    qtbot.wait(400)  # timers that were running have ended by then
    with Store(dock.session.project.store_path, read_only=True) as store:
        assert [label.class_id for label in store.labels()] == [1]


def test_an_image_opened_by_napari_becomes_the_frame_unless_a_crop_is_labelled(viewer, dock, field, qtbot, tmp_path):
    for name in ("one", "two"):
        tifffile.imwrite(tmp_path / f"{name}.tif", field.pixels_Y_X[::-1])
    viewer.open(tmp_path / "one.tif", plugin="napari")
    assert dock.setup.layer.value is viewer.layers["one"]
    assert not viewer.layers["field"].visible
    dock.present_at((5, 5))
    crop = wait_for_crop(qtbot, dock)
    viewer.open(tmp_path / "two.tif", plugin="napari")
    assert dock.setup.layer.value is viewer.layers["one"]
    assert dock.labelling.current is crop
    assert not viewer.layers["two"].visible
    assert "'two' was hidden because it would cover the frame." in dock.labelling_page._message.text()


def test_crops_chosen_with_shift_are_labelled_together_and_leaving_shows_the_settings(viewer, dock, qtbot):
    dock.start_project(lambda: dock.frame.place(lambda: None))
    qtbot.waitUntil(lambda: dock.frame.loaded is not None, timeout=20_000)
    dock.session.change(lambda project: replace(project, choices=replace(project.choices, control_share=0.0)))
    dock.choice.boxed.emit((0, 0), (CROP, 2 * CROP))
    qtbot.waitUntil(lambda: dock.on_image.chosen.isVisible(), timeout=5000)
    assert dock.on_image.chosen.title.text() == "2 crops chosen on the image"
    qtbot.mouseClick(dock.on_image.chosen.findChild(object, "class-1"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(dock.frame.labels) == 2, timeout=10_000)
    qtbot.waitUntil(lambda: parts(viewer).keys() >= {LABELS}, timeout=5000)
    dock.on_image.chosen.asked_for.emit("stop")
    assert dock.setup.isVisible()
