"""The Qt model of the gallery: one row for each listed crop, with its texts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractListModel, QModelIndex, Qt

from costal.labels.project import Project
from costal.workbench.gallery import EXCLUDED, SKIPPED, Page
from costal.workbench.gallery_crops import Gallery

MOST_LISTED = 10_000
"""Of more crops only the first are listed; another order or filter lists others."""
GREY = "#888888"

CropKey = tuple[int, int, int, int]
"""The identity of a crop: frame id, y, x, side."""


class Cell(NamedTuple):
    """The texts on a thumbnail: the label, the predicted or offered class, and their colours."""

    row: int
    label: str
    label_colour: str
    predicted: str
    predicted_colour: str
    is_left_out: bool = False


@dataclass(slots=True)
class PredictionPage:
    """A page of predictions on the screen, with the rows left out and the classes corrected by the expert."""

    page: Page
    left_out: set[int] = field(default_factory=set)
    corrected: dict[int, int] = field(default_factory=dict)

    @property
    def shown(self) -> Mapping[int, int]:
        """The class that is shown with each row."""
        return dict(zip(self.page.rows_n.tolist(), self.page.shown_n.tolist(), strict=True))

    @property
    def planted(self) -> frozenset[int]:
        """The rows whose shown class is wrong on purpose."""
        return frozenset(self.page.rows_n[self.page.planted_n].tolist())

    def follow(self, labels: Mapping[int, int]) -> None:
        """Offer crops again that do not have their corrected class any more; `labels` are the current labels."""
        for row, label_id in labels.items():
            if self.corrected.get(row) != label_id:
                self.corrected.pop(row, None)

    @property
    def noticed(self) -> set[int]:
        """The rows that the expert left out or corrected."""
        shown = self.shown
        return self.left_out | {row for row, class_id in self.corrected.items() if class_id != shown[row]}


class GalleryModel(QAbstractListModel):
    """Rows of a gallery in the listed order."""

    def __init__(self) -> None:
        super().__init__()
        self.gallery: Gallery | None = None
        self.rows_n: NDArray[np.intp] = np.zeros(0, np.intp)
        self.offer: PredictionPage | None = None
        self._shown: Mapping[int, int] = {}
        self._classes: dict[int, tuple[str, str]] = {}
        self._predicted_n: NDArray[Any] = np.zeros(0)
        self._confidence_n: NDArray[Any] = np.zeros(0)

    def show(self, gallery: Gallery | None, rows_n: NDArray[np.intp], offer: PredictionPage | None = None) -> None:
        """List these rows of a gallery, or a page of predictions."""
        self.beginResetModel()
        self.gallery, self.rows_n, self.offer = gallery, rows_n[:MOST_LISTED], offer
        self._shown = offer.shown if offer is not None else {}
        if gallery is not None:
            self._classes = named_classes(gallery.project)
            crops = gallery.crops.taken(self.rows_n)
            self._predicted_n, self._confidence_n = crops.predicted_N, crops.confidence_N
        self.endResetModel()

    def relabelled(self, gallery: Gallery) -> None:
        """Show new labels; the list stays as it is."""
        self.gallery = gallery
        if len(self.rows_n):
            self.dataChanged.emit(self.index(0), self.index(len(self.rows_n) - 1))

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many crops are listed."""
        return 0 if parent is not None and parent.isValid() else len(self.rows_n)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the tool tip of a crop; `cell` has the drawn texts."""
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole) and index.isValid():
            return self.sentence(index.row())
        return None

    def place(self, position: int) -> CropKey:
        """Return which crop is listed at a position."""
        crops, row = self._crops, int(self.rows_n[position])
        return int(crops.frame_id_N[row]), int(crops.y_N[row]), int(crops.x_N[row]), int(crops.side_N[row])

    def cell(self, position: int) -> Cell:
        """Return the texts of the crop at a position; an offered crop shows only the offered class."""
        row = int(self.rows_n[position])
        label_id = int(self._crops.label_N[row])
        if self.offer is None:
            predicted = self._classes.get(int(self._predicted_n[position]), ("", ""))
            prediction = f"{predicted[0]} {self._confidence_n[position]:.0%}" if predicted[0] else ""
            label, colour = self._label(label_id)
            others = self._classes.get(self._contradicting(row), predicted)[0]
            if label and (prediction or others != predicted[0]) and others != label:
                label = f"{label} ≠ {others}"
            return Cell(row, label, colour, prediction, predicted[1])
        if row in self.offer.planted:
            label_id = self.offer.corrected.get(row, 0)
        return Cell(row, *self._label(label_id), *self._label(self._shown[row]), row in self.offer.left_out)

    def sentence(self, position: int) -> str:
        """Return the place, prediction and label of a crop as a sentence."""
        cell, (frame_id, y, x, _) = self.cell(position), self.place(position)
        parts = [f"{self._frame_name(frame_id)}, y {y}, x {x}"]
        parts += [f"offered: {cell.predicted}" if self.offer else f"predicted: {cell.predicted}"] * bool(cell.predicted)
        parts += [f"label: {cell.label}"] * bool(cell.label) + ["left out"] * cell.is_left_out
        return "; ".join(parts)

    def _contradicting(self, row: int) -> int:
        """Return the class that contradicts a doubted label, 0 for other crops."""
        if self.gallery is None or not self._crops.doubt_N[row] or row not in self.gallery.doubts:
            return 0
        return self.gallery.doubts[row].predicted_id

    def _frame_name(self, frame_id: int) -> str:
        return self.gallery.frames[frame_id].name if self.gallery is not None else ""

    @property
    def _crops(self) -> Any:
        if self.gallery is None:
            raise RuntimeError("No gallery is listed.")
        return self.gallery.crops

    def _label(self, label_id: int) -> tuple[str, str]:
        return self._classes.get(label_id, ("", "") if label_id == 0 else (f"class {label_id}", GREY))


def named_classes(project: Project) -> dict[int, tuple[str, str]]:
    """Return the name and the colour of every class, and of skipped and excluded crops."""
    classes = {each.id: (each.name, each.colour) for each in project.classes}
    return classes | {SKIPPED: ("skipped", GREY), EXCLUDED: ("excluded", "#000000")}
