"""The dock widget *MNIST mosaic*: the paper's loop on digits, with mosaic, heatmap, query and learning curves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox
from napari.viewer import Viewer
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from costal.frames.normalise import IntensityRange
from costal.numerals import counted
from costal.paper.experiment import Proposal, RoundReport
from costal.paper.mosaic import to_images
from costal.paper.plan import Arm, Experiment
from costal.types import Floats
from napari_costal.canvas.render import render
from napari_costal.engine.client import Engine
from napari_costal.engine.threads import Background
from napari_costal.labelling.labelling_page import LabellingPage
from napari_costal.mosaic.controller import DIGIT_DATA, DIGITS, MosaicController
from napari_costal.mosaic.curves import RoundsPicture
from napari_costal.mosaic.layers import MosaicLayers
from napari_costal.mosaic.playback_page import CURVES_HEIGHT, PlaybackPage
from napari_costal.ui.dock import Dock
from napari_costal.ui.fields import setting_field
from napari_costal.ui.figure_view import FigureView, colours_of
from napari_costal.ui.parts import form, pages, push_button
from napari_costal.ui.preferences import Preferences, preferences
from napari_costal.ui.tools import LABELLING_KEYS, STOP

SIMULATED, BY_HAND = "simulated expert", "I label by hand"
CURVES_TO_COME = (
    "The learning curves appear here: accuracy on test images after each round, with random selection for comparison."
)
WHOLE_RANGE = IntensityRange((0.0,), (255.0,))


class MnistMosaic(Dock):
    """Runs the loop on MNIST or synthetic digits; a simulated expert or the user answers."""

    def __init__(self, napari_viewer: Viewer, chosen: Preferences | None = None, painter: Any = None) -> None:
        super().__init__()
        self._device = (chosen or preferences()).device
        self._pixels = Background("mosaic", self)
        self._painter = painter or Engine(
            self
        )  # a separate engine, because that of the window is busy while a model trains
        self._viewer = napari_viewer
        self.layers = MosaicLayers(napari_viewer)
        self.labelling_page = LabellingPage({name: LABELLING_KEYS[name] for name in ("skip", "undo", "pause")})
        self.controller = MosaicController(self, self._pixels, self)
        self._pages = pages()
        self._pages.addWidget(self._experiment_page())
        self._pages.addWidget(self.labelling_page)
        self.playback = PlaybackPage(napari_viewer, self.layers, self._pixels, self._painter)
        self._pages.addWidget(self.playback)
        self.say("Step runs one round; Run continues.")
        column = QVBoxLayout(self)
        column.addWidget(self._pages, 1)
        column.addWidget(self.layers.bar)
        column.addLayout(self.progress_row)
        column.addWidget(self.status)
        self._connect_labelling_page()
        self._connect_playback()
        napari_viewer.events.theme.connect(self._recolour)
        self.show_running(False)
        self.show_reports("", [], False)

    def _experiment_page(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        self.data = ComboBox(label="data", choices=list(DIGIT_DATA), value="auto")
        self.data.tooltip = "auto uses MNIST if it is on this machine, otherwise synthetic digits."
        self.pool_size = setting_field(Experiment, "pool_size", "images a round (N)", max=60_000)
        self.n = setting_field(Experiment, "n", "labelled (n)")
        self.passes = setting_field(Experiment, "passes", "passes (T)")
        self.acquisition = setting_field(Arm, "acquisition", "acquisition function")
        self.alpha = setting_field(Arm, "alpha", "α", step=0.1)
        self.beta = setting_field(Arm, "beta", "β", value=0.3, step=0.05)
        self.seed = setting_field(Experiment, "seed", "seed")
        self.oracle = ComboBox(label="who answers", choices=[SIMULATED, BY_HAND], value=SIMULATED)
        self.form = form(
            self.data,
            (self.pool_size, self.n),
            self.passes,
            self.acquisition,
            (self.alpha, self.beta),
            self.seed,
            self.oracle,
        )
        column.addWidget(self.form)
        row = QHBoxLayout()
        self.buttons: dict[str, QPushButton] = {}
        for name, tip, act in (
            ("Step", "Run one round.", lambda: self._begin(self.controller.step)),
            ("Run", "Run one round after another.", self.run),
            ("Pause", "Stop after this round.", lambda: self.controller.pause()),
            ("Reset", "Delete all rounds, so that you can change the settings.", lambda: self.controller.reset()),
        ):
            button = push_button(name, tip)
            button.clicked.connect(lambda _=False, act=act: act())
            self.buttons[name] = button
            row.addWidget(button)
        self.open_button = push_button("Open a run …", "Play back an experiment, finished or running, from its folder.")
        self.open_button.clicked.connect(self._ask_run)
        row.addWidget(self.open_button)
        column.addLayout(row)
        self.curves = FigureView(self._painter, colours_of(self._viewer.theme), CURVES_TO_COME)
        column.addWidget(self.curves, 1)
        return page

    def _connect_labelling_page(self) -> None:
        labelling_page, controller = self.labelling_page, self.controller
        labelling_page.answered.connect(controller.answer)
        acts = {"skip": lambda: controller.answer(None), "undo": controller.undo, STOP: controller.stop_answering}
        labelling_page.asked_for.connect(lambda name: acts[name]() if name in acts else None)
        labelling_page.drive(controller.presenter)

    def _connect_playback(self) -> None:
        self.playback.message.connect(self.say)
        self.playback.error_message.connect(self.complain)
        self.playback.opened.connect(lambda: self._pages.setCurrentWidget(self.playback))
        self.playback.closed.connect(lambda: self._pages.setCurrentIndex(0))

    def cancel_running(self) -> None:
        """Stop the running job and the run."""
        self.controller.cancel()

    # What the user does

    def configure(self, data: str, experiment: Experiment, arm: Arm) -> None:
        """Put settings into the form, as the command line gives them."""
        if data not in self.data.choices:
            self.data.choices = [*self.data.choices, data]
        self.data.value = data
        self.pool_size.value, self.n.value, self.passes.value = experiment.pool_size, experiment.n, experiment.passes
        self.acquisition.value, self.alpha.value, self.beta.value = arm.acquisition, arm.alpha, arm.beta
        self.seed.value, self._device = experiment.seed, experiment.device
        self._take_form()

    def run(self) -> None:
        """Play round after round."""
        self._begin(self.controller.run)

    def _ask_run(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a run: choose its folder (--out)")
        if folder:
            self.open_run(Path(folder))

    def open_run(self, folder: Path) -> None:
        """Play back a run of ``costal reproduce`` or ``costal experiment`` from its folder."""
        self.playback.controller.open(folder)

    def _begin(self, act: Callable[[], None]) -> None:
        self.playback.controller.close()  # only one of the two may show a mosaic, and playback may still be reading
        if not self.controller.is_started:
            self._take_form()
            self.say("The engine is starting. This takes a few seconds.")
        act()

    def _take_form(self) -> None:
        experiment = Experiment(
            seed=self.seed.value,
            pool_size=self.pool_size.value,
            n=self.n.value,
            passes=self.passes.value,
            device=self._device,
        )
        name = f"{self.acquisition.value}, β = {self.beta.value:g}"
        arm = Arm(name, acquisition=self.acquisition.value, alpha=self.alpha.value, beta=self.beta.value)
        self.controller.configure(experiment, arm, self.data.value, self.oracle.value == BY_HAND)

    # What the controller shows

    def show_running(self, running: bool) -> None:
        """Enable the buttons that can be used now."""
        self.buttons["Step"].setEnabled(not running)
        self.buttons["Run"].setEnabled(not running)
        self.buttons["Pause"].setEnabled(running)
        self.open_button.setEnabled(not running)
        self.form.setEnabled(not running and not self.controller.is_started)

    def show_reports(self, dataset_name: str, reports: list[RoundReport], by_hand: bool) -> None:
        """Draw the learning curves."""
        picture = RoundsPicture(dataset_name or "learning curves", tuple(reports), by_hand)
        self.curves.show_picture(picture, CURVES_HEIGHT)
        self.show_running(not self.buttons["Step"].isEnabled())

    def show_pool(self, dataset_name: str, crops_N_C_H_W: Floats) -> None:
        """Show the pool of the first round."""
        images_N_H_W = to_images(crops_N_C_H_W)
        self.layers.show(f"{dataset_name} mosaic", images_N_H_W, ("value v", None), np.empty(0, np.intp))
        self.say(
            f"{len(images_N_H_W):,} images to choose from. The models start with two labels of each class; each round "
            "then asks for the images with the largest value."
        )

    def show_proposal(self, dataset_name: str, proposal: Proposal, round_number: int) -> None:
        """Show the mosaic of the round, the value of each crop, and the query's ranks."""
        images, query = to_images(proposal.crops_N_C_H_W), proposal.query
        self.layers.show(f"{dataset_name} mosaic", images, ("value v", query.value_N), query.picked_n)
        count = counted(len(proposal.query.picked_n), "crop")
        self.say(f"Round {round_number}: the {count} with the largest value, in boxes, will be labelled.")

    def show_answers(self, proposal: Proposal, words: list[str]) -> None:
        """Write the labels so far into the squares of the query."""
        picked_n = proposal.query.picked_n
        self.layers.show_query(picked_n, words + ["·"] * (len(picked_n) - len(words)))

    def present(self, proposal: Proposal, index: int, title: str, active_s: Callable[[], float]) -> None:
        """Show a digit on the labelling page."""
        side = proposal.crops_N_C_H_W.shape[-1]
        pixels = np.pad(to_images(proposal.crops_N_C_H_W[index : index + 1])[0], side // 4)[None]
        self._pages.setCurrentWidget(self.labelling_page)
        self.labelling_page.begin(DIGITS)
        image = render(pixels, (), WHOLE_RANGE)
        self.labelling_page.present(image, (side // 4, side // 4, side), None, title, active_s, 0.0)

    def cover(self, text: str) -> None:
        """Hide the digit behind a text; an empty text shows it again."""
        self.labelling_page.cover(text)

    def leave_page(self) -> None:
        """Go back to the experiment."""
        self.labelling_page.end()
        self._pages.setCurrentIndex(0)

    def _recolour(self, _event: Any = None) -> None:
        self.curves.recolour(colours_of(self._viewer.theme))

    # The end

    def shut_down(self) -> None:
        """Leave no process, thread or timer behind."""
        self._viewer.events.theme.disconnect(self._recolour)
        self.controller.reset()
        self.playback.stop()
        self.curves.stop()
        self.layers.stop()
        self._painter.stop()
        self._pixels.close()
        super().shut_down()
