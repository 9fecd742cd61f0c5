"""The dock widget *Label crops*: frame, classes, query and bench. Every callback is one call on the controller."""

import datetime
from collections.abc import Callable, Sequence
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
from costal.frames.normalise import IntensityRange
from costal.labels.lock import Holder
from costal.labels.project import Project
from costal.labels.recent import recent_projects, remember
from costal.types import Floats, Grid, Progress
from costal.workbench.channels import title
from napari_costal.canvas.channel_layers import mates_of, part_of, taken_with
from napari_costal.canvas.layer_frames import SLICE_SHOWN, LayerView, PlaneChoice, view_of
from napari_costal.canvas.opening import FrameOpener
from napari_costal.canvas.overlays import (
    GRID,
    HEATMAP,
    LABELS,
    MOST_BOXES,
    QUERY,
    FrameOverlay,
    centres,
    is_ours,
    placement_of,
)
from napari_costal.canvas.predictions import Predictions
from napari_costal.engine.calls import Caller
from napari_costal.engine.threads import Background
from napari_costal.label_crops.arriving import Arriving
from napari_costal.label_crops.controller import LabelController
from napari_costal.label_crops.crop_pictures import CropPictures
from napari_costal.label_crops.exchange import Exchange
from napari_costal.label_crops.file_axes import FileAxes
from napari_costal.label_crops.setup_page import SetupPage
from napari_costal.label_crops.sitting import Sitting
from napari_costal.label_crops.view import Shown
from napari_costal.labelling.bench import STOP, Bench
from napari_costal.ui.dock import Dock
from napari_costal.ui.parts import pages
from napari_costal.ui.preferences import Preferences, preferences

