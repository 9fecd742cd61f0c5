"""The tables of *Apply classifier*: the number of crops of each class, and the least certain crops."""

from collections import Counter
from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from costal.applying.applied import ClassifiedCrop, Failure, FrameCounts
from costal.labels.project import Project
from napari_costal.canvas.layer_frames import ALL, name_of
from napari_costal.ui.parts import ALARM, CAUTION, sentence
from napari_costal.ui.tables import NARROWEST_PX, dress, number_cell, show_only, swatch

ROW_HEIGHT = 24
ALL_FRAMES = "all frames"
MOST_NAMED, MOST_REASONS = 3, 20


class CountsTable(QWidget):
    """A row per class: its crops and their share in one frame or all frames; colours are those of the class map."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = QComboBox()
        self.frame.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.frame.setToolTip("Show the counts of one frame or of all frames.")
        self.table = _table(("class", "crops", "share"), (76, 76))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.failures, self.notes = sentence(colour=ALARM), sentence(colour=CAUTION)
        for widget in (self.frame, self.table, self.notes, self.failures):
            column.addWidget(widget)
        self.frame.currentIndexChanged.connect(self._show)
        self._project: Project | None = None
        self._class_ids: tuple[int, ...] = ()
        self._counts: tuple[tuple[int, ...], ...] = ()
        self._notes: tuple[str, ...] = ()

    def fill(
        self,
        project: Project,
        class_ids: tuple[int, ...],
        frames: Sequence[FrameCounts],
        failures: Sequence[Failure] = (),
    ) -> None:
        """Show the counts of these frames, first those of all, and the frames that could not be classified."""
        totals = tuple(sum(each.counts_K[k] for each in frames) for k in range(len(class_ids)))
        self._project, self._class_ids = project, class_ids
        self._counts = (totals, *(each.counts_K for each in frames))
        self._notes = (_together(frames), *(each.notes for each in frames))
        self.frame.blockSignals(True)
        self.frame.clear()
        self.frame.addItems([f"{ALL_FRAMES} ({len(frames)})", *(name_of(each.source, each.planes) for each in frames)])
        self.frame.blockSignals(False)
        self.frame.setVisible(len(frames) > 1)
        self.table.setRowCount(len(class_ids))
        self.table.setFixedHeight(ROW_HEIGHT * (min(max(len(class_ids), 2), 8) + 1) + 6)
        self._show(0)
        names = [name_of(each.source, each.planes or ALL) for each in failures]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        self.failures.setText(f"Not classified: {', '.join(names[:MOST_NAMED])}{more}. The reasons are in counts.csv.")
        self.failures.setToolTip("\n".join(each.reason for each in failures[:MOST_REASONS]))
        self.failures.setVisible(bool(failures))

    def _show(self, which: int) -> None:
        if self._project is None or not 0 <= which < len(self._counts):
            return
        self.notes.setText(self._notes[which])
        self.notes.setVisible(bool(self._notes[which]))
        counts_K = self._counts[which]
        total = sum(counts_K)
        for row, (class_id, count) in enumerate(zip(self._class_ids, counts_K, strict=True)):
            share = f"{count / total:.1%}" if total else ""
            for column, item in enumerate(
                (_class_item(self._project, class_id), number_cell(f"{count:,}"), number_cell(share))
            ):
                self.table.setItem(row, column, item)


class UncertainTable(QTableWidget):
    """A row per crop, the least certain first; `chosen` carries the crop of the current row."""

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__(0, 4)
        _dress(self, ("class", "confidence", "y, x (px)", "frame"), (80, 84, 0))
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setToolTip("Click a crop to centre the canvas on it.")
        self._crops: tuple[ClassifiedCrop, ...] = ()
        self.itemSelectionChanged.connect(self._tell)

    def fill(self, project: Project, crops: Sequence[ClassifiedCrop], are_of_one_frame: bool) -> None:
        """Show these crops in the given order."""
        self.blockSignals(True)
        self.clearSelection()
        self._crops = tuple(crops)
        self.setRowCount(len(crops))
        self.setColumnHidden(3, are_of_one_frame)
        self.horizontalHeader().setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        for row, each in enumerate(crops):
            cells = (
                _class_item(project, each.class_id),
                number_cell(f"{each.confidence:.3f}"),
                number_cell(f"{each.y}, {each.x}"),
                QTableWidgetItem(name_of(each.source, each.planes)),
            )
            cells[3].setToolTip(each.source)
            for column, item in enumerate(cells):
                self.setItem(row, column, item)
        self.scrollToTop()
        self.blockSignals(False)

    def _tell(self) -> None:
        rows = self.selectionModel().selectedRows()
        if rows:
            self.chosen.emit(self._crops[rows[0].row()])


def _together(frames: Sequence[FrameCounts]) -> str:
    """Return the distinct notes of frames, each after its frame's name or the number of frames."""
    noted = Counter(each.notes for each in frames if each.notes)
    if len(frames) == 1:
        return "".join(noted)
    own = {each.notes: name_of(each.source, each.planes) for each in frames}
    lines = [f"{own[note] if count == 1 else f'{count} frames'}: {note}" for note, count in noted.most_common()]
    more = [f"{len(lines) - MOST_NAMED} more notes are in counts.csv."] if len(lines) > MOST_NAMED else []
    return "\n".join([*lines[:MOST_NAMED], *more])


def _table(headers: tuple[str, ...], widths: tuple[int, ...]) -> QTableWidget:
    table = QTableWidget(0, len(headers))
    _dress(table, headers, widths)
    return table


def _dress(table: QTableWidget, headers: tuple[str, ...], widths: tuple[int, ...]) -> None:
    """Give a table its headers and the widths of all columns but the first."""
    table.setHorizontalHeaderLabels(list(headers))
    table.setWordWrap(False)
    header = table.horizontalHeader()
    header.setMinimumSectionSize(NARROWEST_PX)
    header.setHighlightSections(False)
    show_only(table)
    dress(table, ROW_HEIGHT, dict(enumerate(widths, 1)), wide=0)


def _class_item(project: Project, class_id: int) -> QTableWidgetItem:
    label_class = project.class_of(class_id)
    if label_class is None:
        return QTableWidgetItem(swatch("#808080"), str(class_id))
    return QTableWidgetItem(swatch(label_class.colour), label_class.name)
