"""The dock widget *Label crops*: frame, classes, query and labelling. Every callback is one call on a session."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from costal.frames.grid import index_at
from costal.labels.lock import Holder
from costal.labels.project import Project
from costal.types import Progress
from napari_costal.canvas.layer_frames import LayerView, PlaneChoice
from napari_costal.canvas.opening import FrameOpener
from napari_costal.canvas.overlays import images_in
from napari_costal.canvas.project_frames import ProjectFrames
from napari_costal.engine.calls import Caller
from napari_costal.engine.threads import Background
from napari_costal.label_crops.after_training import AfterTraining
from napari_costal.label_crops.arriving import Arriving
from napari_costal.label_crops.assessing import Assessing
from napari_costal.label_crops.class_guide import ClassGuide
from napari_costal.label_crops.exchange import Exchange
from napari_costal.label_crops.file_axes import FileAxes
from napari_costal.label_crops.first_steps import FirstSteps
from napari_costal.label_crops.frame_canvas import FrameCanvas
from napari_costal.label_crops.frame_choice import FrameChoice
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.frames_session import FramesSession
from napari_costal.label_crops.labelling_session import LabellingSession
from napari_costal.label_crops.left_frame import LeftFrame
from napari_costal.label_crops.live import Live
from napari_costal.label_crops.note import ask_note
from napari_costal.label_crops.on_image import OnImage
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.opened import Opened, Opening, Work
from napari_costal.label_crops.page import CropPage
from napari_costal.label_crops.project_choice import ProjectChoice
from napari_costal.label_crops.query_session import QuerySession
from napari_costal.label_crops.scores import model_text
from napari_costal.label_crops.setup_page import SetupPage
from napari_costal.labelling.labelling_page import LabellingPage
from napari_costal.ui.dock import Dock
from napari_costal.ui.parts import pages, sentence, steady
from napari_costal.ui.preferences import Preferences, preferences
from napari_costal.ui.tools import STOP

FITS = ("costal.workbench.live:learn_between", "costal.workbench.retraining:retrain")
FOOTER_LINES = 5
"""Two lines about the model and three of messages; longer text scrolls."""


class LabelCrops(Dock):
    """Label the crops of a frame that teach the models the most for the least effort."""

    def __init__(self, napari_viewer: Viewer, chosen: Preferences | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._preferences = chosen or preferences()
        self._store, self._pixels = Background("store", self), Background("pixels", self)
        self._pages = pages()
        self.setup = SetupPage(
            lambda _widget: images_in(napari_viewer), self._preferences.annotator, self._preferences.keys
        )
        self.labelling_page = LabellingPage(self._preferences.keys)
        self.opener = FrameOpener(napari_viewer, self._pixels, self._frame_opened, self.complain)
        self._make_sessions()
        self._make_parts()
        self._opening = Opening(self, self._opened)
        self._lay_out()
        self.first_steps = FirstSteps(self, napari_viewer, self.setup, self._preferences.keys, self.start_project)
        self._connect_frame()
        self._connect_setup()
        self._connect_bench()
        self.choice.layers_changed()

    def _make_sessions(self) -> None:
        chosen, viewer, pixels = self._preferences, self._viewer, self._pixels
        self.session = OpenProject(self, self._store, chosen.annotator)
        self.page = CropPage(viewer, self.labelling_page, self._pages, lambda: self.choice.layers, self.complain)
        self.choice = FrameChoice(viewer, self.setup, self.session, self.complain, lambda: self.page.is_open, self)
        self.canvas = FrameCanvas(viewer, self.setup, self.session, self)
        self.frame = FrameSession(self.session, self, self.canvas, pixels)
        self.query = QuerySession(self.session, self.frame, self, self.canvas, pixels, self, chosen.device)
        self.labelling = LabellingSession(self.session, self.frame, self.query, self.page)
        sessions = self.session, self.frame, self.query, self.labelling
        places = viewer, self, self._pages, chosen.keys, self.choice, self.canvas, self.page
        self.on_image = OnImage(*places, *sessions, self.start_project)
        self.after = AfterTraining(self, self, self.canvas, self.session, self.frame, self.query)
        self.live = Live(*sessions, self, Caller(pixels, self, lambda _: None), chosen.device)
        self.assessing = Assessing(
            self, self.setup.accuracy_label, self.session, self.frame, self.query, pixels, chosen.device
        )
        self.guide = ClassGuide(self.page, self, *sessions, pixels)
        self.labelling_page.add_below(self.guide.view)

    def _make_parts(self) -> None:
        setup, session, pixels = self.setup, self.session, self._pixels
        self.file_axes = FileAxes(setup.axes, lambda: setup.layer.value, session, self, pixels, self.opener.open_file)
        complete = self.file_axes.put_into
        self.projects = ProjectChoice(self, setup, session, self._preferences, complete, self.complain)
        self.arriving = Arriving(
            self,
            setup.arrivals,
            self.query,
            self.frame,
            session,
            self,
            self.opener,
            Caller(pixels, self, lambda _: None),
            self._preferences,
            self.start_project,
        )
        self.intake = self.arriving.intake
        out_and_in, searching = (Caller(pixels, self, self.show_progress) for _ in range(2))
        listed = ProjectFrames(self._viewer, pixels, self.opener, self._frame_opened, self.complain)
        self.frames = FramesSession(self, self._viewer, session, self.choice, self.frame, listed, searching)
        self.left = LeftFrame(self._viewer, session, self.choice, self.frame, self.frames, listed)
        setup.frames_place.addWidget(self.frames.page)
        self.exchange = Exchange(self, setup.exchange_button, session, self, out_and_in, self.start_project)

    def _lay_out(self) -> None:
        self.model_label = sentence(model_text(None, False, False, 0))
        first = QWidget()
        page = QVBoxLayout(first)
        page.setContentsMargins(0, 0, 0, 0)
        page.addWidget(self.setup, 1)
        page.addWidget(self.after.view)
        page.addWidget(self.setup.acts)
        self.setup.acts.layout().setContentsMargins(8, 4, 8, 0)
        self._pages.addWidget(first)
        self._pages.addWidget(self.labelling_page)
        self._pages.addWidget(self.on_image.chosen)
        footer = QWidget()
        foot = QVBoxLayout(footer)
        foot.setContentsMargins(8, 2, 8, 6)
        foot.addLayout(self.progress_row)
        foot.addWidget(steady(FOOTER_LINES, self.model_label, self.status))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._pages, 1)
        column.addWidget(footer)

    def _connect_frame(self) -> None:
        choice, page, labelling = self.choice, self.page, self.labelling
        choice.unsettled.connect(self._unsettled)
        choice.rolled_away.connect(
            lambda text: self.labelling_page.say(
                f"{text} When the next crop is shown, the canvas returns to its slice.", True
            )
        )
        choice.chosen.connect(self._frame_chosen)
        choice.recoloured.connect(self._recoloured)
        choice.clicked.connect(self.present_at)
        choice.added.connect(self._layer_added)
        self.canvas.heatmap_shown.connect(labelling.look)
        page.predictions_seen.connect(labelling.look)
        page.turned.connect(choice.go_back)
        page.left.connect(self.arriving.note_answers)
        page.pixel_um = self._pixel_um

    def _connect_setup(self) -> None:
        setup, session, query = self.setup, self.session, self.query
        setup.tiling_changed.connect(self._tiling_changed)
        setup.choices_changed.connect(lambda save: session.change(setup.with_choices, save))
        setup.classes.edited.connect(session.change)
        setup.shown.changed.connect(query.show)
        setup.open_image_button.clicked.connect(self._ask_image)
        add = setup.classes.add
        setup.classes.add_button.clicked.connect(lambda: self.start_project(lambda: session.change(add)))
        setup.keeps_going.changed.connect(lambda on: setattr(self.labelling, "keeps_going", bool(on)))
        setup.still.changed.connect(lambda on: self.live.keep_still(bool(on)))
        setup.dashboard_button.clicked.connect(lambda: self._open_dock("Labelling dashboard"))
        setup.gallery_button.clicked.connect(lambda: self._open_dock("Crop gallery"))
        setup.apply_button.clicked.connect(lambda: self._open_dock("Apply classifier"))
        setup.score_button.clicked.connect(lambda: self.start_project(query.score))
        setup.label_button.clicked.connect(lambda: self.start_project(self.labelling.label_query))
        setup.train_button.clicked.connect(lambda: query.retrain(setup.new_range_wanted()))

    def _connect_bench(self) -> None:
        labelling_page, labelling = self.labelling_page, self.labelling
        labelling_page.answered.connect(labelling.answer)
        acts = {
            "skip": labelling.skip,
            "exclude": labelling.exclude,
            "undo": labelling.undo,
            "redo": labelling.redo,
            "back": labelling.back,
            "why": labelling.show_prediction,
            "unsure": labelling.turn_unsure,
            "note": lambda: ask_note(self, labelling),
            STOP: labelling.stop,
        }
        labelling_page.asked_for.connect(lambda name: acts[name]())
        labelling_page.drive(labelling.presenter)

    def is_quiet(self, function: str) -> bool:
        """Return whether training must use one thread of low priority because a crop is on the screen."""
        return function in FITS and self.labelling.current is not None

    # Actions of the user

    def cancel_running(self) -> None:
        """Stop the job that runs."""
        self.query.cancel()
        self.frames.cancel()

    def _ask_image(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open an image", "", "Images (*.tif *.tiff *.png *.jpg *.jpeg)")
        if path:
            self.open_image(Path(path))

    def _open_dock(self, name: str) -> None:
        """Open another dock of the plugin beside this one."""
        self._viewer.window.add_plugin_dock_widget("napari-costal", name, tabify=True)

    def open_image(self, path: Path) -> None:
        """Open an image file as a layer and as the frame to label."""
        self.say(f"Reading {path.name} …")
        self.file_axes.open_file(path)

    def _frame_opened(self, layer: Image, planes: PlaneChoice, notes: str) -> None:
        """Use a frame that was opened."""
        self.choice.show_opened(layer, planes)
        self.say(notes)

    def start_project(self, then: Callable[[], Any]) -> None:
        """Go on in the open project, or in a new one of the preferred folder when there is none."""
        self.choice.take_if_unsettled()
        self.projects.start(then)

    def present_at(self, position: Any) -> None:
        """Present the crop at a position in the frame's pixels; the first click makes a project."""
        y, x = (int(np.floor(value + 0.5)) for value in position)
        grid = self.canvas.grid
        index = index_at(grid, y, x) if grid is not None else None
        if index is not None:
            self.start_project(lambda: self.labelling.click(index))

    # The frame

    def _unsettled(self) -> None:
        """Stop labelling a frame that changes, and note it if a crop was being labelled."""
        if self.page.is_open:
            self.frame.note = "The frame has changed, so labelling stopped; your answers are saved."
        self.labelling.leave()

    def _frame_chosen(self, view: LayerView | None) -> None:
        self.canvas.hide()
        self.canvas.show_frame(self.choice.layers)
        self.frame.choose(view)
        self._preview_grid()

    def _layer_added(self, layer: Image) -> None:
        """Use an opened image as the next frame, but do not let it cover the frame being labelled."""
        frame = self.setup.layer.value
        if self.labelling.current is None:
            if layer.source.path and frame is not None and layer.source.path != frame.source.path:
                self.setup.layer.value = layer
        elif self.canvas.hide_cover(layer):
            self.labelling_page.say(
                f"'{layer.name}' was hidden because it would cover the frame. To label it, choose it under Frames."
            )

    def _tiling_changed(self) -> None:
        self.session.change(self.setup.with_tiling)
        self._preview_grid()

    def _preview_grid(self) -> None:
        """Show the grid of the form's tiling before there is a project."""
        preview = self.choice.preview()
        if preview is not None:
            self.canvas.show_grid(*preview)

    def _pixel_um(self) -> float | None:
        view = self.frame.layer_view
        return view.pixel_um if view is not None else None

    def _recoloured(self) -> None:
        if self.labelling.current is not None:
            self.page.recolour()

    def showEvent(self, event: Any) -> None:
        """Join the status bar of the window that the dock is in now."""
        super().showEvent(event)
        self.on_image.hover.join_window(self)

    def _opened(self) -> Opened:
        """Return what is open here, for the docks beside this one."""
        setup = self.setup
        frame = self.session.project, setup.layer.value, tuple(self.choice.layers), setup.planes.value
        work = Work(self.session, self.frame, self.query)
        return Opened(
            *frame, work, self.session.project_session, self._store, self.frame.labelled_elsewhere, self._label_at
        )

    def _label_at(self, layer: Image, place: tuple[int, int]) -> None:
        """Present the crop of a layer at a pixel."""
        if self.setup.layer.value is not layer:
            self.setup.layer.value = layer
        self.present_at(place)

    # The view of the sessions

    def show_progress(self, progress: Progress | None) -> None:
        """Show the progress of a job; if none runs, the engine is free for frames that arrived."""
        super().show_progress(progress)
        if progress is None:
            QTimer.singleShot(0, self.intake.score_next)
            self.frames.refresh_soon()

    def show_model(self, text: str) -> None:
        """Show which model scored."""
        self.model_label.setText(text)

    def show_starving(self, text: str) -> None:
        """Show that a class is rarely queried because it takes long; empty hides the text."""
        self.setup.show_starving(text)

    def show_project(self, project: Project, counts: dict[int, int]) -> None:
        """Show a project's settings and classes."""
        self.setup.fill(project, counts)
        self.first_steps.follow(project, counts)
        if self.choice.is_outdated:  # the project says which channels are
            self.frame.layer_view = self.choice.view()
        self.intake.configured(project)
        if self.labelling.current is not None:
            self.labelling_page.begin(project.offered)  # classes may have changed while a crop is shown

    def show_counts(self, project: Project, counts: dict[int, int]) -> None:
        """Show how many crops each class has."""
        self.setup.classes.show_counts(project, counts)
        self.first_steps.follow(project, counts)

    def show_holder(self, holder: Holder | None) -> None:
        """Show a project that was opened: who else writes to it, and its watched folder."""
        self.setup.show_holder(holder)
        self.arriving.follow()
        if self.session.project is not None:
            self.projects.opened(self.session.project)

    def hold_back_predictions(self, are_held_back: bool) -> None:
        """Hide the layers that show the predicted class, or show them again."""
        self.page.hold_back_predictions(are_held_back)
        self.on_image.hold_back(are_held_back)

    def shut_down(self) -> None:
        """Stop all processes, threads, timers and callbacks. Answers are on disk already."""
        self.arriving.stop()
        self.assessing.stop()
        self.frames.stop()
        self._store.close(self.session.close())
        self.page.predictions.stop()
        self._pixels.close()
        self.choice.stop()
        self.on_image.stop()
        self.canvas.stop()
        super().shut_down()
