"""A frame from an image layer: the plane on the screen, a projection, or all channels, whichever plugin read it."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from napari.components import Dims
from napari.layers import Image
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.planes import describe
from costal.frames.read import Planes, frame_from_array
from costal.types import Frame

MICROMETRES_PER = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6}
MOST_CHANNELS = 8

SOURCE = "source"
"""Where a layer's metadata names the file that its pixels are from."""

PlaneChoice = Literal["the slice shown", "maximum projection", "all as channels"]
SLICE_SHOWN: PlaneChoice = "the slice shown"
PROJECTION: PlaneChoice = "maximum projection"
ALL_AS_CHANNELS: PlaneChoice = "all as channels"
PLANE_CHOICES = (SLICE_SHOWN, PROJECTION, ALL_AS_CHANNELS)


@dataclass(frozen=True, slots=True, eq=False)
class LayerView:
    """What of a layer is labelled, gathered on the GUI thread so that another thread can read the pixels.

    `array` may be lazy; `steps` holds the slice shown for each leading axis. `axes` are letters of TZC for these, where
    the layer names them.
    """

    array: Any
    source: str
    planes: PlaneChoice
    steps: tuple[int, ...]
    is_rgb: bool
    pixel_um: float | None
    axes: str = ""

    @property
    def plane_bytes(self) -> int:
        """How much is to be read for the plane."""
        read = self.array.shape[len(self.steps) :] if self.planes == SLICE_SHOWN else self.array.shape
        return int(math.prod(read) * np.dtype(self.array.dtype).itemsize)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame."""
        spatial = self.array.shape[:-1] if self.is_rgb else self.array.shape
        return int(spatial[-2]), int(spatial[-1])

    @property
    def description(self) -> str:
        """Which planes these are, kept with the frame: as the command line calls them, where the axes are known."""
        if not self.steps:
            return "all"
        named = self._named_planes()
        if named is not None:
            return describe(named)
        return "slice " + " ".join(map(str, self.steps)) if self.planes == SLICE_SHOWN else self.planes

    def _named_planes(self) -> Planes | None:
        """Return the planes by their axes; None where the layer does not name these, or there are no words for it."""
        if len(self.axes) != len(self.steps):
            return None
        at = {axis: step for axis, step, size in zip(self.axes, self.steps, self.array.shape, strict=False) if size > 1}
        if self.planes == SLICE_SHOWN:
            return Planes((at["C"],) if "C" in at else None, at.get("Z"), at.get("T"))
        if self.planes == PROJECTION and "C" not in at:
            return Planes(None, "max" if "Z" in at else None, "max" if "T" in at else None)
        return Planes(None, None, None) if self.planes == ALL_AS_CHANNELS and set(at) <= {"C"} else None


def view_of(layer: Image, dims: Dims, planes: PlaneChoice) -> LayerView:
    """Return what of a layer is labelled, with the viewer's sliders as they stand.

    Raises
    ------
    FrameError
        When the viewer does not show the layer's last two axes as a flat image.
    """
    array = layer.data[0] if layer.multiscale else layer.data
    leading = array.ndim - 2 - int(layer.rgb)
    if leading < 0:
        raise FrameError(f"Layer '{layer.name}' has no image plane: its shape is {array.shape}. Choose another layer.")
    if tuple(dims.displayed) != (dims.ndim - 2, dims.ndim - 1):
        raise FrameError(
            "Crops are cut from the last two axes. Show the image in 2D, with its axes in their own order."
        )
    # The sliders stand in world coordinates; only the layer knows which of its slices that is.
    shown = np.round(layer.world_to_data(dims.point)[:leading]).astype(int)
    steps = tuple(int(np.clip(step, 0, size - 1)) for step, size in zip(shown, array.shape, strict=False))
    source = str(layer.metadata.get(SOURCE) or layer.source.path or f"layer:{layer.name}")
    letters = [str(label).upper() for label in layer.axis_labels[:leading]]
    axes = "".join(letters) if set(letters) <= set("TZC") else ""
    return LayerView(array, source, planes, steps, bool(layer.rgb), pixel_um_of(layer), axes)


def pixel_um_of(layer: Image) -> float | None:
    """Return the side of a pixel in micrometres when the layer's units say so, else None."""
    unit = layer.units[-1]
    per = MICROMETRES_PER.get(str(unit))
    return float(layer.scale[-1]) * per if per is not None else None


def frame_of(view: LayerView) -> tuple[Frame, NDArray[np.generic]]:
    """Return the frame that a view names and its plane (C, Y, X). Reads and hashes pixels: not for the GUI thread.

    Raises
    ------
    FrameError
        When the pixels cannot be a frame (complex, empty), or there are too many to be channels.
    """
    pixels = pixels_of(view)
    # A copy: an acquisition may go on writing into the layer's own array.
    frame = frame_from_array(pixels.copy(), "CYX", view.pixel_um, view.source)
    return frame, frame.pixels


def pixels_of(view: LayerView, rows: slice = slice(None), columns: slice = slice(None)) -> NDArray[np.generic]:
    """Return the pixels (C, Y, X) that a view names, or a window of them.

    Raises
    ------
    FrameError
        See `frame_of`.
    """
    leading = tuple(range(len(view.steps)))
    channels = math.prod(view.array.shape[: len(leading)])
    if view.planes == ALL_AS_CHANNELS and channels > MOST_CHANNELS:
        raise FrameError(
            f"{view.source} would give {channels} channels; at most {MOST_CHANNELS} are taken. "
            "Choose 'the slice shown' or 'maximum projection' under Advanced."
        )
    samples = (slice(None),) if view.is_rgb else ()
    array = view.array[
        (*(view.steps if view.planes == SLICE_SHOWN else (slice(None),) * len(leading)), rows, columns, *samples)
    ]
    if view.planes == PROJECTION and leading:
        array = array.max(axis=leading)
    pixels = np.asarray(array)
    if pixels.dtype.kind == "c":
        raise FrameError(f"{view.source} has complex pixels. Convert them to real numbers, for example the magnitude.")
    if view.is_rgb:
        pixels = np.moveaxis(pixels, -1, -3)[..., :3, :, :]
    return pixels.reshape(-1, *pixels.shape[-2:])
