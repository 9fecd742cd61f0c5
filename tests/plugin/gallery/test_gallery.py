"""*Crop gallery* beside *Label crops* in a real viewer: mouse, keys, pages, undo, and what goes wrong."""

import time
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QApplication

from costal.errors import ProjectError
from costal.frames.simulate import simulate_field
from costal.labels.effort import Event, EventKind
from costal.labels.project_file import create_project, save_project
from costal.labels.records import AnswerRecord, CropLabel
from costal.labels.store import Store
from costal.numerals import counted
from costal.scoring.queries import unanswered
from costal.scoring.scores import FrameScores
from costal.types import Scores
from costal.workbench.assessment import Assessment, Doubt, keep
from costal.workbench.gallery import POOR
from costal.workbench.looked_again import confirmed_labels
from costal.workbench.poor_crops import DARK
from costal.workbench.session import ProjectSession
from napari_costal.gallery.widget import CropGallery
from napari_costal.label_crops.widget import LabelCrops

CROP, COLUMNS = 16, 16
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
EVENTS = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 10**9, 10**9))


@pytest.fixture
def field():
    return simulate_field((CROP * COLUMNS, CROP * COLUMNS), CROP, seed=2, pixel_um=0.03)


@pytest.fixture
def project(tmp_path):
    made = create_project(tmp_path / "cells", ("background", "puncta", "fibres", "rings"))
    tiling = replace(made.tiling, crop=CROP, stride=CROP)
    made = replace(made, tiling=tiling, choices=replace(made.choices, control_share=0.0, backbone="gal2017"))
    save_project(made)
    return made


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 900)
    return viewer


@pytest.fixture
def dock(viewer, chosen, field, project, qtbot):
    viewer.add_image(field.pixels_Y_X, name="field")
    widget = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(widget, name="Label crops")
    widget.session.open(project.folder)
    qtbot.waitUntil(lambda: widget.frame.loaded is not None, timeout=20_000)
    yield widget
    widget.close()


@pytest.fixture
def gallery(viewer, dock, chosen, qtbot):
    widget = CropGallery(viewer, chosen)
    viewer.window.add_dock_widget(widget, name="Crop gallery", tabify=True).raise_()
    qtbot.waitUntil(lambda: widget.model.rowCount() == COLUMNS**2, timeout=20_000)
    yield widget
    widget.close()


def index_at(gallery, position):
    _, y, x, _ = gallery.model.place(position)
    return y // CROP * COLUMNS + x // CROP


def click(qtbot, gallery, position, modifier=NONE):
    index = gallery.model.index(position)
    gallery.view.scrollTo(index)
    qtbot.mouseClick(gallery.view.viewport(), LEFT, modifier, gallery.view.visualRect(index).center())


def press(qtbot, gallery, key):
    qtbot.keyClick(gallery.view, key)
    qtbot.waitUntil(lambda: not gallery.session.is_saving, timeout=20_000)


