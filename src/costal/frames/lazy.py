"""Frames larger than memory: opened without their pixels, read window by window. OME-Zarr, TIFF, and what fits."""

import hashlib
import json
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.axes import Axes, axes_of
from costal.frames.channels import channels_of, named_channels
from costal.frames.listing import stamp_of
from costal.frames.ome_zarr import is_url, is_zarr, open_image
from costal.frames.plane_stack import PlaneStack
from costal.frames.read import read
from costal.frames.tiff import Header, header, is_tiff, refused
from costal.types import Channel

if TYPE_CHECKING:
    from costal.frames.ome_set import OmeTiff

Missing = Literal["raise", "fill", "skip"]
"""What to do about chunks that a store does not have: an error, the array's fill value, or crops left out."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LazyFrame:
    """An image whose pixels stay where they are until a window is read.

    `axes` are letters of TZCYX, `shape` is that of the finest level; `levels` are arrays, finest first, whose rows and
    columns alone differ. `identity` changes when the store does: it is a hash of metadata and of the names, sizes and
    times (or etags) of chunks, not of pixels. `notes`, `channels` and `is_rgb` are as in `Frame`.
    """

    source: str
    axes: str
    shape: tuple[int, ...]
    levels: tuple[Any, ...] = field(repr=False)
    pixel_um: float | None
    identity: str
    notes: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = ()
    is_rgb: bool = False

    @property
    def address(self) -> str:
        """The path or URL by which another process or machine opens the image."""
        return self.source if is_url(self.source) else str(Path(self.source).absolute())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the pixels, in this machine's byte order; bool is read as uint8."""
        stored = np.dtype(self.levels[0].dtype)
        return np.dtype(np.uint8) if stored.kind == "b" else stored.newbyteorder("=")

    @property
    def chunk(self) -> tuple[int, int]:
        """Rows and columns that the finest level is stored and decoded by."""
        return self._chunk_of("Y"), self._chunk_of("X")

    def length(self, axis: str) -> int:
        """Return how many there are along an axis, 1 for one that the frame does not have."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    def size_of(self, level: int) -> tuple[int, int]:
        """Return height and width of a level."""
        shape = self.levels[level].shape
        return int(shape[self.axes.index("Y")]), int(shape[self.axes.index("X")])

    def _chunk_of(self, axis: str) -> int:
        at = self.axes.index(axis)
        chunks = getattr(self.levels[0], "chunks", None)
        return int(chunks[at]) if chunks else 1


@dataclass(frozen=True, slots=True)
class _Contiguous:
    """Uncompressed pixels of a file, mapped into memory for each window, so that none stay in memory."""

    path: Path
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]

    def __getitem__(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        return np.array(np.memmap(self.path, self.dtype, "r", self.offset, self.shape)[key])


def open_lazily(source: str | Path, missing: Missing = "raise", axes: Axes = None) -> LazyFrame:
    """Return an OME-Zarr group (a folder or URL) or an image file as a frame that is read window by window.

    `axes` are as in `read`. Other images than OME-Zarr and TIFF are read at once. A TIFF may lack tiles unless
    `missing` is ``raise``.

    Raises
    ------
    FrameError
        When it cannot be opened or is not an image; see `ome_zarr.open_image` and `read`.
    """
    source = str(source)
    if is_zarr(source):
        image = open_image(source)
        levels = _alike(image.levels, image.axes)
        identity = _identity(source, levels, image.axes)
        shape = levels[0].shape
        letters, notes = axes_of(image.axes, shape, source, axes)
        named = image.channels if letters == image.axes else ()
        channels = channels_of(named, shape[letters.index("C")] if "C" in letters else 1)
        return LazyFrame(source, letters, shape, levels, image.pixel_um, identity, image.notes + notes, channels)
    if is_url(source):
        raise FrameError(
            f"{source} is not the address of an OME-Zarr. Give an address that ends in .zarr, or a local file."
        )
    path = Path(source)
    if is_tiff(path):
        return _tiff(path, missing != "raise", axes)
    frame = read(path, axes)
    known = frame.content_hash, frame.notes, frame.channels, frame.is_rgb
    return LazyFrame(source, frame.axes, frame.pixels.shape, (frame.pixels,), frame.pixel_um, *known)


def _alike(levels: tuple[Any, ...], axes: str) -> tuple[Any, ...]:
    """Return the levels that have all channels, Z planes and times of the first."""

    def others(level: Any) -> list[int]:
        return [length for axis, length in zip(axes, level.shape, strict=True) if axis not in "YX"]

    return tuple(level for level in levels if others(level) == others(levels[0]))


def _identity(source: str, levels: tuple[Any, ...], axes: str) -> str:
    """Return the hash of a zarr store's metadata, names and stamps, without its pixels."""
    digest = hashlib.sha256(axes.encode())
    for level in levels:
        digest.update(json.dumps(level.metadata.to_dict(), sort_keys=True, default=str).encode())
    if not is_url(source):
        folder = Path(source)
        files = (each for each in folder.rglob("*") if each.is_file())
        entries = sorted((each.relative_to(folder).as_posix(), str(stamp_of(each))) for each in files)
    else:
        entries = _remote_entries(source)
    for name, stamp in entries:
        digest.update(f"{name} {stamp}\n".encode())
    return digest.hexdigest()


def _remote_entries(source: str) -> list[tuple[str, str]]:
    """Return name and stamp of each file at a URL; nothing where the server lists nothing."""
    import fsspec

    with suppress(OSError, NotImplementedError, ValueError):
        system, path = fsspec.core.url_to_fs(source)
        entries = system.find(path, detail=True)
        kinds = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")
        return sorted((name, " ".join(str(each.get(kind, "")) for kind in kinds)) for name, each in entries.items())
    return []


def _tiff(path: Path, may_be_sparse: bool, axes: Axes) -> LazyFrame:
    from costal.frames.ome_set import open_tiff

    with refused(path):
        tiff = open_tiff(path)
    try:
        with refused(path):
            head = header(path, tiff, may_be_sparse)
            letters, guesses = axes_of(head.axes, head.series.shape, path, axes)
            levels = _levels(path, tiff, head, letters)
    except FrameError:
        tiff.close()
        raise
    series = head.series
    shape = [int(each) for each in series.shape]
    if head.has_alpha:
        shape[head.axes.index("S")] -= 1
    if np.dtype(series.dtype).kind not in "biuf":
        raise FrameError(f"{path} has {series.dtype} pixels. Convert them to real numbers.")
    stamps = [f"{each.name} {stamp_of(each)}" for each in tiff.parts or (path,)]
    identity = hashlib.sha256(f"{letters} {shape} {series.dtype} {' '.join(stamps)}".encode()).hexdigest()
    known = identity, head.notes + guesses, *named_channels(head, letters, shape)
    frame = LazyFrame(str(path), letters, tuple(shape), levels, head.pixel_um, *known)
    weakref.finalize(frame, tiff.close)
    return frame


def _levels(path: Path, tiff: "OmeTiff", head: Header, axes: str) -> tuple[Any, ...]:
    """Return the levels of a TIFF's image as arrays, finest first."""
    import zarr

    series = head.series
    if isinstance(series, PlaneStack):
        return (series,)
    if series.dataoffset is not None and len(series.levels) == 1 and not tiff.parts:
        tiff.close()
        kind = np.dtype(tiff.byteorder + series.dtype.char)
        return (_Contiguous(path, kind, int(series.dataoffset), tuple(series.shape)),)
    levels = (zarr.open(series.aszarr(level=at), mode="r") for at in range(len(series.levels)))
    return _alike(tuple(levels), axes)
