"""A frame larger than memory, scored lazily: prepared, scored band by band, and put together from its folder."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from costal.agent.value import value
from costal.errors import FrameError, ProjectError
from costal.frames.grid import heatmap, tile
from costal.frames.lazy import LazyFrame, Missing
from costal.frames.normalise import IntensityRange
from costal.frames.ome_zarr import is_url
from costal.frames.planes import describe
from costal.frames.read import Planes
from costal.frames.windows import content_hash, missing_boxes
from costal.labels.models import Generation
from costal.labels.project import Project
from costal.labels.project_file import write_atomically
from costal.labels.store import Store
from costal.types import Agent, Floats, Grid, Job, Scores
from costal.workbench.bands import BACKGROUND_FILE, BandWork, is_there, rows_of_band, score_bands, told_missing
from costal.workbench.intensities import background, measured_range
from costal.workbench.rounds import (
    FrameScores,
    PickedCrops,
    by_index,
    current_generation,
    query_of,
    query_seed,
    range_in_use,
    unanswered,
)
from costal.workbench.scores_folder import HEATMAP, SCORED, Band, claim, digest_of, load_band

Background = Literal["none", "skip"]
RECIPE = 1
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

    `differs` names what the bands that lay there before were not made with.
    """

    project: Project
    work: BandWork
    generation: Generation
    content_hash: str
    to_do: tuple[int, ...]
    differs: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def agent(self) -> Agent:
        """The model that scores."""
        return self.generation.agent


@dataclass(frozen=True, slots=True)
class LargeScores:
    """The scores of all crops of a large frame; NaN where `skipped_N` is not `SCORED`.

    `free_M` are the crops that are scored and have no answer in the project. `features_N_F` are None where there are
    too many crops to keep them.
    """

    prepared: Prepared
    information_N: Floats
    cost_N: Floats
    skipped_N: NDArray[np.uint8]
    features_N_F: Floats | None
    free_M: NDArray[np.intp]

    @property
    def grid(self) -> Grid:
        """Where the crops lie."""
        return self.prepared.work.grid

    @property
    def description(self) -> str:
        """Which planes of the frame these are."""
        return describe(self.prepared.work.planes)

    @property
    def value_N(self) -> Floats:
        """The value of each crop, for the project's α and β."""
        choices, scored = self.prepared.project.choices, self.skipped_N == SCORED
        found = np.full(len(self.grid), np.nan, np.float32)
        found[scored] = value(self.information_N[scored], self.cost_N[scored], choices.alpha, choices.beta)
        return found

    def query(self) -> PickedCrops:
        """Return what would be asked of it (see `query_of`)."""
        project, generation = self.prepared.project, self.prepared.generation
        scored = self.skipped_N == SCORED
        is_uniform = generation.agent.cost_model is None and bool(np.ptp(self.cost_N[scored]) == 0)
        scores = Scores(
            np.where(scored, self.information_N, np.float32(0)),
            np.where(scored, self.cost_N, np.float32(1)),
            np.empty((len(self.grid), 0), np.float32),
            is_uniform,
            self.prepared.work.device,
            features_N_F=self.features_N_F,
        )
        found = FrameScores(scores, generation.number, model_hash=generation.model_hash)
        seed = query_seed(project, found, 0, int(np.count_nonzero(scored)) - len(self.free_M))
        return query_of(found, project, self.grid, self.free_M, seed)


