"""Frames from files and arrays: axes named, bit depth kept, completeness checked; and planes chosen from them."""

import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.types import Frame

if TYPE_CHECKING:
    import tifffile

Pixels = NDArray[np.generic]
Projection = Literal["max", "mean"]

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
MICROMETRES = {"m": 1e6, "cm": 1e4, "mm": 1e3, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4, "inch": 25400.0} | dict.fromkeys(
    ("um", "µm", "μm", "\\u00B5m", "micron", "microns", "micrometer"), 1.0
)
PRINT_UM = 20.0  # resolution tags of 72 to 1200 dpi (21 um and more) are a printer's, not a microscope's
FEW = 4  # an unnamed axis this short is taken for channels
WAIT = "Wait until it is fully written, or copy it again from the microscope."
NO_OME = "It is named an OME-TIFF but holds no OME-XML; it may not be fully written yet."


class _Found(NamedTuple):
    pixels: Pixels
    axes: str
    pixel_um: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planes:
    """Which 2D planes of a frame are tiled: `channels` in this order (None: all), a slice or projection of Z and of T.

    T is chosen or projected before Z. On a frame without T or Z, 0, the projections and None all mean its only plane.
    """

    channels: tuple[int, ...] | None = None
    z: int | Projection | None = "max"
    t: int | Projection | None = 0


def read(path: str | Path, axes: str | None = None) -> Frame:
    """Return the frame in a TIFF, OME-TIFF, ImageJ TIFF, PNG or JPEG file, with its dtype and axis order.

    Samples become the axis ``C``; an axis that the file leaves unnamed is guessed, and `Frame.notes` says so;
    `axes` (letters of ``TZCYX``, one per dimension) overrules what the file says. Only the first series is read.

    Raises
    ------
    FrameError
        If the file is missing, not an image, cut short, still being written, or holds complex or palette pixels.
    """
    path = Path(path)
    if (text := str(path).encode("utf-8", "backslashreplace").decode()) != str(path):
        raise FrameError(f"{text} has a name that holds what is no text. Rename it.")
    opening = _opening(path)
    if opening.startswith(TIFFS):
        found = _tiff(path)
    elif opening.startswith((PNG, JPEG)):
        found = _picture(path, opening)
    else:
        raise FrameError(f"{path} is not a TIFF, PNG or JPEG image. Export the frame as TIFF and open that.")
    guesses: tuple[str, ...] = ()
    if axes is None:
        axes, guesses = _named(found.axes, found.pixels.shape, path)
    frame = frame_from_array(found.pixels, axes, found.pixel_um, str(path), found.notes + guesses)
    blank, count = blank_planes(frame)
    note = f"{blank} of {count} planes hold only zeros; they may not have been written yet."
    return replace(frame, notes=(*frame.notes, note)) if blank else frame


def blank_planes(frame: Frame) -> tuple[int, int]:
    """Return how many of the frame's planes hold only zeros, and how many planes there are.

    Samples that stand beside each other in every pixel, as those of a colour image, are one plane.
    """
    letters = enumerate(frame.axes)
    filled = frame.pixels.any(axis=tuple(at for at, one in letters if one == "Y" or at >= frame.axes.index("X")))
    return filled.size - int(np.count_nonzero(filled)), filled.size


def frame_from_array(
    pixels: Pixels, axes: str, pixel_um: float | None, source: str, notes: tuple[str, ...] = ()
) -> Frame:
    """Return the frame of an array whose dimensions `axes` names in letters of ``TZCYX``; bool becomes uint8.

    `pixels` is not copied unless its dtype or byte order has to change. The content hash is the SHA-256 of dtype,
    shape and pixels, whatever the memory layout.

    Raises
    ------
    FrameError
        If the array is empty or not of real numbers, or the axes or the pixel size make no sense.
    """
    if pixels.dtype.kind not in "biuf":
        kind = "complex" if pixels.dtype.kind == "c" else pixels.dtype.name
        raise FrameError(f"{source} has {kind} pixels. Convert them to real numbers (for complex ones: the magnitude).")
    if pixels.size == 0:
        raise FrameError(f"{source} is empty: its shape is {pixels.shape}. Choose a frame that has pixels.")
    if len(axes) != pixels.ndim or len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes) <= set("TZCYX"):
        raise FrameError(
            f"{source} has shape {pixels.shape} but axes {axes!r}. Name each dimension once, in letters of TZCYX, "
            "with Y and X among them."
        )
    if pixel_um is not None and not 0 < pixel_um < math.inf:
        raise FrameError(f"{source} has a pixel size of {pixel_um} um. Give a positive one, or none.")
    native = pixels.dtype.newbyteorder("=") if pixels.dtype.kind != "b" else np.dtype(np.uint8)
    pixels = pixels.astype(native, copy=False)
    digest = hashlib.sha256(f"{native.name} {pixels.shape}".encode())
    digest.update(np.ascontiguousarray(pixels.astype(native.newbyteorder("<"), copy=False)).data)
    return Frame(pixels, axes, pixel_um, source, digest.hexdigest(), notes)


