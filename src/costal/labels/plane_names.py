"""The words that name a frame's planes in the store: ``z 3, t 0``, ``max z``, ``all``, and those of earlier versions.

Earlier versions called what the window showed ``slice 3``, by the place of each slider, not by its axis.
"""

import re
from collections.abc import Mapping

STEP = re.compile(r"\b([zt]) ([0-9]+)\b")
CHANNEL = re.compile(r"channels ([0-9]+)")
OLD_SLICE = re.compile(r"slice((?: [0-9]+)+)")
OLD_PROJECTION, OLD_CHANNELS = "maximum projection", "all as channels"


def steps_of(planes: str) -> Mapping[str, int]:
    """Return the plane of each axis, z or t, of which the words name one."""
    return {axis: int(number) for axis, number in STEP.findall(planes)}


def is_vague(planes: str) -> bool:
    """Return whether these are words of earlier versions, which do not name the axes."""
    return planes in (OLD_PROJECTION, OLD_CHANNELS) or OLD_SLICE.fullmatch(planes) is not None


def may_be_same(one: str, other: str) -> bool:
    """Return whether two descriptions of one file's planes can mean the same planes."""
    if one == other:
        return True
    vague, exact = (one, other) if is_vague(one) else (other, one)
    if not is_vague(vague) or is_vague(exact):
        return False
    parts = [] if exact in ("", "all") else exact.split(", ")
    if vague == OLD_PROJECTION:
        return all(part.startswith("max ") for part in parts) and bool(parts)
    if vague == OLD_CHANNELS:
        return not parts
    numbers = [int(number) for number in OLD_SLICE.fullmatch(vague)[1].split()]  # type: ignore[index]  # it is vague
    known = [*steps_of(exact).values(), *(int(each[1]) for part in parts if (each := CHANNEL.fullmatch(part)))]
    # An axis of one plane has a slider, but no words.
    return len(known) == len(parts) and sorted(filter(None, numbers)) == sorted(filter(None, known))
