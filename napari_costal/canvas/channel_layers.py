"""Layers that form one frame together: the channels of an opened image, or layers that the user put together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from napari.layers import Image, Layer

from costal.frames.read import Planes
from costal.labels.project import MOST_CHANNELS, Project
from costal.types import Channel

PART = "channel of an image"
"""The metadata key of a layer that the plugin opened; its value says which channel the layer shows."""


@dataclass(frozen=True, slots=True)
class Part:
    """One channel of an opened image: layers of the same `image` belong together.

    `count` is the number of channels in the file, 0 if the layers show only some of them. `planes` are the planes that
    were read from the file, None if the layer has all of them.
    """

    image: str
    channel: Channel
    count: int
    planes: Planes | None = None


def part_of(layer: Layer) -> Part | None:
    """Return the channel that a layer shows, None if the plugin did not open it as one of several channels."""
    part = layer.metadata.get(PART)
    return part if isinstance(part, Part) else None


def mates_of(layer: Image, layers: Sequence[Image]) -> list[Image]:
    """Return the layers that can form a frame with this one (it is included), in the order of their channels.

    A channel of an opened image goes with the other channels of the image. Any other layer goes with all layers of its
    shape, dtype and place.
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

    The channels of the project decide first, then the layers that the user ticked. Otherwise an opened image is taken
    with all its channels, and any other layer alone. `labelled` is the number of channels of the project's labelled
    crops: 1 in a project of an earlier version whose user labelled one channel.
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
    """Return whether the pixels of two layers cover each other exactly."""

    def kind(layer: Image) -> tuple[object, ...]:
        array = layer.data[0] if layer.multiscale else layer.data
        return layer.rgb, layer.multiscale, tuple(array.shape), np.dtype(array.dtype)

    if one is other:
        return True
    if kind(one) != kind(other) or not np.array_equal(one.affine.affine_matrix, other.affine.affine_matrix):
        return False
    places = ("scale", "translate", "rotate", "shear")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in places)
