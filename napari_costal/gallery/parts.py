"""The controls of the gallery: filters and order, class buttons, and the page of offered predictions."""

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QPushButton, QSlider, QVBoxLayout, QWidget

from costal.labels.project import LabelClass
from costal.workbench.gallery import EXCLUDED, LABELLED, LOOK_AGAIN, POOR, SKIPPED, SORTS, UNLABELLED, Filter, Sort
from costal.workbench.gallery_crops import Gallery
from costal.workbench.poor_crops import POOR_NAMES
from napari_costal.gallery.model import PredictionPage
from napari_costal.labelling.keys import labelled_with
from napari_costal.ui.parts import beside, push_button

LEAST_SIDE, USUAL_SIDE, MOST_SIDE = 48, 88, 224
LIKE: Sort = "similarity to a crop"
SURE = 0.9


class FilterRow(QWidget):
    """The filters, the order and the size of the thumbnails."""

    changed = Signal()
    similarity_requested = Signal()
    resized = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.frames, self.predictions, self.labels, self.order = (QComboBox() for _ in range(4))
        tips = (
            "Crops of this frame.",
            "Crops with this predicted class.",
            "Crops with this label, or without one.",
        )
        for box, tip in zip((self.frames, self.predictions, self.labels), tips, strict=True):
            box.setToolTip(tip)
        self.order.addItems(list(SORTS))
        self.order.setToolTip("Order of the crops. Similarity is measured to the crop that you clicked last.")
        self.size = QSlider(Qt.Orientation.Horizontal)
        self.size.setRange(LEAST_SIDE, MOST_SIDE)
        self.size.setValue(USUAL_SIDE)
        self.size.setTracking(False)
        self.size.setToolTip("Size of the thumbnails.")
        for box in (self.frames, self.predictions, self.labels, self.order):
            box.setMinimumContentsLength(8)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(beside(self.frames, self.predictions, self.labels, shares=(1, 1, 1)))
        column.addLayout(beside(self.order, self.size, shares=(2, 1)))
        for box in (self.frames, self.predictions, self.labels):
            box.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.order.activated.connect(self._ordered)
        self.size.valueChanged.connect(self.resized)

    def _ordered(self, _index: int) -> None:
        if self.sort == LIKE:
            self.similarity_requested.emit()
        self.changed.emit()

    @property
    def frame_id(self) -> int | None:
        """The frame whose crops are listed, None for all."""
        return self._of(self.frames)

    @property
    def predicted(self) -> int | None:
        """The predicted class of the crops that are listed, None for any."""
        return self._of(self.predictions)

    @property
    def label(self) -> int | None:
        """The label of the crops that are listed, None for any."""
        return self._of(self.labels)

    @property
    def sort(self) -> Sort:
        """The order."""
        chosen: Sort = SORTS[self.order.currentIndex()]
        return chosen

    def look_again(self) -> None:
        """Choose the labels to look at again, the most doubtful first."""
        self.order.setCurrentIndex(SORTS.index("labels to look at again"))
        self.labels.setCurrentIndex(self.labels.findData(LOOK_AGAIN))
        self.changed.emit()

    def _of(self, box: QComboBox) -> int | None:
        chosen = box.currentData()
        return None if chosen is None else int(chosen)

    def fill(self, gallery: Gallery, chosen: Filter) -> None:
        """Offer the frames and classes of a gallery; choices that still exist stay."""
        classes = [(each.name, each.id) for each in gallery.project.offered]
        frames = [(each.name, each.id) for each in gallery.frames.values()]
        _refill(self.frames, [("all frames", None), *frames], chosen.frame_id)
        predicted = [(f"predicted: {name}", class_id) for name, class_id in classes]
        _refill(self.predictions, [("any prediction", None), *predicted], chosen.predicted)
        labelled = [(f"label: {name}", class_id) for name, class_id in classes]
        other = [("any label or none", None), ("no label", UNLABELLED), ("label: any class", LABELLED)]
        last = [("skipped", SKIPPED), ("excluded", EXCLUDED), ("look again", LOOK_AGAIN)]
        last += [(f"no label, {name}", POOR - code) for code, name in POOR_NAMES.items()]
        _refill(self.labels, [*other, *labelled, *last], chosen.label)


def _refill(box: QComboBox, choices: Sequence[tuple[str, int | None]], chosen: int | None) -> None:
    blocker = QSignalBlocker(box)
    box.clear()
    for text, choice in choices:
        box.addItem(text, choice)
    known = [choice for _, choice in choices]
    box.setCurrentIndex(known.index(chosen) if chosen in known else 0)
    del blocker


class ClassButtons(QWidget):
    """A button for each class, which labels the selected crops."""

    class_chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)

    def fill(self, classes: Sequence[LabelClass]) -> None:
        """Show these classes."""
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        for place, each in enumerate(classes):
            button = QPushButton(labelled_with(each.name, each.key, "{key}  {text}"))
            button.setObjectName(f"gallery-class-{each.id}")
            button.setToolTip(f"Label the selected crops '{each.name}'.")
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setStyleSheet(f"border-left: 6px solid {each.colour}; padding: 4px; text-align: left;")
            button.clicked.connect(lambda _=False, class_id=each.id: self.class_chosen.emit(class_id))
            self._grid.addWidget(button, place // 3, place % 3)


class OfferRow(QWidget):
    """Offers predictions page by page above a confidence; has undo and redo."""

    offered = Signal()

    def __init__(self, tool_keys: Mapping[str, str]) -> None:
        super().__init__()
        self.offer_button = push_button(
            "Offer predictions",
            "Show confident predictions of unlabelled crops, one page at a time, to accept them together. A few are "
            "wrong on purpose and are never stored. They measure how many errors you notice.",
        )
        self.offer_button.setCheckable(True)
        self.confidence = QDoubleSpinBox()
        self.confidence.setRange(0.0, 1.0)
        self.confidence.setSingleStep(0.05)
        self.confidence.setValue(SURE)
        self.confidence.setPrefix("≥ ")
        self.confidence.setKeyboardTracking(False)
        self.confidence.setToolTip("Offer predictions with at least this confidence.")
        self.accept_button = push_button("Accept page (Enter)", "Label each crop of the page with its shown class.")
        self.accept_button.setStyleSheet("font-weight: bold;")
        self.undo_button, self.redo_button = (
            push_button(labelled_with(word, tool_keys.get(name, ""), "{text} ({key})"), tip)
            for word, name, tip in (
                ("Undo", "undo", "Undo the whole last action."),
                ("Redo", "redo", "Repeat the last undone action."),
            )
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(beside(self.offer_button, self.confidence, self.accept_button, shares=(1, 0, 1)))
        column.addLayout(beside(self.undo_button, self.redo_button, shares=(1, 1)))
        for each in (self.offer_button, self.accept_button, self.undo_button, self.redo_button):
            each.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.offer_button.clicked.connect(lambda _: self.offered.emit())
        self.confidence.valueChanged.connect(lambda _: self.offered.emit() if self.is_offering else None)
        self.show_offer(None)

    @property
    def is_offering(self) -> bool:
        """Whether predictions are offered."""
        return bool(self.offer_button.isChecked())

    @property
    def least(self) -> float:
        """The least confidence."""
        return float(self.confidence.value())

    def show_offer(self, offered: PredictionPage | None) -> None:
        """Show whether a page is offered."""
        self.offer_button.setChecked(offered is not None)
        self.accept_button.setEnabled(offered is not None)
