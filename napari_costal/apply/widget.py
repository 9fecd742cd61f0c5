"""The dock widget *Apply classifier*: classifies a layer or a folder; shows maps and counts; exports them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QLabel, QVBoxLayout, QWidget

from costal.applying.applied import ClassifiedCrop, counts_of
from costal.applying.files import AppliedFiles
from costal.errors import CostalError
from costal.labels.project import PROJECT_FILE, Project
from costal.numerals import counted
from costal.scoring.frame_planes import FramePlane
from costal.workbench.correction import frame_of_crop
from napari_costal.apply.classified_layer import ClassifiedLayer, centre_on
from napari_costal.apply.controller import ENDINGS, ApplyController, ExportKind, LayerResult, Source, project_of
from napari_costal.apply.correcting import Correcting
from napari_costal.apply.form import ApplyForm
from napari_costal.apply.layers import CLASS_MAP, CONFIDENCE, AppliedOverlay, warm_up
from napari_costal.apply.tables import CountsTable, UncertainTable
from napari_costal.canvas.channel_layers import mates_of, taken_with
from napari_costal.canvas.large_layer import frame_plane_of
from napari_costal.canvas.layer_frames import SOURCE, PlaneChoice, name_of, view_of
from napari_costal.canvas.opening import ARRIVED, FrameOpener
from napari_costal.canvas.overlays import images_in
from napari_costal.engine.threads import Background
from napari_costal.label_crops.opened import opened_beside
from napari_costal.ui.colour_bar import ColourBar
from napari_costal.ui.dock import Dock
from napari_costal.ui.parts import heading, pages, push_button, row, sentence
from napari_costal.ui.preferences import Preferences, preferences
from napari_costal.ui.saving import ask_file

BEFORE = (
    "Every crop gets the class with the highest mean probability in the committee. This probability is the confidence. "
    "The class map, the counts and the least certain crops appear here."
)
EXPORTS: dict[ExportKind, tuple[str, str]] = {
    "crops": ("Crops CSV", "One row per crop, the least certain first."),
    "counts": ("Counts CSV", "The number of crops of each class, and their share."),
    "labels": ("Label TIFF", "The class id of every pixel, for ImageJ and others."),
    "geojson": ("GeoJSON", "One square per crop, for QuPath."),
}


class ApplyClassifier(Dock):
    """Run the trained classifier over a layer or a folder of images."""

    def __init__(self, napari_viewer: Viewer, chosen: Preferences | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._preferences = chosen or preferences()
        self._thread = Background("apply", self)
        self._overlay = AppliedOverlay(napari_viewer, "apply classifier")
        self._classified = ClassifiedLayer(napari_viewer, self._overlay, CLASS_MAP, self._pixels_changed)
        self._folder: Path | None = None
        self._files_project: Project | None = None
        self._wanted: ClassifiedCrop | None = None
        self.controller = ApplyController(self, self._thread, self, self._preferences.device)
        self.opener = FrameOpener(napari_viewer, self._thread, self._opened, self.complain)
        self.form = ApplyForm(lambda _widget: images_in(napari_viewer))
        self._build()
        self._connect()
        self._thread.run(warm_up)
        self._layers_changed()
        self._show_project()

    def _build(self) -> None:
        self._pages = pages()
        before = sentence(BEFORE)
        before.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._pages.addWidget(before)
        self._pages.addWidget(self._results_page())
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 6)
        column.setSpacing(5)
        column.addWidget(self.form)
        column.addWidget(self._pages, 1)
        column.addLayout(self.progress_row)
        column.addWidget(self.status)

    def _results_page(self) -> QWidget:
        self.bar = ColourBar()
        self.counts, self.uncertain = CountsTable(), UncertainTable()
        self.shown = ComboBox(label="the image shows", choices=[CLASS_MAP, CONFIDENCE], value=CLASS_MAP)
        self.export_buttons = {kind: push_button(text, tip) for kind, (text, tip) in EXPORTS.items()}
        self._shown_row = row(QLabel("the image shows"), self.shown.native)
        self._export_row = row(*self.export_buttons.values())
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(heading("Crops per class"))
        column.addWidget(self.counts)
        column.addWidget(self._shown_row)
        column.addWidget(self.bar)
        column.addWidget(heading("Least certain crops"))
        column.addWidget(self.uncertain, 1)
        own = self._thread, self._preferences.annotator, self.say, self.complain
        self.correcting = Correcting(*own, self._frame_of, self._layer_of)
        column.addWidget(self.correcting)
        column.addWidget(self._export_row)
        return page

    def _connect(self) -> None:
        form, layers = self.form, self._viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.connect(self._layers_changed)
        form.layer.changed.connect(self._take_planes)
        form.open_button.clicked.connect(self._ask_project)
        form.own_button.clicked.connect(lambda: self.use_project(None))
        form.apply_button.clicked.connect(lambda: self.apply())
        self.shown.changed.connect(self._show)
        self.uncertain.chosen.connect(self.look_at)
        self.uncertain.chosen.connect(self.correcting.choose)
        for kind, button in self.export_buttons.items():
            button.clicked.connect(lambda _=False, kind=kind: self._ask_export(kind))

    def _show(self, shown: str) -> None:
        """Show the class map, or the confidence with its colour bar."""
        self._classified.show(shown)
        self.bar.show_limits(shown, self._overlay.confidence_limits if shown == CONFIDENCE else None)

    # What the user does

    def use_project(self, folder: Path | None) -> None:
        """Use the classifier of this project from now on; with None, of the project open in Label crops."""
        self._folder = folder
        self._show_project()

    def apply(self) -> None:
        """Classify the layer or the folder of the form."""
        self._show_project()
        project_or_folder = self._folder or opened_beside(self).project
        if project_or_folder is None:
            self.complain("Open a project first, here or in Label crops. Its classifier is used.")
        elif self.form.is_folder:
            self._apply_to_folder(project_or_folder)
        else:
            self._apply_to_layer(project_or_folder)

    def _apply_to_layer(self, project_or_folder: Source) -> None:
        layer = self.form.layer.value
        if layer is None:
            self.complain("Choose an image layer first.")
            return
        try:
            layers = self._frame_layers(layer, project_of(project_or_folder))
            view = view_of(layers, self._viewer.dims, self.form.planes.value)
        except CostalError as error:
            self.complain(str(error))
            return
        self.controller.apply_to_layer(project_or_folder, view, self.form.resample.isChecked())
        self._classified.take(layers, view)

    def _frame_layers(self, layer: Image, project: Project) -> list[Image]:
        """Return the layers that form the frame: those of Label crops, or the project's channels."""
        opened = opened_beside(self)
        if self._folder is None and layer in opened.layers:
            return list(opened.layers)
        return taken_with(layer, mates_of(layer, images_in(self._viewer)), (), project, 0)

    def _apply_to_folder(self, project_or_folder: Source) -> None:
        images, out = self.form.images.text().strip(), self.form.out.text().strip()
        if not images or not out:
            self.complain("Choose the folder of images, and a folder for the results.")
            return
        choices = self.form.overwrite.isChecked(), self.form.resample.isChecked()
        self.controller.apply_to_files(project_or_folder, (Path(images),), Path(out), *choices)

    def cancel_running(self) -> None:
        """Stop the job that runs."""
        self.controller.cancel()

    def _ask_project(self) -> None:
        start = str(self._folder or self._preferences.projects_folder)
        folder = QFileDialog.getExistingDirectory(self, "Use the classifier of a project", start)
        if folder and (Path(folder) / PROJECT_FILE).is_file():
            self.use_project(Path(folder))
        elif folder:
            self.complain(f"{folder} is not a project: it has no {PROJECT_FILE}. Choose another folder.")

    def _ask_export(self, kind: ExportKind) -> None:
        result = self.controller.result
        if result is None:
            return
        source = Path(result.frame.source.removeprefix("layer:"))
        name = f"{source.stem}{ENDINGS[kind]}"
        folder = source.parent if source.is_absolute() else Path.home()
        chosen = ask_file(self, EXPORTS[kind][0], folder / name)
        if chosen is not None:
            self.controller.export(kind, chosen)

    def look_at(self, crop: ClassifiedCrop) -> None:
        """Centre the canvas on a crop; open its frame first if needed."""
        if self._files_project is None:
            self._classified.look_at(crop)
            return
        self._wanted = crop
        there = next((each for each in images_in(self._viewer) if shows(each, crop)), None)
        if there is not None:
            centre_on(self._viewer, self._overlay, there, crop)
            return
        self.opener.open_arrived(self._files_project, Path(crop.source), crop.planes)

    def _frame_of(self, crop: ClassifiedCrop) -> Callable[[], FramePlane] | None:
        """Return a function that reads the frame of a classified crop, None if it is gone."""
        if self._files_project is not None:
            return partial(frame_of_crop, self._files_project, crop)
        view = self._classified.view
        return partial(frame_plane_of, view) if view is not None else None

    def _layer_of(self, crop: ClassifiedCrop) -> Image | None:
        if self._files_project is None:
            return self._classified.layer
        return next((each for each in images_in(self._viewer) if shows(each, crop)), None)

    def _opened(self, layer: Image, _planes: PlaneChoice, notes: str) -> None:
        if notes:
            self.say(notes)
        if self._wanted is not None and shows(layer, self._wanted):
            centre_on(self._viewer, self._overlay, layer, self._wanted)

    # The project

    def _show_project(self) -> None:
        own = opened_beside(self).project
        self.form.show_project(self._folder or own, self._folder is None and own is not None, own is not None)

    def enterEvent(self, event: Any) -> None:
        """Show which project Label crops has open now."""
        self._show_project()
        super().enterEvent(event)

    def showEvent(self, event: Any) -> None:
        """Take the project and planes of Label crops when the dock is shown."""
        super().showEvent(event)
        self._show_project()
        self._take_planes(self.form.layer.value)

    # Layers

    def _layers_changed(self, _event: Any = None) -> None:
        self.form.layer.reset_choices()
        layers = images_in(self._viewer)
        if self.form.layer.value is None and layers:
            self.form.layer.value = layers[-1]
        if any(each not in layers for each in self._classified.layers):
            self.controller.forget()

    def _take_planes(self, layer: Image | None) -> None:
        """Take the planes that Label crops uses for this layer, because the classifier was trained on them."""
        opened = opened_beside(self)
        if layer is not None and opened.layer is layer:
            self.form.planes.value = opened.planes

    def _pixels_changed(self) -> None:
        self.controller.forget()
        self.say("The pixels of the layer have changed. Classify it again.")

    # What the controller shows

    def show_layer_result(self, result: LayerResult) -> None:
        """Show the map of a layer, its counts and its uncertain crops."""
        applied, counts = result.frame.applied, counts_of(result.frame)
        self._files_project = None
        self.counts.fill(result.project, applied.class_ids, [counts])
        self._list(result.project, result.uncertain, is_layer=True)
        self._classified.draw(result)
        self._show(self.shown.value)
        model = f"Model {applied.generation}, {applied.device}"
        classified = sum(counts.counts_K)
        confidence = f", mean confidence {counts.confidence:.2f}" if classified else ""
        self.say(f"{model}: {counted(classified, 'crop')}{confidence}.")

    def show_files_result(self, project: Project, result: AppliedFiles) -> None:
        """Show the counts of many frames, their uncertain crops, and the frames that could not be classified."""
        self._files_project = project
        self.counts.fill(project, result.class_ids, result.frames, result.failures)
        self._list(project, result.uncertain, is_layer=False)
        count = f"{counted(sum(result.totals_K), 'crop')} of {counted(len(result.frames), 'frame')}"
        self.say(f"Model {result.generation}: {count}. Wrote {result.out}")

    def _list(self, project: Project, crops: Sequence[ClassifiedCrop], is_layer: bool) -> None:
        self.uncertain.fill(project, crops, is_layer)
        self.correcting.fill(project)
        self._shown_row.setVisible(is_layer)
        self._export_row.setVisible(is_layer)
        self._pages.setCurrentIndex(1)

    def clear_result(self) -> None:
        """Hide the map and the tables, because they are outdated."""
        self._files_project, self._wanted = None, None
        self._classified.take((), None)
        self._pages.setCurrentIndex(0)

    def shut_down(self) -> None:
        """Leave no process, thread or callback behind. Finished files stay."""
        self.controller.close()
        self._thread.close()
        layers = self._viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.disconnect(self._layers_changed)
        self._classified.close()
        super().shut_down()


def shows(layer: Image, crop: ClassifiedCrop) -> bool:
    """Return whether a layer shows the frame of a crop, opened by `FrameOpener`."""
    name = name_of(crop.source, crop.planes)
    return bool(layer.metadata.get(SOURCE) == crop.source and layer.metadata.get(ARRIVED) == name)
