"""Which answered crops are shown again, unannounced: how alike an expert answers twice bounds any accuracy."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from costal.labels.controls import control_numbers
from costal.labels.project import Project
from costal.labels.records import CropLabel
from costal.types import Grid

FEWEST_BETWEEN = 10
"""Answers after which a crop may come again: sooner, the expert would remember it."""


def due_repeat(
    project: Project,
    content_hash: str,
    grid: Grid,
    answered: Sequence[int],
    labels: Mapping[int, CropLabel],
    repeated: Collection[int],
) -> int | None:
    """Return the crop of a frame that is shown again next, None when none is due.

    `answered` are the crops answered in this sitting, in order, and `repeated` those shown again already. A hash of
    seed, frame and crop decides, as for controls. A crop comes again only as long as a label stands that was given to
    it alone, of a class that is still offered and was not merged.
    """
    early = [each for each in answered[:-FEWEST_BETWEEN] if each not in repeated]
    if not early or not project.choices.repeat_share:
        return None
    y_n, x_n = np.divmod(np.array(early), grid.cols)
    numbers_n = control_numbers(project, f"{content_hash} repeat", y_n * grid.stride, x_n * grid.stride, grid.crop)
    drawn = (early[at] for at in np.flatnonzero(numbers_n < project.choices.repeat_share))
    return next((each for each in drawn if _can_be_compared(labels.get(each), project)), None)


def _can_be_compared(label: CropLabel | None, project: Project) -> bool:
    if label is None or label.class_id is None or label.given != "single":
        return False
    return label.class_id in [each.id for each in project.offered]
