"""Frames that arrived, scored before anybody looks at them: which of them to open next."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.normalise import IntensityRange, intensity_range
from costal.frames.planes import describe
from costal.frames.read import Planes, plane_frame, read
from costal.labels.project import Project
from costal.labels.store import Store
from costal.types import Frame, Grid, Job
from costal.workbench.channels import planes_for
from costal.workbench.rounds import (
    FrameRequest,
    FrameScores,
    PickedCrops,
    by_index,
    grid_of,
    query_of,
    query_seed,
    range_in_use,
    score_frame,
    unanswered,
)


@dataclass(frozen=True, slots=True)
class FilePlane:
    """One frame out of a file: its pixels (C, Y, X), and which planes of the file they are."""

    frame: Frame
    planes: Planes
    description: str
    range: IntensityRange


@dataclass(frozen=True, slots=True)
class OfferRequest:
    """A file to be scored for a project and for whom."""

    project: Project
    path: Path
    annotator: str
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a frame of an arrived file has to give: its query's total value and expected seconds.

    Both are None while no model can say.
    """

    planes: Planes
    description: str
    content_hash: str
    crop_count: int
    answered_count: int
    value: float | None
    seconds: float | None
    generation: int


def frames_of(project: Project, path: Path) -> list[FilePlane]:
    """Return the frames that a project makes of a file (see `PlaneRule`).

    Raises
    ------
    FrameError
        When the file cannot be read, has not the project's channels, or gives too many frames.
    """
    whole = read(path, project.axes)
    found = []
    for planes in planes_for(project, whole):
        frame = plane_frame(whole, planes)
        found.append(FilePlane(frame, planes, describe(planes), intensity_range(frame.pixels)))
    return found


@dataclass(frozen=True, slots=True)
class ScoredPlane:
    """A frame of a file with its scores; `free_M` are the crops to be asked: no answer yet, and with information."""

    plane: FilePlane
    grid: Grid
    found: FrameScores
    free_M: NDArray[np.intp]
    answered_count: int

    def query(self, project: Project) -> PickedCrops:
        """Return what would be asked of it (see `query_of`)."""
        seed = query_seed(project, self.found, 0, self.answered_count)
        return query_of(self.found, project, self.grid, self.free_M, seed)


def score_plane(
    project: Project, plane: FilePlane, store: Store, annotator: str = "", device: str = "auto"
) -> Job[ScoredPlane]:
    """Return a frame of a file scored for a project, as its store knows the frame.

    Raises
    ------
    CostalError
        When the project's model cannot be read, or crops do not fit.
    """
    pixels = plane.frame.pixels
    grid = grid_of(project, pixels)
    limits = range_in_use(project, plane.range, store.ranges())
    order = store.presentation_count(annotator)
    request = FrameRequest(
        project, pixels, limits, grid, annotator, order, project.choices.seed, device, plane.frame.pixel_um
    )
    found = yield from score_frame(request)
    labels = by_index(store.labels_of(plane.frame.content_hash), grid)
    return ScoredPlane(plane, grid, found, found.among(unanswered(labels, grid)), len(labels))


def offer(request: OfferRequest) -> Job[tuple[Offer, ...]]:
    """Return what each frame of a file has to give.

    Raises
    ------
    CostalError
        When the file or the project cannot be read, or the crops do not fit.
    """
    project = request.project
    offers = []
    with Store(project.store_path, read_only=True) as store:
        for each in frames_of(project, request.path):
            scored = yield from score_plane(project, each, store, request.annotator, request.device)
            scores, value, seconds = scored.found.scores, None, None
            if scores is not None and len(scored.free_M):
                query = scored.query(project)
                value = float(query.value_N[query.picked_n].sum()) if query.value_N is not None else None
                seconds = None if scores.cost_is_uniform else float(scores.cost_N[query.picked_n].sum())
            told = (each.planes, each.description, each.frame.content_hash, len(scored.grid), scored.answered_count)
            offers.append(Offer(*told, value, seconds, scored.found.generation))
    if not offers:
        raise FrameError(f"{request.path} gives no frame. Choose another Z or T under Advanced.")
    return tuple(offers)