def stored(project):
    """Return the label of each crop on disk, and how it was given."""
    with Store(project.store_path, read_only=True) as store:
        return {each.y // CROP * COLUMNS + each.x // CROP: (each.class_id, each.given) for each in store.labels()}


def actions(project):
    with Store(project.store_path, read_only=True) as store:
        return store._select("SELECT given, annotator, planted, caught, active_s > 0 FROM action ORDER BY id")


def score(qtbot, dock, gallery, classes_N, confidence=0.95):
    """Let the model be sure of these classes, all but crop 0."""
    probs = np.full((COLUMNS**2, 4), (1 - confidence) / 3, np.float32)
    probs[np.arange(COLUMNS**2), classes_N] = confidence
    probs[0] = 0.25
    ones = np.ones(COLUMNS**2, np.float32)
    dock.query.frame_scores = FrameScores(Scores(ones, ones, probs, True, "cpu"), 1, model_hash="abc")
    qtbot.waitUntil(lambda: bool(gallery.listing.gallery.crops.predicted_N.any()), timeout=20_000)
    qtbot.waitUntil(lambda: gallery.model.gallery is gallery.listing.gallery, timeout=20_000)


def label_alone(project, dock, index, class_id):
    y, x = divmod(index, COLUMNS)
    pixels = dock.frame.loaded.plane_C_Y_X[:, y * CROP : (y + 1) * CROP, x * CROP : (x + 1) * CROP]
    frame_id = dock.frame.loaded.stored.id
    record = AnswerRecord(frame_id, y * CROP, x * CROP, pixels, "class", class_id, "tester", EVENTS)
    dock.session.store.run(dock.session.project_session.answer, record)


def offer(qtbot, gallery):
    qtbot.mouseClick(gallery.offers.offer_button, LEFT)
    qtbot.waitUntil(lambda: gallery.listing.offer is not None, timeout=10_000)
    return gallery.listing.offer


# choosing and labelling


def test_a_hundred_crops_are_labelled_within_a_minute_and_every_action_is_undone_and_redone(
    dock, gallery, project, field, qtbot
):
    begun = time.monotonic()
    expected = {}
    for class_index in range(4):
        positions = [each for each in range(100) if field.classes_N[index_at(gallery, each)] == class_index]
        for number, position in enumerate(positions):
            click(qtbot, gallery, position, CTRL if number else NONE)
        press(qtbot, gallery, str(class_index + 1))
        expected |= {index_at(gallery, each): (class_index + 1, "bulk") for each in positions}
    took_s = time.monotonic() - begun
    assert len(expected) == 100
    assert stored(project) == expected
    assert took_s < 60
    assert {index: label.class_id for index, label in dock.frame.labels.items()} == {
        index: class_id for index, (class_id, _) in expected.items()
    }
    assert actions(project) == [("bulk", "tester", 0, 0, 1)] * 4
    last = {index for index, (class_id, _) in expected.items() if class_id == 4}
    press(qtbot, gallery, "z")
    assert stored(project) == {index: label for index, label in expected.items() if index not in last}
    assert set(dock.frame.labels) == set(expected) - last
    for _ in range(3):
        press(qtbot, gallery, "z")
    assert stored(project) == {}
    assert not gallery.listing.gallery.crops.label_N.any()
    for _ in range(4):
        press(qtbot, gallery, "y")
    assert stored(project) == expected


def test_shift_ctrl_and_ctrl_a_select_as_in_a_photo_gallery(gallery, qtbot):
    click(qtbot, gallery, 2)
    click(qtbot, gallery, 5, SHIFT)
    click(qtbot, gallery, 8, CTRL)
    click(qtbot, gallery, 3, CTRL)
    assert gallery.view.chosen() == [2, 4, 5, 8]
    qtbot.keyClick(gallery.view, "a", CTRL)
    assert len(gallery.view.chosen()) == COLUMNS**2
    assert "256 selected" in gallery.count_label.text()


def test_a_frame_drawn_with_the_mouse_selects_what_it_touches(gallery, qtbot):
    view, columns = gallery.view, gallery.view.columns
    first, last = (view.visualRect(gallery.model.index(each)) for each in (0, columns + 2))
    start, end = first.center(), last.center()
    qtbot.mousePress(view.viewport(), LEFT, pos=QPoint(first.right() - 1, first.bottom() - 1))
    for at in (start + QPoint(30, 30), end):
        qtbot.mouseMove(view.viewport(), at)
        QApplication.processEvents()
    qtbot.mouseRelease(view.viewport(), LEFT, pos=end)
    assert view.chosen() == [0, 1, 2, columns, columns + 1, columns + 2]


def test_keys_go_to_the_gallery_before_the_window(viewer, gallery, project, qtbot):
    """Digits change the mode of napari's layers, and letters are its shortcuts."""
    click(qtbot, gallery, 4)
    mode = viewer.layers[0].mode
    override = QKeyEvent(QEvent.Type.ShortcutOverride, Qt.Key.Key_2, NONE, "2")
    QApplication.sendEvent(gallery.view, override)
    assert override.isAccepted()
    press(qtbot, gallery, "2")
    assert stored(project) == {index_at(gallery, 4): (2, "bulk")}
    assert viewer.layers[0].mode == mode


def test_a_held_key_labels_once(gallery, project, qtbot):
    click(qtbot, gallery, 4)
    press(qtbot, gallery, "2")
    click(qtbot, gallery, 5)
    repeated = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_2, NONE, "2", True)
    QApplication.sendEvent(gallery.view, repeated)
    qtbot.wait(200)
    assert set(stored(project)) == {index_at(gallery, 4)}


def test_the_view_stays_where_it_is_when_labels_change(gallery, qtbot):
    bar = gallery.view.verticalScrollBar()
    click(qtbot, gallery, 120)
    bar.setValue(bar.value() + 7)
    before, order = bar.value(), gallery.model.rows_n.tolist()
    press(qtbot, gallery, "1")
    assert bar.value() == before
    assert gallery.model.rows_n.tolist() == order
    assert gallery.model.cell(120).label == "background"


