"""Frames of a project, whatever they come from: pixels in memory, or a plane that is read where it lies."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from costal.frames.axes import Axes
from costal.frames.grid import Plane
from costal.frames.lazy import LazyFrame, Missing, open_lazily
from costal.frames.planes import describe
from costal.frames.read import Planes, plane_frame, read
from costal.frames.windows import LazyPlane, content_hash, is_large
from costal.labels.project import Project
from costal.scoring.channels import planes_for
from costal.types import Channel, Frame


@dataclass(frozen=True, slots=True)
class FramePlane:
    """One frame: its pixels (C, Y, X), where they came from, which planes of that they are, and what it is known by.

    `description` says in a few words which planes; `planes` are None where a layer does not tell.

    `pixels_C_Y_X` is an array, or a `LazyPlane`; `pixel_um` is None where the pixel size is not known. `channels` are
    those of the image.
    """

    pixels_C_Y_X: Plane
    source: str
    description: str
    content_hash: str
    pixel_um: float | None
    notes: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = ()
    is_rgb: bool = False
    planes: Planes | None = None


def frames_of(
    project: Project, source: str, missing: Missing = "raise", lazily: bool = False
) -> tuple[int, Iterator[FramePlane]]:
    """Return how many frames a project makes of an image (see `PlaneRule`), and these, one after another.

    Raises
    ------
    FrameError
        When the image cannot be read, has not the project's channels, or gives too many frames.
    """
    image = open_image(source, project.axes, missing, lazily)
    choices = planes_for(project, image)
    return len(choices), (frame_of(image, each) for each in choices)


def open_image(source: str, axes: Axes, missing: Missing = "raise", lazily: bool = False) -> Frame | LazyFrame:
    """Return an image with its pixels; what `is_large`, or is to be read `lazily`, is opened and stays where it is.

    Raises
    ------
    FrameError
        When it cannot be read.
    """
    if lazily or is_large(source, axes):
        return open_lazily(source, missing, axes)
    return read(Path(source), axes)


def frame_of(image: Frame | LazyFrame, planes: Planes) -> FramePlane:
    """Return some planes of an image as a frame.

    Raises
    ------
    FrameError
        When the image has no such planes, or cannot be read.
    """
    if isinstance(image, LazyFrame):
        known = content_hash(image, planes), image.pixel_um, image.notes, image.channels, image.is_rgb
        return FramePlane(LazyPlane(image, planes), image.address, describe(planes), *known, planes)
    frame = plane_frame(image, planes)
    known = frame.content_hash, frame.pixel_um, frame.notes, image.channels, frame.is_rgb
    return FramePlane(frame.pixels, frame.source, describe(planes), *known, planes)
