"""A simulated microscope: OME-TIFF frames written slowly, plane by plane, with known truth."""

import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from costal.errors import FrameError
from costal.frames.simulate import SimulatedField, simulate_field
from costal.seeds import rng_for, seed_for
from costal.types import Job, Progress

Stack = NDArray[np.uint16]

NAME = re.compile(r"frame_(\d+)\.ome\.tif")
DIM_PER_PLANE = 0.25


def acquire(
    folder: Path,
    count: int,
    shape: tuple[int, int] = (512, 512),
    crop: int = 64,
    *,
    planes: int = 1,
    axis: Literal["Z", "T"] = "Z",
    seed: int = 0,
    first: int = 0,
    preallocate: bool = False,
    pause_s: float = 0.0,
    plane_pause_s: float = 0.0,
    sleep: Callable[[float], object] = time.sleep,
) -> Job[tuple[Path, ...]]:
    """Return the files of `count` frames, numbered from `first`, once they are written.

    Plane 0 of a frame is the field of `truth_of`; along Z the others are dimmer and more blurred, along T dimmer.
    A frame being written declares all its planes and lacks some; with `preallocate` it has its full size, and zeros
    for planes to come. `sleep` is called between planes and between frames. A frame that is not finished, since the
    job was closed or failed, is removed.

    Raises
    ------
    FrameError
        If a frame is there already or cannot be written, or `simulate_field` refuses `shape` or `crop`.
    """
    written: list[Path] = []
    for number in range(first, first + count):
        path = folder / f"frame_{number:05}.ome.tif"
        if written:
            sleep(pause_s)
        field = truth_of(seed, number, shape, crop)
        write = _filled if preallocate else _appended
        steps = write(path, _stack(field, planes, axis, seed_for(seed, "stack", number)), axis, field.pixel_um)
        with _removed_unless_finished(path), closing(steps):
            for plane, _ in enumerate(steps):
                yield Progress(len(written) * planes + plane + 1, count * planes, f"{path.name}, plane {plane + 1}")
                if plane + 1 < planes:
                    sleep(plane_pause_s)
        written.append(path)
    return tuple(written)


def truth_of(seed: int, number: int, shape: tuple[int, int] = (512, 512), crop: int = 64) -> SimulatedField:
    """Return the field that frame `number` shows, with the class of every crop.

    Raises
    ------
    FrameError
        If `simulate_field` refuses `shape` or `crop`.
    """
    return simulate_field(shape, crop, seed_for(seed, "microscope", number))


def number_of(path: Path | str) -> int:
    """Return the number of a frame by the name that `acquire` gave its file.

    Raises
    ------
    FrameError
        If it is not such a name.
    """
    match = NAME.fullmatch(Path(path).name)
    if match is None:
        raise FrameError(
            f"{path} is not a frame of the simulated microscope: those are named like frame_00000.ome.tif."
        )
    return int(match[1])


def next_number(folder: Path) -> int:
    """Return the number after the last frame in a folder, 0 where there is none."""
    names = [path.name for path in folder.glob("frame_*.ome.tif")]
    return max((number_of(name) for name in names if NAME.fullmatch(name)), default=-1) + 1


def _stack(field: SimulatedField, planes: int, axis: Literal["Z", "T"], seed: int) -> Stack:
    """Return the field and its dimmer copies as (planes, Y, X)."""
    stack = np.empty((planes, *field.pixels_Y_X.shape), np.uint16)
    stack[0] = field.pixels_Y_X
    for plane in range(1, planes):
        rate = ndimage.gaussian_filter(field.pixels_Y_X.astype(np.float64), plane if axis == "Z" else 0)
        counts = rng_for(seed, "plane", plane).poisson(rate / (1 + DIM_PER_PLANE * plane))
        stack[plane] = np.minimum(counts, np.iinfo(np.uint16).max)
    return stack


def _appended(path: Path, stack: Stack, axis: str, pixel_um: float) -> Generator[None]:
    """Write a plane with every step to the end of a file whose OME-XML declares all of them from the beginning."""
    import tifffile

    ome = tifffile.OmeXml()
    ome.addimage(stack.dtype, stack.shape, (len(stack), 1, 1, *stack.shape[1:], 1), **_metadata(axis, pixel_um))
    description: bytes | None = ome.tostring(declaration=True).encode()
    with path.open("xb") as file, tifffile.TiffWriter(file) as writer:
        for plane in stack:
            writer.write(plane, description=description, contiguous=False, metadata=None)
            file.flush()
            description = None
            yield


def _filled(path: Path, stack: Stack, axis: str, pixel_um: float) -> Generator[None]:
    """Write a plane with every step over the zeros of a file that has its full size from the beginning."""
    import tifffile

    path.open("xb").close()
    metadata = _metadata(axis, pixel_um)
    pixels = tifffile.memmap(path, shape=stack.shape, dtype=stack.dtype, ome=True, metadata=metadata)
    for plane, light in enumerate(stack):
        pixels[plane] = light
        pixels.flush()
        yield


def _metadata(axis: str, pixel_um: float) -> dict[str, Any]:
    sides = {f"PhysicalSize{letter}": pixel_um for letter in "XY"}
    return {"axes": f"{axis}YX", **sides, **{f"{side}Unit": "µm" for side in sides}}


@contextmanager
def _removed_unless_finished(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise FrameError(f"{path} exists already. Choose another folder, or a higher first number.") from error
    except OSError as error:
        path.unlink(missing_ok=True)
        raise FrameError(
            f"{path} cannot be written ({error.strerror}). Choose a folder that exists, has room and can be written to."
        ) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
