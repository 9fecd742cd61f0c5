"""Frames opened as layers: files that the user chooses, and frames that arrived in the watched folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.lazy import LazyFrame, open_lazily
from costal.frames.normalise import IntensityRange, intensity_range
from costal.frames.ome_zarr import is_zarr
from costal.frames.read import Planes, read
from costal.labels.project import Project
from costal.types import Frame
from costal.workbench.arrivals import FilePlane, frames_of
from costal.workbench.intensities import measured_range
from napari_costal._calls import Thread
from napari_costal._layer_frames import ALL_AS_CHANNELS, SLICE_SHOWN, SOURCE, PlaneChoice

ARRIVED = "arrived frame"


class FrameOpener:
    """Reads files on another thread and shows them; `chosen` takes the layer, its plane choice, and what to say."""

    def __init__(
        self,
        viewer: Viewer,
        pixels: Thread,
        chosen: Callable[[Image, PlaneChoice, str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._viewer, self._pixels, self._chosen, self._complain = viewer, pixels, chosen, complain

    def open_file(self, path: Path) -> None:
        """Open an image file or OME-Zarr as a layer of its own: leading axes as sliders, its pixel size as scale."""
        self._pixels.run(open_image, path, then=lambda found: self.add(*found), failed=self._complain)

    def add(self, frame: Frame | LazyFrame, limits: tuple[float, float]) -> None:
        """Add a frame that was opened as a layer."""
        if isinstance(frame, LazyFrame):
            letters, levels = list(frame.axes), list(frame.levels)
        else:
            letters = [letter for letter in "TZCYX" if letter in frame.axes]
            levels = [frame.pixels.transpose([frame.axes.index(letter) for letter in letters])]
        has_levels = len(levels) > 1
        shown, name = levels if has_levels else levels[0], Path(frame.source).stem
        layer = self._viewer.add_image(shown, name=name, multiscale=has_levels, **_looks(frame, letters, limits))
        planes = ALL_AS_CHANNELS if letters == ["C", "Y", "X"] else SLICE_SHOWN
        self._chosen(layer, planes, " ".join(frame.notes))

    def open_arrived(self, project: Project, path: Path, description: str | None) -> None:
        """Show a frame of an arrived file, the first without a description, in the layer of the one before it.

        One layer for all of them: a day's frames would fill the memory.
        """

        def work() -> tuple[FilePlane, tuple[float, float]]:
            found = frames_of(project, path)
            meant = next((each for each in found if description in (None, each.description)), None)
            if meant is None:
                raise FrameError(f"{path} has no frame '{description}' any more. Choose it again from the table.")
            return meant, contrast_limits(meant.frame)

        self._pixels.run(work, then=lambda found: self._show_arrived(*found), failed=self._complain)

    def _show_arrived(self, found: FilePlane, limits: tuple[float, float]) -> None:
        frame = found.frame
        pixels = frame.pixels[0] if len(frame.pixels) == 1 else frame.pixels
        letters = ["C", "Y", "X"][-pixels.ndim :]
        name = Path(frame.source).name + ("" if found.description == "all" else f"  {found.description}")
        layer = next((each for each in self._viewer.layers if each.metadata.get(ARRIVED)), None)
        if layer is not None and layer.data.ndim != pixels.ndim:
            layer.metadata.pop(ARRIVED)  # it stays, as a layer of its own
            layer = None
        looks = _looks(frame, letters, limits)
        looks["metadata"][ARRIVED] = True
        is_other_size = layer is None or layer.data.shape != pixels.shape
        if layer is None:
            layer = self._viewer.add_image(pixels, name=name, **looks)
        else:
            layer.metadata = looks["metadata"]
            layer.name, layer.scale, layer.units = name, looks["scale"], looks["units"]
            layer.contrast_limits_range = limits
            layer.data, layer.contrast_limits = pixels, limits
        if is_other_size:
            self._viewer.reset_view()
        self._chosen(layer, ALL_AS_CHANNELS if pixels.ndim == 3 else SLICE_SHOWN, " ".join(frame.notes))


def _looks(frame: Frame | LazyFrame, letters: list[str], limits: tuple[float, float]) -> dict[str, Any]:
    """Return how a frame's layer is added: scale and units of its pixels, named axes, contrast that shows it."""
    size, unit = (frame.pixel_um, "micrometer") if frame.pixel_um else (1.0, "pixel")
    leading = len(letters) - 2
    return {
        "scale": [1.0] * leading + [size, size],
        "units": ["pixel"] * leading + [unit, unit],
        "axis_labels": letters,
        "contrast_limits": limits,
        "metadata": {SOURCE: frame.source},
    }


def open_image(path: Path) -> tuple[Frame | LazyFrame, tuple[float, float]]:
    """Return the frame in a file or group and contrast limits that show it; OME-Zarr is not read, only looked at.

    Raises
    ------
    FrameError
        When it is no image, or is damaged.
    """
    if not is_zarr(str(path)):
        frame = read(path)
        return frame, contrast_limits(frame)
    lazy = open_lazily(path, "skip")
    return lazy, _limits(measured_range(lazy, Planes(None, 0, 0), "skip")[0])


def contrast_limits(frame: Frame) -> tuple[float, float]:
    """Return contrast limits by percentiles over all planes of a frame."""
    flat: NDArray[np.generic] = frame.pixels.reshape(1, -1, frame.pixels.shape[-1])
    return _limits(intensity_range(flat))


def _limits(found: IntensityRange) -> tuple[float, float]:
    low, high = min(found.low_C), max(found.high_C)
    return low, high if high > low else low + 1.0
