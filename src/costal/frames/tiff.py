"""TIFF, OME-TIFF and ImageJ TIFF: their tags, checked for completeness, and the first series."""

import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.axes import scifio_axes
from costal.frames.channels import RGB, is_rgb_tiff, of_tiff
from costal.frames.micro_manager import WAIT as WAIT
from costal.frames.palette import RAMP, is_ramp
from costal.frames.pixel_size import pixel_um
from costal.types import Channel

if TYPE_CHECKING:
    from costal.frames.ome_set import OmeTiff

Pixels = NDArray[np.generic]

TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
NO_OME = "Its name says OME-TIFF, but it has no OME-XML; it may not be fully written yet."


class FilePixels(NamedTuple):
    """Pixels as a file gives them, with the axes in the file's own letters."""

    pixels: Pixels
    axes: str
    pixel_um: float | None
    notes: tuple[str, ...]
    channels: tuple[Channel, ...] = ()
    is_rgb: bool = False


class Header(NamedTuple):
    """The first series of a TIFF, as far as it is known before any pixel is read."""

    series: Any
    axes: str
    pixel_um: float | None
    has_alpha: bool
    notes: tuple[str, ...]
    channels: tuple[Channel, ...] = ()
    is_rgb: bool = False


def read_tiff(path: Path) -> FilePixels:
    """Return the first series of a TIFF.

    Raises
    ------
    FrameError
        When the file is cut short, still being written, or holds palette pixels.
    """
    from costal.frames.ome_set import open_tiff

    with refused(path), open_tiff(path) as tiff:
        return _first_series(path, tiff)


def is_tiff(path: Path) -> bool:
    """Return whether a file opens as TIFFs do."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(4) in TIFFS
    return False


def told_axes(path: Path) -> str:
    """Return the axes of the first series of a TIFF in the file's own letters.

    Raises
    ------
    FrameError
        See `read_tiff`.
    """
    from costal.frames.ome_set import open_tiff

    with refused(path), open_tiff(path) as tiff:
        return header(path, tiff, may_be_sparse=True).axes


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Turn whatever tifffile lets through (its codecs, struct, the file system) into a sentence."""
    try:
        yield
    except FrameError:
        raise
    except Exception as error:
        raise FrameError(f"{path} is cut short or damaged, or needs a missing codec ({error}). {WAIT}") from error


def _first_series(path: Path, tiff: "OmeTiff") -> FilePixels:
    head = header(path, tiff)
    pixels = head.series.asarray()
    if head.has_alpha:
        pixels = pixels.take(range(pixels.shape[head.axes.index("S")] - 1), axis=head.axes.index("S"))
    return FilePixels(pixels, head.axes, head.pixel_um, head.notes, head.channels, head.is_rgb)


def header(path: Path, tiff: "OmeTiff", may_be_sparse: bool = False) -> Header:
    """Return the header of a TIFF's first series; missing tiles are refused unless it `may_be_sparse`.

    Raises
    ------
    FrameError
        When the file is cut short, still being written, or holds palette pixels.
    """
    notes: tuple[str, ...] = ()
    page, ome = tiff.pages.first, None
    if tiff.ome_metadata:
        try:
            pixels = ElementTree.fromstring(tiff.ome_metadata).find("{*}Image/{*}Pixels")
            ome = None if pixels is None else pixels.attrib
        except ElementTree.ParseError as error:
            notes += (f"The OME-XML is damaged ({error}): pixel size and completeness are unknown.",)
    elif tiff.position is None and path.name.lower().endswith((".ome.tif", ".ome.tiff")):
        notes += (NO_OME,)  # many writers add it at the end: until then the file reads as its first plane
    _require_complete(path, tiff, ome, may_be_sparse)
    if page.photometric == 3:
        if not tiff.is_imagej and not is_ramp(page.colormap):
            raise FrameError(f"{path} has palette pixels, which are not intensities. Save it as greyscale or RGB.")
        notes += ("ImageJ's colour table was left out; the values are intensities.",) if tiff.is_imagej else (RAMP,)
    series = _series(tiff)
    notes += tiff.notes if tiff.position is None else tiff.position.notes
    if tiff.position is None and len(tiff.series) > 1:
        notes += (f"Only the first of {len(tiff.series)} series was read.",)
    has_alpha = bool(page.extrasamples and page.extrasamples[-1] in (1, 2) and "S" in series.axes)
    notes += ("The alpha channel was left out.",) if has_alpha else ()
    side_um, doubts = pixel_um(tiff, ome)
    is_rgb = is_rgb_tiff(page, series.axes, series.shape, has_alpha)
    channels = RGB if is_rgb else of_tiff(tiff)
    axes = scifio_axes(page.description, series.shape) or series.axes
    return Header(series, axes, side_um, has_alpha, notes + doubts, channels, is_rgb)


