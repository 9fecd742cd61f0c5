"""A layer whose plane is too large to copy: its crops are cut from the file or group that it shows."""

import logging
from dataclasses import replace
from itertools import product

import numpy as np

from costal.errors import FrameError
from costal.frames.lazy import LazyFrame, open_lazily
from costal.frames.listing import TIFFS
from costal.frames.ome_zarr import is_url, is_zarr
from costal.frames.read import Planes
from costal.frames.windows import LARGE_BYTES, LazyPlane
from costal.labels.project import Project
from costal.labels.records import FrameRecord
from costal.scoring.frame_planes import FramePlane
from costal.scoring.frame_planes import frame_of as in_image
from costal.scoring.prepare import MISSING_IN_WINDOW, ScoreRequest, kept_in
from costal.workbench.session import StoredFrame, recorded
from napari_costal.canvas.layer_frames import ALL_AS_CHANNELS, PROJECTION, SLICE_SHOWN, LayerView, frame_of, pixels_of

LOG = logging.getLogger(__name__)
COMPARED, SIDE = 4, 32
"""Layer and file are compared in `COMPARED` windows along each side, each of `SIDE` pixels."""


def lazy_plane_of(view: LayerView) -> LazyPlane | None:
    """Return the plane of a view, to be read from its file; None if it is small or has no file.

    Reads a few windows of the layer and of the file, which must be equal: not for the GUI thread.

    Raises
    ------
    FrameError
        If the file is damaged in one of these windows, or the layer could show any of several equal channels.
    """
    if view.plane_bytes <= LARGE_BYTES or view.source.startswith("layer:"):
        return None
    try:
        frame = open_lazily(view.source, "skip") if _may_be_lazy(view.source) else None
    except FrameError as error:
        LOG.info("The pixels of the layer are used, not those of its file: %s", error)
        return None
    if frame is None or isinstance(frame.levels[0], np.ndarray) or view.shape != frame.size_of(0):
        return None
    alike = [each for each in _choices(view, frame) if _are_same(view, LazyPlane(frame, each, "fill"))]
    if len(alike) > 1:
        raise FrameError(
            f"{view.source} has several equal channels, and the layer does not tell which channel it shows. Open the "
            "file with 'costal open': one layer then has all channels."
        )
    return LazyPlane(frame, alike[0]) if alike else None


def frame_plane_of(view: LayerView) -> FramePlane:
    """Return the frame of a view, with its pixels, or to be read from its file: not for the GUI thread.

    Raises
    ------
    FrameError
        See `lazy_plane_of` and `frame_of`.
    """
    lazy = lazy_plane_of(view)
    if lazy is not None:
        in_file = in_image(lazy.frame, lazy.planes)
        return replace(in_file, pixel_um=view.pixel_um or in_file.pixel_um)
    frame, plane_C_Y_X = frame_of(view)
    known = frame.content_hash, frame.pixel_um, frame.notes
    return FramePlane(plane_C_Y_X, frame.source, view.description, *known)


def read_for_store(view: LayerView) -> tuple[FrameRecord, FramePlane]:
    """Return the record that the store keeps of a view's frame, and the frame: not for the GUI thread.

    Raises
    ------
    FrameError
        See `frame_plane_of`.
    """
    frame = frame_plane_of(view)
    return recorded(frame), frame


def request_for(project: Project, frame: FramePlane, stored: StoredFrame, annotator: str, device: str) -> ScoreRequest:
    """Return the request that scores a frame; scores of a frame that is not in memory are kept in the project."""
    folder = kept_in(project, frame)
    return ScoreRequest(
        project, frame, folder, MISSING_IN_WINDOW, annotator=annotator, device=device, range=stored.range
    )


def _may_be_lazy(source: str) -> bool:
    return is_zarr(source) or (not is_url(source) and source.lower().endswith(TIFFS))


def _choices(view: LayerView, frame: LazyFrame) -> list[Planes]:
    """Return the planes of a frame that a view may show: several if the view does not say which channel it shows."""
    if (known := view.file_planes) is not None:
        return [known] if view.channel_count == frame.length("C") else []
    leading = [axis for axis in frame.axes if axis not in "YX" and not (view.is_rgb and axis == "C")]
    sizes = view.array.shape[: len(view.steps)]
    letters = _letters(view.axes, sizes, leading, frame)
    if letters is None:
        return []
    at = dict(zip(letters, view.steps, strict=True))
    long = {axis for axis, size in zip(letters, sizes, strict=True) if size > 1}
    one = Planes(None, *(at.get(axis, 0) if frame.length(axis) > 1 else None for axis in "ZT"))
    if view.planes == ALL_AS_CHANNELS:
        return [one] if long <= {"C"} and ("C" in letters or frame.length("C") == 1) else []
    if view.planes == PROJECTION:
        if not long <= {"Z", "T"}:
            return []
        one = replace(one, z="max" if "Z" in long else one.z, t="max" if "T" in long else one.t)
    if view.is_rgb or frame.length("C") == 1:
        return [one]
    if view.planes == SLICE_SHOWN and "C" in at:
        return [replace(one, channels=(at["C"],))]
    return [replace(one, channels=(channel,)) for channel in range(frame.length("C"))]


def _letters(axes: str, sizes: tuple[int, ...], leading: list[str], frame: LazyFrame) -> list[str] | None:
    """Return the frame's axes that a layer's leading axes are, None if they cannot be told apart."""

    def fits(letters: list[str]) -> bool:
        return [frame.length(axis) for axis in letters] == list(sizes)

    some = [axis for axis in leading if frame.length(axis) > 1]
    without_channels = [[axis for axis in each if axis != "C"] for each in (leading, some)]
    return next((each for each in (list(axes), leading, some, *without_channels) if fits(each)), None)


def _are_same(view: LayerView, plane: LazyPlane) -> bool:
    """Return whether layer and file have the same pixels in all windows that are compared."""
    sides = ([round((side - SIDE) * at / (COMPARED - 1)) for at in range(COMPARED)] for side in view.shape)
    for y, x in product(*sides):
        box = slice(max(y, 0), y + SIDE), slice(max(x, 0), x + SIDE)
        if not np.array_equal(pixels_of(view, *box), plane[:, *box], equal_nan=plane.frame.dtype.kind == "f"):
            return False
    return True
