"""The dock widget *Label crops*: frame, classes, query and bench. Every callback is one call on the controller."""

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QFileDialog, QLabel, QVBoxLayout, QWidget

from costal.errors import CostalError
from costal.frames.grid import heatmap, index_at, tile
from costal.frames.normalise import IntensityRange, intensity_range
from costal.frames.read import read
from costal.labels.project import Project
from costal.types import Floats, Frame, Grid
from napari_costal._background import Background
from napari_costal._bench import Bench
from napari_costal._dock import Dock, pages
from napari_costal._label_controller import LabelController, Shown
from napari_costal._layer_frames import ALL_AS_CHANNELS, SLICE_SHOWN, LayerView, view_of
from napari_costal._layers import GRID, HEATMAP, LABELS, QUERY, FrameOverlay, centres, is_ours, placement_of
from napari_costal._preferences import Preferences, preferences
from napari_costal._render import render
from napari_costal._setup_page import SetupPage
from napari_costal._sitting import Sitting

DRAG_PX = 4
SETTLING_MS = 200


class LabelCrops(Dock):
    """Label the crops of a frame that teach the most for the least effort."""

    def __init__(self, napari_viewer: Viewer, chosen: Preferences | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._preferences = chosen or preferences()
        self._store, self._pixels = Background("store", self), Background("pixels", self)
        self._overlay = FrameOverlay(napari_viewer, "label crops")
        self._is_starting = False
        self._grid: Grid | None = None
        self._watched: Image | None = None
        # While sliders move or a microscope writes, only where they come to rest is a frame.
        self._settling = QTimer(self, singleShot=True, interval=SETTLING_MS)
        self.setup = SetupPage(self._image_layers, self._preferences.annotator)
        self.bench = Bench()
        self.controller = LabelController(
            self, self._store, self._pixels, self, self._preferences.annotator, self._preferences.device
        )
        self.sitting = Sitting(self.controller)
        self.model_label = QLabel("No model yet")
        self.model_label.setWordWrap(True)
        self._pages = pages()
        self._pages.addWidget(self.setup)
        self._pages.addWidget(self.bench)
        footer = QWidget()
        foot = QVBoxLayout(footer)
        foot.setContentsMargins(8, 2, 8, 6)
        foot.addLayout(self.progress_row)
        foot.addWidget(self.model_label)
        foot.addWidget(self.status)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._pages, 1)
        column.addWidget(footer)
        self._connect_viewer()
        self._connect_setup()
        self._connect_bench()
        self._layers_changed()

    def _connect_viewer(self) -> None:
        layers = self._viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.connect(self._layers_changed)
        self._viewer.dims.events.current_step.connect(self._slice_changed)
        self._viewer.dims.events.ndisplay.connect(self._slice_changed)
        self._settling.timeout.connect(self._frame_changed)
        self._viewer.mouse_drag_callbacks.append(self._clicked)

    def _connect_setup(self) -> None:
        setup, controller = self.setup, self.controller
        setup.frame_changed.connect(self._frame_changed)
        setup.tiling_changed.connect(self._tiling_changed)
        setup.choices_changed.connect(lambda save: controller.change(setup.with_choices, save))
        setup.class_renamed.connect(self._class_renamed)
        setup.shown.changed.connect(controller.show)
        setup.new_button.clicked.connect(self._ask_new_project)
        setup.open_button.clicked.connect(self._ask_open_project)
        setup.open_image_button.clicked.connect(self._ask_image)
        setup.add_class_button.clicked.connect(lambda: self.start_project(controller.add_class))
        setup.score_button.clicked.connect(lambda: self.start_project(controller.score))
        setup.label_button.clicked.connect(lambda: self.start_project(self.sitting.label_query))
        setup.train_button.clicked.connect(lambda: controller.retrain())

    def _connect_bench(self) -> None:
        bench, sitting = self.bench, self.sitting
        bench.answered.connect(sitting.answer)
        bench.skipped.connect(sitting.skip)
        bench.undone.connect(sitting.undo)
        bench.stopped.connect(sitting.stop)
        bench.drive(sitting.presenter)

    # What the user does

    def cancel_running(self) -> None:
        """Stop the job that runs."""
        self.controller.cancel()

    def _ask_new_project(self) -> None:
        folder, _ = QFileDialog.getSaveFileName(self, "Make a project: name a new folder", self._projects_folder())
        if folder:
            self.controller.make_project(Path(folder))

    def _ask_open_project(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a project", self._projects_folder())
        if folder:
            self.controller.open_project(Path(folder))

    def _projects_folder(self) -> str:
        return str(self._preferences.projects_folder)

    def _ask_image(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open an image", "", "Images (*.tif *.tiff *.png *.jpg *.jpeg)")
        if path:
            self.open_image(Path(path))

    def open_image(self, path: Path) -> None:
        """Read a file on another thread and add it as a layer, with its pixel size as scale."""
        self.say(f"Reading {path.name} …")
        self._pixels.run(_read_with_limits, path, then=lambda found: self.add_frame(*found), failed=self.complain)

    def add_frame(self, frame: Frame, limits: tuple[float, float]) -> None:
        """Add a frame that was read as a layer: leading axes as sliders, its pixel size as scale."""
        letters = [letter for letter in "TZCYX" if letter in frame.axes]
        pixels = frame.pixels.transpose([frame.axes.index(letter) for letter in letters])
        size, unit = (frame.pixel_um, "micrometer") if frame.pixel_um else (1.0, "pixel")
        leading = pixels.ndim - 2
        layer = self._viewer.add_image(
            pixels,
            name=Path(frame.source).stem,
            scale=[1.0] * leading + [size, size],
            units=["pixel"] * leading + [unit, unit],
            axis_labels=letters,
            contrast_limits=limits,
            metadata={"source": frame.source},
        )
        with self.setup.planes.changed.blocked():
            self.setup.planes.value = ALL_AS_CHANNELS if letters == ["C", "Y", "X"] else SLICE_SHOWN
        if self.setup.layer.value is layer:
            self._frame_changed()
        else:
            self.setup.layer.value = layer
        self.say(" ".join(frame.notes))

    def start_project(self, then: Callable[[], Any]) -> None:
        """Go on in the open project, or in a new one of the preferred folder when there is none."""
        if self.controller.project is not None:
            then()
            return
        if self._is_starting:
            return
        self._is_starting = True
        layer = self.setup.layer.value
        name = "".join(sign if sign.isalnum() or sign in "-_ " else "_" for sign in (layer.name if layer else "labels"))
        folder = self._preferences.projects_folder / f"{name} {datetime.datetime.now():%Y-%m-%d %H%M%S}"
        self.controller.make_project(folder, self.setup.with_tiling, then)

    def _class_renamed(self, row: int, name: str) -> None:
        def renamed(project: Project) -> Project:
            classes = list(project.classes)
            classes[row] = replace(classes[row], name=name)
            return replace(project, classes=tuple(classes))

        self.controller.change(renamed)

    def _clicked(self, _viewer: Any, event: Any) -> Any:
        """Present the crop under a click; a drag moves the image as ever."""
        if event.type != "mouse_press" or event.button != 1:
            return
        start = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if self._is_free_to_click() and np.abs(np.asarray(event.pos) - start).max() <= DRAG_PX:
            self._present_at(self.setup.layer.value.world_to_data(event.position)[-2:])

    def _is_free_to_click(self) -> bool:
        """Return whether a click means a crop, not another layer's tool."""
        active, frame = self._viewer.layers.selection.active, self.setup.layer.value
        is_tool_free = active is None or str(active.mode) == "pan_zoom"
        return frame is not None and is_tool_free and self._viewer.dims.ndisplay == 2

    def _present_at(self, position: Any) -> None:
        """Present the crop at a position in the frame's pixels; the first click makes a project."""
        y, x = (int(np.floor(value + 0.5)) for value in position)
        index = index_at(self._grid, y, x) if self._grid is not None else None
        if index is not None:
            self.start_project(lambda: self.sitting.click(index))

    def _image_layers(self, _widget: Any = None) -> list[Image]:
        return [layer for layer in self._viewer.layers if isinstance(layer, Image) and not is_ours(layer)]

    def _layers_changed(self, _event: Any = None) -> None:
        self.setup.layer.reset_choices()
        layers = self._image_layers()
        if self.setup.layer.value is None and layers:
            self.setup.layer.value = layers[-1]

    def _slice_changed(self, _event: Any = None) -> None:
        layer = self.setup.layer.value
        if layer is not None and layer.ndim > 2 and self.setup.planes.value == SLICE_SHOWN:
            self._settle()

    def _settle(self, _event: Any = None) -> None:
        """Take the frame anew when it has come to rest; what is on the bench is not true any more."""
        self.sitting.leave()
        self._settling.start()

    def _frame_changed(self) -> None:
        self._settling.stop()
        self._overlay.hide()
        self._watch(self.setup.layer.value)
        self.controller.choose_frame(self._view())
        self._preview_grid()

    def _watch(self, layer: Image | None) -> None:
        """Notice when the chosen layer gets other pixels or another place."""
        before, self._watched = self._watched, layer
        for each, act in ((before, "disconnect"), (layer, "connect")):
            if each is not None:
                for name in ("data", "scale", "translate", "rotate", "shear", "affine"):
                    getattr(getattr(each.events, name), act)(self._settle)

    def _view(self) -> LayerView | None:
        layer = self.setup.layer.value
        if layer is None:
            return None
        try:
            return view_of(layer, self._viewer.dims, self.setup.planes.value)
        except CostalError as error:
            self.complain(str(error))
            return None

    def _tiling_changed(self) -> None:
        self.controller.change(self.setup.with_tiling)
        self._preview_grid()

    def _preview_grid(self) -> None:
        """Show the grid of the form's tiling before there is a project."""
        view = self._view()
        if view is None or self.controller.project is not None:
            return
        crop = int(self.setup.crop.value)
        try:
            grid = tile(view.shape, crop, min(int(self.setup.stride.value), crop), self.setup.edge.value)
        except CostalError as error:
            self.complain(str(error))
            return
        self.show_grid(grid, view.pixel_um)

    # What the controller shows

    def show_model(self, text: str) -> None:
        """Show which model scored."""
        self.model_label.setText(text or "Not scored yet")

    def show_project(self, project: Project, counts: dict[int, int]) -> None:
        """Show a project's settings and classes."""
        self._is_starting = False
        self.setup.fill(project, counts)

    def show_grid(self, grid: Grid | None, pixel_um: float | None) -> None:
        """Show the grid over the frame and how many crops it has."""
        layer = self.setup.layer.value
        self._grid = grid
        self.setup.show_grid(grid, pixel_um)
        if grid is None or layer is None:
            self._overlay.hide(GRID)
        else:
            self._overlay.draw_grid(grid, placement_of(layer))

    def show_heatmap(self, values_N: Floats, grid: Grid, shown: Shown, project: Project) -> None:
        """Show one value per crop over the frame."""
        layer = self.setup.layer.value
        if layer is None:
            return
        colours = None
        if shown == "predicted class":
            rgba = [QColor(each.colour).getRgbF() for each in project.classes]
            colours = Colormap(rgba, name="classes", interpolation="zero")
        self._overlay.draw_heatmap(heatmap(grid, values_N), grid, placement_of(layer), shown, colours)

    def show_query(self, indices: NDArray[np.intp], grid: Grid) -> None:
        """Show the query's crops with their ranks."""
        layer = self.setup.layer.value
        if layer is not None:
            self._overlay.draw_query(centres(grid, indices), grid, placement_of(layer))

    def show_labels(self, colours: dict[int, str], grid: Grid) -> None:
        """Show the labelled crops in their class colours."""
        layer = self.setup.layer.value
        if layer is not None:
            self._overlay.draw_labels(centres(grid, list(colours)), list(colours.values()), grid, placement_of(layer))

    def clear_scores(self) -> None:
        """Take heatmap and query off the frame: they are not true any more."""
        self._overlay.hide(HEATMAP, QUERY)

    def clear_labels(self) -> None:
        """Take the labels of another frame off."""
        self._overlay.hide(LABELS)

    def present(
        self,
        project: Project,
        pixels_C_H_W: NDArray[np.generic],
        crop: tuple[int, int, int],
        limits: IntensityRange,
        title: str,
        active_s: Callable[[], float],
    ) -> None:
        """Put a crop on the bench."""
        self._pages.setCurrentWidget(self.bench)
        self.bench.begin(project.classes)
        self.bench.present(render(pixels_C_H_W, self.setup.layer.value, limits), crop, title, active_s)

    def cover(self, text: str) -> None:
        """Cover the crop, or uncover it with an empty text."""
        self.bench.cover(text)

    def bench_says(self, text: str, alarming: bool) -> None:
        """Show a sentence under the crop."""
        self.bench.say(text, alarming)

    def leave_bench(self) -> None:
        """Go back to the settings."""
        self.bench.end()
        self._pages.setCurrentIndex(0)

    def shut_down(self) -> None:
        """Leave no process, thread, timer or callback behind. Answers given are on disk already."""
        self._store.close(self.controller.close())
        self._pixels.close()
        layers = self._viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.disconnect(self._layers_changed)
        self._viewer.dims.events.current_step.disconnect(self._slice_changed)
        self._viewer.dims.events.ndisplay.disconnect(self._slice_changed)
        self._settling.stop()
        self._watch(None)
        if self._clicked in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._clicked)
        super().shut_down()


def _read_with_limits(path: Path) -> tuple[Frame, tuple[float, float]]:
    """Return a file's frame and contrast limits that show it."""
    frame = read(path)
    return frame, contrast_limits(frame)


def contrast_limits(frame: Frame) -> tuple[float, float]:
    """Return contrast limits by percentiles over all planes of a frame."""
    found = intensity_range(frame.pixels.reshape(1, -1, frame.pixels.shape[-1]))
    low, high = found.low_C[0], found.high_C[0]
    return low, high if high > low else low + 1.0
