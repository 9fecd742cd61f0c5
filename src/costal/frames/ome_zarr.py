"""OME-Zarr 0.4 and 0.5: what the metadata of a group say of its image, or what else the group is."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from costal.errors import FrameError, in_one_line
from costal.frames.channels import of_omero
from costal.frames.pixel_size import Sides, side_um
from costal.types import Channel

SERIES = "bioformats2raw.layout"
WRITE_IT = "Write it as OME-Zarr 0.4 or 0.5, for example with ome-zarr-py or bioformats2raw."


class OmeImage(NamedTuple):
    """The levels of an image as zarr arrays, finest first, with the axes' letters and what is known besides."""

    levels: tuple[Any, ...]
    axes: str
    pixel_um: float | None
    notes: tuple[str, ...]
    channels: tuple[Channel, ...] = ()


def is_url(source: str) -> bool:
    """Return whether a source is one that fsspec opens, such as ``s3://bucket/image.zarr``."""
    return "://" in source


def is_zarr(source: str) -> bool:
    """Return whether a source looks like a zarr group: a folder with its metadata, or a name that says so."""
    if source.rstrip("/\\").lower().endswith(".zarr"):
        return True
    if is_url(source):
        return ".zarr/" in source.lower()
    return any((Path(source) / name).is_file() for name in (".zgroup", ".zattrs", ".zarray", "zarr.json"))


def open_image(source: str) -> OmeImage:
    """Return the image in an OME-Zarr group: a local folder or any fsspec URL.

    Raises
    ------
    FrameError
        When there is no such group, or it is no OME-Zarr, a plate, a well, or an image of axes other than t, c, z, y
        and x; the message says what was found.
    """
    group = _opened(source)
    attributes = _ome(group.attrs.asdict())
    notes: tuple[str, ...] = ()
    if "multiscales" not in attributes:
        _refuse_screen(source, attributes)
        if SERIES not in attributes or "0" not in group:
            held = ", ".join(sorted(group.keys())[:5]) or "nothing"
            raise FrameError(f"{source} is a zarr group without OME metadata: it holds {held}. {WRITE_IT}")
        notes = ("Only the first image was read.",) if "1" in group else ()
        group = group["0"]
        attributes = _ome(group.attrs.asdict())
    scales = attributes.get("multiscales")
    if not (isinstance(scales, list) and scales and isinstance(scales[0], dict) and scales[0].get("datasets")):
        raise FrameError(f"{source} has OME metadata that name no level of an image. {WRITE_IT}")
    if len(scales) > 1:
        notes += (f"Only the first of {len(scales)} pyramids was read.",)
    first = scales[0]
    axes, units = _axes(source, first.get("axes"))
    levels = tuple(_level(source, group, str(each.get("path")), axes) for each in first["datasets"])
    pixel_um, doubts = _pixel_um(first, axes, units)
    return OmeImage(levels, axes, pixel_um, notes + doubts, of_omero(attributes))


def _opened(source: str) -> Any:
    import zarr

    try:
        found = zarr.open(source, mode="r")
    except ImportError as error:
        raise FrameError(f"{source} needs a package that is not installed ({error}).") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        if not is_url(source) and Path(source).exists():
            raise FrameError(f"{source} is no zarr group ({in_one_line(error)}). {WRITE_IT}") from error
        raise FrameError(f"{source} cannot be opened ({in_one_line(error)}). Check the address.") from error
    if isinstance(found, zarr.Array):
        raise FrameError(f"{source} is a bare zarr array of shape {found.shape}, without OME metadata. {WRITE_IT}")
    return found


def _ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the OME metadata, which 0.5 keeps under a name of its own."""
    own = attributes.get("ome")
    return own if isinstance(own, Mapping) else attributes


def _refuse_screen(source: str, attributes: Mapping[str, Any]) -> None:
    plate, well = attributes.get("plate"), attributes.get("well")
    if isinstance(plate, Mapping):
        wells = [str(each.get("path")) for each in plate.get("wells", [])]
        raise FrameError(
            f"{source} is a plate of {len(wells)} wells ({', '.join(wells[:3])} ...). Name one image of a well, such "
            f"as {source.rstrip('/')}/{wells[0] if wells else 'A/1'}/0."
        )
    if isinstance(well, Mapping):
        images = [str(each.get("path")) for each in well.get("images", [])]
        raise FrameError(
            f"{source} is a well of {len(images)} images. Name one: {source.rstrip('/')}/{images[0] if images else 0}."
        )


def _axes(source: str, axes: Any) -> tuple[str, list[str]]:
    """Return the letters of the axes and their units."""
    named = [each if isinstance(each, dict) else {"name": each} for each in axes] if isinstance(axes, list) else []
    letters = [str(each.get("name")).upper() for each in named]
    if len(set(letters)) != len(letters) or not {"Y", "X"} <= set(letters) <= set("TZCYX"):
        raise FrameError(
            f"{source} has axes {', '.join(letters).lower() or 'without names'}. Only t, c, z, y and x are read, y "
            f"and x among them. {WRITE_IT}"
        )
    return "".join(letters), [str(each.get("unit") or "") for each in named]


def _level(source: str, group: Any, path: str, axes: str) -> Any:
    import zarr

    level = group.get(path)
    if not isinstance(level, zarr.Array):
        raise FrameError(f"{source} names a level '{path}' that is not there. Copy it again, or write it anew.")
    if level.ndim != len(axes) or level.dtype.kind not in "biuf" or 0 in level.shape:
        raise FrameError(
            f"{source} has a level '{path}' of shape {level.shape} and {level.dtype} for axes {axes}. Export real "
            "numbers, one dimension for each axis."
        )
    return level


def _pixel_um(scale: Mapping[str, Any], axes: str, units: Sequence[str]) -> tuple[float | None, tuple[str, ...]]:
    """Return the side of a pixel of the finest level, and a sentence on every doubt."""
    lists = (scale["datasets"][0].get("coordinateTransformations"), scale.get("coordinateTransformations"))
    steps = [
        each["scale"] for some in lists for each in some or () if each.get("type") == "scale" and each.get("scale")
    ]
    at_x, at_y = axes.index("X"), axes.index("Y")
    if not steps or units[at_x].strip().lower() in ("", "pixel", "pixels"):
        return None, ()
    try:
        x, y = (math.prod(float(step[at]) for step in steps) for at in (at_x, at_y))
    except (TypeError, ValueError, IndexError):
        return None, ("The pixel size is taken as unknown: the scale in the metadata is damaged.",)
    return side_um(Sides(x, y, units[at_x], units[at_y]))
