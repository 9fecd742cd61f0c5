"""What a class looks like: up to six of its crops, those that the user chose and then the most typical ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from costal.frames.normalise import IntensityRange, normalise
from costal.labels.classes import MOST_EXAMPLES
from costal.labels.project import LabelClass, Project
from costal.labels.records import CropLabel
from costal.labels.store import Store

MOST_COMPARED = 60
"""The newest labels of a class, among which its most typical crops are looked for."""
LEVELS = 16


@dataclass(frozen=True, slots=True)
class Example:
    """A crop of a class: its label, raw pixels (C, H, W), and the intensity range of its frame."""

    label: CropLabel
    pixels_C_H_W: NDArray[np.generic]
    limits: IntensityRange
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class ClassExamples:
    """A class, the crops that show it, and those among which the user may choose, newest first."""

    label_class: LabelClass
    shown: tuple[Example, ...] = ()
    candidates: tuple[Example, ...] = ()


def read_guide(project: Project) -> tuple[ClassExamples, ...]:
    """Return the classes that are offered with their examples: labels that stand, were given singly and are not unsure.

    Not for the GUI thread.

    Raises
    ------
    ProjectError
        When the store cannot be read.
    """
    with Store(project.store_path, read_only=True) as store:
        shape = store.newest_crop_shape()
        return tuple(_of_class(store, project, each, shape[0] if shape else 0) for each in project.offered)


def _of_class(store: Store, project: Project, label_class: LabelClass, channels: int) -> ClassExamples:
    stored_ids = [each.id for each in project.classes if project.class_of(each.id) == label_class]
    labels = store.newest_labels(stored_ids, channels, MOST_COMPARED, label_class.examples)
    pixels = store.label_pixels([each.label_id for each in labels])
    ranges = store.frame_ranges([each.frame_id for each in labels])
    candidates = [Example(each, pixels[each.label_id], IntensityRange(*ranges[each.frame_id])) for each in labels]
    by_id = {each.label.first_id: each for each in candidates}
    chosen = [replace(by_id[each], is_chosen=True) for each in label_class.examples if each in by_id]
    rest = [each for each in candidates if each.label.first_id not in label_class.examples]
    typical = [rest[at] for at in most_typical(rest, MOST_EXAMPLES - len(chosen))] if rest else []
    return ClassExamples(label_class, tuple((chosen + typical)[:MOST_EXAMPLES]), tuple(candidates))


def most_typical(examples: Sequence[Example], count: int) -> list[int]:
    """Return which crops lie nearest to the median of all, nearest first, by how bright and how rough they are.

    Levels of brightness and of the difference between neighbours are compared, so that turns and places do not matter.
    """
    looks_M_F = np.array([_looks(each) for each in examples])
    spread_F = looks_M_F.std(axis=0)
    away_M = np.abs((looks_M_F - np.median(looks_M_F, axis=0)) / np.where(spread_F > 0, spread_F, 1)).sum(axis=1)
    nearest: list[int] = np.argsort(away_M, kind="stable")[: max(count, 0)].tolist()
    return nearest


def _looks(example: Example) -> NDArray[np.float64]:
    scaled_C_H_W = normalise(example.pixels_C_H_W, example.limits)
    rough_C_H_W = np.abs(np.diff(scaled_C_H_W, axis=-1))
    shares = np.linspace(0, 1, LEVELS)
    levels = [np.quantile(each.reshape(len(each), -1), shares, axis=1) for each in (scaled_C_H_W, rough_C_H_W)]
    return np.concatenate(levels).ravel().astype(np.float64)
