"""The form of *Label crops*: what fits on a small screen, and what stays where it is."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_costal.label_crops.widget import LabelCrops
from napari_costal.ui.help import help_text
from napari_costal.ui.saving import saving_dialog

SMALL_SCREEN = 1366, 768


@pytest.fixture
def dock(make_napari_viewer, chosen, qtbot):
    viewer = make_napari_viewer(show=True)
    dock = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(dock, name="Label crops")
    viewer.window.resize(*SMALL_SCREEN)
    qtbot.wait(100)
    yield dock
    dock.close()


def test_no_tab_scrolls_in_the_window_of_a_small_screen(dock, qtbot):
    assert [dock.setup.tabText(at) for at in range(dock.setup.count())] == ["Start", "Project", "Frames", "Label"]
    for at in range(dock.setup.count()):
        dock.setup.setCurrentIndex(at)
        qtbot.wait(20)
        area = dock.setup.widget(at)
        assert area.widget().sizeHint().height() <= area.height(), dock.setup.tabText(at)
        assert area.widget().minimumSizeHint().width() <= area.width(), dock.setup.tabText(at)


def test_the_buttons_of_the_loop_stay_where_they_are_whatever_tab_is_open_and_whatever_is_said(dock, qtbot):
    places = set()
    for at in range(dock.setup.count()):
        dock.setup.setCurrentIndex(at)
        for text in ("", "Saved.", "A long sentence that takes more than one line in a dock of this width. " * 2):
            dock.say(text)
            qtbot.wait(20)
            button = dock.setup.label_button
            assert button.isVisible()
            places.add(_place(button, dock))
    assert len(places) == 1


def _place(button, dock):
    at = button.mapTo(dock, button.rect().topLeft())
    return at.x(), at.y()


def test_the_first_steps_are_ticked_off_and_go_when_a_crop_is_labelled(dock, qtbot):
    def done():
        return [step.is_done for step in dock.setup.start.steps]

    assert dock.setup.is_at(dock.setup.start)
    assert done() == [False, False, False]
    qtbot.mouseClick(dock.setup.start.sample_button, Qt.MouseButton.LeftButton)
    assert done() == [True, False, False]
    qtbot.mouseClick(dock.setup.start.names_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.session.project is not None, timeout=20_000)
    assert dock.setup.is_at(dock.setup.label_tab)
    assert done() == [True, False, False], "the names are those that every project has at first"
    dock.setup.classes.table.item(0, 1).setText("fibres")
    assert done() == [True, True, False]
    dock.present_at((5, 5))
    qtbot.waitUntil(lambda: dock.labelling.current is not None and dock.labelling.current.is_shown, timeout=20_000)
    qtbot.waitUntil(lambda: not dock.labelling.presenter.refusal(), timeout=5000)
    dock.labelling.answer(1)
    qtbot.waitUntil(lambda: done() == [True, True, True], timeout=5000)
    assert [dock.setup.tabText(at) for at in range(dock.setup.count())] == ["Project", "Frames", "Label"]
    assert dock.model_label.text() == "1 label, not trained yet: press Train"
    dock.labelling.stop()
    assert dock.setup.is_at(dock.setup.label_tab)


def test_the_help_has_the_keys_that_the_user_chose():
    text = help_text({"skip": "K"})
    assert "<b>K</b>&nbsp;&nbsp;&nbsp;</td><td>skip: you cannot tell" in text
    assert "docs/tour.md" in text


def test_the_suffix_of_an_export_is_shown_and_added(qtbot, tmp_path):
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = saving_dialog(parent, "CSV table", tmp_path / "cells labels.csv")
    assert dialog.selectedFiles() == [str(tmp_path / "cells labels.csv")]
    assert dialog.nameFilters() == ["*.csv"]
    dialog.selectFile(str(tmp_path / "mine"))
    assert dialog.selectedFiles() == [str(tmp_path / "mine.csv")]


def test_the_title_of_a_dock_leaves_out_the_plugin(make_napari_viewer, chosen, qtbot):
    viewer = make_napari_viewer(show=True)
    dock = LabelCrops(viewer, chosen)
    home = viewer.window.add_dock_widget(dock, name="Label crops (napari-costal)")
    qtbot.waitUntil(lambda: home.windowTitle() == "Label crops", timeout=5000)
    dock.close()
