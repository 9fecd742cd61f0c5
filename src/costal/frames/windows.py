"""Windows of lazy frames: their pixels, which chunks they lack, and what a plane is known by."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.axes import Axes
from costal.frames.lazy import LazyFrame, open_lazily
from costal.frames.listing import TIFFS
from costal.frames.ome_zarr import is_url, is_zarr
from costal.frames.read import Planes, Projection, require_choice

Pixels = NDArray[np.generic]
LARGE_BYTES = 256_000_000
"""A plane of more bytes is read piece by piece."""
MOST_COMPRESSED = 100
"""A file that is this much smaller cannot hold a large plane."""
HASHED_BYTES = LARGE_BYTES
"""A plane up to this size is known by its pixels, a larger one by its store's metadata."""
STRIP_BYTES = 16_000_000
Box = tuple[int, int, int, int]
"""Rows from and to, columns from and to."""


@dataclass(frozen=True, slots=True)
class LazyPlane:
    """A chosen plane of a frame that is indexed like an array (C, Y, X) in memory, and read where it is.

    All channels are given, of rows and columns that a slice (of step 1) or an array of positions names. Where chunks
    are missing it refuses, unless these are to be filled.
    """

    frame: LazyFrame
    planes: Planes
    missing: Literal["raise", "fill"] = "raise"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as an address: the plane is opened again there."""
        return PlaneAddress.open, (self.address,)

    @property
    def address(self) -> "PlaneAddress":
        """The address by which another process or machine opens the plane."""
        frame = self.frame
        return PlaneAddress(frame.address, frame.identity, frame.axes, self.planes, self.missing)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels = self.frame.length("C") if self.planes.channels is None else len(self.planes.channels)
        return channels, *self.frame.size_of(0)

    def __getitem__(self, key: tuple[Any, Any, Any]) -> Pixels:
        """Return the pixels.

        Raises
        ------
        FrameError
            When chunks are missing that must not; see `read_window`.
        """
        (y0, y1, rows), (x0, x1, cols) = (_within(*each) for each in zip(key[1:], self.shape[1:], strict=True))
        if self.missing == "raise" and missing_boxes(self.frame, self.planes, (y0, y1, x0, x1)):
            raise FrameError(
                f"{self.frame.source} lacks chunks at rows {y0} to {y1} and columns {x0} to {x1}: nothing was written "
                "there yet. Choose another crop, or wait until it is fully written."
            )
        return read_window(self.frame, self.planes, y0, y1, x0, x1)[:, rows, cols]


@dataclass(frozen=True, slots=True)
class PlaneAddress:
    """The address and identity of a lazy plane, which travel to another process or machine in its place."""

    source: str
    identity: str
    axes: str
    planes: Planes
    missing: Literal["raise", "fill"] = "raise"

    def open(self) -> LazyPlane:
        """Return the plane, opened again.

        Raises
        ------
        FrameError
            When it cannot be opened, or is not the same as before.
        """
        frame = open_lazily(self.source, "fill", self.axes)  # missing chunks are looked up for each window
        if frame.identity != self.identity:
            raise FrameError(
                f"{self.source} is not the image that was opened: it has changed, or this machine has another file "
                "there. Open it again, from a folder that all machines share, then score."
            )
        return LazyPlane(frame, self.planes, self.missing)


def _within(chosen: Any, length: int) -> tuple[int, int, Any]:
    """Return from where to where a side is to be read for a choice of positions, and the same choice in that."""
    if isinstance(chosen, slice):
        first, end, _ = chosen.indices(length)
        return first, end, slice(None)
    return int(chosen.min()), int(chosen.max()) + 1, chosen - chosen.min()


def plane_bytes(frame: LazyFrame, planes: Planes) -> int:
    """Return the bytes of the chosen plane, were it in memory."""
    return math.prod(LazyPlane(frame, planes).shape) * frame.dtype.itemsize


def is_large(source: str, axes: Axes = None) -> bool:
    """Return whether an image is one to be read piece by piece: OME-Zarr, a URL, or a TIFF of large planes."""
    if is_url(source) or is_zarr(source):
        return True
    path = Path(source)
    is_tiff = path.is_file() and path.suffix.lower() in TIFFS
    if not is_tiff or path.stat().st_size <= LARGE_BYTES // MOST_COMPRESSED:
        return False
    return plane_bytes(open_lazily(source, "fill", axes), Planes()) > LARGE_BYTES


def content_hash(frame: LazyFrame, planes: Planes) -> str:
    """Return what the plane is known by: its pixels, as those of a `Frame`, or for a large one the frame's identity."""
    if plane_bytes(frame, planes) > HASHED_BYTES:
        return hashlib.sha256(f"{frame.identity} {planes}".encode()).hexdigest()
    height, width = frame.size_of(0)
    rows = max(1, STRIP_BYTES // (width * frame.dtype.itemsize) // frame.chunk[0]) * frame.chunk[0]
    chosen = range(frame.length("C")) if planes.channels is None else planes.channels
    digest = None
    for channel in chosen:
        one = Planes((channel,), planes.z, planes.t)
        for y in range(0, height, rows):
            window = read_window(frame, one, y, min(height, y + rows), 0, width)
            if digest is None:
                digest = hashlib.sha256(f"{window.dtype.name} {(len(chosen), height, width)}".encode())
            digest.update(np.ascontiguousarray(window, window.dtype.newbyteorder("<")).data)
    if digest is None:
        raise FrameError(f"{frame.source} has no channel chosen. Choose at least one.")
    return digest.hexdigest()


def read_window(frame: LazyFrame, planes: Planes, y0: int, y1: int, x0: int, x1: int, level: int = 0) -> Pixels:
    """Return rows y0 to y1 and columns x0 to x1 of the chosen plane of a level, as `plane` would give them (C, h, w).

    Chunks that are missing read as the array's fill value: see `missing_boxes`.

    Raises
    ------
    FrameError
        When the frame has no such plane, or a chunk is damaged or out of reach.
    """
    try:
        times, box = _chosen(frame, "T", planes.t), (y0, y1, x0, x1)
        slices = (
            _reduced((_slice(frame, planes, t, z, box, level) for t in times), planes.t)
            for z in _chosen(frame, "Z", planes.z)
        )
        window = _reduced(slices, planes.z)
    except FrameError:
        raise
    except Exception as error:  # whatever codecs, stores and networks raise
        raise FrameError(
            f"{frame.source} cannot be read at rows {y0} to {y1} ({type(error).__name__}: {error}). It is damaged or "
            "cannot be reached: copy it again, or try again later."
        ) from error
    return window.astype(np.float32 if "mean" in (planes.t, planes.z) else frame.dtype, copy=False)


def _slice(frame: LazyFrame, planes: Planes, t: int, z: int, box: Box, level: int) -> Pixels:
    """Return a window (C, h, w) of one time and Z."""
    array, y0, y1, x0, x1 = frame.levels[level], *box
    slices = {"T": t, "Z": z, "C": slice(None), "Y": slice(y0, y1), "X": slice(x0, x1)}
    channels = range(frame.length("C")) if planes.channels is None else planes.channels
    for channel in channels or (None,):
        require_choice(frame.source, "C", channel, frame.length("C"))
    order = [axis for axis in frame.axes if axis in "CYX"]
    if "C" not in order:
        window = np.asarray(array[tuple(slices[axis] for axis in frame.axes)])
        return window[np.newaxis] if order == ["Y", "X"] else window.T[np.newaxis]
    at = frame.axes.index("C")
    turned = [order.index(axis) for axis in "CYX"]
    if (getattr(array, "chunks", None) or array.shape)[at] > 1:  # channels that lie together are decoded together
        window = np.asarray(array[tuple(slices[axis] for axis in frame.axes)]).transpose(turned)
        return window[list(channels)]
    each = [{**slices, "C": slice(channel, channel + 1)} for channel in channels]
    windows = [np.asarray(array[tuple(one[axis] for axis in frame.axes)]).transpose(turned) for one in each]
    return np.concatenate(windows)


def _reduced(slices: Iterator[Pixels], choice: int | Projection | None) -> Pixels:
    """Return the projection of slices that come one after another, so that two at most are in memory."""
    result: NDArray[Any] = np.asarray(next(slices))
    count = 1
    if choice == "mean":
        result = result.astype(np.float64)
    for each in slices:
        result = np.maximum(result, each) if choice == "max" else result + each
        count += 1
    return result / count if choice == "mean" else result


def _chosen(frame: LazyFrame, axis: str, choice: int | Projection | None) -> range:
    """Return the places along T or Z that a choice is made of."""
    length = frame.length(axis)
    require_choice(frame.source, axis, choice, length)
    if choice in ("max", "mean"):
        return range(length)
    at = int(choice or 0)
    return range(at, at + 1)


def missing_boxes(frame: LazyFrame, planes: Planes, box: Box, level: int = 0) -> list[Box]:
    """Return where, within a window of the chosen plane, chunks are missing; a shard counts as one chunk.

    Where several channels, Z planes or times make the plane, one of them suffices.

    Raises
    ------
    FrameError
        When the store does not answer.
    """
    array = frame.levels[level]
    if not hasattr(array, "metadata"):
        return []
    pieces = array.shards or array.chunks
    ranges = {"Y": box[:2], "X": box[2:]}
    for axis, choice in (("T", planes.t), ("Z", planes.z)):
        if axis in frame.axes:
            some = _chosen(frame, axis, choice)
            ranges[axis] = (some.start, some.stop)
    spans = []
    for axis, piece, length in zip(frame.axes, pieces, array.shape, strict=True):
        if axis == "C" and planes.channels is not None:
            spans.append(sorted({channel // piece for channel in planes.channels}))
            continue
        first, end = ranges.get(axis, (0, length))
        spans.append(list(range(first // piece, -(-end // piece))))
    places = list(product(*spans))
    at_y, at_x = frame.axes.index("Y"), frame.axes.index("X")
    there = zip(places, _there(frame, array, places), strict=True)
    gone = {(place[at_y], place[at_x]) for place, is_there in there if not is_there}
    high, wide = pieces[at_y], pieces[at_x]
    return [(y * high, (y + 1) * high, x * wide, (x + 1) * wide) for y, x in sorted(gone)]


def _there(frame: LazyFrame, array: Any, places: list[tuple[int, ...]]) -> list[bool]:
    """Return which chunks the store has, in one batch of requests."""
    import asyncio

    from zarr.core.sync import sync

    prefix = f"{array.path}/" if array.path else ""
    keys = [prefix + array.metadata.encode_chunk_key(place) for place in places]

    async def answers() -> list[bool]:
        return list(await asyncio.gather(*(array.store.exists(key) for key in keys)))

    try:
        return [bool(each) for each in sync(answers())]
    except Exception as error:  # whatever stores and networks raise
        raise FrameError(
            f"The chunks of {frame.source} cannot be listed ({type(error).__name__}: {error}). Try again later."
        ) from error