DRAG_PX = 4
SETTLING_MS = 200
READYING_MS = 100
DRAWING_MS = 60
"""The next crop is painted first, then the labels over the frame."""


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
        self._watched: tuple[Image, ...] = ()
        self._ticked: list[Image] = []
        self.frame_layers: list[Image] = []
        # While sliders move or a microscope writes, only where they come to rest is a frame.
        self._settling = QTimer(self, singleShot=True, interval=SETTLING_MS)
        self._readying, self._unready = QTimer(self, interval=READYING_MS), list[str]()
        self._drawing = QTimer(self, singleShot=True, interval=DRAWING_MS)
        self._labels_wanted: tuple[dict[int, str], Grid] | None = None
        self._query_wanted: tuple[NDArray[np.intp], Grid] | None = None
        self.setup = SetupPage(self._image_layers, self._preferences.annotator)
        self.bench = Bench(self._preferences.keys)
        self.opener = FrameOpener(napari_viewer, self._pixels, self._frame_opened, self.complain)
        self.file_axes = FileAxes(self, self._pixels, self.opener.open_file)
        self._pictures = CropPictures(lambda: self.frame_layers)
        self.controller = LabelController(
            self, self._store, self._pixels, self, self._preferences.annotator, self._preferences.device
        )
        self.sitting = Sitting(self.controller)
        self._predictions = Predictions(napari_viewer, self.sitting.look)
        self.arriving = Arriving(self, Caller(self._pixels, self, lambda _: None), self._store, self._preferences)
        self.intake = self.arriving.intake
        out_and_in = Caller(self._pixels, self, self.show_progress)
        self.exchange = Exchange(self, self.setup.exchange_button, out_and_in, self._store)
        self.model_label = QLabel("No model yet")
        self.model_label.setWordWrap(True)
        self._pages = pages()
        first = QWidget()
        page = QVBoxLayout(first)
        page.setContentsMargins(0, 0, 0, 0)
        page.addWidget(self.setup, 1)
        page.addWidget(self.setup.acts)
        self.setup.acts.layout().setContentsMargins(8, 4, 8, 0)
        self._pages.addWidget(first)
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
        self._list_recent()

    def _connect_viewer(self) -> None:
        layers = self._viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.connect(self._layers_changed)
        self._viewer.dims.events.current_step.connect(self._slice_changed)
        self._viewer.dims.events.ndisplay.connect(self._slice_changed)
        self._settling.timeout.connect(self._frame_changed)
        self._readying.timeout.connect(self._make_ready)
        self._drawing.timeout.connect(self._draw_boxes)
        self._viewer.mouse_drag_callbacks.append(self._clicked)

    def _connect_setup(self) -> None:
        setup, controller = self.setup, self.controller
        setup.frame_changed.connect(self._frame_changed)
        setup.channels.changed.connect(self._tick_channels)
        setup.tiling_changed.connect(self._tiling_changed)
        setup.choices_changed.connect(lambda save: controller.change(setup.with_choices, save))
        setup.classes.edited.connect(controller.change)
        setup.shown.changed.connect(controller.show)
        setup.new_button.clicked.connect(self._ask_new_project)
        setup.open_button.clicked.connect(self._ask_open_project)
        setup.open_image_button.clicked.connect(self._ask_image)
        add = setup.classes.add
        setup.classes.add_button.clicked.connect(lambda: self.start_project(lambda: controller.change(add)))
        setup.keeps_going.changed.connect(lambda on: setattr(self.sitting, "keeps_going", bool(on)))
        setup.dashboard_button.clicked.connect(lambda: self._open_dock("Labelling dashboard"))
        setup.apply_button.clicked.connect(lambda: self._open_dock("Apply classifier"))
        setup.score_button.clicked.connect(lambda: self.start_project(controller.score))
        setup.label_button.clicked.connect(lambda: self.start_project(self.sitting.label_query))
        setup.train_button.clicked.connect(lambda: controller.retrain())

    def _connect_bench(self) -> None:
        bench, sitting = self.bench, self.sitting
        bench.answered.connect(sitting.answer)
        acts = {
            "skip": sitting.skip,
            "exclude": sitting.exclude,
            "undo": sitting.undo,
            "redo": sitting.redo,
            "back": sitting.back,
            "why": sitting.show_prediction,
            STOP: sitting.stop,
        }
        bench.asked_for.connect(lambda name: acts[name]())
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

    def _open_dock(self, name: str) -> None:
        """Open another dock of the plugin beside this one."""
        self._viewer.window.add_plugin_dock_widget("napari-costal", name, tabify=True)

    def open_image(self, path: Path) -> None:
        """Open an image file as a layer and work on it."""
        self.say(f"Reading {path.name} …")
        self.file_axes.open_file(path)

    def _frame_opened(self, layer: Image, planes: PlaneChoice, notes: str) -> None:
        """Work on a frame that was opened."""
        self.setup.layer.reset_choices()  # it may go by another name now
        is_other_choice = self.setup.planes.value != planes
        with self.setup.planes.changed.blocked():
            self.setup.planes.value = planes
        if self.setup.layer.value is not layer:
            self.setup.layer.value = layer
        elif is_other_choice or self._layers_taken() != self.frame_layers:
            self._settle()
        self.say(notes)

    def show_progress(self, progress: Progress | None) -> None:
        """Show how far a job is; when none runs, the engine is free for frames that arrived."""
        super().show_progress(progress)
        if progress is None:
            QTimer.singleShot(0, self.intake.score_next)

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
        edit = self.setup.with_tiling
        self.controller.make_project(folder, lambda project: self.file_axes.put_into(edit(project)), then)

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
        elif self._layers_taken() != self.frame_layers:
            self._settle()
        else:
            self._list_channels()

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
        self.controller.choose_frame(self._view())
        self._preview_grid()

    def _watch(self, layers: Sequence[Image]) -> None:
        """Notice when the frame's layers get other pixels or another place."""
        before, self._watched = self._watched, tuple(layers)
        for each, act in (*((each, "disconnect") for each in before), *((each, "connect") for each in layers)):
            for name in ("data", "scale", "translate", "rotate", "shear", "affine"):
                getattr(getattr(each.events, name), act)(self._settle)
            for name in ("contrast_limits", "gamma", "colormap", "visible", "opacity"):
                getattr(getattr(each.events, name), act)(self._contrast_changed)

    # The channels

    def _mates(self) -> list[Image]:
        """Return the layers that can form a frame with the chosen one."""
        layer = self.setup.layer.value
        return mates_of(layer, self._image_layers()) if layer is not None else []

    def _layers_taken(self) -> list[Image]:
        """Return the layers that form the frame."""
        layer = self.setup.layer.value
        if layer is None:
            return []
        return taken_with(layer, self._mates(), self._ticked, self.controller.project, self.controller.labelled)

    def _list_channels(self) -> None:
        mates = self._mates()
        rows = [
            (title(part.channel), part.channel.colour) if (part := part_of(each)) else (each.name, "") for each in mates
        ]
        self.setup.channels.fill(rows, [at for at, each in enumerate(mates) if each in self.frame_layers])

    def _tick_channels(self, rows: list[int]) -> None:
        """Make the frame of these channels; those of an opened image become the project's."""
        mates = self._mates()
        ticked = [mates[row] for row in rows]
        parts = [part for each in ticked if (part := part_of(each)) is not None]
        if self.controller.project is not None and (len(parts) == len(ticked)):
            channels = tuple(part.channel for part in parts)
            if not self.controller.choose_channels(channels):
                self._list_channels()
                return
        self._ticked = ticked
        if ticked and self.setup.layer.value not in ticked:
            self.setup.layer.value = ticked[0]  # which takes the frame anew
        else:
            self._settle()

    def _view(self) -> LayerView | None:
        self.frame_layers = self._layers_taken()
        self._watch(self.frame_layers)
        self._list_channels()
        if not self.frame_layers:
            return None
        try:
            return view_of(self.frame_layers, self._viewer.dims, self.setup.planes.value)
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
        if self._layers_taken() != self.frame_layers:  # the project says which channels are
            self.controller.layer_view = self._view()
        self.intake.configured(project)
        if self.sitting.current is not None:
            self.bench.begin(project.offered)  # a class may have come or gone under a crop

    def show_counts(self, project: Project, counts: dict[int, int]) -> None:
        """Show how many crops each class has."""
        self.setup.classes.show_counts(project, counts)

    def show_holder(self, holder: Holder | None) -> None:
        """Show a project that was opened: who else writes to it, and what it watches."""
        self.setup.show_holder(holder)
        self.arriving.follow()
        project, file = self.controller.project, self._preferences.recent_file
        if project is not None:
            self._store.run(remember, file, project.folder, then=lambda _: self._list_recent(), failed=self.complain)

    def _list_recent(self) -> None:
        self.setup.show_recent(recent_projects(self._preferences.recent_file), self.controller.open_project)

    def show_grid(self, grid: Grid | None, pixel_um: float | None) -> None:
        """Show the grid over the frame and how many crops it has."""
        layer = self.setup.layer.value
        self._grid = grid
        self.setup.show_grid(grid, pixel_um)
        if grid is None or layer is None:
            self._overlay.hide(GRID)
        else:
            self._overlay.draw_grid(grid, placement_of(layer))
            if self.controller.project is not None:
                self._unready = [HEATMAP, LABELS, QUERY]
                self._readying.start()

    def _make_ready(self) -> None:
        """Make the layers for scores and labels one by one while a frame opens, not in the middle of labelling."""
        layer = self.setup.layer.value
        if self._unready and self._grid is not None and layer is not None:
            self._overlay.make_ready(self._unready.pop(0), self._grid, placement_of(layer))
        else:
            self._readying.stop()
            self._overlay.rest()

    def show_heatmap(self, values_N: Floats, grid: Grid, shown: Shown, project: Project) -> None:
        """Show one value per crop over the frame."""
        layer = self.setup.layer.value
        if layer is None:
            return
        colours = None
        if shown == "predicted class":
            rgba = [QColor(each.colour).getRgbF() for each in project.offered]
            colours = Colormap(rgba, name="classes", interpolation="zero")
        self._overlay.draw_heatmap(heatmap(grid, values_N), grid, placement_of(layer), shown, colours)
        self.sitting.look()

    def show_query(self, indices: NDArray[np.intp], grid: Grid) -> None:
        """Show the query's crops with their ranks, soon."""
        self.setup.show_query(len(indices), MOST_BOXES)
        self._query_wanted = indices, grid
        self._drawing.start()

    def show_labels(self, colours: dict[int, str], grid: Grid) -> None:
        """Show the labelled crops in their class colours, soon."""
        self._labels_wanted = colours, grid
        self._drawing.start()

    def _draw_boxes(self) -> None:
        """Draw the labels and the query that were to be shown."""
        layer = self.setup.layer.value
        labels, self._labels_wanted = self._labels_wanted, None
        query, self._query_wanted = self._query_wanted, None
        if labels is not None and layer is not None:
            colours, grid = labels
            self._overlay.draw_labels(centres(grid, list(colours)), list(colours.values()), grid, placement_of(layer))
        if query is not None and layer is not None:
            indices, grid = query
            self._overlay.draw_query(centres(grid, indices[:MOST_BOXES]), grid, placement_of(layer))

    def clear_scores(self) -> None:
        """Take heatmap and query off the frame: they are not true any more."""
        self._query_wanted = None
        self.setup.show_query(0, MOST_BOXES)
        self._overlay.hide(HEATMAP, QUERY)

    def clear_labels(self) -> None:
        """Take the labels of another frame off."""
        self._labels_wanted = None
        self._overlay.hide(LABELS)

    def present(
        self,
        project: Project,
        pixels_C_H_W: NDArray[np.generic],
        crop: tuple[int, int, int],
        limits: IntensityRange,
        title: str,
        active_s: Callable[[], float],
        left_s: float,
    ) -> None:
        """Put a crop on the bench."""
        self._pages.setCurrentWidget(self.bench)
        self.bench.begin(project.offered)
        image = self._pictures.now(pixels_C_H_W, crop, limits)
        view = self.controller.layer_view
        self.bench.present(image, crop, view.pixel_um if view is not None else None, title, active_s, left_s)

    def prepare(self, pixels_C_H_W: NDArray[np.generic], crop: tuple[int, int, int], limits: IntensityRange) -> None:
        """Render the next crop while this one is looked at."""
        QTimer.singleShot(DRAWING_MS, lambda: self._pictures.rendered(pixels_C_H_W, crop, limits))

    def _contrast_changed(self, _event: Any = None) -> None:
        """Show the crop on the bench with the layer's new contrast; its effort goes on."""
        if self.sitting.current is not None:
            self.bench.crop_view.recolour(self._pictures.again())

    def cover(self, text: str) -> None:
        """Cover the crop, or uncover it with an empty text."""
        self.bench.cover(text)

    def bench_says(self, text: str, alarming: bool) -> None:
        """Show a sentence under the crop."""
        self.bench.say(text, alarming)

    def hold_back_predictions(self, are_held_back: bool) -> None:
        """Hide the layers that tell the predicted class, or show them again."""
        if are_held_back:
            self._predictions.hold_back()
        else:
            self._predictions.give_back()

    def shows_predictions(self) -> bool:
        """Return whether a layer of ours tells the predicted class now."""
        return self._predictions.are_shown

    def leave_bench(self) -> None:
        """Go back to the settings."""
        self.bench.end()
        self._pages.setCurrentIndex(0)
        placed, view = self.controller.placed, self.controller.layer_view
        if placed is not None and view is not None:
            if placed.labels:
                self.intake.begun(view.source)
            self.setup.arrivals.model.answered(placed.placed.content_hash, len(placed.labels))

    def shut_down(self) -> None:
        """Leave no process, thread, timer or callback behind. Answers given are on disk already."""
        self.arriving.stop()
        self._store.close(self.controller.close())
        self._predictions.stop()
        self._pixels.close()
        layers = self._viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.disconnect(self._layers_changed)
        self._viewer.dims.events.current_step.disconnect(self._slice_changed)
        self._viewer.dims.events.ndisplay.disconnect(self._slice_changed)
        for timer in (self._settling, self._readying, self._drawing):
            timer.stop()
        self._watch(())
        if self._clicked in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._clicked)
        super().shut_down()
