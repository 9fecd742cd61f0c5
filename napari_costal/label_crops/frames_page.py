"""The list of the project's frames: picture, name, states, and counts in the colours of the classes."""

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QModelIndex, QPoint, QRect, QSize, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QPainter, QPalette, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QListView,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from costal.labels.project import Project
from costal.workbench.frames_list import LOST, ListedFrame, State
from napari_costal.label_crops.frames_model import GREY, FramesModel
from napari_costal.ui.parts import ALARM, CAUTION, beside, heading, push_button, sentence

PICTURE_PX, GAP_PX, LINES = 52, 6, 3
LEAST_PX = 200
SHADES: Mapping[State, str] = {
    "missing": ALARM,
    "offline": ALARM,
    "unsaved layer": CAUTION,
    "outdated": CAUTION,
}


class FrameRow(QStyledItemDelegate):
    """Draws a frame: its picture, its name, its state, and counts in the colours of the classes."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return the same size for every row."""
        return QSize(120, max(PICTURE_PX + 2 * GAP_PX, LINES * option.fontMetrics.lineSpacing() + 2 * GAP_PX))

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw one row."""
        model = index.model()
        if painter is None or not isinstance(model, FramesModel):
            return
        row, area = model.rows[index.row()], option.rect
        painter.save()
        is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        if is_chosen:
            painter.fillRect(area, option.palette.color(QPalette.ColorRole.Highlight))
        box = QRect(area.left() + GAP_PX, area.top() + (area.height() - PICTURE_PX) // 2, PICTURE_PX, PICTURE_PX)
        _draw_picture(painter, box, index.data(Qt.ItemDataRole.DecorationRole))
        high, left = option.fontMetrics.lineSpacing(), box.right() + GAP_PX
        width = area.right() - GAP_PX - left
        top = area.top() + (area.height() - LINES * high) // 2
        ink = QPalette.ColorRole.HighlightedText if is_chosen else QPalette.ColorRole.Text
        painter.setPen(option.palette.color(ink))
        name = option.fontMetrics.elidedText(row.name, Qt.TextElideMode.ElideMiddle, width)
        painter.drawText(QRect(left, top, width, high), Qt.AlignmentFlag.AlignLeft, name)
        self._draw_states(painter, QPoint(left, top + high), option, row.states)
        counts = QRect(left, top + 2 * high, width, high)
        if row.labels or row.unclassified:
            counts.setLeft(self._draw_counts(painter, counts, "labels", row.labels, model, row.unclassified))
        if row.predicted:
            self._draw_counts(painter, counts, "predicted", row.predicted, model)
        painter.restore()

    def _draw_states(
        self, painter: QPainter, at: QPoint, option: QStyleOptionViewItem, states: tuple[State, ...]
    ) -> None:
        ink = painter.pen()
        for each in states or ("no label yet",):
            painter.setPen(QColor(SHADES[each]) if each in SHADES else ink)  # type: ignore[index]  # or no state
            width = option.fontMetrics.horizontalAdvance(f"{each}   ")
            painter.drawText(QRect(at.x(), at.y(), width, option.fontMetrics.lineSpacing()), 0, each)
            at = QPoint(at.x() + width, at.y())
        painter.setPen(ink)

    def _draw_counts(
        self,
        painter: QPainter,
        area: QRect,
        word: str,
        counts: Mapping[int, int],
        model: FramesModel,
        unclassified: int = 0,
    ) -> int:
        """Draw a word, and counts after squares in their colours; return where they end."""
        metrics, at = painter.fontMetrics(), area.left()
        side = metrics.ascent() - 2
        texts = [(str(count), model.colour_of(class_id)) for class_id, count in counts.items()]
        texts += [(str(unclassified), GREY)] * bool(unclassified)
        painter.drawText(QRect(at, area.top(), area.right() - at, area.height()), 0, word)
        at += metrics.horizontalAdvance(f"{word} ")
        for text, colour in texts:
            if at + side + metrics.horizontalAdvance(text) > area.right():
                painter.drawText(QRect(at, area.top(), area.right() - at, area.height()), 0, "…")
                return int(area.right())
            painter.fillRect(QRect(at, area.top() + 3, side, side), QColor(colour))
            painter.drawText(QRect(at + side + 3, area.top(), area.right() - at, area.height()), 0, text)
            at += side + 3 + metrics.horizontalAdvance(f"{text} ")
        return int(at + GAP_PX)


def _draw_picture(painter: QPainter, box: QRect, picture: QPixmap | None) -> None:
    if picture is None:
        painter.fillRect(box, QColor(128, 128, 128, 40))
        return
    size = picture.size().scaled(box.size(), Qt.AspectRatioMode.KeepAspectRatio)
    corner = QPoint(box.left() + (box.width() - size.width()) // 2, box.top() + (box.height() - size.height()) // 2)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawPixmap(QRect(corner, size), picture)


class Rows(QListView):
    """A list in which Enter acts like a click on the chosen row."""

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Handle Enter as a click."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.clicked.emit(self.currentIndex())
        else:
            super().keyPressEvent(event)


class FramesPage(QWidget):
    """The list, its status text and *Locate*; `opened` carries the clicked frame."""

    opened = Signal(object)
    locate_file = Signal()
    locate_folder = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.model = FramesModel()
        self.state_label = sentence()
        self.list = view = Rows()
        view.setModel(self.model)
        view.setItemDelegate(FrameRow(view))
        view.setUniformItemSizes(True)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setMinimumHeight(LEAST_PX)
        view.clicked.connect(self._open)
        self.locate_button = push_button("Locate …", "Find moved images by their content; file names do not matter.")
        menu = QMenu(self.locate_button)
        menu.addAction("In a folder and its subfolders …", self.locate_folder.emit)
        menu.addAction("In one file …", self.locate_file.emit)
        self.locate_button.setMenu(menu)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for each in (heading("The project's frames"), view):
            column.addWidget(each)
        column.addLayout(beside(self.state_label, self.locate_button, shares=(1, 0)))
        self.show_frames(None, ())

    def show_frames(self, project: Project | None, rows: Sequence[ListedFrame]) -> None:
        """Show the frames of a project; the chosen frame stays chosen."""
        chosen = self.current_id
        self.model.show(project, rows)
        self.mark(chosen)
        self._say()

    def replace(self, row: ListedFrame) -> None:
        """Show the current state of one frame."""
        self.model.replace(row)
        self._say()

    @property
    def current_id(self) -> int:
        """The id of the chosen frame, 0 if none is chosen."""
        at = self.list.currentIndex()
        rows, row = self.model.rows, int(at.row())
        return rows[row].id if 0 <= row < len(rows) else 0

    def mark(self, frame_id: int) -> None:
        """Choose the row of the current frame without opening it; 0 for none."""
        at = self.model.place_of(frame_id)
        if at is None:
            self.list.clearSelection()
        else:
            self.list.setCurrentIndex(self.model.index(at))

    def _say(self) -> None:
        rows = self.model.rows
        lost = sum(each.place in LOST for each in rows)
        count = f"{len(rows):,} frame{'' if len(rows) == 1 else 's'}" if rows else "No frame yet: open an image."
        self.state_label.setText(f"{count}, <span style='color: {ALARM}'>{lost:,} missing</span>" if lost else count)
        self.locate_button.setEnabled(lost > 0)

    def _open(self, index: QModelIndex) -> None:
        if index.isValid():
            self.opened.emit(self.model.rows[index.row()])
