"""The controller of *Apply classifier*, without Qt: sends a layer's plane or a folder to the engine, shows the result.

Pixels are read and files written on a thread; torch runs in the engine process. Results of earlier requests are
dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from costal.applying.applied import Applied, ClassifiedCrop, ClassifiedFrame, counts_of, uncertain_first
from costal.applying.classify import ApplyRequest
from costal.applying.files import MOST_LISTED, AppliedFiles, FilesRequest
from costal.applying.outputs import write_counts, write_crops, write_geojson, write_label_tiff
from costal.labels.project import Project
from costal.labels.project_file import load_project
from costal.scoring.channels import require_channels
from costal.scoring.prepare import MISSING_IN_WINDOW, grid_of, kept_in
from costal.types import Progress
from napari_costal.canvas.large_layer import frame_plane_of
from napari_costal.canvas.layer_frames import LayerView
from napari_costal.engine.calls import Caller, Thread
from napari_costal.engine.latest import Latest, Ticket

ExportKind = Literal["crops", "counts", "labels", "geojson"]
ENDINGS: dict[ExportKind, str] = {
    "crops": "-crops.csv",
    "counts": "-counts.csv",
    "labels": "-classes.tif",
    "geojson": ".geojson",
}
Source = Project | Path


@dataclass(frozen=True, slots=True)
class LayerResult:
    """The result of a layer's plane, its least certain crops, and the project, which names the classes."""

    project: Project
    frame: ClassifiedFrame
    uncertain: tuple[ClassifiedCrop, ...]


class View(Protocol):
    """The widget that shows what the controller reports."""

    def say(self, text: str) -> None: ...
    def complain(self, text: str) -> None: ...
    def show_progress(self, progress: Progress | None) -> None: ...
    def show_layer_result(self, result: LayerResult) -> None: ...
    def show_files_result(self, project: Project, result: AppliedFiles) -> None: ...
    def clear_result(self) -> None: ...


class ApplyController:
    """Classifies a layer's plane or files, one request at a time. Every public method is an action of the user."""

    def __init__(self, view: View, thread: Thread, engine: Any, device: str = "auto") -> None:
        self.view, self._thread, self._device = view, thread, device
        self._caller = Caller(thread, engine, view.show_progress)
        self._newest = Latest()
        self.result: LayerResult | None = None

    def apply_to_layer(self, project_or_folder: Source, layer_view: LayerView, resample: bool = False) -> None:
        """Classify the plane that a layer shows; `resample` first scales it to the pixel size of the labels."""
        ticket = self._begin("Reading the frame …")
        failed = ticket.only(self.view.complain)

        def prepare() -> ApplyRequest | None:
            if not ticket.is_current:
                return None
            project = project_of(project_or_folder)
            if layer_view.channels:
                require_channels(project, layer_view.source, layer_view.channels, layer_view.is_rgb)
            frame = replace(frame_plane_of(layer_view), pixel_um=layer_view.pixel_um)
            grid_of(project, frame.pixels_C_Y_X)  # raises here, before the job starts, if crops do not fit
            folder = kept_in(project, frame, "classes")
            return ApplyRequest(project, frame, folder, MISSING_IN_WINDOW, self._device, resample)

        def start(request: ApplyRequest | None) -> None:
            if request is not None:
                job = "costal.applying.classify:apply_to_frame"
                self._call(job, request, lambda applied: finish(request.project, applied))

        def finish(project: Project, applied: Applied) -> None:
            frame = ClassifiedFrame(layer_view.source, layer_view.description, layer_view.pixel_um, applied)
            self._thread.run(result_of, project, frame, then=ticket.only(show), failed=failed)

        def show(result: LayerResult) -> None:
            self.result = result
            self.view.show_layer_result(result)

        self._thread.run(prepare, then=ticket.only(start), failed=failed)

    def apply_to_files(
        self, project_or_folder: Source, paths: tuple[Path, ...], out: Path, overwrite: bool, resample: bool = False
    ) -> None:
        """Classify image files and folders of images, and write the results to `out`."""
        ticket = self._begin("Looking for images …")

        def start(project: Project) -> None:
            request = FilesRequest(project, paths, out, self._device, overwrite, resample, MISSING_IN_WINDOW)
            job = "costal.applying.files:apply_to_files"
            self._call(job, request, lambda result: self.view.show_files_result(project, result))

        self._thread.run(project_of, project_or_folder, then=ticket.only(start), failed=ticket.only(self.view.complain))

    def export(self, kind: ExportKind, path: Path) -> None:
        """Write the result of a layer to a file."""
        result = self.result
        if result is None:
            return
        self.view.say(f"Writing {path.name} …")
        done = f"Wrote {path}"
        self._thread.run(
            write_result, result, kind, path, then=lambda _: self.view.say(done), failed=self.view.complain
        )

    def forget(self) -> None:
        """Drop the result, because its layer has changed or is gone."""
        self._newest.renew()
        self._caller.cancel()
        self.result = None
        self.view.show_progress(None)
        self.view.clear_result()

    def cancel(self) -> None:
        """Stop the running job."""
        self._newest.renew()
        self._caller.cancel()
        self.view.show_progress(None)
        self.view.say("Cancelled. The finished files are kept.")

    def close(self) -> None:
        """Stop everything; nothing is shown any more."""
        self._newest.renew()
        self._caller.cancel()

    def _begin(self, text: str) -> Ticket:
        self.forget()
        self.view.say("")
        self.view.show_progress(Progress(0, 0, text))
        return self._newest.ticket()

    def _call(self, job: str, request: object, then: Callable[[Any], None]) -> None:
        self._caller.call(job, (request,), then, self.view.complain, "Classifying")


def project_of(project_or_folder: Source) -> Project:
    """Return the project; read it if a folder is given."""
    return load_project(project_or_folder) if isinstance(project_or_folder, Path) else project_or_folder


def result_of(project: Project, frame: ClassifiedFrame) -> LayerResult:
    """Return the result of a layer; not for the GUI thread, because the crops of a large frame are sorted."""
    return LayerResult(project, frame, tuple(uncertain_first([frame], MOST_LISTED)))


def write_result(result: LayerResult, kind: ExportKind, path: Path) -> None:
    """Write the result of a layer's plane; not for the GUI thread."""
    project, frame = result.project, result.frame
    if kind == "crops":
        write_crops(path, [frame], project)
    elif kind == "counts":
        write_counts(path, [counts_of(frame)], frame.applied.class_ids, project)
    elif kind == "labels":
        write_label_tiff(path, frame, project)
    else:
        write_geojson(path, frame, project)
