"""Small pictures of planes, made without reading a large one whole: from its pyramid, or from few of its chunks."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from costal.frames.lazy import LazyFrame
from costal.frames.normalise import intensity_range
from costal.frames.read import Planes
from costal.frames.resample import resampled
from costal.frames.windows import Pixels, read_window
from costal.settings import rgb_of
from costal.types import Channel

SIDE = 96
MOST_BYTES = 32_000_000
"""How much of a plane is decoded for a picture, with all times and Z planes of a projection."""
FEWEST = 8
"""Fewer pixels a side than that show nothing."""
MAGENTA_GREEN = ("#ff00ff", "#00ff00")
CYMRGB = ("#00ffff", "#ffff00", "#ff00ff", "#ff0000", "#00ff00", "#0000ff")
"""The colours of channels that have none of their own, two or more, as napari gives them."""
RGBPicture = NDArray[np.uint8]


def thumbnail(frame: LazyFrame, planes: Planes, side: int = SIDE) -> RGBPicture | None:
    """Return a picture (h, w, 3) of a plane whose longer side is at most `side`; None where that would read too much.

    Channels are added up in their colours, each from its own percentiles; colour images are as they are.

    Raises
    ------
    FrameError
        When the frame has no such plane, or cannot be read.
    """
    level = _level(frame, side)
    height, width = frame.size_of(level)
    if _bytes_of(frame, planes, height * width) <= MOST_BYTES:
        whole = read_window(frame, planes, 0, height, 0, width, level)
        small: Pixels | None = resampled(whole, min(1.0, side / max(height, width)))
    else:
        small = _sampled(frame, planes, level, side)
    if small is None:
        return None
    channels = frame.channels if planes.channels is None else [frame.channels[at] for at in planes.channels]
    return coloured(small, channels, frame.is_rgb)


def thumbnail_in_memory(plane_C_Y_X: Pixels, channels: Sequence[Channel], is_rgb: bool, side: int = SIDE) -> RGBPicture:
    """Return a picture (h, w, 3) of pixels that are in memory, as `thumbnail` makes it of a file's.

    Raises
    ------
    FrameError
        When a channel has no finite pixel.
    """
    zoom = min(1.0, side / max(plane_C_Y_X.shape[1:]))
    return coloured(resampled(plane_C_Y_X, zoom), channels, is_rgb)


def _level(frame: LazyFrame, side: int) -> int:
    """Return the coarsest level that still has a pixel for each of the picture."""
    fine = [at for at in range(len(frame.levels)) if max(frame.size_of(at)) >= side]
    return max(fine, default=0)


def _bytes_of(frame: LazyFrame, planes: Planes, pixels: int) -> int:
    slices = math.prod(
        frame.length(axis) for axis, choice in (("Z", planes.z), ("T", planes.t)) if choice in ("max", "mean")
    )
    channels = frame.length("C") if planes.channels is None else len(planes.channels)
    return pixels * slices * channels * frame.dtype.itemsize


def _sampled(frame: LazyFrame, planes: Planes, level: int, side: int) -> Pixels | None:
    """Return single pixels of a plane on a regular grid, as fine as few chunks allow; None where one is too large."""
    height, width = frame.size_of(level)
    chunks = getattr(frame.levels[level], "chunks", None) or (1,) * len(frame.axes)
    high, wide = (int(chunks[frame.axes.index(axis)]) for axis in "YX")
    count = side
    while count >= FEWEST:
        scale = count / max(height, width)
        ys, xs = (_places(length, max(1, round(length * scale))) for length in (height, width))
        rows, columns = np.unique(ys // high), np.unique(xs // wide)
        if _bytes_of(frame, planes, len(rows) * high * min(len(columns) * wide, width)) <= MOST_BYTES:
            picked = _picked(frame, planes, level, ys, xs, (high, wide))
            across = (_places(len(at), max(1, round(len(at) * side / count))) for at in (ys, xs))
            return picked[np.ix_(np.arange(len(picked)), *across)]
        count = count * 3 // 4
    return None


def _picked(
    frame: LazyFrame,
    planes: Planes,
    level: int,
    ys: NDArray[np.intp],
    xs: NDArray[np.intp],
    chunk: tuple[int, int],
) -> Pixels:
    """Return the pixels at these rows and columns; each chunk is decoded once."""
    rows = []
    for high in np.unique(ys // chunk[0]):
        own = ys[ys // chunk[0] == high]
        parts = []
        for wide in _runs(xs // chunk[1]):
            some = xs[wide]
            window = read_window(frame, planes, own[0], own[-1] + 1, some[0], some[-1] + 1, level)
            parts.append(window[:, own - own[0]][:, :, some - some[0]])
        rows.append(np.concatenate(parts, axis=2))
    return np.concatenate(rows, axis=1)


def _runs(chunks: NDArray[np.intp]) -> list[slice]:
    """Return the ranges of columns with adjacent chunks: one window each."""
    ends = np.flatnonzero(np.diff(chunks) > 1) + 1
    edges = [0, *ends.tolist(), len(chunks)]
    return [slice(first, end) for first, end in pairwise(edges)]


def _places(length: int, count: int) -> NDArray[np.intp]:
    return ((np.arange(count) + 0.5) * length / count).astype(np.intp)


def _stretched(pixels_C_Y_X: Pixels, is_shared: bool) -> RGBPicture:
    """Return channels as bytes (Y, X, C), each from its own darkest to its brightest, or from those of all."""
    limits = intensity_range(pixels_C_Y_X)
    low, high = np.array(limits.low_C), np.array(limits.high_C)
    if is_shared:
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    span = np.where(high > low, high - low, 1.0)
    units = (np.nan_to_num(pixels_C_Y_X.astype(np.float64)) - low[:, None, None]) / span[:, None, None]
    picture: RGBPicture = (255 * np.clip(units, 0, 1)).round().astype(np.uint8).transpose(1, 2, 0)
    return picture


def coloured(pixels_C_Y_X: Pixels, channels: Sequence[Channel], is_rgb: bool) -> RGBPicture:
    """Return pixels (C, Y, X) as a picture (Y, X, 3): the channels added up in their colours, or as colours."""
    if is_rgb and len(pixels_C_Y_X) == 3:
        return _stretched(pixels_C_Y_X, is_shared=True)
    grey = _stretched(pixels_C_Y_X, is_shared=False)
    if grey.shape[2] == 1:
        return np.repeat(grey, 3, axis=2)
    own = [each.colour for each in channels] if len(channels) == grey.shape[2] else [""] * grey.shape[2]
    palette = MAGENTA_GREEN if len(own) == len(MAGENTA_GREEN) else CYMRGB
    colours = [rgb_of(each or palette[at % len(palette)]) for at, each in enumerate(own)]
    picture: RGBPicture = np.clip(grey.astype(np.float64) @ (np.array(colours) / 255), 0, 255).round().astype(np.uint8)
    return picture
