"""Shows frames of the open project as layers: from its list, or as the user left the project."""

from collections.abc import Callable, Mapping
from pathlib import Path

from napari.layers import Image
from napari.viewer import Viewer

from costal.errors import FrameError
from costal.frames.lazy import LazyFrame
from costal.frames.ome_zarr import is_url
from costal.labels.places import LAYER
from costal.labels.plane_names import steps_of
from costal.labels.project import Project
from costal.labels.records import FrameRecord
from costal.scoring.frame_planes import FramePlane, frame_of
from costal.scoring.intensities import measured_range
from costal.scoring.prepare import MISSING_IN_WINDOW
from costal.types import Frame
from costal.workbench.last_frame import LastFrame
from costal.workbench.row_frames import planes_named
from napari_costal.canvas.channel_arrays import shown_as
from napari_costal.canvas.layer_frames import (
    ALL,
    PLANE_CHOICES,
    SLICE_SHOWN,
    PlaneChoice,
    name_of,
    show_slice,
    source_of,
)
from napari_costal.canvas.opening import ARRIVED, FrameOpener, Limits, as_frame, limits_of, open_image
from napari_costal.canvas.overlays import images_in
from napari_costal.engine.calls import Thread


class ProjectFrames:
    """Reads frames of a project on another thread and shows them; `chosen` and `complain` are as in `FrameOpener`."""

    def __init__(
        self,
        viewer: Viewer,
        pixels: Thread,
        opener: FrameOpener,
        chosen: Callable[[Image, PlaneChoice, str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._viewer, self._pixels, self._opener = viewer, pixels, opener
        self._chosen, self._complain = chosen, complain

    def open(self, project: Project, record: FrameRecord, left: LastFrame | None = None) -> None:
        """Show a frame of the project: in the layer that has it, or else in place of the frame opened before it.

        A stack or series is shown as a whole, at the frame's plane. `left` restores the view that the user left.
        """
        steps = {axis.upper(): step for axis, step in steps_of(record.planes).items()}
        choice = SLICE_SHOWN
        if left is not None and left.planes in PLANE_CHOICES:
            steps, choice = dict(left.steps), left.planes

        def show(layer: Image, notes: str) -> None:
            self._go_to(layer, steps)
            self._chosen(layer, choice, notes)

        there = next((each for each in images_in(self._viewer) if _shows(each, record, steps)), None)
        if there is not None:
            show(there, "")
            return

        def opened(opened_image: tuple[Frame | LazyFrame, FramePlane | None, Limits]) -> None:
            image, plane, limits = opened_image
            if isinstance(image, LazyFrame):
                layers = self._opener.added(shown_as(image), image, limits, Path(image.source).stem)
            elif plane is None:
                layers = self._opener.put(image, limits, name_of(image.source, ALL), None)
            else:
                name = name_of(image.source, record.planes)
                layers = self._opener.put(as_frame(plane, plane.pixels_C_Y_X), limits, name, plane.planes)
            show(layers[0], " ".join(image.notes))

        self._pixels.run(_look_up, project, record, steps, then=opened, failed=self._complain)

    def _go_to(self, layer: Image, steps: Mapping[str, int]) -> None:
        """Move the sliders to these steps along the layer's axes."""
        shown = layer.world_to_data(self._viewer.dims.point)[: layer.ndim - 2]
        letters = [label.upper() for label in layer.axis_labels[:-2]]
        places = [steps.get(letter, round(at)) for letter, at in zip(letters, shown, strict=True)]
        show_slice(self._viewer.dims, layer, places)


def _look_up(
    project: Project, record: FrameRecord, steps: Mapping[str, int]
) -> tuple[Frame | LazyFrame, FramePlane | None, Limits]:
    """Return the image of a frame, and the frame alone if the rest of the image need not be shown.

    Raises
    ------
    FrameError
        If the file is missing, cannot be read, or is another image now.
    """
    image, limits = open_image(Path(record.source), project.axes)
    if isinstance(image, LazyFrame):
        return image, None, limits
    planes = planes_named(image, project, record.planes)
    plane = frame_of(image, planes) if planes is not None else None
    if plane is None or plane.content_hash != record.content_hash:
        raise FrameError(
            f"{record.source} does not have the pixels of the project's frame: the file was changed or replaced. "
            "Locate the original under Frames, or use 'Open image' to label this file as a new frame."
        )
    if any(axis in image.axes and image.pixels.shape[image.axes.index(axis)] > 1 for axis in steps):
        return image, None, limits
    return image, plane, limits_of(measured_range(plane.pixels_C_Y_X, MISSING_IN_WINDOW)[0])


def _shows(layer: Image, record: FrameRecord, steps: Mapping[str, int]) -> bool:
    """Return whether a layer shows a frame, or can show it at other places of the sliders."""
    if record.source.startswith(LAYER):
        return bool(source_of(layer) == record.source)
    if is_url(record.source) or is_url(source_of(layer)):
        is_same = record.source == source_of(layer)
    else:
        is_same = Path(record.source) == Path(source_of(layer)).absolute()
    if not is_same:
        return False
    has_sliders = layer.ndim > 2
    if has_sliders and steps:
        return {each.upper() for each in layer.axis_labels[:-2]} >= set(steps)
    # Without sliders a layer shows one frame of its file: the one that was opened in it, or the file's only one.
    names = [name_of(record.source, each) for each in (ALL, record.planes)]
    return not has_sliders and layer.metadata.get(ARRIVED, names[0]) in names
