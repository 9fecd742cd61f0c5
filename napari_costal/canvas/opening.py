"""Frames opened as layers: files that the user chooses, and frames that arrived in the watched folder."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import CYMRGB, MAGENTA_GREEN
from napari.viewer import Viewer

from costal.errors import FrameError
from costal.frames.axes import Axes
from costal.frames.lazy import LazyFrame
from costal.frames.normalise import IntensityRange, intensity_range
from costal.frames.read import Planes
from costal.frames.windows import LazyPlane
from costal.labels.project import Project
from costal.scoring.channels import title
from costal.scoring.frame_planes import FramePlane, frames_of
from costal.scoring.frame_planes import open_image as open_pixels
from costal.scoring.intensities import measured_range
from costal.scoring.prepare import MISSING_IN_WINDOW
from costal.types import Channel, Frame
from costal.workbench.file_axes import kinds_with
from napari_costal.canvas.channel_arrays import Shown, shown_as
from napari_costal.canvas.channel_layers import PART, Part
from napari_costal.canvas.layer_frames import SLICE_SHOWN, SOURCE, PlaneChoice, name_of
from napari_costal.engine.calls import Thread

ARRIVED = "arrived frame"
Limits = tuple[tuple[float, float], ...]
"""Contrast limits of each channel."""


class FrameOpener:
    """Reads files on another thread and shows them; `chosen` takes the layer, its plane choice, and a message."""

    def __init__(
        self,
        viewer: Viewer,
        pixels: Thread,
        chosen: Callable[[Image, PlaneChoice, str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._viewer, self._pixels, self._chosen, self._complain = viewer, pixels, chosen, complain

    def open_file(
        self, path: Path, axes: str, known: Mapping[str, str], keep: Callable[[Mapping[str, str]], None]
    ) -> None:
        """Open an image file or OME-Zarr as a layer of its own: leading axes as sliders, its pixel size as scale.

        `axes` are its letters if the user has set them; `keep` is then called with the kind of the file. `known` are
        the axes of other kinds of files.
        """

        def work() -> tuple[tuple[Frame | LazyFrame, Limits], Mapping[str, str]]:
            kinds = kinds_with(axes, [str(path)]) if axes else {}
            return open_image(path, {**known, **kinds}), kinds

        def opened(image_and_kinds: tuple[tuple[Frame | LazyFrame, Limits], Mapping[str, str]]) -> None:
            if image_and_kinds[1]:
                keep(image_and_kinds[1])
            self.add(*image_and_kinds[0])

        self._pixels.run(work, then=opened, failed=self._complain)

    def add(self, frame: Frame | LazyFrame, limits: Limits) -> None:
        """Add an opened frame as one RGB layer, or as a layer for each channel; `limits` are those of the channels."""
        layers = self.added(shown_as(frame), frame, limits, Path(frame.source).stem)
        self._chosen(layers[0], SLICE_SHOWN, " ".join(frame.notes))

    def open_arrived(self, project: Project, path: Path, description: str | None) -> None:
        """Show a frame of an arrived file (without a description, the first) in the layer of the frame before it.

        All arrived frames share one layer, because the frames of a day would fill the memory.
        """

        def work() -> tuple[FramePlane, Limits]:
            _, frames = frames_of(project, str(path), MISSING_IN_WINDOW)
            frame = next((each for each in frames if description in (None, each.description)), None)
            if frame is None:
                raise FrameError(f"{path} no longer has the frame '{description}'. Choose a frame in the table again.")
            return frame, limits_of(measured_range(frame.pixels_C_Y_X, MISSING_IN_WINDOW)[0])

        def show(frame_and_limits: tuple[FramePlane, Limits]) -> None:
            arrived, limits = frame_and_limits
            plane = arrived.pixels_C_Y_X
            if isinstance(plane, LazyPlane):
                self.add(plane.frame, limits)
            else:
                self._show_arrived(arrived, as_frame(arrived, plane), limits)

        self._pixels.run(work, then=show, failed=self._complain)

    def _show_arrived(self, plane: FramePlane, frame: Frame, limits: Limits) -> None:
        layers = self.put(frame, limits, name_of(frame.source, plane.description), plane.planes)
        self._chosen(layers[0], SLICE_SHOWN, " ".join(frame.notes))

    def put(self, frame: Frame, limits: Limits, name: str, planes: Planes | None) -> list[Image]:
        """Show a frame in the layers of the frame that was opened before it, and return them."""
        shown = shown_as(frame)
        before = [each for each in self._viewer.layers if ARRIVED in each.metadata]
        if [_kind(each) for each in before] != [(array.ndim, shown.is_rgb) for array in shown.arrays]:
            for each in before:
                each.metadata.pop(ARRIVED)  # they stay, as layers of their own
            before = []
        layers = self.added(shown, frame, limits, name, planes, before)
        for layer in layers:
            layer.metadata[ARRIVED] = name
        return layers

    def added(
        self,
        shown: Shown,
        frame: Frame | LazyFrame,
        limits: Limits,
        name: str,
        planes: Planes | None = None,
        into: Sequence[Image] = (),
    ) -> list[Image]:
        """Show a frame in new layers, or in layers whose pixels are replaced, and return them.

        The parts are set when all layers exist; otherwise the first layer would be taken for a frame.
        """
        layers, count = [], len(shown.channels)
        colours = MAGENTA_GREEN if count == 2 else CYMRGB
        for at, (array, channel) in enumerate(zip(shown.arrays, shown.channels, strict=True)):
            looks = _looks(frame, shown.letters, limits[at : at + 1])
            looks["name"] = name if count == 1 else _called(name, channel)
            if count > 1:
                looks |= {"blending": "additive", "colormap": channel.colour or colours[at % len(colours)]}
            if shown.is_rgb:
                looks.pop("contrast_limits")
                looks["rgb"] = True
            if into:
                _put_into(into[at], array, looks)
            layers.append(into[at] if into else Image(array, multiscale=shown.has_levels, **looks))
            if not into:
                self._viewer.add_layer(layers[-1])
        image = f"{frame.source} {uuid.uuid4()}"
        in_file = count if planes is None or planes.channels is None else 0  # of a part of them not known, nor needed
        for layer, channel in zip(layers, shown.channels, strict=True):
            if count > 1:
                layer.metadata[PART] = Part(image, channel, in_file, planes)
        return layers


def _called(name: str, channel: Channel) -> str:
    """Return the name of a channel's layer: the frame's name, then the channel's."""
    return title(channel) if title(channel).startswith(name) else f"{name} {title(channel)}"


