"""Frames that arrive in *Label crops*: from a watched folder or a camera, opened from the table."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from costal.errors import CostalError
from costal.frames.camera import on_frames, running_core, save
from costal.types import Arrival, Frame
from napari_costal.canvas.opening import FrameOpener
from napari_costal.engine.calls import Caller
from napari_costal.label_crops.arrivals_part import ArrivalsPart, Row
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.intake import Intake
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.query_session import QuerySession
from napari_costal.label_crops.view import Words
from napari_costal.ui.preferences import Preferences


class Arriving(QObject):
    """Connects the form's part for arriving frames with the open project; `intake` does the watching."""

    _failed = Signal(str)

    def __init__(
        self,
        parent: QWidget,
        part: ArrivalsPart,
        query: QuerySession,
        frame: FrameSession,
        session: OpenProject,
        words: Words,
        opener: FrameOpener,
        caller: Caller,
        preferences: Preferences,
        start_project: Callable[[Callable[[], Any]], None],
    ) -> None:
        super().__init__(parent)
        self._parent, self._part, self._frame, self._session = parent, part, frame, session
        self._words, self._opener, self._preferences, self._start_project = words, opener, preferences, start_project
        self.intake = Intake(part, caller, self._keep, words.say, words.complain, lambda: not query.is_busy)
        query.learned.connect(self.intake.rescore)
        self._end_camera: Callable[[], None] = lambda: None
        self._failed.connect(words.complain)
        part.watch_button.clicked.connect(self._toggle_watching)
        part.next_button.clicked.connect(self.open_next)
        part.opened.connect(self.open)
        part.camera_button.toggled.connect(self._toggle_camera)

    def follow(self) -> None:
        """Watch the folder of the project that was opened; files that were seen before are known."""
        project_session, project = self._session.project_session, self._session.project
        if project_session is not None and project is not None:
            chosen, store = self._preferences, project_session.store
            self._session.store.run(
                lambda: (store.arrivals(), store.begun_sources()),
                then=lambda state: self.intake.follow(project, state[0], chosen.annotator, chosen.device, state[1]),
                failed=self._words.complain,
            )

    def note_answers(self) -> None:
        """Note how many answers the current frame has."""
        loaded, view = self._frame.loaded, self._frame.layer_view
        if loaded is not None and view is not None:
            if loaded.labels:
                self.intake.begun(view.source)
            self._part.model.answered(loaded.stored.content_hash, len(loaded.labels))

    def stop(self) -> None:
        """Stop watching and stop the camera."""
        self._toggle_camera(False)
        self.intake.stop()

    def open(self, row: Row) -> None:
        """Open a frame of the watched folder, or say why it cannot be."""
        project = self._session.project
        if project is not None and row.arrival.state == "ready":
            self._words.say(f"Reading {row.arrival.path} …")
            described = row.offer.description if row.offer is not None else None
            self._opener.open_arrived(project, Path(project.intake.folder) / row.arrival.path, described)
        elif row.arrival.reason:
            self._words.say(row.arrival.reason)

    def open_next(self) -> None:
        """Open the frame with the most valuable query."""
        row = self.intake.best()
        if row is None:
            self._words.say("There is no next frame: every frame has answers or is not complete yet.")
        else:
            self.open(row)

    def watch_folder(self, folder: str) -> None:
        """Watch a folder from now on; an empty text ends the watching."""

        def begin() -> None:
            self._session.change(lambda project: replace(project, intake=replace(project.intake, folder=folder)))
            self.follow()

        self._start_project(begin)

    def _toggle_watching(self) -> None:
        project = self._session.project
        if project is not None and project.intake.folder:
            self.watch_folder("")
            return
        folder = QFileDialog.getExistingDirectory(self._parent, "Watch a folder that a microscope writes to")
        if folder:
            self.watch_folder(folder)

    def _toggle_camera(self, on: bool) -> None:
        """Save frames of the running core, or stop; without a watched folder they go into the project's folder."""
        end, self._end_camera = self._end_camera, lambda: None
        end()
        if on:
            self._start_project(self._begin_camera)

    def _begin_camera(self) -> None:
        project = self._session.project
        if project is None:
            return
        folder = Path(project.intake.folder or project.folder / "acquired")
        try:
            core = running_core()
            folder.mkdir(parents=True, exist_ok=True)
        except (CostalError, OSError) as error:
            self._part.camera_button.setChecked(False)
            self._words.complain(str(error))
            return
        if not project.intake.folder:
            self.watch_folder(str(folder))
        # On the core's own thread: an acquisition waits for the disk, so it loses no frame.
        self._end_camera = on_frames(core, lambda frame: self._keep_frame(folder, frame))

    def _keep_frame(self, folder: Path, frame: Frame) -> None:
        try:
            save(folder, frame, time.time_ns())
        except CostalError as error:
            self._failed.emit(str(error))

    def _keep(self, arrivals: list[Arrival]) -> None:
        project_session = self._session.project_session
        if project_session is not None:
            self._session.store.run(project_session.note_arrivals, arrivals, failed=self._words.complain)
