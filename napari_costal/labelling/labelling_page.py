"""The labelling page: one large crop with keys and buttons. It turns Qt's events into effort events."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal
from qtpy.QtGui import QGuiApplication, QWindow
from qtpy.QtWidgets import (
    QApplication,
    QGridLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from costal.labels.effort import PauseReason
from costal.labels.project import LabelClass
from napari_costal.engine.client import main_window_of
from napari_costal.labelling.class_buttons import lay_out_classes
from napari_costal.labelling.crop_view import CropView
from napari_costal.labelling.key_sheet import KeySheet
from napari_costal.labelling.keys import LabellingKeys, labelled_with
from napari_costal.labelling.presentation import KeyStrokes, Presenter
from napari_costal.ui.parts import ALARM, beside, paint, sentence, steady
from napari_costal.ui.tools import HELP, PAUSE, STOP, TOOLS

SIGNS_OF_LIFE = (
    QEvent.Type.MouseMove,
    QEvent.Type.MouseButtonPress,
    QEvent.Type.KeyPress,
    QEvent.Type.Wheel,
)
ANSWERS = ("skip", "exclude")
FIRST_SIGNS = (QEvent.Type.ShortcutOverride, QEvent.Type.MouseButtonPress)
COLUMNS = 5
MESSAGE_LINES = 4


class LabellingPage(QWidget):
    """Crop, progress, class buttons and keys. Keys work in the whole window, and only while a crop is presented."""

    answered = Signal(int)
    asked_for = Signal(str)
    active = Signal()
    key_heard = Signal(object)
    paused = Signal(object)
    resumed = Signal(object)

    def __init__(self, keys: Mapping[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.keys = LabellingKeys(keys)
        self._is_paused = False
        self._strokes, self._is_repeat = KeyStrokes(), False
        self.crop_view = CropView()
        self._title, self._time, self._message, self._left = QLabel(), QLabel(), sentence(), QLabel()
        self._left.setStyleSheet("color: #9aa0aa; padding-right: 6px;")
        self._time.setToolTip("Active time on this crop: pauses and long gaps do not count.")
        self._class_grid = QGridLayout()
        self._class_grid.setSpacing(4)
        self.sheet = KeySheet(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(beside(self._title, self._left, self._time, shares=(1,)))
        column.addWidget(self.crop_view, 1)
        column.addLayout(self._class_grid)
        column.addLayout(self._lay_out_tools())
        column.addWidget(steady(MESSAGE_LINES, self._message))
        self._ticker = QTimer(self)
        self._ticker.setInterval(200)
        self._active_s: Callable[[], float] = lambda: 0.0
        self._uncover: Callable[[], bool] = lambda: False
        self._refusal: Callable[[], str] = lambda: ""
        self._ticker.timeout.connect(self._tick)

    def _lay_out_tools(self) -> QGridLayout:
        tools = QGridLayout()
        tools.setSpacing(4)
        self.buttons: dict[str, QPushButton] = {}
        for place, name in enumerate(self.keys.tools):
            button = QPushButton()
            button.setToolTip(f"{TOOLS[name].word}: {TOOLS[name].does}.")
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False, name=name: self._use(name))
            button.setMinimumWidth(30)
            self.buttons[name] = button
            tools.addWidget(button, place // COLUMNS, place % COLUMNS)
        self._name_buttons()
        return tools

    def add_below(self, widget: QWidget) -> None:
        """Add a widget at the bottom of the page, such as the class guide."""
        layout = self.layout()
        if layout is not None:
            layout.addWidget(widget)

    def drive(self, presenter: Presenter) -> None:
        """Send the events of the page to the presenter."""
        self._uncover, self._refusal = presenter.uncover, presenter.refusal
        self.crop_view.painted.connect(presenter.painted)
        self.active.connect(presenter.active)
        self.key_heard.connect(presenter.key_heard)
        self.paused.connect(presenter.pause)
        self.resumed.connect(presenter.resume)
        self._ticker.timeout.connect(presenter.tick)

    def _tick(self) -> None:
        self._time.setText(f"{self._active_s():.1f} s")

    def begin(self, classes: Sequence[LabelClass]) -> None:
        """Start taking answers for these classes, unless that was done."""
        if self.keys.are_bound and tuple(classes) == self.keys.classes:
            return
        self.end()
        self.keys.classes = tuple(classes)
        lay_out_classes(self._class_grid, self.keys.classes, self._give)
        self._name_buttons()
        self.keys.bind(main_window_of(self) or self.window(), self._give, self._use, self._stroke)
        application = QApplication.instance()
        if application is not None:
            application.installEventFilter(self)
            application.applicationStateChanged.connect(self._application_changed)
        self._ticker.start()

    def end(self) -> None:
        """Stop taking answers: the viewer gets its keys back."""
        self.say("")
        self.sheet.put_away()
        if not self.keys.are_bound:
            return
        self._ticker.stop()
        self.keys.unbind()
        application = QApplication.instance()
        if application is not None:
            application.removeEventFilter(self)
            application.applicationStateChanged.disconnect(self._application_changed)

    def present(
        self,
        image_H_W_4: NDArray[np.uint8],
        crop: tuple[int, int, int],
        pixel_um: float | None,
        title: str,
        active_s: Callable[[], float],
        left_s: float,
    ) -> None:
        """Show the next crop; ``active_s()`` returns the seconds to show, `left_s` are those left in the query.

        The message about the previous crop is cleared.
        """
        self.say("")
        self._active_s = active_s
        self._title.setText(title)
        self._left.setText(f"about {max(left_s / 60, 0.1):.1f} min left" if left_s else "")
        self._show_paused(False)
        self.crop_view.cover("")
        self.crop_view.show_crop(image_H_W_4, crop, pixel_um)

    def cover(self, text: str) -> None:
        """Cover the crop while the timer is paused, or uncover it with an empty text."""
        self.crop_view.cover(text)

    def say(self, text: str, alarming: bool = False) -> None:
        """Show a sentence under the crop."""
        paint(self._message, ALARM if alarming else "")
        self._message.setText(text)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Watch for activity of the expert; a key or click that uncovers the crop does nothing else."""
        if event is not None and event.type() in FIRST_SIGNS and self._is_ours(watched) and self._go_on():
            event.accept()
            return True
        if event is not None and event.type() == QEvent.Type.ShortcutOverride:
            self._is_repeat = event.isAutoRepeat() or self._strokes.is_repeat(event.key(), event.timestamp())
            if isinstance(watched, QWindow):
                self.key_heard.emit(event.timestamp())
        elif event is not None and event.type() == QEvent.Type.KeyRelease and isinstance(watched, QWindow):
            self._strokes.released(event.key(), event.timestamp())
        elif event is not None and event.type() in SIGNS_OF_LIFE:
            self.active.emit()
        elif event is not None and watched is self.window():
            if event.type() == QEvent.Type.WindowBlocked:
                self.paused.emit(PauseReason.MODAL)
            elif event.type() == QEvent.Type.WindowUnblocked:
                self.resumed.emit(PauseReason.MODAL)
        return False

    def _is_ours(self, watched: QObject | None) -> bool:
        """Return whether a key or click belongs to the window that shows the crop."""
        windows = [each for each in (self.window(), main_window_of(self)) if each is not None]
        if isinstance(watched, QWidget):
            return self.isVisible() and watched.window() in windows
        return self.isVisible() and watched in [each.windowHandle() for each in windows]

    def _go_on(self) -> bool:
        """Uncover the crop; return whether it was covered by a pause that a key or click ends."""
        if not self._uncover():
            return False
        self._show_paused(False)
        return True

    def _show_paused(self, is_paused: bool) -> None:
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            self._name_buttons()

    def _answer(self, give: Callable[[], None]) -> None:
        """Give an answer, unless the crop was covered or was on the screen for too short a time."""
        if self._go_on():
            return
        refusal = self._refusal()
        if refusal:
            self.say(refusal, alarming=True)
        else:
            give()

    def _give(self, class_id: int) -> None:
        self._answer(partial(self.answered.emit, class_id))

    def _stroke(self, act: Callable[[], None]) -> None:
        """Run the action of a key once for each press, however long it is held."""
        if not self._is_repeat:
            act()

    def showEvent(self, event: QEvent | None) -> None:
        """Take keys again: the crop is visible."""
        super().showEvent(event)
        self.keys.enable(True)
        self.resumed.emit(PauseReason.FOCUS)

    def hideEvent(self, event: QEvent | None) -> None:
        """Take no keys and pause the timer while the crop is not visible."""
        super().hideEvent(event)
        self.keys.enable(False)
        self.sheet.put_away()
        self.paused.emit(PauseReason.FOCUS)

    def _use(self, name: str) -> None:
        if name in ANSWERS:
            self._answer(partial(self.asked_for.emit, name))
        elif self._go_on():
            return
        elif self.sheet.isVisible() and name in (HELP, STOP):
            self.sheet.put_away()
        elif name == PAUSE:
            self._show_paused(not self._is_paused)
            (self.paused if self._is_paused else self.resumed).emit(PauseReason.USER)
        elif name == HELP:
            self.sheet.show_text(self.keys.sheet())
        else:
            self.asked_for.emit(name)

    def _name_buttons(self) -> None:
        for name, button in self.buttons.items():
            word = "Go on" if name == PAUSE and self._is_paused else TOOLS[name].word
            button.setText(labelled_with(word, self.keys.key_of(name), "{text} ({key})"))

    def _application_changed(self, state: Qt.ApplicationState) -> None:
        if state == Qt.ApplicationState.ApplicationActive:
            self.resumed.emit(PauseReason.FOCUS)
        elif QGuiApplication.applicationState() != Qt.ApplicationState.ApplicationActive:
            self.paused.emit(PauseReason.FOCUS)