def prepare(request: LargeRequest) -> Prepared:
    """Return a large frame ready to be scored: its range measured, its folder claimed, finished bands looked through.

    Raises
    ------
    CostalError
        When the project has no model that fits, the frame cannot be read, chunks are missing that must not, or nothing
        can be written.
    """
    project, frame, planes = request.project, request.frame, request.planes
    tiling = project.tiling
    grid = tile(frame.size_of(0), tiling.crop, tiling.stride, tiling.edge)
    if request.missing == "raise":
        _require_all(frame, planes)
    channels = frame.length("C") if planes.channels is None else len(planes.channels)
    generation = current_generation(project, (channels, grid.crop, grid.crop))
    if not generation.agent.classifier:
        raise ProjectError(
            f"{frame.source} is scored piece by piece, which needs a model. {' '.join(generation.agent.notes)} Label "
            "crops of a smaller image of this kind first, and train."
        )
    own, note = (request.range, "") if request.range else measured_range(frame, planes, request.missing)
    with Store(project.store_path, read_only=True) as store:
        limits, order = range_in_use(project, own, store.ranges()), store.presentation_count(request.annotator)
    mask_N = background(frame, planes, grid) if request.background == "skip" else None
    known_as = content_hash(frame, planes)
    made_of = _made_of(request, grid, limits, generation, order, known_as, mask_N)
    differs = claim(request.folder, made_of)
    if mask_N is not None:
        write_atomically(request.folder / BACKGROUND_FILE, _npy(mask_N))
    work = BandWork(
        frame.source if is_url(frame.source) else str(Path(frame.source).absolute()),
        frame.identity,
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
    return Prepared(project, work, generation, known_as, to_do, differs, notes)


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
    known_as: str,
    mask_N: NDArray[np.bool_] | None,
) -> Mapping[str, Any]:
    settings = asdict(generation.agent.settings)
    # what combines or chooses scores does not change them
    chooses = ("alpha", "beta", "n", "diverse", "control_share", "budget", "training", "cost_likelihood")
    return {
        "recipe": RECIPE,
        "image": request.frame.identity,
        "plane": known_as,
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


def _npy(array: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


def _held(work: BandWork, number: int) -> Band | None:
    first, end = work.span(number)
    return load_band(work.folder, number, work.digest, end - first)


def put_together(prepared: Prepared) -> LargeScores:
    """Return the scores of a frame whose bands are all there.

    Raises
    ------
    ProjectError
        When a band has gone or was damaged meanwhile.
    """
    work, project = prepared.work, prepared.project
    count = len(work.grid)
    information_N, cost_N = (np.full(count, np.nan, np.float32) for _ in range(2))
    skipped_N, features_N_F = np.zeros(count, np.uint8), None
    for number in range(work.band_count):
        band = _held(work, number)
        if band is None:
            raise ProjectError(f"Band {number} in {work.folder} has gone. Run the same command again.")
        part = slice(*work.span(number))
        information_N[part], cost_N[part], skipped_N[part] = band.information_N, band.cost_N, band.skipped_N
        if band.features_N_F.shape[1]:
            if features_N_F is None:
                features_N_F = np.zeros((count, band.features_N_F.shape[1]), np.float32)
            features_N_F[part] = np.nan_to_num(band.features_N_F)
    with Store(project.store_path, read_only=True) as store:
        given = store.labels_of(prepared.content_hash) or store.labels_in(
            work.source, describe(work.planes), work.grid.height, work.grid.width
        )
        labels = by_index(given, work.grid)
    free_M = unanswered(labels, work.grid)
    return LargeScores(prepared, information_N, cost_N, skipped_N, features_N_F, free_M[skipped_N[free_M] == SCORED])


def write_heatmap(scores: LargeScores, value_N: Floats) -> Path:
    """Write the values of all crops as a float32 TIFF with a pixel for each crop, NaN where there is none.

    Raises
    ------
    ProjectError
        When it cannot be written.
    """
    import tifffile

    content = io.BytesIO()
    tifffile.imwrite(content, heatmap(scores.grid, value_N), photometric="minisblack", compression="zlib")
    path = scores.prepared.work.folder / HEATMAP
    write_atomically(path, content.getvalue())
    return path


def score_large(request: LargeRequest) -> Job[LargeScores]:
    """Return the scores of every crop of a large frame; bands that are there already are not scored again.

    Closed, the job keeps the bands that are finished.

    Raises
    ------
    CostalError
        See `prepare` and `score_bands`.
    """
    prepared = prepare(request)
    yield from score_bands(prepared.work, request.frame, prepared.agent, prepared.to_do)
    return put_together(prepared)
