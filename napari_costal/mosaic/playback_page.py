"""The page of *MNIST mosaic* that plays a finished or running experiment back."""

from typing import Any

from napari.viewer import Viewer
from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QSlider, QVBoxLayout, QWidget

from costal.types import Floats
from napari_costal.engine.calls import Thread
from napari_costal.mosaic.layers import MosaicLayers
from napari_costal.mosaic.playback import PlaybackController
from napari_costal.mosaic.run import RoundPosition, RoundShown, Run
from napari_costal.ui.figure_view import FigureView, colours_of
from napari_costal.ui.figures import Picture
from napari_costal.ui.parts import beside, push_button, sentence

PLAY_MS, LOOK_MS = 1000, 2000
VALUES = ("value v", "information I", "cost C")
PICTURES = ("Learning curves", "Figure 1: accuracy against cost")
CURVES_HEIGHT = 330


class PlaybackPage(QWidget):
    """Arm, repeat and round of a run, its mosaic with values and picks, and the learning curves of all arms."""

    opened, closed = Signal(), Signal()
    message, error_message = Signal(str), Signal(str)

    def __init__(self, viewer: Viewer, layers: MosaicLayers, thread: Thread, painter: Any) -> None:
        super().__init__()
        self._viewer, self._layers = viewer, layers
        self._shown: RoundShown | None = None
        self.controller = PlaybackController(self, thread)
        self._lay_out(painter)
        self._playing, self._watching = QTimer(self, interval=PLAY_MS), QTimer(self, interval=LOOK_MS)
        self._playing.timeout.connect(self.controller.advance)
        self._watching.timeout.connect(lambda: self.controller.look() if self.isVisible() else None)
        space = QShortcut(QKeySequence("Space"), self)
        space.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)  # over the canvas the space bar pans the view
        space.activated.connect(self.controller.toggle)
        viewer.events.theme.connect(self._recolour)

    def _lay_out(self, painter: Any) -> None:
        self.title, self.summary, self.round, self.note = QLabel(), sentence(), QLabel(), sentence()
        self.close_button = push_button("Close run", "Go back to the experiment.")
        self.close_button.clicked.connect(lambda: self.controller.close())
        self.arm, self.repeat, self.values = QComboBox(), QComboBox(), QComboBox()
        self.values.addItems(VALUES)
        self.values.setToolTip("Choose the values that the heatmap shows.")
        self.arm.activated.connect(lambda _: self._choose())
        self.repeat.activated.connect(lambda _: self._choose())
        self.values.currentIndexChanged.connect(lambda _: self._show_values())
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setPageStep(10)
        self.slider.valueChanged.connect(lambda _: self._choose())
        self.previous_button = push_button("Previous", "Show the previous round (←).")
        self.play_button = push_button("Play", "Show one round per second (Space).")
        self.next_button = push_button("Next", "Show the next round (→).")
        self.following = QCheckBox("Follow")
        self.following.setToolTip("Show the newest round as soon as it is finished.")
        self.previous_button.clicked.connect(lambda: self.controller.move(-1))
        self.play_button.clicked.connect(lambda: self.controller.toggle())
        self.next_button.clicked.connect(lambda: self.controller.move(1))
        self.following.clicked.connect(lambda on: self.controller.follow(on))
        self.pictures = QComboBox()
        self.pictures.addItems(PICTURES)
        self.pictures.setToolTip("Learning curves of all arms, or their accuracy against cost.")
        self.pictures.currentIndexChanged.connect(lambda at: self.controller.show_figure_1(at == 1))
        self.curves = FigureView(painter, colours_of(self._viewer.theme))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(beside(self.title, self.close_button, shares=(1,)))
        column.addWidget(self.summary)
        column.addLayout(beside(self.arm, self.repeat, shares=(1,)))
        column.addWidget(self.slider)
        column.addWidget(self.round)
        column.addLayout(
            beside(self.previous_button, self.play_button, self.next_button, self.following, shares=(1, 1, 1))
        )
        column.addLayout(beside(QLabel("heatmap shows"), self.values, shares=(0, 1)))
        column.addWidget(self.note)
        column.addWidget(self.pictures)
        column.addWidget(self.curves, 1)

    def _choose(self) -> None:
        place = RoundPosition(self.arm.currentIndex(), self.repeat.currentIndex(), self.slider.value())
        self.controller.choose(place)

    def stop(self) -> None:
        """Leave no timer or callback behind, and request nothing more."""
        self._viewer.events.theme.disconnect(self._recolour)
        self.controller.close()
        self.curves.stop()

    def _recolour(self, _event: Any = None) -> None:
        self.curves.recolour(colours_of(self._viewer.theme))

    # What the controller shows

    def say(self, text: str) -> None:
        """Show a sentence below the page."""
        self.message.emit(text)

    def complain(self, text: str) -> None:
        """Show an error below the page."""
        self.error_message.emit(text)

    def show_note(self, text: str) -> None:
        """Show a note on the mosaic."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def show_run(self, run: Run | None, summary: str) -> None:
        """Show the name, arms and repeats of a run; without a run close the page."""
        self.summary.setText(summary)
        if run is None:
            self._watching.stop()
            self.closed.emit()
            return
        if not self._watching.isActive():
            self._watching.start()
            self.opened.emit()
            self.slider.setFocus()
        self.title.setText(f"<b>{run.plan.name}</b>")
        self.title.setToolTip(str(run.folder))
        _offer(self.arm, [arm.name for arm in run.plan.arms])
        _offer(self.repeat, [f"repeat {repeat}" for repeat in range(run.plan.repeats)])

    def show_place(self, place: RoundPosition, count: int, text: str) -> None:
        """Show the number of the shown round, and how many there are."""
        self.round.setText(text)
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, max(count - 1, 0))
            self.slider.setValue(place.number)
        self.slider.setEnabled(count > 1)
        self.arm.setCurrentIndex(place.arm)
        self.repeat.setCurrentIndex(place.repeat)
        self.previous_button.setEnabled(place.number > 0)
        self.next_button.setEnabled(place.number < count - 1)

    def show_picture(self, picture: Picture) -> None:
        """Draw the learning curves, or Figure 1."""
        self.curves.show_picture(picture, CURVES_HEIGHT)

    def show_round(self, dataset_name: str, shown: RoundShown) -> None:
        """Show the mosaic of a round, and the query's squares with the labels given."""
        self._shown, name = shown, f"{dataset_name} mosaic"
        self._layers.show(name, shown.images_N_H_W, self._values_of(shown), shown.picked_n, shown.words_n)

    def _show_values(self) -> None:
        if self._shown is not None:
            self._layers.show_values(*self._values_of(self._shown))

    def _values_of(self, shown: RoundShown) -> tuple[str, Floats | None]:
        """Return the name and the values of the chosen heatmap."""
        name, query = self.values.currentText(), shown.query
        if query is None:
            return name, None
        kept = (query.value_N, query.scores.information_N, query.scores.cost_N)
        return name, kept[VALUES.index(name)]

    def show_playing(self, playing: bool, following: bool) -> None:
        """Show whether the run is playing, and whether the newest round is followed."""
        self.play_button.setText("Pause" if playing else "Play")
        self.following.setChecked(following)
        if playing != self._playing.isActive():
            (self._playing.start if playing else self._playing.stop)()


def _offer(box: QComboBox, names: list[str]) -> None:
    """Offer these names; the choice stays if the names are the same."""
    if [box.itemText(at) for at in range(box.count())] != names:
        box.clear()
        box.addItems(names)
