"""Frames that arrived, scored before anybody looks at them: which of them to open next."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from costal.errors import FrameError
from costal.frames.grid import tile
from costal.frames.normalise import IntensityRange, intensity_range
from costal.frames.planes import describe, planes_of
from costal.frames.read import Planes, frame_from_array, plane, read
from costal.labels.project import Project
from costal.labels.store import Store
from costal.types import Frame, Job
from costal.workbench.rounds import FrameRequest, query_of, query_seed, range_in_use, score_frame


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
        When the file cannot be read or gives too many frames.
    """
    whole = read(path)
    found = []
    for planes in planes_of(whole, project.intake.rule()):
        pixels = plane(whole, planes)
        frame = frame_from_array(pixels, "CYX", whole.pixel_um, whole.source, whole.notes)
        found.append(FilePlane(frame, planes, describe(planes), intensity_range(pixels)))
    return found


def offer(request: OfferRequest) -> Job[tuple[Offer, ...]]:
    """Return what each frame of a file has to give.

    Raises
    ------
    CostalError
        When the file or the project cannot be read, or the crops do not fit.
    """
    project, tiling = request.project, request.project.tiling
    with Store(project.store_path, read_only=True) as store:
        ranges, order = store.ranges(), store.presentation_count(request.annotator)
        offers = []
        for each in frames_of(project, request.path):
            grid = tile(each.frame.pixels.shape[1:], tiling.crop, tiling.stride, tiling.edge)
            limits = range_in_use(project, each.range, ranges)
            seed = project.choices.seed
            asked = FrameRequest(
                project, each.frame.pixels, limits, grid, request.annotator, order, seed, request.device
            )
            found = yield from score_frame(asked)
            answered = {(label.y, label.x) for label in store.labels_of(each.frame.content_hash)}
            free = np.array([index for index in range(len(grid)) if grid.origin(index) not in answered], dtype=np.intp)
            value = seconds = None
            if found.scores is not None and len(free):
                query = query_of(found, project, grid, free, query_seed(project, found, 0, len(answered)))
                value = float(query.value_N[query.picked_n].sum()) if query.value_N is not None else None
                seconds = None if found.scores.cost_is_uniform else float(found.scores.cost_N[query.picked_n].sum())
            told = (each.planes, each.description, each.frame.content_hash, len(grid), len(answered))
            offers.append(Offer(*told, value, seconds, found.generation))
    if not offers:
        raise FrameError(f"{request.path} gives no frame. Choose another Z or T under Advanced.")
    return tuple(offers)
