"""Layers that form one frame together: the channels of an opened image, or layers that the user put together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from napari.layers import Image, Layer

from costal.frames.read import Planes
from costal.labels.project import MOST_CHANNELS, Project
from costal.types import Channel

PART = "channel of an image"
"""Where the metadata of a layer that the plugin opened say which channel it shows."""


@dataclass(frozen=True, slots=True)
class Part:
    """One channel of an opened image: layers of the same `image` belong together.

    `count` is how many channels the file has, 0 where the layers are a part of them; `planes` are those that were taken
    out of the file, None where the layer has all of them.
    """

    image: str
    channel: Channel
    count: int
    planes: Planes | None = None


def part_of(layer: Layer) -> Part | None:
    """Return which channel of an opened image a layer shows, None when the plugin did not open it as one of several."""
    part = layer.metadata.get(PART)
    return part if isinstance(part, Part) else None


def mates_of(layer: Image, layers: Sequence[Image]) -> list[Image]:
    """Return the layers that can form a frame with this one, itself among them, in the order of their channels.

    A channel of an opened image goes with the image's others; another layer with all that have its shape, dtype and
    place.
    """
    part = part_of(layer)
    if layer.rgb:
        return [layer]
    if part is None:
        return [each for each in layers if part_of(each) is None and _are_alike(layer, each)]
    same = [(other.channel.index, each) for each in layers if (other := part_of(each)) and other.image == part.image]
    return [each for _, each in sorted(same, key=lambda one: one[0]) if _are_alike(layer, each)]


def taken_with(
    layer: Image, mates: Sequence[Image], ticked: Sequence[Image], project: Project | None, labelled: int
) -> list[Image]:
    """Return the layers that form the frame of `layer`, among its mates: see `mates_of`.

    The project's channels come first, then what the user ticked. Otherwise an opened image is taken with all its
    channels, and another layer alone. `labelled` is how many channels the project's labelled crops have: 1 in a
    project of an earlier version whose user labelled one channel.
    """
    parts = {part.channel.index: each for each in mates if (part := part_of(each))}
    if parts and project is not None and project.channels:
        chosen = [parts[each.index] for each in project.channels if each.index in parts]
        if labelled or len(chosen) == len(project.channels):
            return chosen or [layer]
    if layer in ticked and all(each in mates for each in ticked):
        return [each for each in mates if each in ticked]
    return list(mates[:MOST_CHANNELS]) if parts and labelled != 1 else [layer]


def _are_alike(one: Image, other: Image) -> bool:
    """Return whether two layers lie on each other pixel by pixel."""

    def kind(layer: Image) -> tuple[object, ...]:
        array = layer.data[0] if layer.multiscale else layer.data
        return layer.rgb, layer.multiscale, tuple(array.shape), np.dtype(array.dtype)

    if one is other:
        return True
    if kind(one) != kind(other) or not np.array_equal(one.affine.affine_matrix, other.affine.affine_matrix):
        return False
    places = ("scale", "translate", "rotate", "shear")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in places)
