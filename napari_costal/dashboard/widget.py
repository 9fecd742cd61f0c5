"""The dock widget *Labelling dashboard*: shows how well the labelling of a project goes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.viewer import Viewer
from qtpy.QtCore import QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QLabel, QTabWidget, QVBoxLayout

from costal.labels.models import ModelVersion
from costal.workbench.methods import methods_of
from costal.workbench.overview import Overview, look, roll_back_to
from napari_costal.dashboard.cards import NO_PROJECT, counts_text, model_text, planted_text
from napari_costal.dashboard.pages import EffortsPage, FiguresPage, ModelsPage
from napari_costal.dashboard.replay_page import ReplayPage
from napari_costal.engine.client import Engine
from napari_costal.engine.latest import Latest
from napari_costal.engine.threads import Background
from napari_costal.label_crops.opened import opened_beside
from napari_costal.ui.dock import Dock
from napari_costal.ui.figure_view import colours_of
from napari_costal.ui.parts import beside, push_button, sentence

EVERY_MS = 1000
REST, LONGEST_REST_S = 4, 5.0
"""After reading a very large project the thread pauses for `REST` times the reading time."""


class Dashboard(Dock):
    """Figures, efforts and models of the project open in *Label crops*, or of a folder that the user chooses."""

    def __init__(self, napari_viewer: Viewer, painter: Any = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._reading = Background("dashboard", self)
        self._painter = painter or Engine(
            self
        )  # a separate engine, because that of the window is busy while a model trains
        self._chosen: Path | None = None
        self._folder: Path | None = None
        self._newest = Latest()
        self._overview: Overview | None = None
        self._is_looking = False
        self._rests_until = 0.0
        self._lay_out()
        self._viewer.events.theme.connect(self._theme_changed)
        self._timer = QTimer(self, interval=EVERY_MS)
        self._timer.timeout.connect(self.refresh)
        self._timer.start()
        self._turn_to(None)

    def _lay_out(self) -> None:
        self.project_label, self.summary = QLabel(), sentence()
        self.choose_button = push_button("Choose …", "Choose the folder of a project to show.")
        self.follow_button = push_button("Follow", "Always show the project that is open in Label crops.")
        self.methods_button = push_button("Methods", "Copy a methods paragraph for a paper to the clipboard.")
        self.methods_button.clicked.connect(self.copy_methods)
        self.choose_button.clicked.connect(self._ask_folder)
        self.follow_button.clicked.connect(lambda: self.choose(None))
        self.figures = FiguresPage(self._painter, colours_of(self._viewer.theme))
        self.figures.look_again.connect(self.look_again)
        self.efforts, self.models = EffortsPage(), ModelsPage()
        self.models.rolled_back.connect(self._roll_back)
        self.replay = ReplayPage(self._reading, Engine(self))
        self.pages = QTabWidget()
        for page, name in (
            (self.figures, "Figures"),
            (self.efforts, "Efforts"),
            (self.models, "Models"),
            (self.replay, "Replay"),
        ):
            self.pages.addTab(page, name)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        buttons = self.methods_button, self.follow_button, self.choose_button
        column.addLayout(beside(self.project_label, *buttons, shares=(1,)))
        column.addWidget(self.summary)
        column.addWidget(self.status)
        column.insertWidget(2, self.pages, 1)

    # What the user does

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Show a project", str(self._folder or ""))
        if folder:
            self.choose(Path(folder))

    def choose(self, folder: Path | None) -> None:
        """Show the project of a folder; with None, the project open in *Label crops*."""
        self._chosen = folder
        self.refresh()

    def look_again(self) -> None:
        """Open the labels to look at again in the gallery, which shows the project open in *Label crops*."""
        if self._folder is None or self._folder != self._open_in_label_crops():
            self.complain(
                "Open this project in Label crops first: labels can be changed only there and in the gallery."
            )
            return
        _, gallery = self._viewer.window.add_plugin_dock_widget("napari-costal", "Crop gallery", tabify=True)
        gallery.look_again()

    def copy_methods(self) -> None:
        """Copy the methods paragraph of the project that is shown."""

        def copied(text: str) -> None:
            clipboard = QGuiApplication.clipboard()
            if clipboard is not None:
                clipboard.setText(text)
            self.say(f"Copied a methods paragraph of {len(text.split())} words to the clipboard.")

        if self._folder is None:
            self.complain("Choose a project first.")
        else:
            self._reading.run(_methods_text, self._folder, then=copied, failed=self.complain)

    def _roll_back(self, number: int) -> None:
        def rolled_back(model_version: ModelVersion) -> None:
            self.say(
                f"Model {model_version.number}, a copy of model {number}, is now the newest. Score again to use it."
            )
            self.refresh()

        if self._folder is not None:
            self._reading.run(roll_back_to, self._folder, number, then=rolled_back, failed=self.complain)

    def cancel_running(self) -> None:
        """Do nothing, because the dashboard's jobs are short."""

    # What is read

    def refresh(self) -> None:
        """Check on another thread whether the project has changed, if the dock is visible and no check runs."""
        folder = self._chosen or self._open_in_label_crops()
        if folder != self._folder:
            self._turn_to(folder)
        if folder is None or self._is_looking or not self.isVisible() or time.monotonic() < self._rests_until:
            return
        self._is_looking = True
        looked, failed = self._ending(self._looked), self._ending(self._not_read)
        self._reading.run(_timed_look, folder, self._overview, then=looked, failed=failed)

    def _open_in_label_crops(self) -> Path | None:
        project = opened_beside(self).project
        return project.folder if project is not None else None

    def _ending(self, act: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return the callback that ends a check; the result for a folder that is not shown any more is dropped."""
        ticket = self._newest.ticket()

        def end(outcome: Any) -> None:
            self._is_looking = False
            if ticket.is_current:
                act(outcome)
            else:
                self.refresh()

        return end

    def _turn_to(self, folder: Path | None) -> None:
        self._newest.renew()
        self._folder, self._overview, self._rests_until = folder, None, 0.0
        self.say("")
        self.pages.setVisible(False)
        self.replay.turn_to(folder)
        self.follow_button.setVisible(self._chosen is not None)
        self.project_label.setText(f"<b>{folder.name}</b>" if folder is not None else "<b>No project</b>")
        self.project_label.setToolTip(str(folder or ""))
        self.summary.setText("Reading …" if folder is not None else NO_PROJECT)

    def _looked(self, outcome: tuple[Overview, float]) -> None:
        overview, took_s = outcome
        self._rests_until = time.monotonic() + min(REST * took_s, LONGEST_REST_S)
        if overview is self._overview:
            return
        if self._overview is None:
            self.say("")
        self._overview = overview
        lines = (counts_text(overview.review), model_text(overview), planted_text(overview))
        self.summary.setText("<br>".join(filter(None, lines)))
        for page in (self.figures, self.efforts, self.models):
            page.show_overview(overview)
        self.pages.setVisible(True)

    def _not_read(self, text: str) -> None:
        self._overview = None
        self.pages.setVisible(False)
        self.summary.setText("")
        self.complain(text)

    def _theme_changed(self, _event: Any = None) -> None:
        self.figures.recolour(colours_of(self._viewer.theme))
        if self._overview is not None:
            self.figures.show_overview(self._overview)

    def shut_down(self) -> None:
        """Leave no timer, thread or callback behind."""
        self._timer.stop()
        self._viewer.events.theme.disconnect(self._theme_changed)
        self.figures.stop()
        self._painter.stop()
        self.replay.stop()
        self._reading.close()
        super().shut_down()


def _methods_text(folder: Path) -> str:
    return methods_of(folder).text


def _timed_look(folder: Path, before: Overview | None) -> tuple[Overview, float]:
    """Return the overview of a folder, and the seconds that reading took."""
    begun = time.perf_counter()
    return look(folder, before), time.perf_counter() - begun
