"""What docks are made of: headings, sentences, buttons, rows, forms and pages."""

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
    """Return a text that takes as many lines as it needs."""
    label = QLabel(text)
    label.setWordWrap(True)
    paint(label, colour)
    return label


def steady(lines: int, *labels: QLabel) -> QScrollArea:
    """Return texts in a place of so many lines: nothing around it moves when they wrap, and what is longer scrolls."""
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
    """Give a text a colour, or with an empty one that of the theme."""
    label.setStyleSheet(f"color: {colour};" if colour else "")


def push_button(text: str, tip: str, act: Callable[[], Any] | None = None) -> QPushButton:
    """Return a button with a tool tip, which does `act`."""
    button = QPushButton(text)
    button.setToolTip(tip)
    if act is not None:
        button.clicked.connect(lambda: act())
    return button


def beside(*widgets: QWidget, shares: tuple[int, ...] = ()) -> QHBoxLayout:
    """Return widgets side by side, which share what is left by these numbers, the first of the first widget."""
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
    """Return a heading and what belongs to it, one below the other."""
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
        if isinstance(first, CheckBox):  # it has its words beside it
            grid.addWidget(first.native, at, 0, 1, 2)
            continue
        line = QHBoxLayout()
        line.addWidget(first.native, 1)
        for each in others:
            line.addWidget(_label_of(each))
            line.addWidget(each.native, 1)
        grid.addWidget(_label_of(first), at, 0)
        grid.addLayout(line, at, 1)
    whole.setProperty("fields", tuple(fields))  # magicgui's side must live as long as Qt's
    return whole


def _label_of(field: Any) -> QLabel:
    label = QLabel(field.label)
    label.setToolTip(field.tooltip or "")
    label.setVisible(bool(field.label))
    return label


def pages() -> QStackedWidget:
    """Return pages that take all the height: napari adds an empty stretch below a dock that has nothing of the kind."""
    stack = QStackedWidget()
    stack.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
    return stack


def stacked(*rows: QWidget | QLayout, tall: int | None = None) -> QWidget:
    """Return widgets and layouts one below the other, with the margins of a tab; the `tall` one takes what is left."""
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
    """Return a widget that scrolls where the window is too low for it."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(widget)
    return area
