"""The frames of the open project as rows: their states and counts, and pictures made when they come into view."""

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QImage, QPixmap

from costal.frames.thumbnails import RGBPicture
from costal.labels.project import Project
from costal.workbench.frames_list import ListedFrame, State

MEANINGS: Mapping[State, str] = {
    "labelled": "Some of its crops have an answer.",
    "scored": "The newest model predicted the class of each crop.",
    "outdated": "An older model scored it: score it again.",
    "missing": "Its image was moved, renamed or deleted. The labels are safe; 'Locate' finds a moved image.",
    "offline": "The drive that holds its image does not respond. The labels are safe.",
    "unsaved layer": "Its pixels are not in a file. Save the layer, then 'Locate' that file.",
}
GREY = "#888888"


class FramesModel(QAbstractListModel):
    """The frames of the open project; `wanted` requests the picture of a row in view."""

    wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[ListedFrame, ...] = ()
        self.project: Project | None = None
        self._pictures: dict[str, QPixmap | None] = {}
        self._requested: set[str] = set()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many frames there are."""
        return len(self.rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a frame's name, its picture, or its states and counts as text."""
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return row.name
        if role == Qt.ItemDataRole.DecorationRole:
            return self._picture(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join((row.record.source, *self.words(row), *(MEANINGS[each] for each in row.states)))
        return None

    def words(self, row: ListedFrame) -> tuple[str, ...]:
        """Return the counts of a frame as text."""
        labels = self._counted(row.labels)
        skipped = f"{row.unclassified} skipped or excluded" if row.unclassified else ""
        labelled = ", ".join(filter(None, (labels, skipped)))
        predicted = self._counted(row.predicted)
        model = f"predicted by model {row.generation}: {predicted}" if predicted else ""
        return tuple(filter(None, (f"labelled: {labelled}" if labelled else "", model)))

    def _counted(self, counts: Mapping[int, int]) -> str:
        names = {each.id: each.name for each in self.project.classes} if self.project is not None else {}
        return ", ".join(f"{count} {names.get(class_id, f'class {class_id}')}" for class_id, count in counts.items())

    def colour_of(self, class_id: int) -> str:
        """Return the colour of a class."""
        label_class = self.project.class_of(class_id) if self.project is not None else None
        return label_class.colour if label_class is not None else GREY

    def show(self, project: Project | None, rows: Sequence[ListedFrame]) -> None:
        """Show these frames; pictures of the same content stay."""
        if project is None or self.project is None or project.folder != self.project.folder:
            self._pictures.clear()
        self._requested.clear()
        if [each.id for each in rows] == [each.id for each in self.rows]:
            self.project, self.rows = project, tuple(rows)
            if rows:
                self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self.project, self.rows = project, tuple(rows)
        self.endResetModel()

    def replace(self, row: ListedFrame) -> None:
        """Show the current state of a listed frame."""
        at = self.place_of(row.id)
        if at is not None:
            self.rows = (*self.rows[:at], row, *self.rows[at + 1 :])
            self.dataChanged.emit(self.index(at), self.index(at))

    def place_of(self, frame_id: int) -> int | None:
        """Return the row of a frame, None if it is not listed."""
        return next((at for at, each in enumerate(self.rows) if each.id == frame_id), None)

    def _picture(self, row: ListedFrame) -> QPixmap | None:
        content = row.record.content_hash
        if content not in self._pictures and content not in self._requested:
            self._requested.add(content)
            self.wanted.emit(row)
        return self._pictures.get(content)

    def forget_wanted(self, row: ListedFrame) -> None:
        """Request a picture again when the frame comes into view again."""
        self._requested.discard(row.record.content_hash)

    def has_picture(self, content: str) -> bool:
        """Return whether there is a picture of this content."""
        return self._pictures.get(content) is not None

    def picture_made(self, content: str, picture: RGBPicture | None) -> None:
        """Set the picture of a frame by its content, None if none can be made now."""
        self._pictures.setdefault(content, None)
        if picture is not None:
            height, width, _ = picture.shape
            image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
            self._pictures[content] = QPixmap.fromImage(image)
        for at, row in enumerate(self.rows):
            if row.record.content_hash == content:
                self.dataChanged.emit(self.index(at), self.index(at))

    def forget_empty(self) -> None:
        """Request the missing pictures again: images were located."""
        self._pictures = {content: each for content, each in self._pictures.items() if each is not None}
        self._requested.clear()
