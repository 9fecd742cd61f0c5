"""A frame larger than memory, made ready to be scored band by band."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError, ProjectError
from costal.files import write_atomically
from costal.frames.grid import tile
from costal.frames.lazy import LazyFrame, Missing
from costal.frames.normalise import IntensityRange
from costal.frames.read import Planes
from costal.frames.windows import LazyPlane, content_hash, missing_boxes
from costal.labels.models import Generation
from costal.labels.project import Project
from costal.labels.store import Store
from costal.types import Agent, Grid
from costal.workbench.bands import BACKGROUND_FILE, BandWork, is_there, known_as, rows_of_band, told_missing
from costal.workbench.intensities import background, measured_range
from costal.workbench.pixel_size import warning_for
from costal.workbench.rounds import current_generation, range_in_use
from costal.workbench.scores_folder import card, claim, digest_of

Background = Literal["none", "skip"]
RECIPE = 3
"""Of what is scored and how it is kept: scores of another recipe are made anew."""
CHECKED_ROWS = 16


@dataclass(frozen=True, slots=True)
class LargeRequest:
    """A plane of a lazy frame to be scored for a project, and the folder that its bands are kept in.

    `range` None measures the plane's own.
    """

    project: Project
    frame: LazyFrame
    planes: Planes
    folder: Path
    missing: Missing = "raise"
    background: Background = "none"
    annotator: str = ""
    device: str = "auto"
    range: IntensityRange | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A large frame whose folder is claimed for it: what its bands are made with, and which of them are to be made.

    `differs` names what the bands that lay there before were not made with; `warning` says that the frame's pixels are
    of another size than was learned at.
    """

    project: Project
    work: BandWork
    generation: Generation
    content_hash: str
    to_do: tuple[int, ...]
    differs: tuple[str, ...]
    notes: tuple[str, ...]
    warning: str = ""

    @property
    def agent(self) -> Agent:
        """The model that scores."""
        return self.generation.agent


def grid_for(request: LargeRequest) -> Grid:
    """Return how the project cuts the frame into crops (see `tile`)."""
    tiling = request.project.tiling
    return tile(request.frame.size_of(0), tiling.crop, tiling.stride, tiling.edge)


def generation_for(request: LargeRequest) -> Generation:
    """Return the project's newest agent, or a new one (see `current_generation`)."""
    channels = LazyPlane(request.frame, request.planes).shape[0]
    return current_generation(request.project, (channels, request.project.tiling.crop, request.project.tiling.crop))


def prepare(request: LargeRequest) -> Prepared:
    """Return a large frame ready to be scored: its range measured, its folder claimed, finished bands looked through.

    Raises
    ------
    CostalError
        When the project has no model that fits, the frame cannot be read, chunks are missing that must not, or nothing
        can be written.
    """
    project, frame, planes = request.project, request.frame, request.planes
    grid = grid_for(request)
    if request.missing == "raise":
        _require_all(frame, planes)
    generation = generation_for(request)
    if not generation.agent.classifier:
        raise ProjectError(
            f"{frame.source} is scored piece by piece, which needs a model. {' '.join(generation.agent.notes)} "
            "For this image, do so in napari (costal open), and train."
        )
    own, note = (request.range, "") if request.range else measured_range(frame, planes, request.missing)
    with Store(project.store_path, read_only=True) as store:
        limits, order = range_in_use(project, own, store.ranges()), store.presentation_count(request.annotator)
    mask_N = background(frame, planes, grid) if request.background == "skip" else None
    plane_hash = content_hash(frame, planes)
    made_of = _made_of(request, grid, limits, generation, order, plane_hash, mask_N)
    made_of, order = _in_one_order(made_of, card(request.folder), order)
    differs = claim(request.folder, made_of)
    if mask_N is not None:
        write_atomically(request.folder / BACKGROUND_FILE, _npy(mask_N))
    work = BandWork(
        known_as(frame),
        frame.identity,
        frame.axes,
        planes,
        grid,
        limits,
        request.missing,
        request.folder.absolute(),
        digest_of(made_of),
        rows_of_band(grid),
        project.choices.seed,
        request.annotator,
        order,
        request.device,
        mask_N is not None,
    )
    to_do = tuple(number for number in range(work.band_count) if not is_there(work, number))
    notes = (*generation.agent.notes, *frame.notes, *((note,) if note else ()))
    warning = warning_for(project, generation, frame.pixel_um)
    return Prepared(project, work, generation, plane_hash, to_do, differs, notes, warning)


def _require_all(frame: LazyFrame, planes: Planes) -> None:
    """Find out now, not after hours, that chunks are missing."""
    height, width = frame.size_of(0)
    rows = CHECKED_ROWS * frame.chunk[0]
    for y in range(0, height, rows):
        boxes = missing_boxes(frame, planes, (y, min(height, y + rows), 0, width))
        if boxes:
            raise FrameError(told_missing(frame, boxes))


def _made_of(
    request: LargeRequest,
    grid: Grid,
    limits: IntensityRange,
    generation: Generation,
    order: int,
    plane_hash: str,
    mask_N: NDArray[np.bool_] | None,
) -> Mapping[str, Any]:
    settings = asdict(generation.agent.settings)
    # what combines or chooses scores does not change them
    chooses = ("alpha", "beta", "n", "diverse", "control_share", "budget", "training", "cost_likelihood")
    return {
        "recipe": RECIPE,
        "image": request.frame.identity,
        "plane": plane_hash,
        "planes": asdict(request.planes),
        "grid": asdict(grid) | {"band": rows_of_band(grid)},
        "range": asdict(limits),
        "model": generation.model_hash,
        "settings": {name: entry for name, entry in settings.items() if name not in chooses},
        "seed": request.project.choices.seed,
        "annotator": [request.annotator, order],
        "missing": request.missing,
        "background": "none" if mask_N is None else hashlib.sha256(np.packbits(mask_N).tobytes()).hexdigest(),
    }


def _in_one_order(now: Mapping[str, Any], before: Mapping[str, Any], order: int) -> tuple[Mapping[str, Any], int]:
    """Return of what, and after how many answers, scores are made: as many as before, where nothing else differs.

    Practice makes every crop of a frame cheaper alike, and bands of one frame must not differ by it.
    """
    told = before.get("annotator", ["", 0])
    alike = told[0] == now["annotator"][0] and json.loads(json.dumps(now)) | {"annotator": told} == before
    return (before, int(told[1])) if alike else (now, order)


def _npy(array: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()
