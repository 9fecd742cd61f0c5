"""One crop, large, with dimmed surroundings and a scale bar; it reports the time of its first paint."""

import math
import time

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPoint, QRect, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget


class CropView(QWidget):
    """Paints a crop with dimmed surroundings; `painted` carries the time of the first paint of each crop."""

    painted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._crop = QRect()
        self._pixel_um: float | None = None
        self._cover = ""
        self._is_news = False
        self.setMinimumSize(200, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Return a size at which a crop is easy to judge."""
        return QSize(340, 340)

    def show_crop(
        self, image_H_W_4: NDArray[np.uint8], crop: tuple[int, int, int], pixel_um: float | None = None
    ) -> None:
        """Show RGBA pixels; `crop` is (y, x, side) of the crop among its surroundings."""
        y, x, side = crop
        self._crop = QRect(x, y, side, side)
        self._pixel_um = pixel_um
        self._is_news = True
        self.recolour(image_H_W_4)

    def recolour(self, image_H_W_4: NDArray[np.uint8]) -> None:
        """Show the same crop in other colours: its timer runs on."""
        pixels = np.ascontiguousarray(image_H_W_4)
        height, width, _ = pixels.shape
        self._image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()
        self.update()

    def cover(self, text: str) -> None:
        """Hide the crop behind a text while the timer is paused; an empty text uncovers it."""
        self._cover = text
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint, then report the time when a new crop was first on the screen."""
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
        self._draw_scale_bar(painter, shown, scale)
        if self._is_news:
            self._is_news = False
            self.painted.emit((time.perf_counter_ns(), time.time_ns()))

    def _draw_scale_bar(self, painter: QPainter, shown: QRect, scale: float) -> None:
        """Draw a bar of a round length, about a fifth of the picture; in pixels if the pixel size is unknown."""
        per_px, unit = (self._pixel_um, "µm") if self._pixel_um else (1.0, "px")
        length = round_length(shown.width() / scale * per_px / 5)
        bar = QRect(0, 0, round(length / per_px * scale), 4)
        bar.moveBottomRight(shown.bottomRight() - QPoint(10, 10))
        text = bar.adjusted(-60, -22, 60, -4)
        for offset, colour in ((1, "#000000"), (0, "#ffffff")):
            painter.fillRect(bar.translated(offset, offset), QColor(colour))
            painter.setPen(QColor(colour))
            painter.drawText(text.translated(offset, offset), Qt.AlignmentFlag.AlignCenter, f"{length:g} {unit}")

    def _dim_around(self, painter: QPainter, outer: QRect, inner: QRect) -> None:
        shade = QColor(0, 0, 0, 120)
        painter.fillRect(QRect(outer.left(), outer.top(), outer.width(), inner.top() - outer.top()), shade)
        below = outer.bottom() - inner.bottom()
        painter.fillRect(QRect(outer.left(), inner.bottom() + 1, outer.width(), below), shade)
        painter.fillRect(QRect(outer.left(), inner.top(), inner.left() - outer.left(), inner.height()), shade)
        beside = outer.right() - inner.right()
        painter.fillRect(QRect(inner.right() + 1, inner.top(), beside, inner.height()), shade)


def round_length(about: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is at most `about`."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(power * digit for digit in (5, 2, 1) if power * digit <= about)
