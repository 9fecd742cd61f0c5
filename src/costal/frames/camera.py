"""Frames from a running pymmcore-plus core: snapped images, and those of acquisitions."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError, ProjectError
from costal.files import new_file
from costal.frames.read import frame_from_array
from costal.types import Frame

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus
    from useq import MDAEvent


def running_core() -> "CMMCorePlus":
    """Return the core that this process shares, a new one where none is running.

    Raises
    ------
    FrameError
        If pymmcore-plus is not installed.
    """
    try:
        from pymmcore_plus import CMMCorePlus
    except ImportError as error:
        raise FrameError(
            f'Frames from a camera need pymmcore-plus ({error}). Install it: pip install "napari-costal[camera]"'
        ) from error
    return CMMCorePlus.instance()


def on_frames(core: "CMMCorePlus", take: Callable[[Frame], None]) -> Callable[[], None]:
    """Take every image that the core snaps or acquires as a frame, and return the function that ends this.

    A frame has axes YX, or YXC in colour, and the core's pixel size. Its source names the camera and, of an image of
    an acquisition (MDA), its index, such as ``camera:Cam t 0 z 2``. `take` is called on the thread on which the core
    sends its events; the pixels are a copy.
    """

    def acquired(image: NDArray[np.generic], event: "MDAEvent", *_: object) -> None:
        take(_frame(core, image, event.index))

    def snapped(*_: object) -> None:
        if not core.mda.is_running():  # an acquisition snaps too, and sends its images itself
            take(_frame(core, core.getImage(), {}))

    core.mda.events.frameReady.connect(acquired)
    core.events.imageSnapped.connect(snapped)

    def end() -> None:
        core.mda.events.frameReady.disconnect(acquired)
        core.events.imageSnapped.disconnect(snapped)

    return end


def save(folder: Path, frame: Frame, utc_ns: int) -> Path:
    """Return the OME-TIFF that a frame was written to, named after the time: complete as soon as it has its name.

    Raises
    ------
    FrameError
        If the folder cannot be written to.
    """
    import tifffile

    path = folder / f"camera-{utc_ns}-{frame.content_hash[:8]}.ome.tif"
    metadata: dict[str, Any] = {"axes": frame.axes.replace("YXC", "YXS"), "Name": frame.source}
    if frame.pixel_um is not None:
        metadata |= {f"PhysicalSize{axis}": frame.pixel_um for axis in "XY"}
        metadata |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with new_file(path) as file:
            tifffile.imwrite(file, frame.pixels, ome=True, metadata=metadata)
    except (OSError, ProjectError) as error:
        reason = getattr(error.__cause__ or error, "strerror", error)
        raise FrameError(
            f"{path} cannot be written ({reason}): the frame is lost. Free some space, or watch another folder."
        ) from error
    return path


def _frame(core: "CMMCorePlus", image: NDArray[np.generic], index: Mapping[str, Any]) -> Frame:
    source = " ".join((f"camera:{core.getCameraDevice()}", *(f"{axis} {at}" for axis, at in index.items())))
    return frame_from_array(np.array(image), "YXC"[: image.ndim], core.getPixelSizeUm() or None, source)