def _put_into(layer: Image, array: Any, looks: dict[str, Any]) -> None:
    """Show other pixels in a layer, with their own place and contrast."""
    layer.metadata = looks["metadata"]
    layer.name, layer.scale, layer.units = looks["name"], looks["scale"], looks["units"]
    limits = looks.get("contrast_limits")
    if limits is not None:
        layer.contrast_limits_range = limits
    layer.data = array
    if limits is not None:
        layer.contrast_limits = limits
    else:
        layer.reset_contrast_limits()


def _kind(layer: Image) -> tuple[int, bool]:
    return len(layer.data.shape), bool(layer.rgb)


def _looks(frame: Frame | LazyFrame, letters: Sequence[str], limits: Limits) -> dict[str, Any]:
    """Return the options of a frame's layer: pixel scale and units, names of axes, contrast."""
    size, unit = (frame.pixel_um, "micrometer") if frame.pixel_um else (1.0, "pixel")
    leading = len(letters) - 2
    return {
        "scale": [1.0] * leading + [size, size],
        "units": ["pixel"] * leading + [unit, unit],
        "axis_labels": list(letters),
        "contrast_limits": limits[0],
        "metadata": {SOURCE: frame.source},
    }


def open_image(path: Path, axes: Axes = None) -> tuple[Frame | LazyFrame, Limits]:
    """Return the image of a file or group, and its contrast limits; a large image is opened without reading it all.

    Raises
    ------
    FrameError
        If it is not an image, or is damaged.
    """
    image = open_pixels(str(path), axes, MISSING_IN_WINDOW)
    if not isinstance(image, LazyFrame):
        return image, contrast_limits(image)
    first = LazyPlane(image, Planes(None, 0, 0))
    return image, limits_of(measured_range(first, MISSING_IN_WINDOW)[0])


def as_frame(arrived: FramePlane, pixels_C_Y_X: Any) -> Frame:
    """Return an arrived frame and its pixels as one image."""
    chosen = arrived.planes.channels if arrived.planes is not None else None
    channels = arrived.channels if chosen is None else tuple(arrived.channels[at] for at in chosen)
    known = arrived.pixel_um, arrived.source, arrived.content_hash, arrived.notes, channels, arrived.is_rgb
    return Frame(pixels_C_Y_X, "CYX", *known)


def contrast_limits(frame: Frame) -> Limits:
    """Return contrast limits of each channel, by percentiles over all its planes."""
    channels = np.moveaxis(frame.pixels, frame.axes.index("C"), 0) if "C" in frame.axes else frame.pixels[np.newaxis]
    return limits_of(intensity_range(channels.reshape(len(channels), -1, channels.shape[-1])))


def limits_of(range: IntensityRange) -> Limits:
    """Return the contrast limits of an intensity range; those of a constant channel differ by 1."""
    return tuple((low, high if high > low else low + 1.0) for low, high in zip(range.low_C, range.high_C, strict=True))
