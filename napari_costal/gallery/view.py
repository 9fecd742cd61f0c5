"""The list of thumbnails: mouse, keys and painting. It emits the user's actions, and decides nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QEvent, QItemSelection, QItemSelectionModel, QModelIndex, QRect, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QFont, QKeySequence, QPainter, QPen
from qtpy.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from napari_costal.gallery.model import Cell, GalleryModel
from napari_costal.gallery.thumbnails import Thumbnails
from napari_costal.labelling.keys import USUAL
from napari_costal.labelling.presentation import KeyStrokes

MARGIN, STRIP = 3, 15
ACCEPT, ENLARGE, LEAVE_OUT, CLOSE = "accept", "enlarge", "leave out", "close"
FIXED = {
    Qt.Key.Key_Return: ACCEPT,
    Qt.Key.Key_Enter: ACCEPT,
    Qt.Key.Key_Space: ENLARGE,
    Qt.Key.Key_Delete: LEAVE_OUT,
    Qt.Key.Key_Backspace: LEAVE_OUT,
    Qt.Key.Key_Escape: CLOSE,
}
SIGNS_OF_LIFE = (QEvent.Type.MouseMove, QEvent.Type.MouseButtonPress, QEvent.Type.KeyPress, QEvent.Type.Wheel)


class CellPainter(QStyledItemDelegate):
    """Paints a crop with its label in a filled strip, or its prediction in an outlined strip."""

    def __init__(self, model: GalleryModel, thumbnails: Thumbnails, parent: QWidget) -> None:
        super().__init__(parent)
        self._model, self._thumbnails = model, thumbnails
        self._font = QFont(parent.font())
        self._font.setPixelSize(11)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return the same size for every crop."""
        return cell_size(self._thumbnails.side)

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Paint a crop."""
        if painter is None:
            return
        side, cell = self._thumbnails.side, self._model.cell(index.row())
        at = QRect(option.rect.x() + MARGIN, option.rect.y() + MARGIN, side, side)
        is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        if is_chosen:
            painter.fillRect(option.rect, QColor("#5ea1ff"))
        painter.setFont(self._font)
        image = self._thumbnails.get(cell.row)
        if image is None or isinstance(image, str):
            painter.fillRect(at, QColor("#2b2e36"))
        if isinstance(image, str):
            painter.setPen(QColor("#ff9a8a"))
            wrapped = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWrapAnywhere
            painter.drawText(at.adjusted(2, 2, -2, -2), int(wrapped), image)
        elif image is not None:
            painter.drawImage(at.x() + (side - image.width()) // 2, at.y() + (side - image.height()) // 2, image)
        if cell.is_left_out:
            painter.fillRect(at, QColor(20, 20, 20, 170))
            painter.setPen(QPen(QColor("#ff6655"), 2))
            painter.drawLine(at.topLeft(), at.bottomRight())
            painter.drawLine(at.topRight(), at.bottomLeft())
        self._write(painter, QRect(at.x(), at.bottom() + 1, side, STRIP), cell)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(QColor("#ffffff"), 1, Qt.PenStyle.DotLine))
            painter.drawRect(option.rect.adjusted(0, 0, -1, -1))

    def _write(self, painter: QPainter, strip: QRect, cell: Cell) -> None:
        """Write the label on its colour, or the prediction with an outline of its colour."""
        if cell.label:
            painter.fillRect(strip, QColor(cell.label_colour))
            painter.setPen(readable_on(cell.label_colour))
        else:
            painter.fillRect(strip, QColor("#1b1d22"))
            if cell.predicted:
                painter.fillRect(QRect(strip.x(), strip.y(), 5, strip.height()), QColor(cell.predicted_colour))
            painter.setPen(QColor("#c8ccd4"))
        text = painter.fontMetrics().elidedText(
            cell.label or cell.predicted, Qt.TextElideMode.ElideRight, strip.width() - 10
        )
        painter.drawText(strip.adjusted(8, 0, -2, 0), int(Qt.AlignmentFlag.AlignVCenter), text)


def readable_on(colour: str) -> QColor:
    """Return black or white, whichever is easier to read on a colour."""
    return QColor("#000000" if QColor(colour).lightnessF() > 0.45 else "#ffffff")


def cell_size(side: int) -> QSize:
    """Return the size of a cell for a thumbnail of this side."""
    return QSize(side + 2 * MARGIN, side + STRIP + 2 * MARGIN)


class GalleryView(QListView):
    """Thumbnails in lines. Its keys work while it has the focus, and take precedence over those of the window."""

    class_given = Signal(int)
    act_requested = Signal(str)
    active = Signal()
    resized = Signal()

    def __init__(self, model: GalleryModel, tool_keys: Mapping[str, str]) -> None:
        super().__init__()
        self._tool_keys = {name: tool_keys.get(name, "") for name in ("undo", "redo")}
        self._class_keys: dict[str, int] = {}
        self._strokes, self._is_repeat = KeyStrokes(), False
        self.setModel(model)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSelectionRectVisible(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setMouseTracking(True)
        self.setMinimumHeight(160)
        self.setAccessibleName("Crops")
        self._seen_to = 0
        model.modelReset.connect(self._begin_again)
        self.verticalScrollBar().valueChanged.connect(lambda _: self._note_seen())

    def _begin_again(self) -> None:
        self._seen_to = 0
        QTimer.singleShot(0, self._note_seen)

    def _note_seen(self) -> None:
        """Note how far down the current list has been visible."""
        height, first = int(self.gridSize().height()), int(self.verticalOffset())
        lines = max((first + int(self.viewport().height()) + STRIP) // height, first // height + 1)
        self._seen_to = max(self._seen_to, lines * self.columns)

    @property
    def was_end_seen(self) -> bool:
        """Whether the last thumbnail has been visible."""
        self._note_seen()
        return self._seen_to >= int(self.model().rowCount())

    def scroll_on(self) -> None:
        """Scroll one page down."""
        bar = self.verticalScrollBar()
        bar.setValue(bar.value() + self.viewport().height() // self.gridSize().height() * self.gridSize().height())

    def draw_with(self, thumbnails: Thumbnails) -> None:
        """Draw these thumbnails."""
        self.setItemDelegate(CellPainter(self.model(), thumbnails, self))
        self.setGridSize(cell_size(thumbnails.side))
        self.verticalScrollBar().setSingleStep(cell_size(thumbnails.side).height() // 2)

    def bind(self, class_keys: Mapping[str, int]) -> None:
        """Set the keys of the classes."""
        self._class_keys = {key.upper(): class_id for key, class_id in class_keys.items() if key}

    def positions_in_sight(self) -> range:
        """Return the positions of the visible thumbnails."""
        columns = self.columns
        height, first = self.gridSize().height(), self.verticalOffset()
        above, below = first // height, (first + self.viewport().height()) // height
        return range(min(above * columns, self.model().rowCount()), min((below + 1) * columns, self.model().rowCount()))

    @property
    def columns(self) -> int:
        """The number of thumbnails in a row."""
        return max(int(self.viewport().width()) // int(self.gridSize().width()), 1)

    @property
    def page_size(self) -> int:
        """The number of thumbnails that are fully visible at once."""
        return self.columns * max(int(self.viewport().height()) // int(self.gridSize().height()), 1)

    def chosen(self) -> list[int]:
        """Return the positions that are selected, in order."""
        return sorted(index.row() for index in self.selectionModel().selectedIndexes())

    def choose(self, positions: Sequence[int]) -> None:
        """Select the crops at these positions, and no others."""
        selection = QItemSelection()
        for each in positions:
            index = self.model().index(each, 0)
            selection.select(index, index)
        self.selectionModel().select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    def keyboardSearch(self, search: str | None) -> None:
        """Search for no text, because letters are keys of classes."""

    def _act_of(self, event: Any) -> tuple[str, int]:
        """Return the action of a key: its name, or "class" and the class id; "" for other keys."""
        if event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier):
            if event.text().upper() in self._class_keys:
                return "class", self._class_keys[event.text().upper()]
            if event.key() in FIXED:
                return FIXED[event.key()], 0
        pressed = QKeySequence(event.keyCombination())
        for keys, name in (*((key, name) for name, key in self._tool_keys.items()), *USUAL):
            if keys and name in self._tool_keys and pressed == QKeySequence(keys):
                return name, 0
        return "", 0

    def event(self, event: QEvent | None) -> bool:
        """Handle the keys of the gallery before the shortcuts of the window."""
        if event is not None and event.type() == QEvent.Type.ShortcutOverride:
            self._is_repeat = event.isAutoRepeat() or self._strokes.is_repeat(event.key(), event.timestamp())
            if self._act_of(event)[0] or event.matches(QKeySequence.StandardKey.SelectAll):
                event.accept()
                return True
        return bool(super().event(event))

    def keyPressEvent(self, event: Any) -> None:
        """Do the action of a key, once for each press."""
        self.active.emit()
        name, class_id = self._act_of(event)
        if not name:
            super().keyPressEvent(event)
        elif not (event.isAutoRepeat() or self._is_repeat):
            if name == "class":
                self.class_given.emit(class_id)
            else:
                self.act_requested.emit(name)

    def keyReleaseEvent(self, event: Any) -> None:
        """Note when a key was released."""
        if event.timestamp():  # a synthetic key event may have no time
            self._strokes.released(event.key(), event.timestamp())
        super().keyReleaseEvent(event)

    def viewportEvent(self, event: QEvent | None) -> bool:
        """Note an input of the expert."""
        if event is not None and event.type() in SIGNS_OF_LIFE:
            self.active.emit()
        return bool(super().viewportEvent(event))

    def resizeEvent(self, event: Any) -> None:
        """Emit that the size has changed."""
        super().resizeEvent(event)
        self.resized.emit()
