"""Tables and their cells."""

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QTableWidgetItem

SWATCH_PX = 14
NARROWEST_PX = 40


def dress(table: QTableView, row_height: int, widths: Mapping[int, int], wide: int | None = None) -> None:
    """Make a table select whole rows, and set its column widths; the `wide` column takes the remaining width."""
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    rows, header = table.verticalHeader(), table.horizontalHeader()
    rows.setVisible(False)
    rows.setDefaultSectionSize(row_height)
    if wide is not None:
        header.setSectionResizeMode(wide, QHeaderView.ResizeMode.Stretch)
    for column, width in widths.items():
        table.setColumnWidth(column, width)


def show_only(table: QTableView) -> None:
    """Make a table read-only, with one selected row at a time."""
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)


def swatch(colour: str, side: int = SWATCH_PX) -> QIcon:
    """Return a square of a colour."""
    picture = QPixmap(side, side)
    picture.fill(QColor(colour))
    return QIcon(picture)


def number_cell(text: str) -> QTableWidgetItem:
    """Return a cell with its text aligned to the right."""
    item = QTableWidgetItem(text)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
