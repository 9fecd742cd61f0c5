"""Frames from files and arrays: axes named, bit depth kept, completeness checked; and planes chosen from them."""

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.axes import Axes, axes_of
from costal.frames.axes import named as named
from costal.frames.channels import RGB, named_channels
from costal.frames.palette import RAMP, is_ramp
from costal.frames.tiff import TIFFS, WAIT, FilePixels, Pixels, read_tiff
from costal.types import Frame

Projection = Literal["max", "mean"]

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class Planes:
    """Which 2D planes of a frame are tiled: `channels` in this order (None: all), a slice or projection of Z and of T.

    T is chosen or projected before Z. On a frame without T or Z, 0, the projections and None all mean its only plane.
    """

    channels: tuple[int, ...] | None = None
    z: int | Projection | None = "max"
    t: int | Projection | None = 0


def read(path: str | Path, axes: Axes = None) -> Frame:
    """Return the frame in a TIFF, OME-TIFF, ImageJ TIFF, PNG or JPEG file, with its dtype and axis order.

    Samples become the axis ``C``; an axis that the file leaves unnamed is guessed, and `Frame.notes` says so;
    `axes` (letters of ``TZCYX``, one per dimension, or such letters for kinds of files: see `axes.kind_of`) overrule
    what the file says. Only the first series is read. An image that is split over several files is read whole,
    whichever of them is named.

    Raises
    ------
    FrameError
        If the file is missing, not an image, cut short, still being written, or holds complex or palette pixels.
    """
    path = Path(path)
    if (text := str(path).encode("utf-8", "backslashreplace").decode()) != str(path):
        raise FrameError(f"The name of {text} is not valid text. Rename the file.")
    opening = _opening(path)
    if opening.startswith(TIFFS):
        file = read_tiff(path)
    elif opening.startswith((PNG, JPEG)):
        file = _picture(path, opening)
    else:
        raise FrameError(f"{path} is not a TIFF, PNG or JPEG image. Export the frame as TIFF and open that.")
    letters, guesses = axes_of(file.axes, file.pixels.shape, path, axes)
    frame = frame_from_array(file.pixels, letters, file.pixel_um, str(path), file.notes + guesses)
    channels, is_rgb = named_channels(file, letters, file.pixels.shape)
    frame = replace(frame, channels=channels, is_rgb=is_rgb)
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
        require_choice(frame.source, letter, choice, pixels.shape[at] if at >= 0 else 1)
        if at >= 0:
            pixels, axes = _reduced(pixels, at, choice or 0), axes.replace(letter, "")
    if "C" not in axes:
        pixels, axes = pixels[np.newaxis], "C" + axes
    pixels = pixels.transpose([axes.index(letter) for letter in "CYX"])
    if planes.channels is not None:
        for channel in planes.channels or (None,):
            require_choice(frame.source, "C", channel, len(pixels))
        pixels = pixels[list(planes.channels)]
    return np.ascontiguousarray(pixels, dtype=np.float32 if "mean" in (planes.t, planes.z) else None)


def plane_frame(frame: Frame, planes: Planes) -> Frame:
    """Return the chosen planes (see `plane`) as a frame with axes CYX, with the channel names and colours of the frame.

    Raises
    ------
    FrameError
        See `plane`.
    """
    pixels = plane(frame, planes)
    channels = frame.channels if planes.channels is None else tuple(frame.channels[at] for at in planes.channels)
    part = frame_from_array(pixels, "CYX", frame.pixel_um, frame.source, frame.notes)
    return replace(part, channels=channels, is_rgb=frame.is_rgb)


def _reduced(pixels: NDArray[Any], axis: int, choice: int | Projection) -> Pixels:
    if choice == "mean":
        return np.asarray(pixels.mean(axis, dtype=np.float64))  # float32 would round a mean of large counts
    return np.asarray(pixels.max(axis) if choice == "max" else pixels.take(choice, axis))


def require_choice(source: str, letter: str, choice: int | str | None, length: int) -> None:
    """Raise FrameError when a frame with so many channels, times or Z planes has no such choice of them."""
    projected = letter != "C" and (choice in ("max", "mean") or (choice is None and length == 1))
    if not projected and not (isinstance(choice, int) and 0 <= choice < length):
        raise FrameError(f"{source} has no {letter} {choice!r}. Choose {letter} from 0 to {length - 1}.")


def _opening(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise FrameError(f"{path} is a folder. Choose an image file in it.")
        if path.exists() and not path.is_file():
            raise FrameError(f"{path} is not a file but a device or a pipe. Choose an image file.")
        with path.open("rb") as file:
            opening = file.read(32)
    except OSError as error:
        raise FrameError(f"{path} cannot be opened ({error.strerror}). Check the path and its permissions.") from error
    if not opening:
        raise FrameError(f"{path} is empty. {WAIT}")
    return opening


def _picture(path: Path, opening: bytes) -> FilePixels:
    from PIL import Image

    if opening.startswith(PNG) and opening[24:25] == b"\x10" and opening[25:26] != b"\0":
        # Pillow reads these as 8 bits without a warning
        raise FrameError(f"{path} is a 16-bit colour PNG, of which only 8 bits can be read. Save it as TIFF.")
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            image.load()
            mode, pixels, count = image.mode, np.asarray(image), getattr(image, "n_frames", 1)
            palette = image.getpalette() if mode == "P" else None
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error and others
        raise FrameError(f"{path} cannot be read ({error}). It is cut short or damaged: {WAIT}") from error
    notes = (f"Only the first of {count} images was read.",) if count > 1 else ()
    if palette and is_ramp(np.reshape(palette, (-1, 3)).T):
        mode, notes = "L", (*notes, RAMP)
    if mode not in ("1", "L", "LA", "I", "I;16", "RGB", "RGBA"):
        mode = "palette" if mode.startswith("P") else mode
        raise FrameError(f"{path} has {mode} pixels, which are not intensities. Save it as greyscale or RGB.")
    if mode == "I":
        pixels = pixels.astype(np.uint16)  # how older Pillows open a 16-bit PNG
    if mode in ("LA", "RGBA"):
        pixels, notes = pixels[..., :-1], (*notes, "The alpha channel was left out.")
    is_rgb = mode.startswith("RGB")
    return FilePixels(pixels, "YXS"[: pixels.ndim], None, notes, RGB if is_rgb else (), is_rgb)
