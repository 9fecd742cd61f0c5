"""The base of the plugin's docks: status line, progress bar, the window's engine, and a clean end."""

from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import (
    QDockWidget,
    QMainWindow,
    QProgressBar,
    QWidget,
)

from costal.types import Progress
from napari_costal.engine.client import Engine, main_window_of
from napari_costal.ui.parts import ALARM, beside, paint, push_button, sentence
from napari_costal.ui.wheel import WheelGuard

PLUGIN = " (napari-costal)"


class Dock(QWidget):
    """A dock widget that uses the engine process; a subclass places `progress_row` and `status`."""

    def __init__(self) -> None:
        super().__init__()
        self._engine_now: Engine | None = None
        self._is_shut = False
        self._window: QMainWindow | None = None
        self.status = sentence()
        self.progress = QProgressBar()
        self.cancel_button = push_button(
            "Cancel", "Stop the job; the newest model stays.", lambda: self.cancel_running()
        )
        self.progress_row = beside(self.progress, self.cancel_button, shares=(1,))
        for each in (self.progress, self.cancel_button):
            policy = each.sizePolicy()
            policy.setRetainSizeWhenHidden(True)  # the crop on the page must not move when a job starts
            each.setSizePolicy(policy)
            each.hide()
        self.setMinimumWidth(370)
        self._wheel = WheelGuard()

    def cancel_running(self) -> None:
        """Cancel the running job; a subclass says how."""
        raise NotImplementedError

    def shut_down(self) -> None:
        """Leave no process behind; a subclass stops its threads too."""
        if self._engine_now is not None:
            self._engine_now.notice.disconnect(self.say)
            self._engine_now.leave(self)
            self._engine_now = None

    # The engine is looked up with the first job, because only then is the dock in its window

    def start(self, function: str, message: Any) -> Any:
        """Start a job in the window's engine process (see `Engine.start`)."""
        if self._engine_now is None:
            self._engine_now = Engine.of(self)
            self._engine_now.notice.connect(self.say)
        return self._engine_now.start(function, message, self, self.is_quiet(function))

    def is_quiet(self, function: str) -> bool:
        """Return whether a job must not disturb the user now; a subclass decides."""
        return False

    def cancel(self, job: Any) -> None:
        """Cancel a job (see `Engine.cancel`)."""
        if self._engine_now is not None:
            self._engine_now.cancel(job)

    def say(self, text: str) -> None:
        """Show a sentence."""
        paint(self.status, "")
        self.status.setText(text)

    def complain(self, text: str) -> None:
        """Show an error, and hide the progress bar."""
        self.show_progress(None)
        paint(self.status, ALARM)
        self.status.setText(text)

    def show_progress(self, progress: Progress | None) -> None:
        """Show the progress of a job; with None hide the progress bar."""
        self.progress.setVisible(progress is not None)
        self.cancel_button.setVisible(progress is not None)
        if progress is not None:
            self.progress.setRange(0, progress.total)
            self.progress.setValue(progress.done)
            self.progress.setFormat(progress.message)
            self.progress.setToolTip(progress.message)

    def event(self, event: QEvent | None) -> bool:
        """Stop everything when the dock is closed: its "x" sends no close event, only a parent of None."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            self._watch_window()
            if self.parent() is None:
                self._shut_once()
        return bool(super().event(event))

    def closeEvent(self, event: Any) -> None:
        """Stop everything when the widget itself is closed."""
        self._shut_once()
        super().closeEvent(event)

    def showEvent(self, event: Any) -> None:
        """Watch the window, because a dock gets no event when the window closes; guard the wheel."""
        self._watch_window()
        self._shorten_title()
        self._wheel.guard(self)
        super().showEvent(event)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Stop everything when the window is closed, but not when it is minimised (a spontaneous event)."""
        is_hidden = event is not None and event.type() == QEvent.Type.Hide and not event.spontaneous()
        if is_hidden and watched is self._window:
            self._shut_once()
        return False

    def _shorten_title(self) -> None:
        """Remove the plugin's name from the title, because the tabs of docks are narrow."""
        home: QObject | None = self
        while home is not None and not isinstance(home, QDockWidget):
            home = home.parent()
        if home is not None:
            home.setWindowTitle(home.windowTitle().removesuffix(PLUGIN))

    def _watch_window(self) -> None:
        window = main_window_of(self)
        if window is not None and self._window is None:
            self._window = window
            window.installEventFilter(self)

    def _shut_once(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            if self._window is not None:
                self._window.removeEventFilter(self)
                self._window = None
            self.shut_down()
