"""Micro-Manager's stacks: where each plane is, by index and tags. One position of the stage is one image."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from costal.errors import FrameError
from costal.frames.inside import inside
from costal.frames.plane_stack import PlanePosition, PlaneStack

if TYPE_CHECKING:
    import tifffile

WAIT = "Wait until it is fully written, or copy it again from the microscope."
AXES = "TZC"
INDEX = "NDTiff.index"
PLANNED = "The acquisition has fewer planes than planned"
NO_INDEX = "Micro-Manager's index of planes is missing; the file may not be fully written yet."
NAME = re.compile(r"(?P<stem>.*_MMStack.*?)(?:_\d+)?(?P<end>(?:\.ome)?\.tiff?)", re.IGNORECASE)
LETTERS = {"time": "T", "t": "T", "frame": "T", "z": "Z", "slice": "Z", "channel": "C", "c": "C"}
PIXEL_START = 162
"""Bytes from a plane's directory to its pixels in a stack file: 13 tags and two rationals."""


@dataclass(frozen=True, slots=True)
class Position:
    """The image of one position of the stage, and sentences on what was left out."""

    stack: PlaneStack
    notes: tuple[str, ...]


def position_in(path: Path, tiff: "tifffile.TiffFile") -> Position | None:
    """Return the image of the first position whose planes lie in a file; None when it is not one of Micro-Manager's.

    Raises
    ------
    FrameError
        When planes of it are missing, or its index names files that lie elsewhere.
    """
    if not tiff.is_micromanager:
        return None
    if _is_indexed(path, tiff):
        return _image(path, tiff, list(_ndtiff_planes(path)), {})
    metadata = tiff.micromanager_metadata or {}
    planes = list(_own_planes(path, tiff))
    if not planes:
        return None
    if len(tiff.pages) == 1 and "_MMStack" not in path.name and "IndexMap" not in metadata:
        return None  # one file for each plane
    first = planes[0][0]
    hull = _lengths([each for each, _ in planes if _site(each) == _site(first)])
    there = sum(_site(each) == _site(first) for each, _ in planes)
    planned = _planned(metadata.get("Summary"))
    if there < max(int(np.prod(hull)), int(np.prod(planned))):
        planes += _planes_beside(path)
    image = _image(path, tiff, planes, dict(zip(AXES, planned, strict=True)))
    return image if image is None or "IndexMap" in metadata else replace(image, notes=(*image.notes, NO_INDEX))


def _is_indexed(path: Path, tiff: "tifffile.TiffFile") -> bool:
    return bool((tiff.micromanager_metadata or {}).get("MajorVersion", 0) >= 2) and (path.parent / INDEX).is_file()


Plane = tuple[Mapping[str, Any], PlanePosition]


def _ndtiff_planes(path: Path) -> Iterator[Plane]:
    """Return the planes that an index names, each with its place along the axes."""
    import tifffile

    entries = list(tifffile.read_ndtiff_index(path.parent / INDEX))
    names = {name: inside(path, name) for name in {entry[1] for entry in entries}}
    for axes, name, offset, _, _, _, compression, *_ in entries:
        if compression:
            raise FrameError(
                f"{path} is an NDTiff with compressed planes, which cannot be read. Export it as OME-TIFF."
            )
        yield axes, PlanePosition(names[name], offset)


def _own_planes(path: Path, tiff: "tifffile.TiffFile") -> Iterator[Plane]:
    """Return the planes that lie in a stack file by its index map, or, without one, by the planes' tags."""
    table = (tiff.micromanager_metadata or {}).get("IndexMap")
    first = tiff.pages.first
    if table is not None and len(table) and first.compression == 1:
        pixels = {int(page.offset): int(page.dataoffsets[0]) for page in tiff.pages}
        for channel, z, time, site, offset in table.tolist():
            at = {"channel": channel, "z": z, "time": time, "position": site}
            yield at, PlanePosition(path, pixels.get(offset, offset + PIXEL_START))
        return
    for page in tiff.pages:
        tags = page.tags.valueof(51123) if hasattr(page, "tags") else None
        if not isinstance(tags, Mapping) or page.compression != 1:
            return
        axes = tags.get("Axes")
        if not isinstance(axes, Mapping):
            names = {"channel": "ChannelIndex", "z": "SliceIndex", "time": "FrameIndex", "position": "PositionIndex"}
            axes = {axis: tags.get(name, 0) for axis, name in names.items()}
        yield axes, PlanePosition(path, int(page.dataoffsets[0]))