def test_a_label_that_is_given_on_the_bench_appears_in_the_gallery(dock, gallery):
    dock.frame.relabel(7, CropLabel(1, dock.frame.loaded.stored.id, 0, 7 * CROP, CROP, 2, "class"), is_new=True)
    assert gallery.model.cell(7).label == "puncta"
    dock.frame.relabel(7, None, is_new=False)
    assert gallery.model.cell(7).label == ""


def test_buttons_label_what_is_selected_and_say_when_nothing_is(gallery, project, qtbot):
    button = gallery.findChild(object, f"gallery-class-{project.classes[2].id}")
    qtbot.mouseClick(button, LEFT)
    assert "Select crops first" in gallery.status.text()
    click(qtbot, gallery, 9)
    qtbot.mouseClick(button, LEFT)
    qtbot.waitUntil(lambda: bool(stored(project)), timeout=10_000)
    assert stored(project) == {index_at(gallery, 9): (3, "bulk")}


# orders and filters


def test_a_filter_and_an_order_list_what_they_say(dock, gallery, field, qtbot):
    score(qtbot, dock, gallery, field.classes_N)
    gallery.filters.predictions.setCurrentIndex(4)
    rings = int((field.classes_N[1:] == 3).sum())
    qtbot.waitUntil(lambda: gallery.model.rowCount() == rings, timeout=10_000)
    assert {gallery.model.cell(each).predicted for each in range(rings)} == {"rings 95%"}
    gallery.filters.predictions.setCurrentIndex(0)
    qtbot.waitUntil(lambda: gallery.model.rowCount() == COLUMNS**2, timeout=10_000)
    gallery.filters.order.setCurrentIndex(3)
    gallery.filters.order.activated.emit(3)
    qtbot.waitUntil(lambda: index_at(gallery, 0) == 0, timeout=10_000)


# pages


def test_a_page_is_accepted_without_its_planted_errors_and_taken_back_as_a_whole(dock, gallery, project, field, qtbot):
    truth = field.classes_N + 1
    for index in range(1, 20):
        label_alone(project, dock, index, int(truth[index]))
    qtbot.waitUntil(lambda: len(stored(project)) == 19, timeout=10_000)
    alone = stored(project)
    dock.session.reload()
    score(qtbot, dock, gallery, field.classes_N)
    qtbot.waitUntil(lambda: int(gallery.listing.gallery.crops.single_N.sum()) == 19, timeout=10_000)
    offered = offer(qtbot, gallery)
    page = offered.page
    planted = int(page.planted_n.sum())
    assert planted == max(round(len(page) / 20), 1)
    assert "wrong on purpose" in gallery.status.text()
    rows = page.rows_n.tolist()
    wrong = [each for each in range(len(page)) if page.planted_n[each]]
    assert all(page.shown_n[each] != truth[index_at(gallery, each)] for each in wrong)
    right = [each for each in range(len(page)) if not page.planted_n[each]]
    kept = {index_at(gallery, each): (int(page.shown_n[each]), "accepted") for each in right[1:]}
    click(qtbot, gallery, wrong[0])
    press(qtbot, gallery, str(truth[index_at(gallery, wrong[0])]))
    assert stored(project) == alone, "the label says so already"
    click(qtbot, gallery, right[0])
    press(qtbot, gallery, Qt.Key.Key_Delete)
    assert gallery.model.cell(right[0]).is_left_out
    assert rows[right[0]] in offered.left_out
    while gallery.listing.offer is offered:
        press(qtbot, gallery, Qt.Key.Key_Return)
    assert stored(project) == alone | kept
    assert actions(project) == [("accepted", "tester", planted, 1, 1)]
    assert f"You noticed 1 of {counted(planted, 'error')} made on purpose" in gallery.status.text()
    press(qtbot, gallery, "z")
    assert stored(project) == alone
    press(qtbot, gallery, "y")
    assert stored(project) == alone | kept


def test_a_page_is_not_accepted_before_its_end_was_seen(dock, gallery, project, field, qtbot):
    score(qtbot, dock, gallery, field.classes_N)
    gallery.painting.resize(224)
    offered = offer(qtbot, gallery)
    if gallery.view.was_end_seen:
        pytest.fail("the page should be longer than the view")
    press(qtbot, gallery, Qt.Key.Key_Return)
    assert "continues below" in gallery.status.text()
    assert gallery.listing.offer is offered
    assert stored(project) == {}


