"""Pixel sizes: at which a model learned, and what is to be said of a frame that has another."""

from collections.abc import Sequence

from costal.labels.models import ModelVersion, Provenance
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


def learned_um(project: Project, provenance: Provenance) -> tuple[float, ...]:
    """Return the pixel sizes that a model learned at, most labels first; empty when unknown.

    Where its card does not say, or there is no model, they are those of the project's labels.
    """
    if provenance.pixel_um:
        return provenance.pixel_um
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
        f"The frame has {pixel_um:.3g} µm per pixel, but the labels are from {named(learned)} µm per pixel. Its crops "
        "have another scale, so do not trust the predictions."
    )


def warning_for(project: Project, model_version: ModelVersion, pixel_um: float | None) -> str:
    """Return what is to be said of a frame that is scored by a model, or without one (see `told_unlike`)."""
    return "" if pixel_um is None else told_unlike(pixel_um, learned_um(project, model_version.provenance))


def scaling(pixel_um: float | None, learned: Sequence[float], resample: bool) -> tuple[float, str]:
    """Return by how many times as many pixels a side a frame is classified, and what is to be said of this.

    1 leaves it as it is: it fits, its pixel size or that of the labels is not known, or `resample` is not wanted.
    """
    if not learned:
        return 1.0, "The pixel size of the training labels is not known: nothing was resampled." if resample else ""
    if pixel_um is None:
        return 1.0, f"The frame's pixel size is not known; the labels are from {named(learned)} µm per pixel."
    if not is_unlike(pixel_um, learned):
        return 1.0, ""
    if not resample:
        offer = f" To resample it to {learned[0]:.3g} µm, tick the box, or use --resample."
        return 1.0, told_unlike(pixel_um, learned) + offer
    finer = " A finer pixel size adds no detail." if pixel_um > learned[0] else ""
    return pixel_um / learned[0], f"Resampled from {pixel_um:.3g} to {learned[0]:.3g} µm per pixel.{finer}"


def named(sizes_um: Sequence[float]) -> str:
    """Return pixel sizes in words."""
    return " and ".join(f"{each:.3g}" for each in sizes_um[:MOST_NAMED])


def _is_within(one: float, other: float, ratio: float) -> bool:
    return max(one, other) <= ratio * min(one, other) * (1 + 1e-9)
