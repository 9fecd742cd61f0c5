"""The row below the least certain crops: gives the chosen crop its right class, or opens it in *Label crops*."""

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from costal.applying.applied import ClassifiedCrop
from costal.labels.project import Project
from costal.labels.records import CropLabel
from costal.scoring.frame_planes import FramePlane
from costal.workbench.correction import correct
from costal.workbench.session import ProjectSession
from napari_costal.engine.calls import Thread
from napari_costal.label_crops.opened import Opened, opened_beside
from napari_costal.ui.parts import beside, push_button
from napari_costal.ui.tables import swatch


class Correcting(QWidget):
    """Corrects the chosen crop; `frame_of` returns a function that reads its frame, on another thread."""

    def __init__(
        self,
        thread: Thread,
        annotator: str,
        say: Callable[[str], None],
        complain: Callable[[str], None],
        frame_of: Callable[[ClassifiedCrop], Callable[[], FramePlane] | None],
        layer_of: Callable[[ClassifiedCrop], Any],
    ) -> None:
        super().__init__()
        self._thread, self._annotator, self._say, self._complain = thread, annotator, say, complain
        self._frame_of, self._layer_of = frame_of, layer_of
        self._project: Project | None = None
        self._crop: ClassifiedCrop | None = None
        self.classes = QComboBox()
        self.keep_button = push_button("Keep as label", "Store this class as the label of the crop.", self.correct)
        self.open_button = push_button("Show crop", "Show the crop in Label crops, to label it there.", self.open)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(
            beside(QLabel("class"), self.classes, self.keep_button, self.open_button, shares=(0, 1)),
        )
        self.choose(None)

    def fill(self, project: Project) -> None:
        """Offer the classes of a project, and choose no crop."""
        self._project = project
        self.classes.clear()
        for each in project.offered:
            self.classes.addItem(swatch(each.colour), each.name, each.id)
        self.choose(None)

    def choose(self, crop: ClassifiedCrop | None) -> None:
        """Take the crop chosen in the table; the predicted class is selected."""
        self._crop = crop
        for each in (self.classes, self.keep_button, self.open_button):
            each.setEnabled(crop is not None)
        if crop is not None:
            self.classes.setCurrentIndex(self.classes.findData(crop.class_id))

    def correct(self) -> None:
        """Label the chosen crop, through *Label crops* if the project is open there."""
        project, crop, class_id = self._project, self._crop, self.classes.currentData()
        frame_of = self._frame_of(crop) if crop is not None else None
        if project is None or crop is None or frame_of is None or class_id is None:
            self._complain("Choose a crop in the table and a class.")
            return
        opened, name = opened_beside(self), self.classes.currentText()

        def kept(label: CropLabel) -> None:
            opened.relabelled(label)
            self._say(f"The crop at {crop.y}, {crop.x} is labelled '{name}'. Train again to use it.")

        def read(frame: FramePlane) -> None:
            if (project_session := session_of(opened, project)) is not None and opened.store is not None:
                opened.store.run(correct, project_session, frame, crop, class_id, then=kept, failed=self._complain)
            else:
                work = correct_alone, project, self._annotator, frame, crop, class_id
                self._thread.run(*work, then=kept, failed=self._complain)

        self._thread.run(frame_of, then=read, failed=self._complain)

    def open(self) -> None:
        """Show the chosen crop in *Label crops*."""
        opened, layer = opened_beside(self), self._layer_of(self._crop) if self._crop is not None else None
        if self._crop is None or layer is None:
            self._complain("Choose a crop in the table, and wait until its image is open.")
        elif opened.project is None:
            self._complain("Open the project in Label crops first.")
        else:
            opened.label_at(layer, (self._crop.y, self._crop.x))


def session_of(opened: Opened, project: Project) -> ProjectSession | None:
    """Return the session of *Label crops*, if it has this project open."""
    if opened.project_session is None or opened.project_session.project.folder.resolve() != project.folder.resolve():
        return None
    return opened.project_session


def correct_alone(
    project: Project, annotator: str, frame: FramePlane, crop: ClassifiedCrop, class_id: int
) -> CropLabel:
    """Label a crop in a project that is not open in this window (see `correct`)."""
    with ProjectSession(project.folder, annotator) as project_session:
        return correct(project_session, frame, crop, class_id)
