"""OME-Zarr 0.4 and 0.5: the image that a group's metadata describe, or what else the group is."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from costal.errors import FrameError, in_one_line
from costal.frames.channels import of_omero
from costal.frames.pixel_size import Sides, side_um
from costal.types import Channel

if TYPE_CHECKING:
    from costal.frames.ome_metadata import Pyramid

NO_NAMES = "The channels have no names and colours: their metadata (omero) are damaged."
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
        When there is no such group, or it is not an OME-Zarr, a plate, a well, or an image of axes other than t, c, z,
        y and x, or its metadata are damaged; the message says what was found, and where.
    """
    group = _opened(source)
    attributes = _ome(source, group)
    notes: tuple[str, ...] = ()
    if "multiscales" not in attributes:
        _refuse_screen(source, attributes)
        group, notes = _first_of_conversion(source, group, attributes)
        attributes = _ome(source, group)
    return _image(source, group, attributes, notes)


def _image(source: str, group: Any, attributes: Mapping[str, Any], notes: tuple[str, ...]) -> OmeImage:
    from costal.frames.ome_metadata import Images, Pyramid, channels_are_sound, validated

    scales = validated(Images, attributes, source).multiscales
    if len(scales) > 1:
        notes += (f"Only the first of {len(scales)} pyramids was read.",)
    first = validated(Pyramid, scales[0], source, "multiscales[0]")
    axes = _letters(source, first)
    levels = tuple(_level(source, group, each.path, axes) for each in first.datasets)
    pixel_um, doubts = _pixel_um(first, axes)
    if not channels_are_sound(attributes):
        return OmeImage(levels, axes, pixel_um, (*notes, *doubts, NO_NAMES))
    return OmeImage(levels, axes, pixel_um, notes + doubts, of_omero(attributes))


def _first_of_conversion(source: str, group: Any, attributes: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Return the first image of a conversion by bioformats2raw, and a note when it is not the only one."""
    import zarr

    first = _member(source, group, "0", "an image") if SERIES in attributes else None
    if not isinstance(first, zarr.Group):
        with _reading(source, "the list of the group's members"):
            members = ", ".join(sorted(group.keys())[:5]) or "nothing"
        raise FrameError(f"{source} is a zarr group without OME metadata: it contains {members}. {WRITE_IT}")
    with _reading(source, "the list of the group's members"):
        return first, ("Only the first image was read.",) if "1" in group else ()


def _opened(source: str) -> Any:
    import zarr

    try:
        node = zarr.open(source, mode="r")
    except ImportError as error:
        raise FrameError(f"{source} needs a package that is not installed ({error}).") from error
    except Exception as error:  # whatever parsers, stores and networks raise
        if not is_url(source) and Path(source).exists():
            raise FrameError(f"{source} is not a zarr group ({in_one_line(error)[:200]}). {WRITE_IT}") from error
        raise FrameError(f"{source} cannot be opened ({in_one_line(error)[:200]}). Check the address.") from error
    if isinstance(node, zarr.Array):
        raise FrameError(f"{source} is a bare zarr array of shape {node.shape}, without OME metadata. {WRITE_IT}")
    return node


def _ome(source: str, group: Any) -> Mapping[str, Any]:
    """Return the OME metadata, which 0.5 keeps under a name of its own."""
    attributes = group.attrs.asdict()
    if not isinstance(attributes, Mapping):
        raise FrameError(f"{source} is not a zarr group (its attributes are not a JSON object). {WRITE_IT}")
    own = attributes.get("ome")
    return own if isinstance(own, Mapping) else attributes


def _refuse_screen(source: str, attributes: Mapping[str, Any]) -> None:
    from costal.frames.ome_metadata import Plate, Well, validated

    if _is_screen("plate", attributes):
        wells = [each.path for each in validated(Plate, attributes["plate"], source, "plate").wells]
        raise FrameError(
            f"{source} is a plate of {len(wells)} wells ({', '.join(wells[:3])} ...). Name one image of a well, such "
            f"as {source.rstrip('/')}/{wells[0]}/0."
        )
    if _is_screen("well", attributes):
        images = [each.path for each in validated(Well, attributes["well"], source, "well").images]
        raise FrameError(f"{source} is a well of {len(images)} images. Name one: {source.rstrip('/')}/{images[0]}.")


def _is_screen(kind: str, attributes: Mapping[str, Any]) -> bool:
    """Return whether metadata describe a plate or well; in a bioformats2raw conversion they must be valid."""
    return isinstance(attributes.get(kind), Mapping) or (kind in attributes and SERIES not in attributes)


def _letters(source: str, pyramid: "Pyramid") -> str:
    """Return the letters of the axes."""
    letters = [each.name.upper() for each in pyramid.axes]
    if len(set(letters)) != len(letters) or not {"Y", "X"} <= set(letters) <= set("TZCYX"):
        names = ", ".join(letters[:9]).lower()[:90]
        raise FrameError(
            f"{source} has axes {names or 'without names'}. It needs y and x, and may have t, c and z, but no others. "
            f"{WRITE_IT}"
        )
    return "".join(letters)


@contextmanager
def _reading(source: str, what: str) -> Iterator[None]:
    """Turn whatever parsers, stores and networks raise into a sentence."""
    try:
        yield
    except Exception as error:
        raise FrameError(
            f"{source} cannot be read: {what} is damaged or cannot be reached ({in_one_line(error)[:200]}). Copy it "
            "again, or rewrite it."
        ) from error


def _member(source: str, group: Any, path: str, kind: str) -> Any:
    """Return an array or group in a group; None where there is none."""
    with _reading(source, f"{kind} '{path[:80]}'"):
        return group.get(path)


def _level(source: str, group: Any, path: str, axes: str) -> Any:
    import zarr

    level, name = _member(source, group, path, "level"), path[:80]
    if not isinstance(level, zarr.Array):
        raise FrameError(f"{source} names a level '{name}' that is missing. Copy it again, or rewrite it.")
    if level.ndim != len(axes) or level.dtype.kind not in "biuf" or 0 in level.shape:
        raise FrameError(
            f"{source} has a level '{name}' of shape {level.shape} and {level.dtype} for axes {axes}. Export real "
            "numbers, one dimension for each axis."
        )
    if 0 in level.chunks or 0 in (level.shards or ()):
        raise FrameError(
            f"{source} has a level '{name}' with empty chunks ({level.chunks}). Copy it again, or rewrite it."
        )
    return level


def _pixel_um(pyramid: "Pyramid", axes: str) -> tuple[float | None, tuple[str, ...]]:
    """Return the side of a pixel of the finest level, and a sentence on every doubt."""
    from costal.frames.ome_metadata import shown, steps_of

    steps = steps_of(pyramid)
    if steps is None:
        return None, ("The pixel size is taken as unknown: the scale in the metadata is damaged.",)
    at_x, at_y = axes.index("X"), axes.index("Y")
    unit_x, unit_y = (
        unit if isinstance(unit, str) else shown(unit) if unit else ""
        for unit in (pyramid.axes[at].unit for at in (at_x, at_y))
    )
    if not steps or unit_x.strip().lower() in ("", "pixel", "pixels"):
        return None, ()
    x, y = (math.prod(step[at] for step in steps) for at in (at_x, at_y))
    return side_um(Sides(x, y, unit_x, unit_y))
