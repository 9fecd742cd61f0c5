"""The channels of files: names, colours, and whether they are the samples of a colour image."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from xml.etree import ElementTree

import numpy as np

from costal.types import Channel

if TYPE_CHECKING:
    import tifffile

RGB = (Channel(0, "red", "#ff0000"), Channel(1, "green", "#00ff00"), Channel(2, "blue", "#0000ff"))
COLOURED = ("RGB", "YCBCR")
"""TIFF's photometric interpretations whose three samples are red, green and blue once they are decoded."""
LONGEST_NAME = 60


def channels_of(channels: Sequence[Channel], count: int) -> tuple[Channel, ...]:
    """Return these channels if there are `count` of them, else `count` channels without name and colour."""
    return tuple(channels) if len(channels) == count else tuple(Channel(index) for index in range(count))


class ImageHeader(Protocol):
    """The axes of a file, in its own letters, and its channels."""

    @property
    def axes(self) -> str:
        """One letter for each dimension; S are samples of a pixel."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels; empty if the file names none."""

    @property
    def is_rgb(self) -> bool:
        """Whether the samples are red, green and blue."""


def named_channels(header: ImageHeader, axes: str, shape: Sequence[int]) -> tuple[tuple[Channel, ...], bool]:
    """Return the channels of an image whose axes are called `axes`, and whether they are red, green and blue.

    Samples under another name than C are not colours.
    """
    is_rgb = header.is_rgb and "S" in header.axes and axes.find("C") == header.axes.index("S")
    channels = header.channels if is_rgb or not header.is_rgb else ()
    return channels_of(channels, shape[axes.index("C")] if "C" in axes else 1), is_rgb


def is_rgb_tiff(page: Any, axes: str, shape: Sequence[int], has_alpha: bool) -> bool:
    """Return whether a TIFF holds three colour samples a pixel; `axes` and `shape` count an alpha channel in."""
    samples = shape[axes.index("S")] - int(has_alpha) if "S" in axes else 0
    return samples == 3 and "C" not in axes and getattr(page.photometric, "name", "") in COLOURED


def of_tiff(tiff: "tifffile.TiffFile") -> tuple[Channel, ...]:
    """Return the channels of a TIFF by its OME-XML or ImageJ's metadata; none where they name none."""
    if tiff.ome_metadata:
        return _of_ome(tiff.ome_metadata)
    return _of_imagej(tiff.imagej_metadata or {}) if tiff.is_imagej else ()


def of_omero(attributes: Mapping[str, Any]) -> tuple[Channel, ...]:
    """Return the channels in the ``omero`` part of an OME-Zarr's metadata."""
    omero = attributes.get("omero")
    entries = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(entries, list) or not all(isinstance(each, Mapping) for each in entries):
        return ()
    return tuple(
        Channel(at, _name(each.get("label")), _colour(f"#{str(each.get('color', '')).lstrip('#')}"))
        for at, each in enumerate(entries)
    )


def _of_ome(text: str) -> tuple[Channel, ...]:
    try:
        entries = ElementTree.fromstring(text).findall("{*}Image[1]/{*}Pixels/{*}Channel")
    except ElementTree.ParseError:
        return ()
    return tuple(
        Channel(at, _name(each.get("Name")), _ome_colour(each.get("Color"))) for at, each in enumerate(entries)
    )


def _ome_colour(text: str | None) -> str:
    """Return the colour of a signed number whose bytes are red, green, blue and alpha; white means no colour.

    White is the schema's default: writers that leave the colour out and those that write the default mean none.
    """
    try:
        number = int(text or "-1") & 0xFFFFFFFF
    except ValueError:
        return ""
    return _colour(f"#{number >> 8:06x}") if number != 0xFFFFFFFF else ""


def _of_imagej(metadata: Mapping[str, Any]) -> tuple[Channel, ...]:
    """Return the channels of an ImageJ hyperstack: its labels, where each names a channel, and its colour tables."""
    count = int(metadata.get("channels", 1))
    tables, labels = (metadata.get(key, ()) for key in ("LUTs", "Labels"))
    names = [_name(each) for each in labels] if len(labels) == count else [""] * count
    colours = [_table_colour(each) for each in tables] if len(tables) == count else [""] * count
    return tuple(Channel(at, name, colour) for at, (name, colour) in enumerate(zip(names, colours, strict=True)))


def _table_colour(table: Any) -> str:
    """Return the brightest colour of a colour table that runs from black to it, else no colour."""
    table_3_N = np.asarray(table)
    if table_3_N.shape != (3, 256) or table_3_N[:, 0].any():
        return ""
    return _colour("#" + "".join(f"{int(each):02x}" for each in table_3_N[:, -1]))


def _name(text: object) -> str:
    """Return a name that fits on one line; empty for anything but text."""
    return " ".join(text.split())[:LONGEST_NAME] if isinstance(text, str) else ""


def _colour(text: str) -> str:
    return text.lower() if re.fullmatch("#[0-9a-fA-F]{6}", text) and text != "#000000" else ""
