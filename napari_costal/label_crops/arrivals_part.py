"""The watched folder in *Label crops*: the files that arrived, in a table that can hold 10,000."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QTableView, QVBoxLayout, QWidget

from costal.numerals import counted
from costal.types import Arrival
from costal.workbench.arrivals import FramePriority
from napari_costal.ui.parts import beside, heading, push_button, sentence
from napari_costal.ui.tables import dress

HEADERS = ("file", "state", "value", "min")
TIPS = (
    "Double-click a frame to open it.",
    "pending: not complete yet. ready: waits to be scored. broken: cannot be read; tried again when it changes.",
    "The total value of the frame's query, from the newest model that scored it.",
    "The expected labelling time of this query, in minutes.",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A frame of an arrived file; `offer` is None until it was scored."""

    arrival: Arrival
    offer: FramePriority | None = None
    note: str = ""

    @property
    def state(self) -> str:
        """The text of the second column."""
        if self.arrival.state != "ready" or self.offer is None:
            return "cannot be scored" if self.note else self.arrival.state
        done = self.offer.answered_count
        return f"{done} of {self.offer.crop_count}" if done else counted(self.offer.crop_count, "crop")

    def text(self, column: int) -> str:
        """Return what a cell shows."""
        if column == 0:
            planes = self.offer.description if self.offer is not None else "all"
            return self.arrival.path if planes == "all" else f"{self.arrival.path}  {planes}"
        if column == 1:
            return self.state
        figure = self.offer.value if self.offer is not None and column == 2 else None
        if column == 3 and self.offer is not None and self.offer.seconds is not None:
            figure = self.offer.seconds / 60
        return "" if figure is None else f"{figure:.2g}"


class ArrivalsModel(QAbstractTableModel):
    """The rows by file, newest file first; the rows of one file are neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self._by_path: dict[str, tuple[Row, ...]] = {}
        self.rows: tuple[Row, ...] = ()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many rows there are."""
        return len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many columns there are."""
        return len(HEADERS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell; its tooltip says why a file is not ready."""
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return row.text(index.column())
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.note or row.arrival.reason or TIPS[index.column()]
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a column's name and tip."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return HEADERS[section]
        return TIPS[section] if role == Qt.ItemDataRole.ToolTipRole else None

    def clear(self) -> None:
        """Forget all rows."""
        self._by_path = {}
        self._show()

    def arrived(self, arrivals: Iterable[Arrival]) -> None:
        """Add the files that a watch reported."""
        for each in arrivals:
            if each.state in ("gone", "duplicate"):
                self._by_path.pop(each.path, None)
            elif each.state != "ready" or each.path not in self._by_path:
                self._by_path[each.path] = (Row(each),)
            else:
                before = self._by_path[each.path]
                same = before[0].arrival.content_hash == each.content_hash
                self._by_path[each.path] = tuple(replace(row, arrival=each) for row in before) if same else (Row(each),)
        self._show()

    def offered(self, path: str, offers: tuple[FramePriority, ...], note: str = "") -> None:
        """Show the priorities of the frames of a file, or why there are none."""
        rows = self._by_path.get(path)
        if rows:
            arrival = rows[0].arrival
            self._by_path[path] = tuple(Row(arrival, each) for each in offers) or (Row(arrival, None, note),)
            self._show()

    def answered(self, content_hash: str, count: int) -> None:
        """Show how many crops of a frame have an answer now."""
        for rows in self._by_path.values():
            for row in rows:
                if row.offer is not None and row.offer.content_hash == content_hash:
                    after = tuple(
                        replace(each, offer=replace(each.offer, answered_count=count))
                        if each is row and each.offer
                        else each
                        for each in rows
                    )
                    self._by_path[row.arrival.path] = after
                    self._show()
                    return

    def _show(self) -> None:
        self.beginResetModel()
        files = sorted(self._by_path.values(), key=lambda rows: (-rows[0].arrival.stamp.mtime_ns, rows[0].arrival.path))
        self.rows = tuple(row for rows in files for row in rows)
        self.endResetModel()


class ArrivalsPart(QWidget):
    """Buttons and table of the watched folder; `opened` carries the row of the frame to label."""

    opened = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.model = ArrivalsModel()
        self.watch_button = push_button("Watch folder …", "Take frames from a folder that a microscope writes to.")
        self.next_button = push_button("Next frame", "Open the unlabelled frame with the most valuable query.")
        self.camera_button = push_button("Camera", "Save the images that pymmcore-plus acquires in this napari.")
        self.camera_button.setCheckable(True)
        self.state_label = sentence("No folder is watched.")
        self.table = table = QTableView()
        table.setModel(self.model)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setFixedHeight(130)
        table.setWordWrap(False)
        dress(table, 22, {1: 92, 2: 52, 3: 46}, wide=0)
        table.doubleClicked.connect(lambda index: self.opened.emit(self.model.rows[index.row()]))
        table.hide()
        column_of_all = QVBoxLayout(self)
        column_of_all.setContentsMargins(0, 0, 0, 0)
        column_of_all.setSpacing(4)
        for part in (heading("Arriving frames"), self.state_label, table):
            column_of_all.addWidget(part)
        column_of_all.addLayout(beside(self.watch_button, self.camera_button, self.next_button))
        self.show_folder("")

    def show_folder(self, folder: str) -> None:
        """Show which folder is watched; an empty text means none."""
        self.table.setVisible(bool(folder))
        self.next_button.setEnabled(bool(folder))
        self.watch_button.setText("Stop watching" if folder else "Watch folder …")
        self.state_label.setText(f"<small>{folder}</small>" if folder else "No folder is watched.")

    def show_counts(self, folder: str) -> None:
        """Say how many files are ready, pending and broken."""
        states = [row.arrival.state for row in self.model.rows]
        counted = ", ".join(f"{states.count(each)} {each}" for each in ("ready", "pending", "broken") if each in states)
        self.state_label.setText(f"<small>{folder}</small><br>{counted or 'nothing has arrived yet'}")
