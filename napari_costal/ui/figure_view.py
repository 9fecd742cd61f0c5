"""A figure in a dock: another process draws it when it is visible and its size, colours or content change."""

import pickle
from typing import Any

from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_costal.engine.messages import pack
from napari_costal.ui.figures import Colours, Picture

DRAWN = "napari_costal.ui.figures:drawn"
RESTING_MS = 80
"""While a dock is resized, only its last size is drawn."""


def colours_of(theme_name: str) -> Colours:
    """Return the colours of one of napari's themes."""
    theme = get_theme(theme_name)
    background, ink, faint = (QColor(each.as_hex()) for each in (theme.background, theme.text, theme.secondary))
    line = "#66bbee" if background.lightnessF() < 0.5 else "#2266aa"
    return Colours(background.name(), ink.name(), faint.name(), line)


class FigureView(QWidget):
    """Shows a picture that a process draws (`Engine`); the last image stays until the next one arrives."""

    def __init__(self, painter: Any, colours: Colours, text: str = "") -> None:
        """Show `text` until the first image arrives."""
        super().__init__()
        self._text = text
        self._painter, self._colours = painter, colours
        self._picture: Picture | None = None
        self._content = b""
        self._drawn: Any = None
        self._is_drawing = False
        self._resting = QTimer(self, singleShot=True, interval=RESTING_MS)
        self._resting.timeout.connect(self._start)
        self.image = QImage()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_picture(self, picture: Picture, height: int) -> None:
        """Show a picture with a minimal height; an equal picture is not drawn again."""
        self._picture, self._content = picture, pickle.dumps(picture)
        self.setMinimumHeight(height)
        self.update()

    def recolour(self, colours: Colours) -> None:
        """Draw in other colours."""
        self._colours = colours
        self.update()

    def sizeHint(self) -> QSize:
        """Return the smallest size, so that figures share the free space of a dock."""
        return self.minimumSize()

    def paintEvent(self, event: Any) -> None:
        """Paint the last image; request another if it is outdated."""
        painter = QPainter(self)
        if not self.image.isNull():
            painter.drawImage(self.rect(), self.image)
        else:
            painter.setPen(QColor(self._colours.ink))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._text)
        painter.end()
        if self._wanted() != self._drawn and not self._is_drawing and not self._resting.isActive():
            self._resting.start()

    def stop(self) -> None:
        """Request no more images."""
        self._resting.stop()
        self._picture = None

    def _wanted(self) -> Any:
        return self._content, self.width(), self.height(), self.devicePixelRatioF(), self._colours

    def _start(self) -> None:
        if self._picture is None or self._is_drawing:
            return
        self._is_drawing, picture = True, self._wanted()
        job = self._painter.start(DRAWN, pack((self._picture, *picture[1:])), self)

        def show(image: tuple[int, int, bytes]) -> None:
            width, height, pixels = image
            self.image = QImage(pixels, width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()
            end()

        def end(_error: str = "") -> None:
            self._is_drawing, self._drawn = False, picture
            self.update()

        job.result.connect(show)
        job.failed.connect(end)
