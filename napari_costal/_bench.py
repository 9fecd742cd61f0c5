"""The bench: one crop, large, with keys and buttons to answer it. It turns Qt's events into the effort machine's."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, QRect, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QGuiApplication, QImage, QKeySequence, QPainter, QPaintEvent, QPen, QShortcut
from qtpy.QtWidgets import (
    QApplication,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from costal.labels.effort import PauseReason
from costal.labels.project import LabelClass
from napari_costal._engine import main_window_of
from napari_costal._presentation import Presenter

SIGNS_OF_LIFE = (
    QEvent.Type.MouseMove,
    QEvent.Type.MouseButtonPress,
    QEvent.Type.KeyPress,
    QEvent.Type.Wheel,
)
KEY_SHEET = (
    "1-9, 0  give the class with that key\n"
    "S  skip: you cannot tell\n"
    "Z  undo the last answer\n"
    "P  pause and go on\n"
    "Esc  stop; what you answered is kept\n"
    "?  this sheet"
)


class CropView(QWidget):
    """Paints a crop with dimmed surroundings; `painted` tells the moment of the first paint of each crop."""

    painted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._crop = QRect()
        self._cover = ""
        self._is_news = False
        self.setMinimumSize(200, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Return a size at which a crop is easy to judge."""
        return QSize(340, 340)

    def show_crop(self, image_H_W_4: NDArray[np.uint8], crop: tuple[int, int, int]) -> None:
        """Show RGBA pixels; `crop` is (y, x, side) of the crop among its surroundings."""
        pixels = np.ascontiguousarray(image_H_W_4)
        height, width, _ = pixels.shape
        self._image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()
        y, x, side = crop
        self._crop = QRect(x, y, side, side)
        self._is_news = True
        self.update()

    def cover(self, text: str) -> None:
        """Hide the crop behind a text while the clock stands still; an empty text uncovers it."""
        self._cover = text
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint, then tell when a new crop was on the screen for the first time."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#1b1d22"))
        if self._image is None or self._cover:
            painter.setPen(QColor("#c8ccd4"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._cover)
            return
        side = min(self.width(), self.height())
        scale = side / max(self._image.width(), self._image.height())
        shown = QRect(0, 0, round(self._image.width() * scale), round(self._image.height() * scale))
        shown.moveCenter(self.rect().center())
        painter.drawImage(shown, self._image)
        inner = QRect(
            shown.x() + round(self._crop.x() * scale),
            shown.y() + round(self._crop.y() * scale),
            round(self._crop.width() * scale),
            round(self._crop.height() * scale),
        )
        self._dim_around(painter, shown, inner)
        painter.setPen(QPen(QColor("#ffcc33"), 2))
        painter.drawRect(inner)
        if self._is_news:
            self._is_news = False
            self.painted.emit((time.perf_counter_ns(), time.time_ns()))

    def _dim_around(self, painter: QPainter, outer: QRect, inner: QRect) -> None:
        shade = QColor(0, 0, 0, 120)
        painter.fillRect(QRect(outer.left(), outer.top(), outer.width(), inner.top() - outer.top()), shade)
        below = outer.bottom() - inner.bottom()
        painter.fillRect(QRect(outer.left(), inner.bottom() + 1, outer.width(), below), shade)
        painter.fillRect(QRect(outer.left(), inner.top(), inner.left() - outer.left(), inner.height()), shade)
        beside = outer.right() - inner.right()
        painter.fillRect(QRect(inner.right() + 1, inner.top(), beside, inner.height()), shade)


class Bench(QWidget):
    """Crop, progress, class buttons and keys. Keys work in the whole window, and only while a crop is presented."""

    answered = Signal(int)
    skipped = Signal()
    undone = Signal()
    stopped = Signal()
    active = Signal()
    paused = Signal(object)
    resumed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.crop_view = CropView()
        self._title, self._time, self._message = QLabel(), QLabel(), QLabel()
        self._message.setWordWrap(True)
        self._time.setToolTip("Active time on this crop: pauses and long gaps do not count.")
        top = QHBoxLayout()
        top.addWidget(self._title, 1)
        top.addWidget(self._time)
        self._class_grid = QGridLayout()
        self._class_grid.setSpacing(4)
        tools = QHBoxLayout()
        self.buttons: dict[str, QPushButton] = {}
        for name, text, tip, act in (
            ("skip", "Skip (S)", "You cannot tell. The time still teaches the cost model.", self.skipped.emit),
            ("undo", "Undo (Z)", "Take the last answer back and show its crop again.", self.undone.emit),
            ("pause", "Pause (P)", "Stop the clock and cover the crop.", self._toggle_pause),
            ("help", "?", "Which key does what.", self._toggle_keys),
            ("stop", "Stop (Esc)", "Leave the query; what you answered is kept.", self.stopped.emit),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False, act=act: act())
            button.setMinimumWidth(30)
            self.buttons[name] = button
            tools.addWidget(button)
        self._keys = QLabel(KEY_SHEET)
        self._keys.setVisible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(top)
        column.addWidget(self.crop_view, 1)
        column.addLayout(self._class_grid)
        column.addLayout(tools)
        column.addWidget(self._keys)
        column.addWidget(self._message)
        self._classes: tuple[LabelClass, ...] = ()
        self._shortcuts: list[QShortcut] = []
        self._is_paused = False
        self._ticker = QTimer(self)
        self._ticker.setInterval(200)
        self._active_s: Callable[[], float] = lambda: 0.0
        self._ticker.timeout.connect(lambda: self._time.setText(f"{self._active_s():.1f} s"))

    def drive(self, presenter: Presenter) -> None:
        """Let what happens here reach the presentation on the bench."""
        self.crop_view.painted.connect(presenter.painted)
        self.active.connect(presenter.active)
        self.paused.connect(presenter.pause)
        self.resumed.connect(presenter.resume)

    def begin(self, classes: Sequence[LabelClass]) -> None:
        """Start taking answers for these classes, if that was not done."""
        if self._shortcuts and tuple(classes) == self._classes:
            return
        self.end()
        self._classes = tuple(classes)
        self._lay_out_classes()
        self._bind_keys()
        application = QApplication.instance()
        if application is not None:
            application.installEventFilter(self)
            application.applicationStateChanged.connect(self._application_changed)
        self._ticker.start()

    def end(self) -> None:
        """Stop taking answers: keys are the viewer's again."""
        if not self._shortcuts:
            return
        self._ticker.stop()
        self._unbind_keys()
        application = QApplication.instance()
        if application is not None:
            application.removeEventFilter(self)
            application.applicationStateChanged.disconnect(self._application_changed)

    def present(
        self, image_H_W_4: NDArray[np.uint8], crop: tuple[int, int, int], title: str, active_s: Callable[[], float]
    ) -> None:
        """Show the next crop; ``active_s()`` gives the seconds to show."""
        self._active_s = active_s
        self._title.setText(title)
        self._is_paused = False
        self.buttons["pause"].setText("Pause (P)")
        self.crop_view.cover("")
        self.crop_view.show_crop(image_H_W_4, crop)

    def cover(self, text: str) -> None:
        """Cover the crop while the clock stands still, or uncover it with an empty text."""
        self.crop_view.cover(text)

    def say(self, text: str, alarming: bool = False) -> None:
        """Show a sentence under the crop."""
        self._message.setStyleSheet("color: #ff6655;" if alarming else "")
        self._message.setText(text)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Notice that the expert is there; nothing is held back."""
        if event is not None and event.type() in SIGNS_OF_LIFE:
            self.active.emit()
        elif event is not None and watched is self.window():
            if event.type() == QEvent.Type.WindowBlocked:
                self.paused.emit(PauseReason.MODAL)
            elif event.type() == QEvent.Type.WindowUnblocked:
                self.resumed.emit(PauseReason.MODAL)
        return False

    def showEvent(self, event: QEvent | None) -> None:
        """Take keys again: the crop can be seen."""
        super().showEvent(event)
        self._enable_keys(True)
        self.resumed.emit(PauseReason.FOCUS)

    def hideEvent(self, event: QEvent | None) -> None:
        """Take no keys and stop the clock while the crop cannot be seen."""
        super().hideEvent(event)
        self._enable_keys(False)
        self.paused.emit(PauseReason.FOCUS)

    def _enable_keys(self, enabled: bool) -> None:
        for shortcut in self._shortcuts:
            shortcut.setEnabled(enabled)

    def _lay_out_classes(self) -> None:
        while (item := self._class_grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        for place, each in enumerate(self._classes):
            button = QPushButton(each.name if each.key in ("", each.name) else f"{each.key}  {each.name}")
            button.setObjectName(f"class-{each.id}")
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setStyleSheet(f"border-left: 6px solid {each.colour}; padding: 5px; text-align: left;")
            button.clicked.connect(lambda _=False, class_id=each.id: self.answered.emit(class_id))
            self._class_grid.addWidget(button, place // 2, place % 2)

    def _bind_keys(self) -> None:
        """Bind the keys in the main window; Qt sends it those of a floating dock too."""
        acts: dict[str, Callable[[], None]] = {
            each.key: partial(self.answered.emit, each.id) for each in self._classes if each.key
        }
        acts |= {
            "S": self.skipped.emit,
            "Z": self.undone.emit,
            "Ctrl+Z": self.undone.emit,
            "P": self._toggle_pause,
            "?": self._toggle_keys,
            "Esc": self.stopped.emit,
        }
        window = main_window_of(self) or self.window()
        for keys, act in acts.items():
            shortcut = QShortcut(QKeySequence(keys), window)
            shortcut.setAutoRepeat(False)
            shortcut.activated.connect(act)
            self._shortcuts.append(shortcut)

    def _unbind_keys(self) -> None:
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []

    def _toggle_pause(self) -> None:
        self._is_paused = not self._is_paused
        self.buttons["pause"].setText("Go on (P)" if self._is_paused else "Pause (P)")
        (self.paused if self._is_paused else self.resumed).emit(PauseReason.USER)

    def _toggle_keys(self) -> None:
        self._keys.setVisible(not self._keys.isVisible())

    def _application_changed(self, state: Qt.ApplicationState) -> None:
        if state == Qt.ApplicationState.ApplicationActive:
            self.resumed.emit(PauseReason.FOCUS)
        elif QGuiApplication.applicationState() != Qt.ApplicationState.ApplicationActive:
            self.paused.emit(PauseReason.FOCUS)
