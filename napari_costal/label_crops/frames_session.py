"""The project's frames on the screen: listed, opened by a click, and located where they moved."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from napari.viewer import Viewer
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QFileDialog

from costal.frames.thumbnails import RGBPicture
from costal.labels.places import LAYER
from costal.labels.project import Project
from costal.labels.records import CropLabel
from costal.workbench.frames_list import LOST, ListedFrame, list_frames, today, with_places, worth_listing
from costal.workbench.locating import Located, located_text
from costal.workbench.session import ProjectSession
from costal.workbench.thumbnails import thumbnail_of, thumbnail_of_pixels
from napari_costal.canvas.layer_frames import source_of
from napari_costal.canvas.opening import ARRIVED
from napari_costal.canvas.overlays import images_in
from napari_costal.canvas.project_frames import ProjectFrames
from napari_costal.engine.calls import Caller
from napari_costal.engine.latest import Latest
from napari_costal.engine.threads import Background
from napari_costal.label_crops.frame_choice import FrameChoice
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.frames_page import FramesPage
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.ui.dock import Dock

MOST_WAITING = 40
"""Number of pictures that may wait; after fast scrolling, the rows seen last come first."""
SOON_MS = 400


class FramesSession(QObject):
    """Connects the list, `page`, with the open project; its own threads keep a slow drive from blocking others."""

    def __init__(
        self,
        dock: Dock,
        viewer: Viewer,
        session: OpenProject,
        choice: FrameChoice,
        frame: FrameSession,
        frames: ProjectFrames,
        caller: Caller,
    ) -> None:
        super().__init__(dock)
        self._dock, self._viewer, self._session = dock, viewer, session
        self._choice, self._frame, self._frames, self._caller = choice, frame, frames, caller
        self.page = page = FramesPage()
        self.looking, self._drawing = Background("frames", self), Background("pictures", self)
        self._rows: tuple[ListedFrame, ...] = ()
        self._after: list[Callable[[], None]] = []
        self._newest = Latest()
        self._waiting: deque[ListedFrame] = deque(maxlen=MOST_WAITING)
        self._is_drawing = self._are_placed = False
        self._folder: Path | None = None
        self._soon = QTimer(self, singleShot=True, interval=SOON_MS)
        self._soon.timeout.connect(self.refresh)
        session.opened.connect(self._opened)
        session.renewed.connect(self.refresh)
        frame.kept.connect(self._frame_kept)
        frame.relabelled.connect(self._relabelled)
        page.opened.connect(self.open)
        page.locate_folder.connect(self._ask_folder)
        page.locate_file.connect(self._ask_file)
        page.model.wanted.connect(self._want)

    # The list

    def refresh_soon(self) -> None:
        """Read the list again soon: something was scored, learned or imported."""
        if self._session.project is not None and not self._soon.isActive():
            self._soon.start()

    def refresh(self, then: Callable[[], None] | None = None) -> None:
        """Read the list again: first from the project, then the places of the images; then go on."""
        project = self._session.project
        if project is None:
            return
        self._soon.stop()
        self._after += [then] if then is not None else []
        ticket = self._newest.renew()

        def listed(rows: tuple[ListedFrame, ...]) -> None:
            known = {each.record.source: each.place for each in self._rows} if self._is_listed(project) else {}
            self._show(project, [replace(each, place=known.get(each.record.source, each.place)) for each in rows])
            self.looking.run(with_places, rows, then=ticket.only(loaded), failed=ticket.only(self._dock.complain))

        def loaded(rows: tuple[ListedFrame, ...]) -> None:
            self._show(project, self._in_this_window(rows))
            self.page.model.forget_empty()
            self._are_placed = True
            if not self._is_drawing:
                self._draw_next()
            after, self._after = self._after, []
            for each in after:
                each()

        self.looking.run(list_frames, project, then=ticket.only(listed), failed=ticket.only(self._dock.complain))

    def _is_listed(self, project: Project) -> bool:
        shown = self.page.model.project
        return shown is not None and shown.folder == project.folder

    def _show(self, project: Project, rows: "list[ListedFrame] | tuple[ListedFrame, ...]") -> None:
        self._rows = tuple(rows)
        self.page.show_frames(project, worth_listing(self._rows, self._frame_id))
        self.page.mark(self._frame_id)

    def _in_this_window(self, rows: tuple[ListedFrame, ...]) -> tuple[ListedFrame, ...]:
        """Return the frames; frames of layers that are not in this window are missing."""
        there = {source_of(each) for each in images_in(self._viewer)}
        return tuple(
            replace(each, place="missing") if each.place == "unsaved" and each.record.source not in there else each
            for each in rows
        )

    @property
    def _frame_id(self) -> int:
        return self._frame.loaded.stored.id if self._frame.loaded is not None else 0

    def _row_of(self, frame_id: int) -> ListedFrame | None:
        at = self.page.model.place_of(frame_id)
        return self.page.model.rows[at] if at is not None else None

    def _relabelled(self, before: CropLabel | None, label: CropLabel | None) -> None:
        """Count a crop's new label in the row of its frame instead of the one before."""
        row, project = self._row_of(self._frame_id), self._session.project
        if row is None or project is None:
            return
        labels, unclassified = dict(row.labels), row.unclassified
        for each, difference in ((before, -1), (label, 1)):
            if each is None:
                continue
            if each.class_id is None:
                unclassified += difference
            else:
                (label_class_id,) = today(project, {each.class_id: 1})
                labels[label_class_id] = labels.get(label_class_id, 0) + difference
        counts = {class_id: count for class_id, count in today(project, labels).items() if count > 0}
        self.page.replace(replace(row, labels=counts, unclassified=max(unclassified, 0)))

    # Pictures

    def _want(self, row: ListedFrame) -> None:
        if len(self._waiting) == MOST_WAITING:
            self.page.model.forget_wanted(self._waiting[0])
        self._waiting.append(row)
        if not self._is_drawing and self._are_placed:
            self._draw_next()

    def _draw_next(self) -> None:
        project = self._session.project
        self._is_drawing = bool(self._waiting) and project is not None
        if not self._is_drawing or project is None:
            return
        row = self._waiting.pop()

        def made(picture: RGBPicture | None) -> None:
            if self._session.project is not None and self._session.project.folder == project.folder:
                self.page.model.picture_made(row.record.content_hash, picture)
            self._draw_next()

        def failed(_reason: str) -> None:
            made(None)

        now = self._row_of(row.id) or row
        self._drawing.run(thumbnail_of, project, now.record, now.place not in LOST, then=made, failed=failed)

    # Opening

    def open(self, row: ListedFrame) -> None:
        """Open a frame to label it, or say why it cannot be opened."""
        project = self._session.project
        if project is None:
            return
        if row.place == "missing" and row.record.source.startswith(LAYER):
            self._dock.say(
                f"The layer '{row.name}' is not in this window and was never saved to a file. If a file has its image, "
                "use 'Locate'."
            )
        elif row.place in ("missing", "offline"):
            self._dock.say(f"{row.record.source} is {row.place}. 'Locate' finds a moved image.")
        else:
            self._dock.say(f"Opening {row.name} …")
            self._frames.open(project, row.record)

    def _opened(self) -> None:
        """List the frames of another project: a frame of the one before is none of this one."""
        before, project = self._folder, self._session.project
        self._folder = project.folder if project is not None else None
        self._waiting.clear()
        self._after.clear()
        self._are_placed = False
        if before is not None and before != self._folder:
            self._rows = ()
            self.page.show_frames(None, ())
            for layer in [each for each in self._choice.layers if ARRIVED in each.metadata]:
                self._viewer.layers.remove(layer)

    def row_with(self, content_hash: str) -> ListedFrame | None:
        """Return the frame of the list with this content."""
        return next((each for each in self.page.model.rows if each.record.content_hash == content_hash), None)

    def _frame_kept(self) -> None:
        """Choose the row of the current frame; list a new frame, and store the new place of a moved one."""
        self._draw_layer()
        row, view, project_session = self._row_of(self._frame_id), self._frame.layer_view, self._session.project_session
        if row is None or view is None or project_session is None:
            self.refresh_soon()
            return
        self.page.mark(row.id)
        if row.place in LOST and not view.source.startswith(LAYER) and project_session.holder is None:
            self._keep_places(project_session, {row.id: str(Path(view.source).absolute())})

    def _draw_layer(self) -> None:
        """Make the picture of a layer without a file while its pixels are in memory."""
        loaded, view, project = self._frame.loaded, self._frame.layer_view, self._session.project
        if loaded is None or view is None or project is None or not view.source.startswith(LAYER):
            return
        content, pixels_C_Y_X = loaded.stored.content_hash, loaded.plane_C_Y_X
        if not loaded.is_lazy and not self.page.model.has_picture(content):
            arguments = (project, content, pixels_C_Y_X, view.is_rgb)
            self._drawing.run(thumbnail_of_pixels, *arguments, then=partial(self.page.model.picture_made, content))

    def _keep_places(self, project_session: ProjectSession, sources: dict[int, str]) -> None:
        self._session.store.run(
            project_session.move_frames, sources, then=lambda _: self.refresh(), failed=self._dock.complain
        )

    # Images that moved

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._dock, "Search a folder and its subfolders for missing images")
        if folder:
            self.locate(Path(folder))

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._dock, "Choose the file of a missing image")
        if path:
            self.locate(Path(path))

    def locate(self, place: Path) -> None:
        """Search a file, or a folder and its subfolders, for the missing images by their content."""
        project, project_session = self._session.project, self._session.project_session
        lost = [each for each in self._rows if each.place in LOST]
        if project is None or project_session is None or not lost:
            return
        if project_session.holder is not None:
            self._session.may_write()  # which names the window that holds the project
            return

        def located_images(located: Located) -> None:
            self._dock.say(located_text(located))
            if located.sources and project_session is self._session.project_session:
                self._keep_places(project_session, located.sources)

        arguments = (project, lost, place)
        self._caller.call("costal.workbench.locating:locate", arguments, located_images, self._dock.complain, "Looking")

    def stop(self) -> None:
        """Stop reading and searching."""
        self._newest.renew()
        self._soon.stop()
        self._waiting.clear()
        self._caller.cancel()
        for each in (self.looking, self._drawing):
            each.close()

    def cancel(self) -> None:
        """Stop searching for missing images."""
        if self._caller.cancel():
            self._dock.say("Stopped looking for images.")
