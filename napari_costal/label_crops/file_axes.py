"""The box *axes of files*: the axes of files that have none or wrong ones; the project remembers them by kind."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from costal.labels.project import Project
from costal.workbench.file_axes import kinds_with
from napari_costal.canvas.layer_frames import SOURCE
from napari_costal.engine.calls import Thread
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.view import Words


class FileAxes:
    """Uses the typed axes for the next opened image, or with Enter for the kind of file shown."""

    def __init__(
        self,
        box: Any,
        layer: Callable[[], Any],
        session: OpenProject,
        words: Words,
        thread: Thread,
        open_file: Callable[..., None],
    ) -> None:
        self._box, self._layer, self._session, self._words = box, layer, session, words
        self._thread, self._open_file = thread, open_file
        self.set: dict[str, str] = {}
        self._box.native.returnPressed.connect(self._typed)

    def open_file(self, path: Path) -> None:
        """Open an image with the axes in the box, else with those of the project."""
        self._open_file(path, str(self._box.value).strip(), self.known(), self.keep)

    def known(self) -> Mapping[str, str]:
        """Return the axes that were set, by the kind of file."""
        project = self._session.project
        return {**(project.axes if project is not None else {}), **self.set}

    def keep(self, axes: Mapping[str, str]) -> None:
        """Remember axes by the kind of file, in the open project or in the next new one."""
        self.set.update(axes)
        self._box.value = ""
        self._session.change(self.put_into)

    def put_into(self, project: Project) -> Project:
        """Return a project that remembers the axes that were set."""
        return replace(project, axes={**project.axes, **self.set})

    def _typed(self) -> None:
        """Set the axes for the kind of file that the chosen layer shows."""
        text, layer = str(self._box.value).strip(), self._layer()
        source = str(layer.metadata.get(SOURCE, "")) if layer is not None else ""
        if not text or not source:
            return

        def set_axes(axes: Mapping[str, str]) -> None:
            self.keep(axes)
            kinds = ", ".join(f"{letters} for files of the kind '{kind}'" for kind, letters in axes.items())
            self._words.say(f"From now on, the axes are {kinds}. Open the image again.")

        self._thread.run(kinds_with, text, [source], then=set_axes, failed=self._words.complain)