def _planes_beside(path: Path) -> Iterator[Plane]:
    """Return the planes in the other files of an acquisition, into which Micro-Manager splits what is large."""
    import tifffile

    own = NAME.fullmatch(path.name)
    if own is None:
        return
    for each in sorted(path.parent.iterdir()):
        other = NAME.fullmatch(each.name)
        if each.name == path.name or other is None or other["stem"] != own["stem"]:
            continue
        with tifffile.TiffFile(inside(path, each.name)) as tiff:
            if tiff.is_micromanager:
                yield from list(_own_planes(each, tiff))


def _image(path: Path, tiff: "tifffile.TiffFile", planes: list[Plane], planned: Mapping[str, int]) -> Position | None:
    """Return the planes of the first position in a file, laid out along T, Z and C."""
    own = next((axes for axes, place in planes if place.path == path), None)
    if own is None:
        return None
    site, first = _site(own), tiff.pages.first
    sites = {_site(axes) for axes, place in planes if place.path == path}
    numbered = _numbered([axes for axes, _ in planes if _site(axes) == site])
    places = dict(zip(numbered, (place for axes, place in planes if _site(axes) == site), strict=True))
    outer = tuple(max(index[at] for index in places) + 1 for at in range(len(AXES)))
    notes: tuple[str, ...] = ()
    if len(sites) > 1:
        notes = (f"Only the first of {len(sites)} stage positions was read.",)
    full = int(np.prod(outer))
    if len(places) < full:
        raise FrameError(f"{path} has {len(places)} of {full} planes; the others are missing. {WAIT}")
    lacking = [f"{n} of {planned[a]} along {a}" for a, n in zip(AXES, outer, strict=True) if planned.get(a, 0) > n]
    if lacking:
        notes += (f"{PLANNED}: {'; '.join(lacking)}.",)
    dtype = np.dtype(tiff.byteorder + first.dtype.char)
    stack = PlaneStack(outer, tuple(first.shape), dtype, AXES + first.axes, places)
    long = [at for at, length in enumerate(outer) if length > 1]
    if len(long) < len(outer):
        squeezed = {tuple(index[at] for at in long): place for index, place in places.items()}
        axes = "".join(AXES[at] for at in long) + first.axes
        stack = PlaneStack(tuple(outer[at] for at in long), tuple(first.shape), dtype, axes, squeezed)
    return Position(stack, notes)


def _site(axes: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return a plane's place without time, Z and channel: the position of the stage, rows and columns."""
    return tuple(sorted((name, at) for name, at in axes.items() if name.lower() not in LETTERS))


def _numbered(planes: list[Mapping[str, Any]]) -> list[tuple[int, ...]]:
    """Return the place of each plane along T, Z and C from 0 on; names, as of channels, are counted as they come."""
    columns: list[list[int]] = []
    for letter in AXES:
        places = [next((at for name, at in axes.items() if LETTERS.get(name.lower()) == letter), 0) for axes in planes]
        order: dict[Any, int] = {}
        if any(isinstance(at, str) for at in places):
            order = {at: number for number, at in enumerate(dict.fromkeys(places))}
        else:
            order = {at: at - min(places) for at in places}
        columns.append([order[at] for at in places])
    return list(zip(*columns, strict=True))


def _lengths(planes: list[Mapping[str, Any]]) -> tuple[int, ...]:
    return tuple(max(column) + 1 for column in zip(*_numbered(planes), strict=True))


def _planned(summary: object) -> tuple[int, ...]:
    """Return how many times, Z planes and channels the acquisition was set up for, 0 where that is unknown."""
    plan = summary if isinstance(summary, Mapping) else {}
    return tuple(int(plan.get(name) or 0) for name in ("Frames", "Slices", "Channels"))
