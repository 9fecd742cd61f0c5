"""Time series and Z stacks as the user wants them: each plane a frame, one of them, or a projection."""

import re
from collections.abc import Sequence
from itertools import product

from costal.errors import FrameError
from costal.frames.lazy import LazyFrame
from costal.frames.read import Planes, Projection
from costal.types import Frame, PlaneChoice, PlaneRule

MOST_PLANES = 10_000
ALL = "all"
STEP, PROJECTED = re.compile("([zt]) ([0-9]+)"), re.compile("(max|mean) ([zt])")
CHANNELS = re.compile("channels ([0-9]+(?: [0-9]+)*)")
"""The parts of the words of `describe`."""


def planes_of(frame: Frame | LazyFrame, rule: PlaneRule) -> tuple[Planes, ...]:
    """Return the planes that the rule makes of a frame: T outermost, then Z; an axis of one plane gives that one.

    Channels that are all of the frame's, in its order, are named by None, as when none are chosen.

    Raises
    ------
    FrameError
        If there would be more than 10,000.
    """
    z, t = _chosen(_length(frame, "Z"), rule.z), _chosen(_length(frame, "T"), rule.t)
    if len(z) * len(t) > MOST_PLANES:
        raise FrameError(
            f"{frame.source} has {len(t)} times and {len(z)} Z planes, which makes more than {MOST_PLANES:,} frames. "
            "Project Z or T, or use only the first."
        )
    channels = some_channels(rule.channels, _length(frame, "C"))
    return tuple(Planes(channels, one_z, one_t) for one_t, one_z in product(t, z))


def some_channels(channels: Sequence[int] | None, count: int) -> tuple[int, ...] | None:
    """Return the channels to take out of `count`, None where that is all of them in their order."""
    return None if channels is None or tuple(channels) == tuple(range(count)) else tuple(channels)


def describe(planes: Planes) -> str:
    """Return which planes these are in a few words, such as ``z 3, t 0``, ``max z, channels 0 2`` or ``all``.

    Different planes that `planes_of` makes of one frame are described differently: this is a part of a frame's
    identity in the store. ``all`` means that there was nothing to choose.
    """
    axes = [f"{at} {axis}" if isinstance(at, str) else f"{axis} {at}" for axis, at in _axes(planes) if at is not None]
    channels = [] if planes.channels is None else [" ".join(("channels", *map(str, planes.channels)))]
    return ", ".join(axes + channels) or ALL


def planes_called(description: str) -> Planes | None:
    """Return the planes for words of `describe`; None for words of earlier versions, which do not name the axes."""
    at: dict[str, int | Projection] = {}
    channels: tuple[int, ...] | None = None
    for part in description.split(", ") if description != ALL else ():
        if (step := STEP.fullmatch(part)) is not None:
            at[step[1]] = int(step[2])
        elif (projection := PROJECTED.fullmatch(part)) is not None:
            at[projection[2]] = "max" if projection[1] == "max" else "mean"
        elif (some := CHANNELS.fullmatch(part)) is not None:
            channels = tuple(map(int, some[1].split()))
        else:
            return None
    return Planes(channels, at.get("z"), at.get("t"))


def _axes(planes: Planes) -> tuple[tuple[str, int | Projection | None], ...]:
    return ("z", planes.z), ("t", planes.t)


def _length(frame: Frame | LazyFrame, axis: str) -> int:
    if isinstance(frame, LazyFrame):
        return frame.length(axis)
    return frame.pixels.shape[frame.axes.index(axis)] if axis in frame.axes else 1


def _chosen(length: int, choice: PlaneChoice) -> tuple[int | Projection | None, ...]:
    if length == 1:
        return (None,)
    if choice == "each":
        return tuple(range(length))
    return (0,) if choice == "first" else (choice,)
