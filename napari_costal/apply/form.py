"""The form of *Apply classifier*: the project, and the layer or folder to classify. The dock acts on its values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from costal.labels.project import Project
from napari_costal.canvas.layer_frames import PLANE_CHOICES
from napari_costal.ui.parts import beside, heading, push_button, sentence

BUTTON_TEXTS = ("Classify this layer", "Classify the folder")


class ApplyForm(QWidget):
    """Project, and below it the layer or the folder to classify."""

    def __init__(self, layers: Callable[[Any], list[Any]]) -> None:
        super().__init__()
        self.project_label = sentence()
        self.open_button = push_button("Open …", "Use the classifier of another project: choose its folder.")
        self.own_button = push_button("As in Label crops", "Use the project that is open in Label crops.")
        self.tabs = QTabWidget()
        self.tabs.addTab(self._layer_tab(layers), "This layer")
        self.tabs.addTab(self._folder_tab(), "A folder of images")
        self.tabs.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.apply_button = push_button(BUTTON_TEXTS[0], "Classify every crop with the newest model.")
        self.apply_button.setStyleSheet("font-weight: bold;")
        self.tabs.currentChanged.connect(lambda tab: self.apply_button.setText(BUTTON_TEXTS[tab]))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addWidget(heading("Classifier of the project"))
        column.addWidget(self.project_label)
        column.addLayout(beside(self.open_button, self.own_button))
        self.resample = QCheckBox("resample to the pixel size of the labels")
        self.resample.setToolTip(
            "If the pixel sizes of a frame and of the labels differ by more than a tenth, the frame is first scaled\n"
            "to the pixel size of the labels. Positions in the results are in pixels of the original frame."
        )
        column.addWidget(self.tabs)
        column.addWidget(self.resample)
        column.addWidget(self.apply_button)

    def _layer_tab(self, layers: Callable[[Any], list[Any]]) -> QWidget:
        self.layer = ComboBox(label="layer", choices=layers, nullable=True)
        self.planes = ComboBox(label="planes", choices=list(PLANE_CHOICES), value=PLANE_CHOICES[0])
        self.planes.tooltip = "Choose the planes that the classifier was trained on."
        return _grid(("layer", self.layer.native), ("planes", self.planes.native))

    def _folder_tab(self) -> QWidget:
        self.images, self.out = QLineEdit(), QLineEdit()
        self.images.setPlaceholderText("a folder, with its subfolders")
        self.out.setPlaceholderText("a folder for the results")
        self.images_button = push_button("…", "Choose the folder of images.")
        self.out_button = push_button("…", "Choose a folder for the results: tables, label TIFFs and GeoJSON.")
        self.overwrite = QCheckBox("replace earlier results")
        for button in (self.images_button, self.out_button):
            button.setFixedWidth(34)
        images, out = ("images", self.images, self.images_button), ("results", self.out, self.out_button)
        tab = _grid(images, out, ("", self.overwrite))
        self.images_button.clicked.connect(lambda: self._ask_folder(self.images, "Classify the images of a folder"))
        self.out_button.clicked.connect(lambda: self._ask_folder(self.out, "Write the results into a folder"))
        self.images.textChanged.connect(self._suggest_out)
        return tab

    def _ask_folder(self, line: QLineEdit, title: str) -> None:
        folder = QFileDialog.getExistingDirectory(self, title, line.text())
        if folder:
            line.setText(folder)

    def _suggest_out(self, images: str) -> None:
        """Suggest a folder for the results, unless the user has chosen one."""
        if images and not self.out.isModified():
            folder = Path(images)
            self.out.setText(str(folder.with_name(f"{folder.name}-classified")) if folder.name else "")

    @property
    def is_folder(self) -> bool:
        """Whether a folder is classified, not a layer."""
        return bool(self.tabs.currentIndex() == 1)

    def show_project(self, project_or_folder: Project | Path | None, is_own: bool, can_be_own: bool) -> None:
        """Show which project's classifier is used; `is_own`: it is the project of Label crops."""
        if project_or_folder is None:
            self.project_label.setText("No project is open. Open one here or in Label crops.")
            self.project_label.setToolTip("")
        else:
            name, folder = (
                (project_or_folder.name, project_or_folder)
                if isinstance(project_or_folder, Path)
                else (project_or_folder.name, project_or_folder.folder)
            )
            self.project_label.setText(f"<b>{name}</b>" + (", open in Label crops" if is_own else ""))
            self.project_label.setToolTip(str(folder))
        self.own_button.setEnabled(can_be_own and not is_own)


def _grid(*rows: tuple[str | QWidget, ...]) -> QWidget:
    """Return widgets in rows, each after its name; the second column is wide."""
    tab = QWidget()
    grid = QGridLayout(tab)
    grid.setContentsMargins(8, 6, 8, 6)
    grid.setColumnStretch(1, 1)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            grid.addWidget(QLabel(cell) if isinstance(cell, str) else cell, row, column)
    return tab
