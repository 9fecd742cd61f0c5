"""Pixel sizes: at which a model learned, and what is to be said of a frame that has another."""

from collections.abc import Sequence

from costal.labels.models import Origin
from costal.labels.project import Project
from costal.labels.store import Store

SAME = 1.1
"""Pixels up to so many times as large, or as small, show the same."""
MOST_NAMED = 3


def distinct(sizes_um: Sequence[float]) -> tuple[float, ...]:
    """Return pixel sizes without those that are within 1 % of one before."""
    kept: list[float] = []
    for size in sizes_um:
        if not any(_is_within(size, each, 1.01) for each in kept):
            kept.append(size)
    return tuple(kept)


def learned_um(project: Project, origin: Origin) -> tuple[float, ...]:
    """Return the pixel sizes that a model learned at, most labels first; empty when unknown.

    Where its card does not say, or there is no model, they are those of the project's labels.
    """
    if origin.pixel_um:
        return origin.pixel_um
    with Store(project.store_path, read_only=True) as store:
        return distinct(store.pixel_sizes())


def is_unlike(pixel_um: float | None, learned: Sequence[float]) -> bool:
    """Return whether a frame's pixels are larger or smaller by more than a tenth than all that were learned at."""
    return pixel_um is not None and bool(learned) and not any(_is_within(pixel_um, each, SAME) for each in learned)


def told_unlike(pixel_um: float | None, learned: Sequence[float]) -> str:
    """Return the warning for a frame whose pixel size is not what was learned at, nothing for one that fits."""
    if not is_unlike(pixel_um, learned):
        return ""
    return (
        f"The frame has {pixel_um:.3g} µm per pixel, the labels are from {named(learned)} µm: its crops show things at "
        "another scale, so do not trust what is said of them."
    )


def named(sizes_um: Sequence[float]) -> str:
    """Return pixel sizes in words."""
    return " and ".join(f"{each:.3g}" for each in sizes_um[:MOST_NAMED])


def _is_within(one: float, other: float, ratio: float) -> bool:
    return max(one, other) <= ratio * min(one, other) * (1 + 1e-9)
