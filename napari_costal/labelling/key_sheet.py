"""The sheet of keys: it lies over the canvas beside the labelling page, so nothing on the page moves or is covered."""

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_costal.engine.client import main_window_of

GAP_PX = 12
LOOKS = (
    "QLabel { background: #1b1d22; color: #f0f1f2; border: 1px solid #9aa0aa; border-radius: 4px; padding: 8px 12px; }"
)


class KeySheet(QLabel):
    """A list of the keys beside a widget; a click hides it."""

    def __init__(self, beside: QWidget) -> None:
        super().__init__(beside)
        self._beside = beside
        self.setStyleSheet(LOOKS)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.hide()

    def show_text(self, text: str) -> None:
        """Show the sheet in the window, to the left of the widget, or over it where there is no room."""
        window = main_window_of(self._beside) or self._beside.window()
        if self._beside.window() is not window:
            window = self._beside.window()  # the dock floats
        self.setParent(window)
        self.setText(text)
        self.adjustSize()
        corner = self._beside.mapTo(window, QPoint(0, 0))
        left = corner.x() - self.width() - GAP_PX
        top = min(corner.y(), window.height() - self.height() - GAP_PX)
        self.move(left if left >= 0 else corner.x(), max(top, 0))
        self.show()
        self.raise_()

    def put_away(self) -> None:
        """Hide the sheet, and belong to the widget again: the window must not keep it."""
        self.hide()
        self.setParent(self._beside)

    def mousePressEvent(self, event: object) -> None:
        """Hide the sheet."""
        self.put_away()
