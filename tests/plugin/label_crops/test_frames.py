"""The project's frames in the dock: listed, drawn when they are seen, opened by a click, located, shown again."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from costal.labels.project import Intake, Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord, FrameRecord
from costal.labels.store import Store
from costal.scoring.frame_planes import frames_of
from costal.types import finish
from costal.workbench.frames_list import ListedFrame
from costal.workbench.last_frame import LastFrame, keep_last_frame, last_frame
from costal.workbench.locating import locate
from costal.workbench.session import ProjectSession, recorded
from napari_costal.canvas.overlays import images_in
from napari_costal.label_crops.frames_page import FramesPage
from napari_costal.label_crops.widget import LabelCrops

SIDE = 64


def listed(frame_id, **known):
    record = FrameRecord(f"{frame_id:064}", "all", f"/images/{frame_id}.tif", 32, 32, None, (0.0,), (1.0,))
    return ListedFrame(frame_id, record, **known)


@pytest.fixture
def page(qtbot, tmp_path):
    page = FramesPage()
    qtbot.addWidget(page)
    page.resize(360, 400)
    page.show()
    return page


@pytest.fixture
def plain(tmp_path):
    """Return a project of 16 px crops in a folder of its own, `day`."""
    project = create_project(tmp_path / "day" / "project", ("a", "b"))
    save_project(replace(project, tiling=Tiling(16, 16)))
    return load_project(project.folder)


def image(path: Path, seed: int, shape=(SIDE, SIDE), **known) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 250, shape, np.uint8)
    tifffile.imwrite(path, pixels, **({"photometric": "minisblack"} | known))
    return path


def place(project, path: Path, class_id: int | None = None) -> list[int]:
    """Put all frames of an image into a project, the first with a label."""
    with ProjectSession(project.folder, "tester") as bench:
        ids = [bench.place(recorded(each)).id for each in frames_of(project, str(path))[1]]
        if class_id is not None:
            bench.answer(AnswerRecord(ids[0], 0, 0, np.zeros((1, 16, 16), np.uint8), "class", class_id, "tester", ()))
    return ids


@pytest.fixture
def open_dock(make_napari_viewer, chosen, qtbot):
    """Return a function that opens a window with the dock and a project, and waits for the list."""
    docks = []

    def act(project, before=lambda _viewer: None):
        viewer = make_napari_viewer(show=True)
        before(viewer)
        dock = LabelCrops(viewer, chosen)
        docks.append(dock)
        viewer.window.add_dock_widget(dock, name="Label crops")
        dock.setup.setCurrentIndex(1)
        dock.session.open(project.folder)
        qtbot.waitUntil(lambda: dock.session.project is not None, timeout=60_000)
        qtbot.waitUntil(lambda: dock.frames._are_placed, timeout=60_000)
        return viewer, dock

    yield act
    for each in docks:
        each.close()


def rows(dock):
    return {each.name: each for each in dock.frames.page.model.rows}


def click(qtbot, dock, name):
    """Click the row of a frame."""
    view, names = dock.frames.page.list, list(rows(dock))
    index = dock.frames.page.model.index(names.index(name))
    view.scrollTo(index)
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(index).center())


def wait_for(qtbot, dock, name):
    """Wait until a frame is worked on."""
    frame = dock.frame
    qtbot.waitUntil(
        lambda: frame.loaded is not None and frame.loaded.stored.id == rows(dock)[name].id
        and not dock.choice.settling.isActive(),
        timeout=60_000,
    )  # fmt: skip


# The list


def test_a_click_opens_the_frame_under_it(page, qtbot, plain):
    page.show_frames(plain, [listed(at) for at in (3, 2, 1)])
    opened = []
    page.opened.connect(opened.append)
    second = page.list.visualRect(page.model.index(1))
    qtbot.mouseClick(page.list.viewport(), Qt.MouseButton.LeftButton, pos=second.center())
    assert [each.id for each in opened] == [2]
    qtbot.keyClick(page.list, Qt.Key.Key_Down)
    assert [each.id for each in opened] == [2], "moving on is no click"
    qtbot.keyClick(page.list, Qt.Key.Key_Return)
    assert [each.id for each in opened] == [2, 1]


def test_locate_is_offered_when_an_image_is_missing(page, plain):
    page.show_frames(plain, [listed(1), listed(2)])
    assert (page.state_label.text(), page.locate_button.isEnabled()) == ("2 frames", False)
    page.show_frames(plain, [listed(1), listed(2, place="missing")])
    assert page.locate_button.isEnabled()
    assert "1 missing" in page.state_label.text()


def test_a_tip_says_counts_and_what_the_state_means(page, plain):
    page.show_frames(
        plain, [listed(1, labels={1: 2}, unclassified=1, predicted={2: 9}, generation=3, is_outdated=True)]
    )
    tip = page.model.data(page.model.index(0), Qt.ItemDataRole.ToolTipRole)
    assert tip.splitlines() == [
        "/images/1.tif",
        "labelled: 2 a, 1 skipped or excluded",
        "predicted by model 3: 9 b",
        "Some of its crops have an answer.",
        "An older model scored it: score it again.",
    ]


def test_of_two_thousand_frames_only_pictures_that_are_seen_are_asked_for(page, qtbot, plain):
    page.show_frames(plain, [listed(at) for at in range(2000, 0, -1)])
    wanted = []
    page.model.wanted.connect(lambda row: wanted.append(row.id))
    page.list.viewport().repaint()
    seen = len(wanted)
    assert 2 <= seen <= 12
    page.list.scrollTo(page.model.index(1500))
    page.list.viewport().repaint()
    assert len(wanted) <= 2 * seen + 2
    assert set(wanted[seen:]) <= set(range(480, 520))


@pytest.mark.timeout(240)
def test_two_thousand_frames_scroll_smoothly(page, plain):
    made = [listed(at, labels={1: at % 7, 2: 3}, predicted={1: 5}, generation=1) for at in range(2000, 0, -1)]
    page.show_frames(plain, made)
    picture = np.zeros((96, 96, 3), np.uint8)
    for each in made:
        page.model._pictures[each.record.content_hash] = None
    page.model.picture_made(made[0].record.content_hash, picture)
    bar, took = page.list.verticalScrollBar(), []
    for at in range(60):
        before = time.perf_counter()
        bar.setValue(at * bar.maximum() // 60)
        page.list.viewport().repaint()
        QApplication.processEvents()
        took.append(time.perf_counter() - before)
    assert np.median(took) < 0.05, f"at most {max(took):.3f} s"


def test_a_frame_that_stays_keeps_its_place_when_the_list_is_read_anew(page, plain):
    page.show_frames(plain, [listed(at) for at in range(100, 0, -1)])
    page.mark(40)
    page.list.verticalScrollBar().setValue(0)
    page.show_frames(plain, [listed(at, labels={1: 1}) for at in range(100, 0, -1)])
    assert page.current_id == 40
    assert page.list.verticalScrollBar().value() == 0, "reading anew does not scroll"


# In the window


@pytest.mark.timeout(240)
def test_a_click_shows_a_frame_in_the_layer_of_the_one_before(open_dock, plain, qtbot, tmp_path):
    for name, class_id in (("one.tif", 1), ("two.tif", None)):
        place(plain, image(tmp_path / "day" / name, seed=len(name) + bool(class_id)), class_id)
    viewer, dock = open_dock(plain)
    assert {name: row.states for name, row in rows(dock).items()} == {"two.tif": (), "one.tif": ("labelled",)}
    click(qtbot, dock, "one.tif")
    wait_for(qtbot, dock, "one.tif")
    assert len(dock.frame.labels) == 1
    click(qtbot, dock, "two.tif")
    wait_for(qtbot, dock, "two.tif")
    assert [each.name for each in images_in(viewer)] == ["two.tif"]
    assert dock.frames.page.current_id == rows(dock)["two.tif"].id


@pytest.mark.timeout(240)
def test_a_plane_of_a_stack_is_reached_by_its_slider(open_dock, plain, qtbot, tmp_path):
    settings = replace(plain, intake=Intake(z="each"))
    ids = place(settings, image(tmp_path / "day" / "stack.tif", 1, (4, SIDE, SIDE), metadata={"axes": "ZYX"}))
    with ProjectSession(plain.folder, "tester") as bench:
        for at in (1, 3):
            pixels = np.zeros((1, 16, 16), np.uint8)
            bench.answer(AnswerRecord(ids[at], 0, 0, pixels, "class", 1, "tester", ()))
    viewer, dock = open_dock(plain)
    assert list(rows(dock)) == ["stack.tif  z 3", "stack.tif  z 1"]
    click(qtbot, dock, "stack.tif  z 1")
    wait_for(qtbot, dock, "stack.tif  z 1")
    assert viewer.dims.current_step[0] == 1
    click(qtbot, dock, "stack.tif  z 3")
    wait_for(qtbot, dock, "stack.tif  z 3")
    assert viewer.dims.current_step[0] == 3
    assert len(images_in(viewer)) == 1


@pytest.mark.parametrize("kind", ["rgb", "channels", "stack"])
@pytest.mark.timeout(240)
def test_a_project_opens_with_its_last_frame_as_it_was_left(open_dock, plain, qtbot, tmp_path, kind):
    shape, known = {
        "rgb": ((SIDE, SIDE, 3), {"photometric": "rgb"}),
        "channels": ((3, SIDE, SIDE), {"imagej": True, "metadata": {"axes": "CYX"}}),
        "stack": ((4, SIDE, SIDE), {"metadata": {"axes": "ZYX"}}),
    }[kind]
    viewer, dock = open_dock(plain)
    dock.open_image(image(tmp_path / "day" / "one.tif", 1, shape, **known))
    qtbot.waitUntil(lambda: dock.frame.loaded is not None and len(rows(dock)) == 1, timeout=60_000)
    qtbot.waitUntil(lambda: not dock.choice.settling.isActive())
    if kind == "stack":
        viewer.dims.set_current_step(0, 3)
        qtbot.waitUntil(lambda: "one.tif  z 3" in rows(dock), timeout=60_000)
    qtbot.waitUntil(lambda: dock.frame.loaded is not None and not dock.choice.settling.isActive(), timeout=60_000)
    qtbot.wait(300)
    content = dock.frame.loaded.stored.content_hash
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0.0, 20.0, 30.0), 7.0
    if kind != "rgb":
        dock.choice.layers[0].contrast_limits = (10.0, 90.0)
    dock.close()
    for each in list(viewer.layers):
        viewer.layers.remove(each)
    again, dock = open_dock(plain)
    qtbot.waitUntil(lambda: dock.frame.loaded is not None and again.scene.camera.zoom == 7.0, timeout=60_000)
    assert dock.frame.loaded.stored.content_hash == content
    assert tuple(again.scene.camera.center)[-2:] == (20.0, 30.0)
    assert len(images_in(again)) == (3 if kind == "channels" else 1)
    if kind == "stack":
        assert again.dims.current_step[0] == 3
    if kind == "channels":
        assert len(dock.choice.layers) == 3
    if kind != "rgb":
        assert tuple(dock.choice.layers[0].contrast_limits) == (10.0, 90.0)


@pytest.mark.timeout(240)
def test_an_image_of_the_user_s_stays_the_frame_when_a_project_is_opened(open_dock, plain, qtbot, tmp_path):
    place(plain, image(tmp_path / "day" / "one.tif", 1))
    with Store(plain.store_path, read_only=True) as store:
        keep_last_frame(plain.folder, LastFrame(store.frames()[1].content_hash))
    mine = np.random.default_rng(9).integers(0, 250, (SIDE, SIDE), np.uint8)
    viewer, dock = open_dock(plain, lambda viewer: viewer.add_image(mine, name="mine"))
    qtbot.waitUntil(lambda: "mine" in rows(dock), timeout=60_000)
    qtbot.wait(300)
    assert [each.name for each in images_in(viewer)] == ["mine"]
    assert rows(dock)["mine"].states == ("unsaved layer",)
    viewer.layers.remove("mine")
    dock.frames.refresh()
    qtbot.waitUntil(lambda: rows(dock)["mine"].states == ("missing",), timeout=60_000)
    qtbot.waitUntil(lambda: dock.frames.page.model.has_picture(rows(dock)["mine"].record.content_hash), timeout=60_000)


@pytest.mark.timeout(240)
def test_a_frame_of_one_project_is_not_taken_into_the_next(open_dock, plain, qtbot, tmp_path):
    place(plain, image(tmp_path / "day" / "one.tif", 1))
    other = create_project(tmp_path / "other", ("a", "b"))
    save_project(replace(other, tiling=Tiling(16, 16)))
    viewer, dock = open_dock(plain)
    click(qtbot, dock, "one.tif")
    wait_for(qtbot, dock, "one.tif")
    dock.session.open(other.folder)
    qtbot.waitUntil(lambda: dock.session.project.folder == other.folder and dock.frames._are_placed, timeout=60_000)
    qtbot.wait(500)
    assert rows(dock) == {}
    assert images_in(viewer) == []
    with Store(other.store_path, read_only=True) as store:
        assert store.frames() == {}
    assert last_frame(plain.folder).content_hash


@pytest.mark.timeout(240)
def test_images_that_moved_are_located_and_opened(open_dock, plain, qtbot, tmp_path):
    place(plain, image(tmp_path / "day" / "one.tif", 1), 1)
    place(plain, image(tmp_path / "day" / "two.tif", 2))
    moved = image(tmp_path / "archive" / "two.tif", 7)
    (tmp_path / "day" / "one.tif").rename(tmp_path / "archive" / "renamed.tif")
    (tmp_path / "day" / "two.tif").unlink()
    _, dock = open_dock(plain)
    assert rows(dock)["one.tif"].states == ("labelled", "missing")
    click(qtbot, dock, "one.tif")
    assert "is missing. 'Locate' finds a moved image." in dock.status.text()

    class Caller:
        def call(self, _function, arguments, then, _failed, _title):
            then(finish(locate(*arguments)))

        def cancel(self):
            return False

    dock.frames._caller = Caller()
    dock.frames.locate(tmp_path / "archive")
    assert dock.status.text() == (
        f"Found 1 of 2 images by their content. Not used: {moved} (the name of a missing image, but other pixels). "
        "two.tif is still missing."
    )
    qtbot.waitUntil(lambda: "renamed.tif" in rows(dock), timeout=60_000)
    click(qtbot, dock, "renamed.tif")
    wait_for(qtbot, dock, "renamed.tif")
    assert len(dock.frame.labels) == 1


@pytest.mark.timeout(240)
def test_a_moved_image_that_is_opened_by_hand_is_known_from_then_on(open_dock, plain, qtbot, tmp_path):
    place(plain, image(tmp_path / "day" / "one.tif", 1), 1)
    target = (tmp_path / "day" / "one.tif").rename(tmp_path / "renamed.tif")
    _, dock = open_dock(plain)
    assert rows(dock)["one.tif"].states == ("labelled", "missing")
    dock.open_image(target)
    qtbot.waitUntil(lambda: "renamed.tif" in rows(dock), timeout=60_000)
    qtbot.waitUntil(lambda: rows(dock)["renamed.tif"].states == ("labelled",), timeout=60_000)


@pytest.mark.timeout(240)
def test_an_image_that_was_replaced_is_not_taken_for_the_frame(open_dock, plain, qtbot, tmp_path):
    place(plain, image(tmp_path / "day" / "one.tif", 1), 1)
    viewer, dock = open_dock(plain)
    image(tmp_path / "day" / "one.tif", 2)
    click(qtbot, dock, "one.tif")
    qtbot.waitUntil(lambda: "does not have the pixels of the project's frame" in dock.status.text())
    assert images_in(viewer) == []


@pytest.mark.timeout(240)
def test_labels_are_counted_in_the_row_of_their_frame_at_once(open_dock, plain, qtbot, tmp_path):
    place(plain, image(tmp_path / "day" / "one.tif", 1))
    _, dock = open_dock(plain)
    click(qtbot, dock, "one.tif")
    wait_for(qtbot, dock, "one.tif")
    dock.present_at((5, 5))
    qtbot.waitUntil(lambda: dock.labelling.current is not None and dock.labelling.current.is_shown, timeout=60_000)
    dock.labelling.answer(2)
    qtbot.waitUntil(lambda: dict(rows(dock)["one.tif"].labels) == {2: 1}, timeout=30_000)
    dock.labelling.undo()
    qtbot.waitUntil(lambda: dict(rows(dock)["one.tif"].labels) == {}, timeout=30_000)


@pytest.mark.timeout(240)
def test_a_project_open_for_reading_lists_and_shows_its_frames(open_dock, plain, qtbot, tmp_path):
    place(plain, image(tmp_path / "day" / "one.tif", 1), 1)
    with ProjectSession(plain.folder, "another"):
        _, dock = open_dock(plain)
        assert dock.session.project_session.holder is not None
        click(qtbot, dock, "one.tif")
        wait_for(qtbot, dock, "one.tif")
        qtbot.wait(300)
    assert last_frame(plain.folder) is None
