"""A frame in its project: its pixels, and the labels of its crops by their place in the grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from costal.labels.project import Project
from costal.labels.records import CropLabel
from costal.workbench.rounds import PlacedFrame


@dataclass(frozen=True, slots=True)
class Placed:
    """The frame in the project: pixels, place in the store, labels by crop (kept current), and how many were asked."""

    plane_C_Y_X: NDArray[np.generic]
    placed: PlacedFrame
    labels: dict[int, CropLabel]
    asked_before: int


def colour_of(label: CropLabel, project: Project) -> str:
    """Return the colour of a label's class today; grey when it was skipped, black when excluded."""
    if label.class_id is None:
        return "#888888" if label.kind == "skip" else "#000000"
    meant = project.class_of(label.class_id)
    return meant.colour if meant is not None else "#888888"
