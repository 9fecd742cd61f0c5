"""A frame from an image layer: the plane on the screen, a projection, or all channels, whichever plugin read it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
from napari.components import Dims
from napari.layers import Image
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.channels import RGB
from costal.frames.planes import describe, some_channels
from costal.frames.read import Planes, frame_from_array
from costal.frames.units import length, micrometres_per
from costal.labels.places import LAYER
from costal.labels.project import MOST_CHANNELS
from costal.types import Channel, Frame
from napari_costal.canvas.channel_layers import part_of

SOURCE = "source"
"""The key of a layer's metadata that names the file of its pixels."""

ALL = "all"
"""The name that `frames.planes.describe` gives to the planes of a file that has only these."""

PlaneChoice = Literal["the slice shown", "maximum projection", "all as channels"]
SLICE_SHOWN: PlaneChoice = "the slice shown"
PROJECTION: PlaneChoice = "maximum projection"
ALL_AS_CHANNELS: PlaneChoice = "all as channels"
PLANE_CHOICES = (SLICE_SHOWN, PROJECTION, ALL_AS_CHANNELS)


@dataclass(frozen=True, slots=True, eq=False)
class LayerView:
    """The part of one or more layers that is labelled; made on the GUI thread, read on another.

    `array` may be lazy; `steps` is the slice shown along each leading axis. `axes` are the letters (of TZC) of these
    axes, if the layer names them. `others` are the arrays of layers that are further channels of the frame. `channels`
    are those of the file, out of `channel_count`, if the layers were opened as channels; `taken` are the planes of the
    file, if the layers do not have all of them.
    """

    array: Any
    source: str
    planes: PlaneChoice
    steps: tuple[int, ...]
    is_rgb: bool
    pixel_um: float | None
    axes: str = ""
    others: tuple[Any, ...] = ()
    channels: tuple[Channel, ...] = ()
    channel_count: int = 0
    taken: Planes | None = None

    @property
    def crop_channels(self) -> int:
        """The number of channels of the frame's crops."""
        stacked = math.prod(self.array.shape[: len(self.steps)]) if self.planes == ALL_AS_CHANNELS else 1
        return 3 if self.is_rgb else stacked * (1 + len(self.others))

    @property
    def file_planes(self) -> Planes | None:
        """The planes and channels of the file that the view shows, None if the layers do not say."""
        if not self.channels or self.is_rgb:
            return None
        channels = some_channels([each.index for each in self.channels], self.channel_count)
        if self.taken is not None:
            return replace(self.taken, channels=channels) if not self.steps else None
        is_known = len(self.axes) == len(self.steps) and set(self.axes) <= {"T", "Z"}
        if not is_known or (self.steps and self.planes == ALL_AS_CHANNELS):
            return None
        at: dict[str, int | Literal["max"]] = {
            axis: "max" if self.planes == PROJECTION else step
            for axis, step, length in zip(self.axes, self.steps, self.array.shape, strict=False)
            if length > 1
        }
        return Planes(channels, at.get("Z"), at.get("T"))

    @property
    def plane_bytes(self) -> int:
        """The number of bytes to read for the plane."""
        read = self.array.shape[len(self.steps) :] if self.planes == SLICE_SHOWN else self.array.shape
        return int(math.prod(read) * np.dtype(self.array.dtype).itemsize) * (1 + len(self.others))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame."""
        spatial = self.array.shape[:-1] if self.is_rgb else self.array.shape
        return int(spatial[-2]), int(spatial[-1])

    @property
    def description(self) -> str:
        """The name of the planes, kept with the frame; as on the command line if the axes are known."""
        if (planes := self.file_planes) is not None:
            return describe(planes)
        if not self.steps:
            return "all"
        if (planes := self._named_planes()) is not None:
            return describe(planes)
        return "slice " + " ".join(map(str, self.steps)) if self.planes == SLICE_SHOWN else self.planes

    def _named_planes(self) -> Planes | None:
        """Return the name of the planes by their axes; None if the layer names no axes or planes."""
        if len(self.axes) != len(self.steps):
            return None
        at = {axis: step for axis, step, size in zip(self.axes, self.steps, self.array.shape, strict=False) if size > 1}
        if self.planes == SLICE_SHOWN:
            return Planes((at["C"],) if "C" in at else None, at.get("Z"), at.get("T"))
        if self.planes == PROJECTION and "C" not in at:
            return Planes(None, "max" if "Z" in at else None, "max" if "T" in at else None)
        return Planes(None, None, None) if self.planes == ALL_AS_CHANNELS and set(at) <= {"C"} else None


def view_of(layers: Image | Sequence[Image], dims: Dims, planes: PlaneChoice) -> LayerView:
    """Return the part of the layers of one frame that is labelled, at the current places of the viewer's sliders.

    Raises
    ------
    FrameError
        If the viewer does not show the last two axes of the layer as a flat image.
    """
    layer, *others = [layers] if isinstance(layers, Image) else layers
    array = array_of(layer)
    leading = array.ndim - 2 - int(layer.rgb)
    if leading < 0:
        raise FrameError(f"Layer '{layer.name}' has no image plane: its shape is {array.shape}. Choose another layer.")
    if tuple(dims.displayed) != (dims.ndim - 2, dims.ndim - 1):
        raise FrameError(
            "Crops are cut from the last two axes. Show the image in 2D, with its axes in their original order."
        )
    # Sliders are in world coordinates; only the layer can convert them to its slices.
    shown = np.round(layer.world_to_data(dims.point)[:leading]).astype(int)
    steps = tuple(int(np.clip(step, 0, size - 1)) for step, size in zip(shown, array.shape, strict=False))
    letters = [str(label).upper() for label in layer.axis_labels[:leading]]
    axes = "".join(letters) if set(letters) <= set("TZC") else ""
    view = LayerView(array, source_of(layer), planes, steps, bool(layer.rgb), pixel_um_of(layer), axes)
    if layer.rgb:
        return replace(view, channels=RGB, channel_count=len(RGB))
    view = replace(view, others=tuple(map(array_of, others)))
    parts = [part for each in (layer, *others) if (part := part_of(each)) is not None]
    if len(parts) != 1 + len(others) or len({part.image for part in parts}) != 1:
        return view
    channels = tuple(part.channel for part in parts)
    return replace(view, channels=channels, channel_count=parts[0].count, taken=parts[0].planes)


def show_slice(dims: Dims, layer: Image, steps: Sequence[int]) -> None:
    """Move the viewer's sliders to the slice of a layer at these steps along its leading axes."""
    world = layer.data_to_world((*steps, 0, 0))
    first = dims.ndim - layer.ndim
    dims.set_point(range(first, first + len(steps)), world[: len(steps)])


