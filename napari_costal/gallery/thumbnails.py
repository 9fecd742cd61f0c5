"""Thumbnails of crops, made on another thread when they become visible, and kept in a limited cache."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Qt, QTimer, Signal
from qtpy.QtGui import QImage

from napari_costal.engine.calls import Thread
from napari_costal.engine.latest import Latest

AT_ONCE, REST_MS = 8, 15
"""The number made at once; then the thread pauses, because the window cannot paint while Python runs there."""
MOST_KEPT = 4000

Thumbnail = NDArray[np.uint8] | str
"""RGB pixels (H, W, 3), or the reason why there are none."""


class Thumbnails(QObject):
    """Images of at most `side` pixels by the row of their crop; `arrived` is emitted when some are ready."""

    arrived = Signal()

    def __init__(self, thread: Thread, in_sight: Callable[[], Collection[int]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread, self._in_sight = thread, in_sight
        self._paint: Callable[[Sequence[int]], dict[int, Thumbnail]] = lambda _: {}
        self._kept: OrderedDict[int, QImage | str] = OrderedDict()
        self._requested: dict[int, None] = {}
        self._newest = Latest()
        self._is_busy = False
        self.side = 96

    def begin(self, paint: Callable[[Sequence[int]], dict[int, Thumbnail]], side: int) -> None:
        """Delete all images and make them again; `paint` makes the pictures of rows, on the thread."""
        self._paint, self.side = paint, side
        self._newest.renew()
        self._is_busy = False
        self._kept.clear()
        self._requested.clear()

    def get(self, row: int) -> QImage | str | None:
        """Return the image of a crop or the reason why there is none; None if it is still to be made."""
        image = self._kept.get(row)
        if image is None:
            if not self._requested:
                QTimer.singleShot(REST_MS, self._next)
            self._requested[row] = None
        else:
            self._kept.move_to_end(row)
        return image

    def _next(self) -> None:
        """Make the next visible ones; those scrolled past are requested again when they come back."""
        if self._is_busy or not self._requested:
            return
        in_sight = self._in_sight()
        rows_in_sight = [row for row in self._requested if row in in_sight]
        self._requested = dict.fromkeys(rows_in_sight[AT_ONCE:])
        rows, paint, side, ticket = rows_in_sight[:AT_ONCE], self._paint, self.side, self._newest.ticket()
        if not rows:
            return

        def work() -> dict[int, QImage | str]:
            if not ticket.is_current:
                return {}
            return {row: scaled(each, side) for row, each in paint(rows).items()}

        def made(images: dict[int, QImage | str]) -> None:
            self._keep(images)
            end()

        def failed(reason: str) -> None:
            self._keep(dict.fromkeys(rows, reason))
            end()

        def end() -> None:
            self._is_busy = False
            self.arrived.emit()
            QTimer.singleShot(REST_MS, self._next)

        self._is_busy = True
        self._thread.run(work, then=ticket.only(made), failed=ticket.only(failed))

    def _keep(self, images: dict[int, Any]) -> None:
        self._kept.update(images)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def image_of(picture_H_W_3: NDArray[np.uint8]) -> QImage:
    """Return RGB pixels as an image that owns its memory."""
    height, width, _ = picture_H_W_3.shape
    return QImage(picture_H_W_3.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).convertToFormat(
        QImage.Format.Format_RGB32
    )


def scaled(picture: Thumbnail, side: int) -> QImage | str:
    """Return a picture scaled to fit a square: averaged if it shrinks, by whole factors if it grows."""
    if isinstance(picture, str):
        return picture
    image = image_of(picture)
    is_larger = max(image.width(), image.height()) > side
    way = Qt.TransformationMode.SmoothTransformation if is_larger else Qt.TransformationMode.FastTransformation
    return image.scaled(side, side, Qt.AspectRatioMode.KeepAspectRatio, way)
