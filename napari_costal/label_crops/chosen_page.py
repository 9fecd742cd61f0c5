"""The page that labels all crops chosen on the image at once, by the keys of the classes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from qtpy.QtCore import QEvent, Signal
from qtpy.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from costal.labels.project import LabelClass
from napari_costal.engine.client import main_window_of
from napari_costal.labelling.class_buttons import lay_out_classes
from napari_costal.labelling.keys import LabellingKeys
from napari_costal.ui.parts import ALARM, beside, heading, paint, push_button, sentence
from napari_costal.ui.tools import STOP, TOOLS

HOW = "Shift-click or Shift-drag on the image to choose more crops; Shift-click a chosen crop to drop it."


class ChosenPage(QWidget):
    """Shows how many crops are chosen; `given` carries the class for all, `asked_for` the name of a tool."""

    given = Signal(int)
    asked_for = Signal(str)

    def __init__(self, tool_keys: Mapping[str, str]) -> None:
        super().__init__()
        self.keys = LabellingKeys({name: key for name, key in tool_keys.items() if name in ("undo", "redo")})
        self.title, self.message = heading(""), sentence()
        self._class_grid = QGridLayout()
        self._class_grid.setSpacing(4)
        tools = [
            push_button(f"{word} ({self.keys.key_of(name)})", TOOLS[name].does, partial(self.asked_for.emit, name))
            for name, word in (("undo", "Undo"), (STOP, "Choose none"))
        ]
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 4)
        for widget in (self.title, sentence(HOW)):
            column.addWidget(widget)
        column.addLayout(self._class_grid)
        column.addLayout(beside(*tools))
        column.addWidget(self.message)
        column.addStretch(1)

    def show_chosen(self, count: int, classes: Sequence[LabelClass]) -> None:
        """Show how many crops are chosen, and take keys for them."""
        self.title.setText(f"{count} crop{'s' * (count != 1)} chosen on the image")
        if tuple(classes) != self.keys.classes or not self.keys.are_bound:
            self.keys.unbind()
            self.keys.classes = tuple(classes)
            lay_out_classes(self._class_grid, classes, self.given.emit)
            self.keys.bind(main_window_of(self) or self.window(), self.given.emit, self.asked_for.emit, _at_once)
            self.keys.enable(self.isVisible())

    def say(self, text: str, alarming: bool = False) -> None:
        """Show a sentence below."""
        paint(self.message, ALARM if alarming else "")
        self.message.setText(text)

    def end(self) -> None:
        """Stop taking keys."""
        self.keys.unbind()
        self.say("")

    def showEvent(self, event: QEvent | None) -> None:
        """Take keys: the page can be seen."""
        super().showEvent(event)
        self.keys.enable(True)

    def hideEvent(self, event: QEvent | None) -> None:
        """Take no keys while the page cannot be seen."""
        super().hideEvent(event)
        self.keys.enable(False)


def _at_once(act: Callable[[], None]) -> None:
    act()
