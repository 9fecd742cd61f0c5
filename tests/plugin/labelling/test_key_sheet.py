"""The sheet of keys: beside the bench, in the window that it is in, and never a reason for a larger window."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QTextEdit

from costal.labels.project import COLOURS, LabelClass
from napari_costal.labelling.labelling_page import LabellingPage
from napari_costal.ui.tools import HELP, LABELLING_KEYS


@pytest.fixture
def window(qtbot):
    window, home = QMainWindow(), QDockWidget()
    window.labelling_page = LabellingPage(LABELLING_KEYS)
    home.setWidget(window.labelling_page)
    window.setCentralWidget(QTextEdit())
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, home)
    qtbot.addWidget(window)
    window.resize(1366, 768)
    window.show()
    window.resizeDocks([home], [420], Qt.Orientation.Horizontal)
    qtbot.waitExposed(window)
    window.labelling_page.begin(
        [LabelClass(number, f"class {number}", str(number), COLOURS[number]) for number in range(1, 9)]
    )
    yield window
    window.labelling_page.end()


def test_the_sheet_covers_neither_crop_nor_buttons_and_leaves_the_window_as_it_is(window, qtbot):
    bench, size = window.labelling_page, window.size()
    heights = [each.height() for each in (bench.crop_view, bench.buttons[HELP])]
    qtbot.mouseClick(bench.buttons[HELP], Qt.MouseButton.LeftButton)
    qtbot.wait(50)
    assert bench.sheet.isVisible()
    assert bench.sheet.parent() is window
    assert bench.sheet.geometry().right() < bench.mapTo(window, bench.rect().topLeft()).x()
    assert window.size() == size
    assert [each.height() for each in (bench.crop_view, bench.buttons[HELP])] == heights


def test_the_sheet_goes_by_its_key_by_a_click_and_with_the_bench(window, qtbot):
    bench = window.labelling_page
    for put_away in (
        lambda: qtbot.mouseClick(bench.buttons[HELP], Qt.MouseButton.LeftButton),
        lambda: qtbot.mouseClick(bench.sheet, Qt.MouseButton.LeftButton),
        bench.end,
    ):
        qtbot.mouseClick(bench.buttons[HELP], Qt.MouseButton.LeftButton)
        assert bench.sheet.isVisible()
        put_away()
        assert not bench.sheet.isVisible()
        assert bench.sheet.parent() is bench
        bench.begin(bench.keys.classes)


def test_a_sentence_under_the_crop_moves_nothing(window, qtbot):
    bench, places = window.labelling_page, set()
    for text in ("", "Saved.", "Why this crop: this and that, at great length and with many words. " * 6):
        bench.say(text)
        qtbot.wait(30)
        places.add((bench.buttons[HELP].y(), bench.crop_view.height()))
    assert len(places) == 1
