"""A frame in its project: its pixels, and the labels of its crops by their place in the grid."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costal.frames.grid import Plane, crop_at, crop_with_surroundings
from costal.frames.windows import LazyPlane
from costal.labels.project import Project
from costal.labels.records import CropLabel
from costal.scoring.frame_planes import FramePlane
from costal.types import Grid
from costal.workbench.session import ProjectSession, StoredFrame

MOST_HELD_BYTES, FEWEST_HELD = 500_000_000, 10


class CropPicture(NamedTuple):
    """A crop, the pixels around it, and the (y, x) of the crop's first pixel in these."""

    crop_C_H_W: NDArray[np.generic]
    around_C_H_W: NDArray[np.generic]
    at: tuple[int, int]

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.crop_C_H_W.nbytes + self.around_C_H_W.nbytes


def picture_of(plane_C_Y_X: Plane, grid: Grid, index: int) -> CropPicture:
    """Return a crop with a margin of half its side."""
    crop = crop_at(plane_C_Y_X, grid, index)
    around = replace(plane_C_Y_X, missing="fill") if isinstance(plane_C_Y_X, LazyPlane) else plane_C_Y_X
    return CropPicture(crop, *crop_with_surroundings(around, grid, index, grid.crop // 2))


@dataclass(frozen=True, slots=True)
class LoadedFrame:
    """The frame in the project: pixels, stored record, labels by crop (kept current), and the number of presentations.

    `held` are the crops of a lazy plane that were read (kept current): the screen does not wait for a disk.
    """

    frame: FramePlane
    stored: StoredFrame
    labels: dict[int, CropLabel]
    presentation_count: int
    held: dict[int, CropPicture] = field(default_factory=dict)

    @property
    def plane_C_Y_X(self) -> Plane:
        """The pixels, or the place to read them from."""
        return self.frame.pixels_C_Y_X

    @property
    def is_lazy(self) -> bool:
        """Whether the pixels are read from disk when needed, and scores are stored in the project."""
        return isinstance(self.plane_C_Y_X, LazyPlane)

    def is_at_hand(self, index: int) -> bool:
        """Return whether a crop can be shown without reading it first."""
        return index in self.held or not self.is_lazy

    def hold(self, index: int, picture: CropPicture) -> None:
        """Keep a crop that was read, and drop those that were read long ago."""
        self.held[index] = picture
        left = sum(each.size for each in self.held.values())
        for old in list(self.held)[:-FEWEST_HELD]:
            if left <= MOST_HELD_BYTES:
                break
            left -= self.held.pop(old).size

    def picture(self, grid: Grid, index: int) -> CropPicture:
        """Return a crop that is in memory."""
        return self.held.get(index) or picture_of(self.plane_C_Y_X, grid, index)


def revised(project_session: ProjectSession, label: CropLabel | None) -> list[tuple[CropLabel, CropLabel | None]]:
    """Return the labels undone or redone together with one, each with its crop's current label; empty for None."""
    together = project_session.store.labels_together(label) if label is not None else []
    return [(each, project_session.store.label_at(each)) for each in together]


def colour_of(label: CropLabel, project: Project) -> str:
    """Return the current colour of a label's class; grey for skipped, black for excluded."""
    if label.class_id is None:
        return "#888888" if label.kind == "skip" else "#000000"
    label_class = project.class_of(label.class_id)
    return label_class.colour if label_class is not None else "#888888"