def source_of(layer: Image) -> str:
    """Return the file or URL that a layer's pixels are from, else ``layer:`` and its name."""
    return str(layer.metadata.get(SOURCE) or layer.source.path or f"{LAYER}{layer.name}")


def array_of(layer: Image) -> Any:
    """Return the pixels of a layer in full, which may be lazy."""
    return layer.data[0] if layer.multiscale else layer.data


def pixel_um_of(layer: Image) -> float | None:
    """Return the side of a pixel in micrometres, None if the layer's units do not give it; a flip does not matter."""
    per, side = micrometres_per(str(layer.units[-1])), length(abs(layer.scale[-1]))
    return None if per is None or side is None else side * per


def frame_of(view: LayerView) -> tuple[Frame, NDArray[np.generic]]:
    """Return the frame of a view and its plane (C, Y, X). Reads and hashes pixels: not for the GUI thread.

    Raises
    ------
    FrameError
        If the pixels cannot be a frame (complex, empty), or would give too many channels.
    """
    pixels = pixels_of(view)
    # A copy: an acquisition may go on writing into the layer's own array.
    frame = frame_from_array(pixels.copy(), "CYX", view.pixel_um, view.source)
    return frame, frame.pixels


def pixels_of(view: LayerView, rows: slice = slice(None), columns: slice = slice(None)) -> NDArray[np.generic]:
    """Return the pixels (C, Y, X) of a view, or of a window of it.

    Raises
    ------
    FrameError
        See `frame_of`.
    """
    if view.crop_channels > MOST_CHANNELS:
        raise FrameError(
            f"{view.source} has {view.crop_channels} channels with these settings; at most {MOST_CHANNELS} are "
            "possible. Choose 'the slice shown' or 'maximum projection' under Advanced, or choose fewer layers."
        )
    return np.concatenate([_channels_of(view, array, rows, columns) for array in (view.array, *view.others)])


def _channels_of(view: LayerView, array: Any, rows: slice, columns: slice) -> NDArray[np.generic]:
    """Return the channels (C, Y, X) of one array of a view."""
    leading = tuple(range(len(view.steps)))
    samples = (slice(None),) if view.is_rgb else ()
    array = array[
        (*(view.steps if view.planes == SLICE_SHOWN else (slice(None),) * len(leading)), rows, columns, *samples)
    ]
    if view.planes == PROJECTION and leading:
        array = array.max(axis=leading)
    pixels = np.asarray(array)
    if pixels.dtype.kind == "c":
        raise FrameError(f"{view.source} has complex pixels. Convert them to real numbers, such as magnitudes.")
    if view.is_rgb:
        pixels = np.moveaxis(pixels, -1, -3)[..., :3, :, :]
    return pixels.reshape(-1, *pixels.shape[-2:])


def name_of(source: str, planes: str) -> str:
    """Return a frame's name for a table: its file, and its planes if the file has others."""
    name = PurePath(source).name
    return name if planes == ALL else f"{name}  {planes}"
