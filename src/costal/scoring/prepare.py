"""A frame made ready to be scored: its grid, range and model, and what of it was scored before."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.files import write_atomically
from costal.frames.grid import Plane, tile
from costal.frames.lazy import Missing
from costal.frames.normalise import IntensityRange
from costal.frames.windows import LazyPlane, missing_boxes
from costal.labels.exchange.filenames import safe_name
from costal.labels.models import ModelVersion
from costal.labels.project import Project
from costal.labels.store import Store
from costal.scoring.bands import BACKGROUND_FILE, BandWork, as_sent, rows_of_band
from costal.scoring.features import FrameFeatures, files_of
from costal.scoring.frame_planes import FramePlane
from costal.scoring.intensities import background, measured_range
from costal.scoring.kept import card, claim, digest_of
from costal.scoring.model_version import current_version, range_in_use, told_outside
from costal.scoring.pixel_size import warning_for
from costal.scoring.strips import told_missing
from costal.types import Agent, Grid

Background = Literal["none", "skip"]
RECIPE = 4
"""Of what is scored and how it is kept: scores of another recipe are computed again."""
CHECKED_ROWS = 16
LONGEST_NAME = 40
MISSING_IN_WINDOW: Missing = "skip"
"""Of an image that is still being written, the crops that are there can be asked."""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A frame to be scored for a project and for whom.

    `range` None measures the frame's own; without a `folder` no scores are kept on disk.
    """

    project: Project
    frame: FramePlane
    folder: Path | None = None
    missing: Missing = "raise"
    background: Background = "none"
    annotator: str = ""
    device: str = "auto"
    range: IntensityRange | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frame ready to be scored: what its bands are made with, by which model, and which of them are to be made.

    It travels to other processes. `differs` names what the bands that lay in its folder before were not made with;
    `warning` says that the frame's pixels are of another size than was learned at.
    """

    project: Project
    source: str
    description: str
    content_hash: str
    work: BandWork
    model_version: ModelVersion
    to_do: tuple[int, ...]
    differs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warning: str = ""

    @property
    def agent(self) -> Agent:
        """The model that scores."""
        return self.model_version.agent

    @property
    def has_model(self) -> bool:
        """Whether a committee can be asked; without one a first query is chosen by looks."""
        return bool(self.agent.classifier)


def kept_in(project: Project, frame: FramePlane, purpose: str = "") -> Path | None:
    """Return the folder of a project that keeps the scores of a frame; None for one in memory, which has no need."""
    if not isinstance(frame.pixels_C_Y_X, LazyPlane):
        return None
    name = safe_name(Path(frame.source).stem[:LONGEST_NAME])
    return project.scores_folder / " ".join(filter(None, (name, frame.content_hash[:12], purpose)))


def grid_of(project: Project, plane_C_Y_X: Plane) -> Grid:
    """Return how a project cuts a plane into crops.

    Raises
    ------
    FrameError
        When crops of the project's size do not fit.
    """
    tiling, (_, height, width) = project.tiling, plane_C_Y_X.shape
    return tile((height, width), tiling.crop, tiling.stride, tiling.edge)


def prepare(request: ScoreRequest, model_version: ModelVersion | None = None) -> Prepared:
    """Return a frame ready to be scored: its range measured, its folder claimed, finished bands looked through.

    It is scored by the project's newest model (see `current_version`), or by another one.

    Raises
    ------
    CostalError
        When the frame cannot be read, chunks are missing that must not, or nothing can be written.
    """
    project, frame = request.project, request.frame
    plane_C_Y_X = frame.pixels_C_Y_X
    grid = grid_of(project, plane_C_Y_X)
    if request.missing == "raise":
        _require_all(plane_C_Y_X)
    model_version = model_version or current_version(project, (plane_C_Y_X.shape[0], grid.crop, grid.crop))
    own, note = (request.range, "") if request.range else measured_range(plane_C_Y_X, request.missing)
    with Store(project.store_path, read_only=True) as store:
        limits, order = range_in_use(project, own, store.ranges()), store.presentation_count(request.annotator)
    seed, folder = project.choices.seed, request.folder
    kept: dict[str, Any] = {"rows": grid.rows}
    differs: tuple[str, ...] = ()
    if folder is not None and model_version.agent.classifier:
        mask_N = background(plane_C_Y_X, grid) if request.background == "skip" else None
        made_of = _made_of(request, grid, limits, model_version, order, mask_N)
        made_of, order = _in_one_order(made_of, card(folder), order)
        differs = claim(folder, made_of)
        if mask_N is not None:
            write_atomically(folder / BACKGROUND_FILE, _npy(mask_N))
        kept = {"rows": rows_of_band(grid), "folder": folder.absolute(), "digest": digest_of(made_of)}
        kept["has_background"] = mask_N is not None
    work = BandWork(
        plane=as_sent(plane_C_Y_X),
        grid=grid,
        range=limits,
        missing=request.missing,
        seed=seed,
        annotator=request.annotator,
        order=order,
        device=request.device,
        features=_features_of(request, grid, limits),
        **kept,
    )
    return Prepared(
        project,
        frame.source,
        frame.description,
        frame.content_hash,
        work,
        model_version,
        tuple(number for number in range(work.band_count) if work.kept(number) is None),
        differs,
        tuple(filter(None, (*frame.notes, note))),
        " ".join(filter(None, (warning_for(project, model_version, frame.pixel_um), told_outside(project, own)))),
    )


def _features_of(request: ScoreRequest, grid: Grid, limits: IntensityRange) -> FrameFeatures | None:
    """Return where features of a frame are kept: nowhere when missing chunks are filled, for they may come."""
    if request.missing == "fill":
        return None
    frame = request.frame
    made_of = {"frame": [frame.content_hash, frame.description], "grid": asdict(grid), "range": asdict(limits)}
    return FrameFeatures(files_of(request.project), json.dumps(made_of, sort_keys=True))


def _require_all(plane_C_Y_X: Plane) -> None:
    """Find out now, not after hours, that chunks are missing."""
    if not isinstance(plane_C_Y_X, LazyPlane):
        return
    frame, (_, height, width) = plane_C_Y_X.frame, plane_C_Y_X.shape
    rows = CHECKED_ROWS * frame.chunk[0]
    for y in range(0, height, rows):
        boxes = missing_boxes(frame, plane_C_Y_X.planes, (y, min(height, y + rows), 0, width))
        if boxes:
            raise FrameError(told_missing(frame, boxes))


def _made_of(
    request: ScoreRequest,
    grid: Grid,
    limits: IntensityRange,
    model_version: ModelVersion,
    order: int,
    mask_N: NDArray[np.bool_] | None,
) -> Mapping[str, Any]:
    settings = asdict(model_version.agent.settings)
    # what combines or chooses scores does not change them
    chooses = ("alpha", "beta", "rule", "n", "diverse", "control_share", "budget", "training", "cost_likelihood")
    frame = request.frame
    address = as_sent(frame.pixels_C_Y_X)
    return {
        "recipe": RECIPE,
        "image": getattr(address, "identity", frame.content_hash),
        "plane": frame.content_hash,
        "planes": frame.description,
        "grid": asdict(grid) | {"band": rows_of_band(grid)},
        "range": asdict(limits),
        "model": model_version.model_hash + ("" if model_version.agent.cost_model else " without costs"),
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
    annotator = before.get("annotator", ["", 0])
    alike = annotator[0] == now["annotator"][0] and json.loads(json.dumps(now)) | {"annotator": annotator} == before
    return (before, int(annotator[1])) if alike else (now, order)


def _npy(array: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()