def _series(tiff: "OmeTiff") -> Any:
    return tiff.series[0] if tiff.position is None else tiff.position.stack


def _require_complete(path: Path, tiff: "OmeTiff", ome: Mapping[str, str] | None, may_be_sparse: bool) -> None:
    """Refuse a file that promises more than it holds: tifffile only logs it, or fills in zeros."""
    import tifffile

    lacks = _lacks_pieces(path, tiff)
    if tiff.position is not None:
        stack = tiff.position.stack
        for file in stack.files:
            _require_length(file, stack.reach(file), file.stat().st_size if file.is_file() else 0)
        return
    for part in (each for each in tiff.parts if each != path):
        with tifffile.TiffFile(part) as other:
            lacks |= _lacks_pieces(part, other)
    series = tiff.series[0]
    if (lacks and not may_be_sparse) or any(page is None for page in series.pages):
        raise FrameError(f"{path} has planes that are not written yet. {WAIT}")
    declared = series.size
    if ome is not None:
        declared = math.prod(int(ome[f"Size{letter}"]) for letter in "XYZCT")
    elif tiff.is_imagej:
        declared = int(tiff.imagej_metadata.get("images", 1)) * tiff.pages.first.size
    if declared != series.size:
        raise FrameError(f"{path} declares {declared} pixels but has {series.size}. {WAIT}")


def _lacks_pieces(path: Path, tiff: Any) -> bool:
    """Return whether strips or tiles of a file were never written; refuse one that is cut short."""
    reach = _directory_reach(path)  # first: a circle of directories would trap a walk over the pages
    spans: list[tuple[int, int]] = []
    for page in tiff.pages:
        pieces = math.prod(page.chunked)
        if not len(page.dataoffsets) == len(page.databytecounts) == pieces:
            count = min(len(page.dataoffsets), len(page.databytecounts))
            raise FrameError(f"{path} declares {pieces} strips or tiles in a plane but has {count}. {WAIT}")
        spans += zip(page.dataoffsets, page.databytecounts, strict=True)
    _require_length(path, max(reach, *(at + n for at, n in spans)), tiff.filehandle.size)
    return any(at == 0 or n == 0 for at, n in spans)


def _require_length(path: Path, reach: int, size: int) -> None:
    if reach > size:
        raise FrameError(f"{path} is cut short: {reach} bytes are declared, {size} are there. {WAIT}")


def _directory_reach(path: Path) -> int:
    """Return where the last tag value of a TIFF ends; struct.error where a directory itself is cut off."""
    with path.open("rb") as file:
        head = file.read(16)
        order, big = "<" if head[:1] == b"I" else ">", 43 in head[2:4]
        word, width, entry, first = ("Q", 8, "HHQQ", 8) if big else ("I", 4, "HHII", 4)
        tag_count = order + ("Q" if big else "H")
        reach, seen = 0, set[int]()
        (at,) = struct.unpack_from(order + word, head, first)
        while at:
            if at in seen:
                raise FrameError(f"{path} is damaged: its list of planes is circular. Export it again.")
            seen.add(at)
            file.seek(at)
            (tags,) = struct.unpack(tag_count, file.read(struct.calcsize(tag_count)))
            length = tags * struct.calcsize(order + entry)
            body = file.read(length + width)
            for _, kind, count, value in struct.iter_unpack(order + entry, body[:length]):
                size = TYPE_BYTES.get(kind, 0) * count
                reach = max(reach, value + size if size > width else 0)
            (at,) = struct.unpack(order + word, body[length:])
    return reach
