"""The dialog that renames and describes a class and chooses its examples; the timer is paused meanwhile."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from costal.labels.classes import MOST_EXAMPLES, describe_class, illustrate_class, rename_class
from costal.labels.effort import PauseReason
from costal.labels.project import LabelClass, Project
from costal.workbench.class_guide import Example
from napari_costal.labelling.presentation import Presenter
from napari_costal.ui.parts import sentence

THUMB_PX = 44
ABOUT = (
    f"Tick up to {MOST_EXAMPLES} crops as examples of the class. The list has the newest labels of the class, except "
    "unsure ones. If no crop is ticked, the most typical crops are the examples."
)


def pixmap_of(image_H_W_4: NDArray[np.uint8]) -> QPixmap:
    """Return RGBA pixels as a small picture."""
    pixels = np.ascontiguousarray(image_H_W_4)
    height, width, _ = pixels.shape
    image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
    return QPixmap.fromImage(image).scaled(THUMB_PX, THUMB_PX, Qt.AspectRatioMode.KeepAspectRatio)


class ClassDialog(QDialog):
    """Name, description and examples of a class."""

    def __init__(
        self,
        parent: QWidget,
        label_class: LabelClass,
        candidates: Sequence[Example],
        picture: Callable[[Example], NDArray[np.uint8]],
    ) -> None:
        super().__init__(parent)
        self._class = label_class
        self.setWindowTitle(f"Class '{label_class.name}'")
        self.name = QLineEdit(label_class.name)
        self.description = QPlainTextEdit(label_class.description)
        self.description.setPlaceholderText("What belongs to this class and what does not, in one sentence.")
        self.description.setTabChangesFocus(True)
        self.description.setMaximumHeight(70)
        self.crops = QListWidget()
        self.crops.setViewMode(QListWidget.ViewMode.IconMode)
        self.crops.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.crops.setIconSize(QSize(THUMB_PX, THUMB_PX))
        for each in candidates:
            self._offer(each, picture(each))
        fields = QFormLayout()
        fields.addRow("name", self.name)
        fields.addRow("description", self.description)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addLayout(fields)
        column.addWidget(sentence(ABOUT if candidates else "Once crops have this class, you can choose examples here."))
        column.addWidget(self.crops)
        self.crops.setVisible(bool(candidates))
        column.addWidget(buttons)
        self.resize(460, 420 if candidates else 200)
        self.name.selectAll()

    def _offer(self, example: Example, image_H_W_4: NDArray[np.uint8]) -> None:
        item = QListWidgetItem(QIcon(pixmap_of(image_H_W_4)), "")
        item.setData(Qt.ItemDataRole.UserRole, example.label.first_id)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        is_chosen = example.label.first_id in self._class.examples
        item.setCheckState(Qt.CheckState.Checked if is_chosen else Qt.CheckState.Unchecked)
        self.crops.addItem(item)

    @property
    def ticked(self) -> list[int]:
        """The labels whose crops are ticked: earlier examples in their order, then the new ones."""
        items = [self.crops.item(at) for at in range(self.crops.count())]
        ids = [each.data(Qt.ItemDataRole.UserRole) for each in items if each.checkState() == Qt.CheckState.Checked]
        return [each for each in self._class.examples if each in ids] + [
            each for each in ids if each not in self._class.examples
        ]

    def edit(self, project: Project) -> Project:
        """Return the project with the edited class."""
        class_id = self._class.id
        project = rename_class(project, class_id, self.name.text().strip())
        project = describe_class(project, class_id, self.description.toPlainText())
        return illustrate_class(project, class_id, self.ticked)


def ask_class(
    parent: QWidget,
    presenter: Presenter,
    label_class: LabelClass,
    candidates: Sequence[Example],
    picture: Callable[[Example], Any],
) -> Callable[[Project], Project] | None:
    """Return a function that edits the project, None if the user cancelled."""
    dialog = ClassDialog(parent, label_class, candidates, picture)
    presenter.pause(PauseReason.MODAL)
    try:
        return dialog.edit if dialog.exec() else None
    finally:
        presenter.resume(PauseReason.MODAL)
        dialog.deleteLater()
        parent.activateWindow()  # so that the next key answers, under any window manager