def plane(frame: Frame, planes: Planes = Planes()) -> Pixels:
    """Return the chosen `plane_C_Y_X`: the frame's dtype for slices and "max", float32 when a "mean" is in it.

    The result may share memory with the frame.

    Raises
    ------
    FrameError
        If a channel, Z or T is chosen that the frame does not have; the message says what exists.
    """
    pixels, axes = frame.pixels, frame.axes
    for letter, choice in (("T", planes.t), ("Z", planes.z)):
        at = axes.find(letter)
        _require_choice(frame, letter, choice, pixels.shape[at] if at >= 0 else 1)
        if at >= 0:
            pixels, axes = _reduced(pixels, at, choice or 0), axes.replace(letter, "")
    if "C" not in axes:
        pixels, axes = pixels[np.newaxis], "C" + axes
    pixels = pixels.transpose([axes.index(letter) for letter in "CYX"])
    if planes.channels is not None:
        for channel in planes.channels or (None,):
            _require_choice(frame, "C", channel, len(pixels))
        pixels = pixels[list(planes.channels)]
    return np.ascontiguousarray(pixels, dtype=np.float32 if "mean" in (planes.t, planes.z) else None)


def _reduced(pixels: NDArray[Any], axis: int, choice: int | Projection) -> Pixels:
    if choice == "mean":
        return np.asarray(pixels.mean(axis, dtype=np.float64))  # float32 would round a mean of large counts
    return np.asarray(pixels.max(axis) if choice == "max" else pixels.take(choice, axis))


def _require_choice(frame: Frame, letter: str, choice: int | str | None, length: int) -> None:
    projected = letter != "C" and (choice in ("max", "mean") or (choice is None and length == 1))
    if not projected and not (isinstance(choice, int) and 0 <= choice < length):
        raise FrameError(f"{frame.source} has no {letter} {choice!r}. Choose {letter} from 0 to {length - 1}.")


