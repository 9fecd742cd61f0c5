"""The actions of the tab *Start*, when its steps are done, and the help beside the tabs."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from napari.viewer import Viewer
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from costal.labels.project import Project
from napari_costal.label_crops.class_table import NAME
from napari_costal.label_crops.setup_page import SetupPage
from napari_costal.ui.help import HelpWindow

UNNAMED = re.compile(r"class [0-9]+")


class FirstSteps(QObject):
    """Guides a user from an empty window to the first label; then the tab disappears."""

    def __init__(
        self,
        parent: QWidget,
        viewer: Viewer,
        setup: SetupPage,
        tool_keys: Mapping[str, str],
        start_project: Callable[[Callable[[], Any]], None],
    ) -> None:
        super().__init__(parent)
        self._viewer, self._setup, self._start_project = viewer, setup, start_project
        self._project: Project | None = None
        self._labels = 0
        self.help = HelpWindow(parent, tool_keys)
        start = setup.start
        start.open_button.clicked.connect(setup.open_image_button.click)
        start.watch_button.clicked.connect(setup.arrivals.watch_button.click)
        start.sample_button.clicked.connect(lambda: viewer.open_sample("napari-costal", "sted_field"))
        start.names_button.clicked.connect(lambda: self._start_project(self._name_classes))
        start.label_button.clicked.connect(setup.label_button.click)
        start.project_button.clicked.connect(setup.open_button.click)
        setup.help_button.clicked.connect(self.help.open)
        setup.layer.changed.connect(lambda _: self._tick())
        setup.show_tab(start)

    def follow(self, project: Project, counts: Mapping[int, int]) -> None:
        """Note the project's classes and its number of labels."""
        is_other = self._project is None or project.folder != self._project.folder
        self._project, self._labels = project, sum(counts.values())
        if is_other and self._labels:
            self._setup.show_tab(self._setup.label_tab)
        self._tick()

    def _tick(self) -> None:
        classes = self._project.offered if self._project is not None else ()
        are_named = any(UNNAMED.fullmatch(each.name) is None for each in classes)
        self._setup.start.tick(self._setup.layer.value is not None, are_named, self._labels > 0)
        if self._labels:
            if self._setup.is_at(self._setup.start):
                self._setup.show_tab(self._setup.label_tab)
            self._setup.remove_start()

    def _name_classes(self) -> None:
        """Show the classes and start editing the first name."""
        table = self._setup.classes.table
        self._setup.show_tab(self._setup.label_tab)
        table.setFocus()
        item = table.item(0, NAME)
        table.setCurrentItem(item)
        table.editItem(item)
