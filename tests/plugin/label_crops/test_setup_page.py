"""The form of *Label crops*: what fits on a small screen, and what stays where it is."""

import pytest

from napari_costal.label_crops.widget import LabelCrops

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
