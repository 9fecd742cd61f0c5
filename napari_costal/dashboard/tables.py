"""The Qt model of the dashboard's table of efforts; the texts of a row are made when it becomes visible."""

from datetime import datetime
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QColor

from costal.labels.project import LabelClass, Project
from costal.workbench.review import PresentationTable

HEADS = ("time", "class", "active s", "elapsed s", "effort", "reason", "answer", "crop")
TIME, CLASS, ACTIVE, ELAPSED, EFFORT, REASON, ANSWER, CROP = range(len(HEADS))
WIDTHS = (104, 82, 54, 62, 68, 190, 84, 200)
ANSWERS = ("not answered", "labelled", "skipped", "bad crop")
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
Role = Qt.ItemDataRole
TOP = QModelIndex()


class EffortModel(QAbstractTableModel):
    """All presentations, newest first; or only those whose effort is a lower bound or excluded."""

    def __init__(self) -> None:
        super().__init__()
        self._project: Project | None = None
        self._table: PresentationTable | None = None
        self._rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self._only_odd = False

    def show_table(self, project: Project, table: PresentationTable) -> None:
        """Show a project's presentations; if there are only new ones, the table keeps its scroll position."""
        is_same = self._project is not None and self._project.folder == project.folder
        rows = self._chosen(table)
        added = len(rows) - len(self._rows)
        self._project, self._table = project, table
        if not is_same or added < 0 or not np.array_equal(rows[added:], self._rows):
            self._reset(rows)
            return
        if added:
            self.beginInsertRows(TOP, 0, added - 1)
            self._rows = rows
            self.endInsertRows()
        if len(rows):  # a class may have a new name
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(HEADS) - 1))

    def show_only_odd(self, only: bool) -> None:
        """Show only efforts that are censored or excluded, or all."""
        self._only_odd = only
        if self._table is not None:
            self._reset(self._chosen(self._table))

    def clear(self) -> None:
        """Show nothing."""
        self._project = self._table = None
        self._reset(np.zeros(0, np.intp))

    def _reset(self, rows: NDArray[np.intp]) -> None:
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def _chosen(self, table: PresentationTable) -> NDArray[np.intp]:
        shown = ~table.efforts.measured_P if self._only_odd else np.ones(len(table), np.bool_)
        return np.flatnonzero(shown)[::-1]

    def rowCount(self, parent: QModelIndex = TOP) -> int:
        """Return how many presentations are shown."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = TOP) -> int:
        """Return how many columns there are."""
        return 0 if parent.isValid() else len(HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole) -> Any:
        """Return the name of a column."""
        return HEADS[section] if role == Role.DisplayRole and orientation == Qt.Orientation.Horizontal else None

    def data(self, index: QModelIndex, role: int = Role.DisplayRole) -> Any:
        """Return what a cell shows."""
        if self._table is None or not index.isValid():
            return None
        row, column = int(self._rows[index.row()]), index.column()
        if role == Role.DisplayRole:
            return self._text(self._table, row, column)
        if role == Role.TextAlignmentRole and column in (ACTIVE, ELAPSED):
            return RIGHT
        if role == Role.DecorationRole and column == CLASS:
            label_class = self._class(self._table, row)
            return QColor(label_class.colour) if label_class is not None else None
        if role == Role.ToolTipRole:
            return self._tip(self._table, row, column)
        return None

    def _text(self, table: PresentationTable, row: int, column: int) -> str:
        if column == TIME:
            return f"{_time(table, row):%m-%d %H:%M:%S}"
        if column == CLASS:
            label_class = self._class(table, row)
            return label_class.name if label_class is not None else ""
        if column in (ACTIVE, ELAPSED):
            efforts = table.efforts
            return f"{(efforts.active_ns_P if column == ACTIVE else efforts.elapsed_ns_P)[row] / 1e9:.2f}"
        if column in (EFFORT, REASON):
            return table.state(row)[column - EFFORT]
        if column == ANSWER:
            return ANSWERS[table.kind_P[row]]
        return f"{PurePath(_source(table, row)).name} ({table.rows['y'][row]}, {table.rows['x'][row]})"

    def _tip(self, table: PresentationTable, row: int, column: int) -> str:
        if column == TIME:
            return f"{_time(table, row):%Y-%m-%d %H:%M:%S}"
        if column == CROP:
            return f"{_source(table, row)}, row {table.rows['y'][row]}, column {table.rows['x'][row]}"
        return self._text(table, row, column)

    def _class(self, table: PresentationTable, row: int) -> LabelClass | None:
        return self._project.class_of(int(table.class_id_P[row])) if self._project is not None else None


def _time(table: PresentationTable, row: int) -> datetime:
    return datetime.fromtimestamp(table.rows["utc_ns"][row] / 1e9)


def _source(table: PresentationTable, row: int) -> str:
    return table.sources.get(int(table.rows["frame"][row]), "")
