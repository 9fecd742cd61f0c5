"""The colour bar of a heatmap, with its name and limits; it is in the dock, so that it covers no crop."""

import numpy as np
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

STOPS, BAR_PX = 16, 8


class ColourBar(QWidget):
    """A bar of viridis below a line of text; it keeps its place while it is empty."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: tuple[str, str, str] | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._colours = [QColor.fromRgbF(*each) for each in ensure_colormap("viridis").map(np.linspace(0, 1, STOPS))]

    def sizeHint(self) -> QSize:
        """Return room for a line of text and the bar."""
        return QSize(200, self.fontMetrics().height() + BAR_PX + 4)

    def show_limits(self, title: str, limits: tuple[float, float] | None) -> None:
        """Show what the colours mean; without limits show nothing."""
        self.texts = None if limits is None else (f"{limits[0]:.3g}", title, f"{limits[1]:.3g}")
        self.setToolTip("" if limits is None else f"The colours of the heatmap show: {title}.")
        self.update()

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        """Paint the texts over the bar."""
        if self.texts is None:
            return
        painter = QPainter(self)
        line = QRect(0, 0, self.width(), self.fontMetrics().height())
        bar = QRect(0, line.bottom() + 2, self.width(), BAR_PX)
        sides = (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignRight)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        for text, side in zip(self.texts, sides, strict=True):
            painter.drawText(line, side, text)
        gradient = QLinearGradient(bar.left(), 0, bar.right(), 0)
        for at, colour in enumerate(self._colours):
            gradient.setColorAt(at / (STOPS - 1), colour)
        painter.fillRect(bar, gradient)
