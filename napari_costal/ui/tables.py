"""Tables, and what stands in their cells."""

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QTableWidgetItem

SWATCH_PX = 14
NARROWEST_PX = 40


def dress(table: QTableView, row_height: int, widths: Mapping[int, int], wide: int | None = None) -> None:
    """Give a table rows that are chosen whole, and columns of these widths; the `wide` one takes what is left."""
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    rows, header = table.verticalHeader(), table.horizontalHeader()
    rows.setVisible(False)
    rows.setDefaultSectionSize(row_height)
    if wide is not None:
        header.setSectionResizeMode(wide, QHeaderView.ResizeMode.Stretch)
    for column, width in widths.items():
        table.setColumnWidth(column, width)


def show_only(table: QTableView) -> None:
    """Let rows be chosen one at a time, and nothing be edited."""
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)


def swatch(colour: str, side: int = SWATCH_PX) -> QIcon:
    """Return a square of a colour."""
    picture = QPixmap(side, side)
    picture.fill(QColor(colour))
    return QIcon(picture)


def number_cell(text: str) -> QTableWidgetItem:
    """Return a cell whose text stands on the right."""
    item = QTableWidgetItem(text)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
