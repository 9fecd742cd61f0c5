"""The parts of docks: headings, sentences, buttons, rows, forms and pages."""

from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from magicgui.widgets import CheckBox
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

ALARM, CAUTION = "#ff6655", "#ffcc33"


def heading(text: str) -> QLabel:
    """Return a bold line above a part of a dock."""
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold; padding-top: 4px;")
    return label


def sentence(text: str = "", colour: str = "") -> QLabel:
    """Return a label whose text wraps."""
    label = QLabel(text)
    label.setWordWrap(True)
    paint(label, colour)
    return label


def steady(lines: int, *labels: QLabel) -> QScrollArea:
    """Return texts in an area of fixed height, in lines; longer texts scroll, and nothing else moves."""
    column = QWidget()
    rows = QVBoxLayout(column)
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setSpacing(2)
    for each in labels:
        each.setAlignment(Qt.AlignmentFlag.AlignTop)
        rows.addWidget(each)
    rows.addStretch(1)
    place = scrolled(column)
    place.setFixedHeight(lines * place.fontMetrics().lineSpacing() + 4)
    return place


def paint(label: QLabel, colour: str) -> None:
    """Set the colour of a text; an empty colour is that of the theme."""
    label.setStyleSheet(f"color: {colour};" if colour else "")


def push_button(text: str, tip: str, act: Callable[[], Any] | None = None) -> QPushButton:
    """Return a button with a tool tip; a click calls `act`."""
    button = QPushButton(text)
    button.setToolTip(tip)
    if act is not None:
        button.clicked.connect(lambda: act())
    return button


def beside(*widgets: QWidget, shares: tuple[int, ...] = ()) -> QHBoxLayout:
    """Return widgets side by side; `shares` are their stretch factors, from the first widget on."""
    line = QHBoxLayout()
    for widget, share in zip_longest(widgets, shares, fillvalue=0):
        line.addWidget(widget, share)
    return line


def row(*widgets: QWidget, shares: tuple[int, ...] = ()) -> QWidget:
    """Return widgets side by side as one widget without margins."""
    whole = QWidget()
    line = beside(*widgets, shares=shares)
    line.setContentsMargins(0, 0, 0, 0)
    whole.setLayout(line)
    return whole


def part(title: str, *widgets: QWidget) -> QWidget:
    """Return a heading with its widgets below."""
    whole = QWidget()
    column = QVBoxLayout(whole)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(4)
    for widget in (heading(title), *widgets):
        column.addWidget(widget)
    return whole


def form(*rows: Any) -> QWidget:
    """Return fields of magicgui, one below the other, each behind its label; those of a tuple share a line."""
    whole = QWidget()
    grid = QGridLayout(whole)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(8)
    grid.setVerticalSpacing(4)
    grid.setColumnStretch(1, 1)
    fields = [each if isinstance(each, tuple) else (each,) for each in rows]
    for at, (first, *others) in enumerate(fields):
        if isinstance(first, CheckBox):  # its label is beside it
            grid.addWidget(first.native, at, 0, 1, 2)
            continue
        line = QHBoxLayout()
        line.addWidget(first.native, 1)
        for each in others:
            line.addWidget(_label_of(each))
            line.addWidget(each.native, 1)
        grid.addWidget(_label_of(first), at, 0)
        grid.addLayout(line, at, 1)
    whole.setProperty("fields", tuple(fields))  # the magicgui widget must live as long as the Qt widget
    return whole


def _label_of(field: Any) -> QLabel:
    label = QLabel(field.label)
    label.setToolTip(field.tooltip or "")
    label.setVisible(bool(field.label))
    return label


def pages() -> QStackedWidget:
    """Return pages that take all the height; without such a widget napari adds empty space below a dock."""
    stack = QStackedWidget()
    stack.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
    return stack


def stacked(*rows: QWidget | QLayout, tall: int | None = None) -> QWidget:
    """Return widgets and layouts one below the other, with a tab's margins; the `tall` one takes the free height."""
    whole = QWidget()
    column = QVBoxLayout(whole)
    column.setContentsMargins(8, 6, 8, 4)
    column.setSpacing(6)
    for each in rows:
        if isinstance(each, QWidget):
            column.addWidget(each)
        else:
            column.addLayout(each)
    if tall is None:
        column.addStretch(1)
    else:
        column.setStretch(tall, 1)
    return whole


def scrolled(widget: QWidget) -> QScrollArea:
    """Return a widget that scrolls if the window is too low."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(widget)
    return area