def _opening(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise FrameError(f"{path} is a folder. Choose an image file in it.")
        if path.exists() and not path.is_file():
            raise FrameError(f"{path} is no file but a device or a pipe. Choose an image file.")
        with path.open("rb") as file:
            opening = file.read(32)
    except OSError as error:
        raise FrameError(f"{path} cannot be opened ({error.strerror}). Check the path and its permissions.") from error
    if not opening:
        raise FrameError(f"{path} is empty. {WAIT}")
    return opening


def _named(axes: str, shape: tuple[int, ...], path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the axes in letters of TZCYX, and a sentence for each one that was guessed."""
    notes: list[str] = []
    axes = axes if "C" in axes else axes.replace("S", "C")
    for at, letter in enumerate(axes):
        if letter in "TZCYX":
            continue
        free = [name for name in ("CTZ" if shape[at] <= FEW else "TZC") if name not in axes]
        if letter == "S" or not free:
            raise FrameError(f"{path} has axes {axes} of shape {shape}. Split it into frames with axes of TZCYX.")
        axes = axes[:at] + free[0] + axes[at + 1 :]
        notes.append(f"Axis {at} (length {shape[at]}) has no name in the file; it was taken for {free[0]}.")
    return axes, tuple(notes)


def _picture(path: Path, opening: bytes) -> _Found:
    from PIL import Image

    if opening.startswith(PNG) and opening[24:25] == b"\x10" and opening[25:26] != b"\0":
        # Pillow reads these as 8 bits without a word
        raise FrameError(f"{path} is a 16-bit colour PNG, whose depth would be lost. Save it as TIFF.")
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            image.load()
            mode, pixels, count = image.mode, np.asarray(image), getattr(image, "n_frames", 1)
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error and others
        raise FrameError(f"{path} cannot be read ({error}). It is cut short or damaged: {WAIT}") from error
    if mode not in ("1", "L", "LA", "I", "I;16", "RGB", "RGBA"):
        mode = "palette" if mode.startswith("P") else mode
        raise FrameError(f"{path} has {mode} pixels, which are no intensities. Save it as greyscale or RGB.")
    if mode == "I":
        pixels = pixels.astype(np.uint16)  # how older Pillows open a 16-bit PNG
    notes = (f"Only the first of {count} images was read.",) if count > 1 else ()
    if mode in ("LA", "RGBA"):
        pixels, notes = pixels[..., :-1], (*notes, "The alpha channel was left out.")
    return _Found(pixels, "YXS"[: pixels.ndim], None, notes)


def _tiff(path: Path) -> _Found:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            return _first_series(path, tiff)
    except FrameError:
        raise
    except Exception as error:  # tifffile lets through whatever its codecs, struct and the file system raise
        raise FrameError(f"{path} is cut short, damaged or in need of a codec ({error}). {WAIT}") from error


def _first_series(path: Path, tiff: "tifffile.TiffFile") -> _Found:
    notes: tuple[str, ...] = ()
    page, ome = tiff.pages.first, None
    if tiff.ome_metadata:
        try:
            found = ElementTree.fromstring(tiff.ome_metadata).find("{*}Image/{*}Pixels")
            ome = None if found is None else found.attrib
        except ElementTree.ParseError as error:
            notes += (f"The OME-XML is damaged ({error}): pixel size and completeness are unknown.",)
    elif path.name.lower().endswith((".ome.tif", ".ome.tiff")):
        notes += (NO_OME,)  # many writers add it at the end: until then the file reads as its first plane
    _require_complete(path, tiff, ome)
    if page.photometric == 3:
        if not tiff.is_imagej:
            raise FrameError(f"{path} has palette pixels, which are no intensities. Save it as greyscale or RGB.")
        notes += ("ImageJ's colour table was left out; the values are intensities.",)
    series = tiff.series[0]
    pixels, axes = series.asarray(), series.axes
    if len(tiff.series) > 1:
        notes += (f"Only the first of {len(tiff.series)} series was read.",)
    if page.extrasamples and page.extrasamples[-1] in (1, 2) and "S" in axes:
        pixels = pixels.take(range(pixels.shape[axes.index("S")] - 1), axis=axes.index("S"))
        notes += ("The alpha channel was left out.",)
    pixel_um, doubts = _pixel_um(tiff, ome)
    return _Found(pixels, axes, pixel_um, notes + doubts)


def _require_complete(path: Path, tiff: "tifffile.TiffFile", ome: Mapping[str, str] | None) -> None:
    """Refuse a file that promises more than it holds: tifffile only logs it, or fills in zeros."""
    size: int = tiff.filehandle.size
    reach = _directory_reach(path)  # first: a circle of directories would hold up whoever walks the pages
    spans: list[tuple[int, int]] = []
    for page in tiff.pages:
        pieces = math.prod(page.chunked)
        if not len(page.dataoffsets) == len(page.databytecounts) == pieces:
            given = min(len(page.dataoffsets), len(page.databytecounts))
            raise FrameError(f"{path} declares {pieces} strips or tiles in a plane but gives {given}. {WAIT}")
        spans += zip(page.dataoffsets, page.databytecounts, strict=True)
    reach = max(reach, *(at + n for at, n in spans))
    if reach > size:
        raise FrameError(f"{path} is cut short: {reach} bytes are declared, {size} are there. {WAIT}")
    series = tiff.series[0]
    if any(at == 0 or n == 0 for at, n in spans) or any(page is None for page in series.pages):
        raise FrameError(f"{path} has planes that are not written. {WAIT}")
    declared = series.size
    if ome is not None:
        declared = math.prod(int(ome[f"Size{letter}"]) for letter in "XYZCT")
    elif tiff.is_imagej:
        declared = int(tiff.imagej_metadata.get("images", 1)) * tiff.pages.first.size
    if declared != series.size:
        raise FrameError(f"{path} declares {declared} pixels but gives {series.size}. {WAIT}")


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
                raise FrameError(f"{path} is damaged: its directories run in a circle. Export it again.")
            seen.add(at)
            file.seek(at)
            (tags,) = struct.unpack(tag_count, file.read(struct.calcsize(tag_count)))
            length = tags * struct.calcsize(order + entry)
            body = file.read(length + width)
            for _, kind, count, value in struct.iter_unpack(order + entry, body[:length]):
                held = TYPE_BYTES.get(kind, 0) * count
                reach = max(reach, value + held if held > width else 0)
            (at,) = struct.unpack(order + word, body[length:])
    return reach


def _pixel_um(tiff: "tifffile.TiffFile", ome: Mapping[str, str] | None) -> tuple[float | None, tuple[str, ...]]:
    page, largest = tiff.pages.first, math.inf
    per_x, per_y = page.resolution if "XResolution" in page.tags else (0.0, 0.0)
    sides = [1 / per if per > 0 else 0.0 for per in (per_x, per_y)]
    if ome is not None:
        x = ome.get("PhysicalSizeX", "0")
        sides, unit = [float(x), float(ome.get("PhysicalSizeY", x))], ome.get("PhysicalSizeXUnit", "µm")
    elif tiff.is_imagej:
        unit = tiff.imagej_metadata.get("unit", "")
    else:
        unit, largest = {2: "inch", 3: "cm"}.get(int(page.resolutionunit), ""), PRINT_UM
    x_um, y_um = (side * MICROMETRES.get(unit, 0.0) for side in sides)
    if not 0 < x_um < largest:
        return None, ()
    square = math.isclose(x_um, y_um, rel_tol=0.01)
    return x_um, () if square else (f"Pixels are {x_um:g} by {y_um:g} um; the width is taken for both sides.",)
