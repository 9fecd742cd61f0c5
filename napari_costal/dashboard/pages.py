"""The dashboard's three pages: figures, efforts, models. They show an overview and decide nothing."""

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QTableView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from costal.workbench.overview import Overview
from napari_costal.dashboard.cards import (
    TITLES,
    VERSION_HEADS,
    Content,
    contents,
    look_again_text,
    version_cells,
)
from napari_costal.dashboard.tables import WIDTHS, EffortModel
from napari_costal.ui.figure_view import FigureView
from napari_costal.ui.figures import Colours
from napari_costal.ui.parts import heading, push_button, sentence
from napari_costal.ui.tables import dress, show_only

CARD_WIDTH = 440
"""Cards are side by side if two of this width fit."""


class Card(QWidget):
    """A heading, a sentence, and a figure if there is something to draw."""

    def __init__(self, title: str, painter: Any, colours: Colours) -> None:
        super().__init__()
        self.text = sentence()
        self.button = push_button("", "")
        self.button.hide()
        self.figure = FigureView(painter, colours)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 6)
        column.setSpacing(2)
        column.addWidget(heading(title))
        column.addWidget(self.text)
        column.addWidget(self.button)
        column.addWidget(self.figure, 1)
        column.addStretch()

    def show_content(self, content: Content) -> None:
        """Show a sentence, and a picture if there is one."""
        self.text.setText(content.text)
        self.figure.setVisible(content.picture is not None)
        if content.picture is not None:
            self.figure.show_picture(content.picture, content.height)


class FiguresPage(QScrollArea):
    """The hint, and the figures as cards, two side by side if they fit."""

    look_again = Signal()

    def __init__(self, painter: Any, colours: Colours) -> None:
        super().__init__()
        self.hint = sentence()
        self.cards = [Card(title, painter, colours) for title in TITLES]
        self.look_again_button = self.cards[0].button
        self.look_again_button.setToolTip(
            "Open these labels in the gallery, the most doubtful first, and keep or change each."
        )
        self.look_again_button.clicked.connect(lambda: self.look_again.emit())
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(8, 6, 8, 4)
        column.addWidget(self.hint)
        self._row = QHBoxLayout()
        self._columns = [QVBoxLayout(), QVBoxLayout()]
        for each in self._columns:
            self._row.addLayout(each)
        column.addLayout(self._row, 1)
        self._column_count = 0
        self._arrange(1)
        self.recolour(colours)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(page)

    def show_overview(self, overview: Overview) -> None:
        """Show a project's figures."""
        self.hint.setText(overview.review.hint.text)
        for card, content in zip(self.cards, contents(overview, self._colours), strict=True):
            card.show_content(content)
        text = look_again_text(overview)
        self.look_again_button.setText(text)
        self.look_again_button.setVisible(bool(text))

    def recolour(self, colours: Colours) -> None:
        """Draw in other colours."""
        self._colours = colours
        self.hint.setStyleSheet(f"border-left: 3px solid {colours.line}; padding: 2px 0 2px 8px;")
        for card in self.cards:
            card.figure.recolour(colours)

    def resizeEvent(self, event: Any) -> None:
        """Put the cards side by side if they fit."""
        super().resizeEvent(event)
        self._arrange(1 if self.viewport().width() < 2 * CARD_WIDTH else 2)

    def _arrange(self, count: int) -> None:
        if count == self._column_count:
            return
        self._column_count = count
        self._row.setSpacing(20 * (count - 1))
        for at in range(len(self._columns)):
            self._row.setStretch(at, at < count)
        for at, card in enumerate(self.cards):
            self._columns[at % count].addWidget(card, 1)

    def stop(self) -> None:
        """Request no more images."""
        for card in self.cards:
            card.figure.stop()


class EffortsPage(QWidget):
    """The table of all efforts, and a filter for censored and excluded ones."""

    def __init__(self) -> None:
        super().__init__()
        self.model = EffortModel()
        self.only_odd = QCheckBox("Only lower bounds and excluded efforts")
        self.only_odd.toggled.connect(self.model.show_only_odd)
        self.count = sentence()
        self.view = QTableView()
        self.view.setModel(self.model)
        self.view.setWordWrap(False)
        self.view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        dress(self.view, 22, dict(enumerate(WIDTHS)))
        self.view.horizontalHeader().setStretchLastSection(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 4)
        column.addWidget(self.only_odd)
        column.addWidget(self.view, 1)
        column.addWidget(self.count)

    def show_overview(self, overview: Overview) -> None:
        """Show a project's efforts."""
        table = overview.review.table
        self.model.show_table(overview.project, table)
        usable, excluded = int(table.efforts.measured_P.sum()), int((table.efforts.reason_P > 0).sum())
        self.count.setText(
            f"Crops were shown {len(table):,} times. Efforts: {usable:,} usable, "
            f"{len(table) - usable - excluded:,} lower bounds, {excluded:,} excluded."
        )


class ModelsPage(QWidget):
    """The stored model versions, and a button that returns to one of them."""

    rolled_back = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._numbers: list[int] = []
        self.table = QTableWidget(0, len(VERSION_HEADS))
        self.table.setHorizontalHeaderLabels(VERSION_HEADS)
        show_only(self.table)
        dress(self.table, self.table.verticalHeader().defaultSectionSize(), {})
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.itemSelectionChanged.connect(self._selected)
        self.back_button = push_button("", "Save a copy of the chosen model as the newest. The labels do not change.")
        self.back_button.clicked.connect(lambda: self.rolled_back.emit(self._numbers[self.table.currentRow()]))
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 4)
        column.addWidget(self.table, 1)
        column.addWidget(self.back_button)
        self._selected()

    def show_overview(self, overview: Overview) -> None:
        """Show a project's models; the choice stays as long as the models are the same."""
        numbers = [each.number for each in overview.model_versions]
        if numbers == self._numbers:
            return
        self._numbers = numbers
        self.table.clearSelection()
        self.table.setRowCount(len(numbers))
        for row, model_version in enumerate(overview.model_versions):
            for column, text in enumerate(version_cells(model_version)):
                self.table.setItem(row, column, QTableWidgetItem(text))
        self.table.resizeColumnsToContents()
        self._selected()

    def _selected(self) -> None:
        chosen = self.table.currentRow() if self.table.selectedItems() else 0
        self.back_button.setEnabled(chosen > 0)
        self.back_button.setText(f"Roll back to model {self._numbers[chosen]}" if chosen > 0 else "Roll back")
