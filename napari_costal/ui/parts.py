"""What docks are made of: headings, sentences, buttons, rows, forms and pages."""

from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from magicgui.widgets import Container
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

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


def form(*fields: Any) -> QWidget:
    """Return fields of magicgui, one below the other, each behind its label."""
    container = Container(widgets=list(fields))
    container.margins = (0, 0, 0, 0)
    native: QWidget = container.native
    native.setProperty("container", container)  # magicgui's side must live as long as Qt's
    return native


def pages() -> QStackedWidget:
    """Return pages that take all the height: napari adds an empty stretch below a dock that has nothing of the kind."""
    stack = QStackedWidget()
    stack.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
    return stack
