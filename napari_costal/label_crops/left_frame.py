"""The last frame of a project: noted while it is open, stored in the project, and shown again at the next opening."""

from contextlib import suppress
from dataclasses import replace

from napari.viewer import Viewer

from costal.labels.places import LAYER
from costal.labels.project import Project
from costal.workbench.frames_list import LOST
from costal.workbench.last_frame import LastFrame, keep_last_frame, last_frame
from napari_costal.canvas.overlays import images_in
from napari_costal.canvas.project_frames import ProjectFrames
from napari_costal.label_crops.frame_choice import FrameChoice
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.frames_session import FramesSession
from napari_costal.label_crops.open_project import OpenProject


class LeftFrame:
    """Follows the current frame; a project that is opened in a window without images shows its last frame."""

    def __init__(
        self,
        viewer: Viewer,
        session: OpenProject,
        choice: FrameChoice,
        frame: FrameSession,
        listed: FramesSession,
        frames: ProjectFrames,
    ) -> None:
        self._viewer, self._session, self._choice, self._frame = viewer, session, choice, frame
        self._listed, self._frames = listed, frames
        self._last: LastFrame | None = None
        self._to_restore: LastFrame | None = None
        session.opened.connect(self._opened)
        session.leaving.connect(self._keep)
        session.closing.connect(self._keep)
        frame.leaving.connect(self._note)
        frame.kept.connect(self._begun)

    def _opened(self) -> None:
        project, self._last, self._to_restore = self._session.project, None, None
        if project is not None and not images_in(self._viewer):
            self._listed.looking.run(last_frame, project.folder, then=lambda last: self._show(project, last))

    def _show(self, project: Project, last: LastFrame | None) -> None:
        if last is None:
            return

        def listed() -> None:
            row = self._listed.row_with(last.content_hash)
            if row is None or images_in(self._viewer) or self._session.project is not project:
                return
            if row.place in LOST:
                self._listed.open(row)  # which says why it cannot be
            else:
                self._to_restore = last
                self._frames.open(project, row.record, last)

        self._listed.refresh(listed)

    def _look_as(self, last: LastFrame) -> None:
        """Restore the contrast and the camera."""
        layers = [each for each in self._choice.layers if not each.rgb]
        if len(layers) == len(last.contrast):
            for layer, limits in zip(layers, last.contrast, strict=True):
                layer.contrast_limits = limits
        camera = self._viewer.scene.camera
        if last.centre is not None and last.zoom is not None:
            camera.center, camera.zoom = (*camera.center[:-2], *last.centre), last.zoom

    def _note(self) -> None:
        """Note the view of the frame that is about to be left."""
        loaded, view = self._frame.loaded, self._frame.layer_view
        if loaded is None or view is None or view.source.startswith(LAYER):
            return
        steps = dict(zip(view.axes, view.steps, strict=True)) if len(view.axes) == len(view.steps) else {}
        layers = [each for each in self._choice.layers if each in self._viewer.layers and not each.rgb]
        contrast = tuple((float(each.contrast_limits[0]), float(each.contrast_limits[1])) for each in layers)
        self._last = LastFrame(loaded.stored.content_hash, view.planes, steps, contrast=contrast)
        with suppress(RuntimeError):  # Qt's side of the window may be gone already
            camera = self._viewer.scene.camera
            y, x = camera.center[-2:]
            self._last = replace(self._last, centre=(float(y), float(x)), zoom=float(camera.zoom))

    def _keep(self) -> None:
        project_session, last = self._session.project_session, self._last
        if project_session is not None and project_session.holder is None and last is not None:
            self._session.store.run(keep_last_frame, project_session.project.folder, last)

    def _begun(self) -> None:
        """Restore the view of the frame, and store at once which frame it is: a crash must not lose it."""
        last, loaded = self._to_restore, self._frame.loaded
        # The first channel's layer alone may be a frame for a moment.
        if last is not None and loaded is not None and loaded.stored.content_hash == last.content_hash:
            self._to_restore = None
            self._look_as(last)
        self._note()
        self._keep()