def test_what_is_corrected_on_a_page_keeps_the_class_that_was_given(dock, gallery, project, field, qtbot):
    score(qtbot, dock, gallery, field.classes_N)
    offered = offer(qtbot, gallery)
    right = int(np.flatnonzero(~offered.page.planted_n)[0])
    other = int(offered.page.shown_n[right]) % 4 + 1
    index = index_at(gallery, right)
    click(qtbot, gallery, right)
    press(qtbot, gallery, str(other))
    assert stored(project) == {index: (other, "bulk")}
    while gallery.listing.offer is offered:
        press(qtbot, gallery, Qt.Key.Key_Return)
    assert stored(project)[index] == (other, "bulk")


def test_without_a_model_nothing_is_offered_and_the_reason_is_said(gallery, qtbot):
    qtbot.mouseClick(gallery.offers.offer_button, LEFT)
    assert "There are no predictions yet" in gallery.status.text()
    assert not gallery.offers.is_offering
    press(qtbot, gallery, Qt.Key.Key_Return)
    assert "No predictions are offered" in gallery.status.text()


def test_a_query_covers_the_gallery_until_it_ends(dock, gallery, qtbot):
    assert gallery.view.isVisible()
    dock.query.blind(True)
    assert not gallery.view.isVisible()
    assert "influence your answers" in gallery.covered_label.text()
    dock.query.blind(False)
    assert gallery.view.isVisible()


def test_a_crop_answered_while_the_gallery_is_in_sight_says_that_predictions_were_shown(dock, gallery):
    assert dock.page.shows_predictions()
    gallery.view.hide()
    assert not dock.page.shows_predictions()


# what goes wrong


def test_a_full_disk_loses_no_choice_and_the_key_works_again(dock, gallery, project, qtbot, monkeypatch):
    def full(*_):
        raise ProjectError("labels.sqlite could not be used: database or disk is full. Free some space.")

    click(qtbot, gallery, 3)
    click(qtbot, gallery, 4, CTRL)
    with monkeypatch.context() as patched:
        patched.setattr(dock.session.project_session.store, "answer_together", full)
        press(qtbot, gallery, "1")
    assert "Not saved" in gallery.status.text()
    assert "full" in gallery.status.text()
    assert gallery.view.chosen() == [3, 4]
    assert not gallery.listing.gallery.crops.label_N.any()
    press(qtbot, gallery, "1")
    assert set(stored(project).values()) == {(1, "bulk")}
    assert len(stored(project)) == 2


def test_a_project_that_another_window_writes_to_is_shown_and_not_labelled(viewer, chosen, field, project, qtbot):
    with ProjectSession(project.folder, "eve"):
        viewer.add_image(field.pixels_Y_X, name="field")
        dock = LabelCrops(viewer, chosen)
        viewer.window.add_dock_widget(dock, name="Label crops")
        dock.session.open(project.folder)
        qtbot.waitUntil(lambda: dock.session.project_session is not None, timeout=20_000)
        assert dock.session.project_session.holder is not None
        widget = CropGallery(viewer, chosen)
        viewer.window.add_dock_widget(widget, name="Crop gallery", tabify=True).raise_()
        qtbot.waitUntil(lambda: widget.listing.gallery is not None, timeout=20_000)
        widget.session.undo()
        assert "Read only" in widget.status.text()
        widget.session.label([0], 1)
        assert "Read only" in widget.status.text()
        qtbot.mouseClick(widget.offers.offer_button, LEFT)
        assert not widget.offers.is_offering
        widget.close()
        dock.close()
    assert stored(project) == {}


def test_pixels_that_cannot_be_read_are_said_on_the_thumbnail_and_nothing_is_labelled(gallery, project, qtbot):
    reason = "field.tif is gone. Put it back."
    for pixels in (gallery.listing.pixels, gallery.painting._pixels):
        pixels.read = lambda rows: dict.fromkeys(map(int, rows), reason)
    gallery.painting.repaint_all()
    qtbot.waitUntil(lambda: gallery.painting.thumbnails.get(int(gallery.model.rows_n[0])) == reason, timeout=10_000)
    click(qtbot, gallery, 0)
    press(qtbot, gallery, "1")
    assert "1 of the 1 crops cannot be read" in gallery.status.text()
    assert reason in gallery.status.text()
    assert stored(project) == {}


def test_closing_label_crops_empties_the_gallery(viewer, dock, gallery, qtbot):
    dock.setParent(None)
    qtbot.waitUntil(lambda: gallery.listing.gallery is None, timeout=10_000)
    assert "No project is open" in gallery.covered_label.text()
    assert gallery.model.rowCount() == 0


