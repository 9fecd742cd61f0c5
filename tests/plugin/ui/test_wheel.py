"""The mouse wheel over a dock changes no value that the user has not clicked into."""

import pytest
from magicgui.widgets import ComboBox, FloatSpinBox, SpinBox
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QScrollArea, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider

from napari_costal.ui.wheel import WheelGuard


def turn_wheel(widget):
    """Turn the wheel by a notch over a widget; return whether it took the event: if not, Qt asks what is around it."""
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle,
        QPointF(widget.mapToGlobal(widget.rect().center())),
        QPoint(0, 0),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


@pytest.fixture
def page(qtbot):
    """Return a page that scrolls, and the fields on it."""
    area, inner = QScrollArea(), QWidget()
    column = QVBoxLayout(inner)
    slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, 2)
    slider.setValue(1)
    fields = {
        "whole": SpinBox(value=5),
        "number": FloatSpinBox(value=5.0),
        "choice": ComboBox(choices=["a", "b", "c"], value="b"),
    }
    for each in fields.values():
        column.addWidget(each.native)
    column.addWidget(slider)
    inner.setMinimumHeight(2000)
    area.setWidget(inner)
    area.setWidgetResizable(True)
    area.resize(300, 200)
    qtbot.addWidget(area)
    area.show()
    qtbot.waitExposed(area)
    assert area.verticalScrollBar().maximum() > 0
    guard = WheelGuard()
    guard.guard(area)
    area.guard = guard
    return area, fields, slider


@pytest.mark.parametrize("name", ["whole", "number", "choice"])
def test_the_wheel_over_a_field_leaves_its_value_and_goes_to_the_page(page, name):
    _, fields, _ = page
    before = fields[name].value
    assert not turn_wheel(fields[name].native)
    assert fields[name].value == before


def test_the_wheel_over_a_slider_leaves_its_value_and_goes_to_the_page(page):
    _, _, slider = page
    assert not turn_wheel(slider._slider)
    assert slider.value() == 1


def test_the_wheel_changes_a_field_that_was_clicked_into(page, qtbot):
    area, fields, _ = page
    spin = fields["whole"].native
    area.activateWindow()
    spin.setFocus()
    qtbot.waitUntil(spin.hasFocus)
    assert turn_wheel(spin)
    assert fields["whole"].value == 4
