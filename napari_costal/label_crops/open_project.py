"""The open project: its settings, its counts, and whether it may be written to.

The store has its own thread; this class runs on the GUI thread and only passes values. It reports changes of the
project by signals, and knows neither frame nor query.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from psygnal import Signal

from costal.errors import CostalError, ProjectError
from costal.labels.project import Project, checked
from costal.labels.project_file import load_project
from costal.labels.records import CropLabel
from costal.labels.store import require_store
from costal.scoring.channels import proposed, with_channels
from costal.types import Channel
from costal.workbench.new_project import make_project
from costal.workbench.session import ProjectSession
from napari_costal.canvas.layer_frames import LayerView
from napari_costal.engine.calls import Thread
from napari_costal.label_crops.view import ProjectView


class OpenProject:
    """One project at a time. `labelled` is how many channels its labelled crops have, 0 while none is labelled."""

    leaving = Signal()
    """Another project is about to replace this one, which can still be written to."""
    opened = Signal()
    """Another project is open."""
    renewed = Signal()
    """The project or its labels were changed elsewhere: everything shown is outdated."""
    changed = Signal(object, object)
    """The settings changed: the project before and the project now."""
    closing = Signal()
    """The project is about to be closed, and no other is opened."""

    def __init__(self, view: ProjectView, store: Thread, annotator: str) -> None:
        self._view, self.store, self.annotator = view, store, annotator
        self._counts: dict[int, int] = {}
        self.labelled = 0
        self.project: Project | None = None
        self.project_session: ProjectSession | None = None

    @property
    def label_count(self) -> int:
        """How many crops of the project have a class."""
        return sum(self._counts.values())

    def may_write(self) -> bool:
        """Return whether answers can be saved; complain if another window has the project open."""
        try:
            if self.project_session is not None:
                self.project_session.require_writing()
            if self.project is not None and not self.project.offered:
                raise ProjectError("The project has no active class. Add one, or restore one with 'Edit class'.")
        except CostalError as error:
            self._view.complain(str(error))
            return False
        return True

    def make(
        self,
        folder: Path,
        settings: Callable[[Project], Project] = lambda project: project,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Make a project with these settings and open it."""

        def made(outcome: tuple[Project, str]) -> None:
            if note := outcome[1]:
                self._view.say(note)
            self.open(folder, then)

        self.store.run(lambda: make_project(folder, edit=settings), then=made, failed=self._view.complain)

    def open(self, folder: Path, then: Callable[[], None] | None = None) -> None:
        """Open a project and close the one before; if opening fails, that one stays open."""
        before = self.project_session

        def work() -> tuple[ProjectSession, dict[int, int], int]:
            if before is not None and before.project.folder.resolve() == folder.resolve():
                require_store(load_project(folder).store_path)  # if this fails, the project before stays open
                before.close()  # it holds the lock
            project_session = ProjectSession(folder, self.annotator)
            counts, shape = project_session.store.label_counts(), project_session.store.newest_crop_shape()
            return project_session, counts, shape[0] if shape is not None and any(counts.values()) else 0

        def opened(outcome: tuple[ProjectSession, dict[int, int], int]) -> None:
            self.leaving.emit()
            self.project_session, self._counts, self.labelled = outcome
            if before is not None:
                self.store.run(before.close)
            self.project = self.project_session.project
            self._view.show_project(self.project, self._counts)
            self._view.show_holder(self.project_session.holder)
            self.opened.emit()
            self.renewed.emit()
            if then is not None:
                then()

        self.store.run(work, then=opened, failed=self._view.complain)

    def close(self) -> Callable[[], None] | None:
        """Close the project; return the last job of the store's thread."""
        self.closing.emit()
        project_session, self.project_session = self.project_session, None
        return project_session.close if project_session is not None else None

    def change(self, edit: Callable[[Project], Project], save: bool = True) -> None:
        """Change the project's settings; `save` writes them to disk."""
        before = self.project
        if before is None or self.project_session is None:
            return
        try:
            if save:
                self.project_session.require_writing()
            project = checked(edit(before))
        except CostalError as error:
            self._view.complain(str(error))
            self._view.show_project(before, self._counts)
            return
        self.project = project
        if save:
            project_session = self.project_session
            self.store.run(
                project_session.configure, project, failed=lambda reason: self._unsaved(project_session, reason)
            )
            if self.project is not project:
                return
        if project.classes != before.classes and project.tiling == before.tiling:
            self._view.show_project(project, self._counts)
        self.changed.emit(before, project)

    def _unsaved(self, project_session: ProjectSession, reason: str) -> None:
        """Go back to the stored settings, because labels must match them, and say why."""
        if project_session is self.project_session and self.project != project_session.project:
            self.reload()
        self._view.complain(reason)

    def choose_channels(self, channels: tuple[Channel, ...]) -> bool:
        """Set the channels of the project's frames; return False if its labels forbid that or it is read only."""
        before = self.project
        self.change(lambda project: with_channels(project, channels, False, self.labelled))
        return before is not self.project

    def propose_channels(self, layer_view: LayerView) -> None:
        """Take the project's channels from the frame as long as no crop is labelled."""
        if self.project is None or self.project_session is None or self.project_session.holder is not None:
            return
        project = proposed(self.project, layer_view.channels, layer_view.is_rgb, self.labelled)
        if project != self.project:
            self.project = project
            self.store.run(self.project_session.configure, project, failed=self._view.complain)

    def reload(self) -> None:
        """Show the project and its labels again: they were changed elsewhere."""
        if self.project_session is not None:
            self.project = self.project_session.project
            self._view.show_project(self.project, self._counts)
            self.recount()
            self.renewed.emit()

    def recount(self) -> None:
        """Count all labels again: one of another frame or grid was changed."""

        def counted(counts: dict[int, int]) -> None:
            self._counts = counts
            if self.project is not None:
                self._view.show_counts(self.project, counts)

        if self.project_session is not None:
            self.store.run(self.project_session.store.label_counts, then=counted, failed=self._view.complain)

    def count(self, changes: Sequence[tuple[CropLabel | None, CropLabel | None]], channels: int) -> None:
        """Count new labels of crops instead of those before; labelled crops have `channels` channels."""
        for before, label in changes:
            for each, difference in ((before, -1), (label, 1)):
                if each is not None and each.class_id is not None:
                    self._counts[each.class_id] = self._counts.get(each.class_id, 0) + difference
            if label is not None:
                self.labelled = channels
        if self.project is not None:
            self._view.show_counts(self.project, self._counts)