def doubt(project, indices, predicted_id=2):
    """Let the others contradict the labels of these crops, the first of them most."""
    with Store(project.store_path, read_only=True) as store:
        labels = {each.y // CROP * COLUMNS + each.x // CROP: each for each in store.labels()}
    doubts = [
        Doubt(each.first_id, each.frame_id, each.y, each.x, each.side, each.class_id, predicted_id, 0.1, 0.9)
        for each in (labels[index] for index in indices)
    ]
    keep(project, Assessment("old", "", 20, doubts=tuple(doubts)))


def looked_again(gallery):
    return [index_at(gallery, position) for position in range(gallery.model.rowCount())]


@pytest.fixture
def doubting(gallery, dock, project, qtbot):
    """Return the gallery with three labels of class 1; the second and the third are doubted."""
    gallery.view.choose([4, 5, 6])
    press(qtbot, gallery, Qt.Key.Key_1)
    doubt(project, (6, 5))
    gallery.listing.follow(gallery.following.work)
    qtbot.waitUntil(lambda: len(gallery.listing.gallery.doubts) == 2, timeout=20_000)
    gallery.look_again()
    qtbot.waitUntil(lambda: looked_again(gallery) == [6, 5], timeout=20_000)
    return gallery


def test_labels_to_look_at_again_are_listed_the_worst_first_with_what_contradicts_them(doubting):
    assert doubting.model.cell(0).label == "background ≠ puncta"


def test_enter_keeps_a_label_undo_doubts_it_again_and_redo_keeps_it_again(doubting, project, qtbot):
    doubting.view.choose([0])
    qtbot.keyClick(doubting.view, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(confirmed_labels(project)) == 1, timeout=20_000)
    qtbot.waitUntil(lambda: int((doubting.listing.gallery.crops.doubt_N > 0).sum()) == 1, timeout=20_000)
    doubting.list_button.click()
    qtbot.waitUntil(lambda: looked_again(doubting) == [5], timeout=20_000)
    assert len(stored(project)) == 3
    doubting.session.undo()
    qtbot.waitUntil(lambda: confirmed_labels(project) == {}, timeout=20_000)
    qtbot.waitUntil(lambda: int((doubting.listing.gallery.crops.doubt_N > 0).sum()) == 2, timeout=20_000)
    doubting.list_button.click()
    qtbot.waitUntil(lambda: looked_again(doubting) == [6, 5], timeout=20_000)
    doubting.session.redo()
    qtbot.waitUntil(lambda: len(confirmed_labels(project)) == 1, timeout=20_000)
    qtbot.waitUntil(lambda: int((doubting.listing.gallery.crops.doubt_N > 0).sum()) == 1, timeout=20_000)
    doubting.list_button.click()
    qtbot.waitUntil(lambda: looked_again(doubting) == [5], timeout=20_000)
    assert len(stored(project)) == 3


def test_the_key_of_a_class_changes_a_doubted_label_which_is_then_doubted_no_more(doubting, project, qtbot):
    doubting.view.choose([0])
    press(qtbot, doubting, Qt.Key.Key_2)
    assert stored(project)[6] == (2, "bulk")
    doubting.list_button.click()
    qtbot.waitUntil(lambda: looked_again(doubting) == [5], timeout=20_000)


def test_crops_are_excluded_by_one_action_asked_no_more_and_come_back_with_one_undo(gallery, dock, project, qtbot):
    gallery.view.choose([2, 3, 9])
    press(qtbot, gallery, Qt.Key.Key_Delete)
    assert stored(project) == dict.fromkeys((2, 3, 9), (None, "bulk"))
    assert len(actions(project)) == 1
    free = unanswered(dock.frame.labels, dock.frame.grid)
    assert not np.isin([2, 3, 9], free).any()
    press_undo(gallery, qtbot)
    assert stored(project) == {}
    assert len(unanswered(dock.frame.labels, dock.frame.grid)) == COLUMNS**2


def press_undo(gallery, qtbot):
    gallery.session.undo()
    qtbot.waitUntil(lambda: not gallery.session.is_saving, timeout=20_000)


def test_dark_crops_are_listed_on_demand_and_excluded_at_once(gallery, project, qtbot):
    gallery.filters.labels.setCurrentIndex(gallery.filters.labels.findData(POOR - DARK))
    qtbot.waitUntil(lambda: 0 < gallery.model.rowCount() < COLUMNS**2, timeout=20_000)
    count = gallery.model.rowCount()
    gallery.exclude_button.click()
    qtbot.waitUntil(lambda: len(stored(project)) == count, timeout=20_000)
    assert len(actions(project)) == 1
