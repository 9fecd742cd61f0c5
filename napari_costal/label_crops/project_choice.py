"""The choice of the project: a new one, one from its folder, a recent one, or one made when labelling begins."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QFileDialog, QWidget

from costal.labels.project import Project
from costal.labels.recent import recent_projects, remember
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.setup_page import SetupPage
from napari_costal.ui.preferences import Preferences


class ProjectChoice(QObject):
    """Connects the form's part for projects with the session; `complete` adds other known settings to a new one."""

    def __init__(
        self,
        parent: QWidget,
        setup: SetupPage,
        session: OpenProject,
        preferences: Preferences,
        complete: Callable[[Project], Project],
        complain: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self._parent, self._setup, self._session, self._preferences = parent, setup, session, preferences
        self._complete, self._complain = complete, complain
        self._is_starting = False
        setup.new_button.clicked.connect(self._ask_new)
        setup.open_button.clicked.connect(self._ask_open)
        self._list_recent()

    def start(self, then: Callable[[], Any]) -> None:
        """Go on in the open project, or in a new one of the preferred folder when there is none."""
        if self._session.project is not None:
            then()
            return
        if self._is_starting:
            return
        self._is_starting = True
        layer = self._setup.layer.value
        name = "".join(sign if sign.isalnum() or sign in "-_ " else "_" for sign in (layer.name if layer else "labels"))
        folder = self._preferences.projects_folder / f"{name} {datetime.datetime.now():%Y-%m-%d %H%M%S}"
        edit = self._setup.with_tiling
        self._session.make(folder, lambda project: self._complete(edit(project)), then)

    def opened(self, project: Project) -> None:
        """Remember a project that was opened, and list it among the recent ones."""
        self._is_starting = False
        file = self._preferences.recent_file
        store = self._session.store
        store.run(remember, file, project.folder, then=lambda _: self._list_recent(), failed=self._complain)

    def _ask_new(self) -> None:
        folder, _ = QFileDialog.getSaveFileName(self._parent, "Make a project: name a new folder", self._folder())
        if folder:
            self._session.make(Path(folder))

    def _ask_open(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._parent, "Open a project", self._folder())
        if folder:
            self._session.open(Path(folder))

    def _folder(self) -> str:
        return str(self._preferences.projects_folder)

    def _list_recent(self) -> None:
        self._setup.show_recent(recent_projects(self._preferences.recent_file), self._session.open)
