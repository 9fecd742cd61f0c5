"""One frame classified: each crop's class by the committee's mean probabilities, whatever the frame's size.

Each class has a confidence, which is high only where the members of the committee agree. The classes are those that
scoring predicts.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from costal.applying.applied import NO_CLASS, Applied
from costal.errors import AgentError, FrameError
from costal.frames.lazy import Missing
from costal.frames.resample import resampled
from costal.frames.windows import LARGE_BYTES, LazyPlane, plane_bytes
from costal.labels.models import ModelVersion
from costal.labels.project import Project
from costal.scoring.frame_planes import FramePlane
from costal.scoring.intensities import measured_range
from costal.scoring.job import score_prepared
from costal.scoring.model_version import trained_version
from costal.scoring.pixel_size import learned_um, scaling
from costal.scoring.prepare import ScoreRequest, grid_of, prepare
from costal.types import Job


@dataclass(frozen=True, slots=True)
class ApplyRequest:
    """A frame to be classified for a project; scores of one that is not in memory are kept in `folder`.

    With `resample` a frame of another pixel size than that of the training is resampled to it first.
    """

    project: Project
    frame: FramePlane
    folder: Path | None = None
    missing: Missing = "raise"
    device: str = "auto"
    resample: bool = False


def apply_to_frame(request: ApplyRequest, model_version: ModelVersion | None = None) -> Job[Applied]:
    """Return the class of every crop of a frame, by the project's newest model, or another one.

    Stored scores are not computed again.

    Raises
    ------
    CostalError
        When there is no trained classifier, or it was made for other crops or classes; see `prepare` and
        `score_prepared`.
    """
    project, frame = request.project, request.frame
    model_version = model_version or trained_version(project)
    limits, _ = measured_range(frame.pixels_C_Y_X, request.missing)
    zoom, note = scaling(frame.pixel_um, learned_um(project, model_version.provenance), request.resample)
    shape = frame.pixels_C_Y_X.shape
    if zoom != 1:
        content_hash = f"{frame.content_hash} resampled by {zoom!r}"  # these pixels are others
        frame = replace(frame, pixels_C_Y_X=resampled(_in_memory(frame), zoom), content_hash=content_hash)
    grid = grid_of(project, frame.pixels_C_Y_X)
    made_for, crop_shape = model_version.agent.crop_shape, (shape[0], grid.crop, grid.crop)
    if crop_shape != made_for:
        (channels, side, _), (other_channels, other_side, _) = made_for, crop_shape
        raise AgentError(
            f"The model was trained for crops of {side} px with {channels} channel(s), not {other_side} px with "
            f"{other_channels}. Choose the planes that it was trained on, or train a model for these."
        )
    own = replace(frame, pixel_um=None, notes=())  # the note on its pixel size exists already
    score_request = ScoreRequest(project, own, request.folder, request.missing, device=request.device, range=limits)
    prepared = prepare(score_request, _classifying(model_version))
    result = yield from score_prepared(prepared, with_features=False)
    count, class_ids = len(grid), prepared.agent.settings.class_ids
    index_N, scored = np.full(count, NO_CLASS, np.uint16), result.among(np.arange(count))
    confidence_N, information_N = (np.full(count, np.nan, np.float32) for _ in range(2))
    notes: tuple[str, ...] = ()
    probs_N_K = np.full((count, len(class_ids)), np.nan, np.float32)
    if result.scores is not None:
        probs_N_K[scored] = result.scores.probs_N_K[scored]
        index_N[scored] = probs_N_K[scored].argmax(axis=1)
        confidence_N[scored] = probs_N_K[scored].max(axis=1)
        information_N[scored] = result.scores.information_N[scored]
        notes = result.scores.notes
    return Applied(
        grid,
        class_ids,
        index_N,
        confidence_N,
        information_N,
        prepared.model_version.number,
        prepared.model_version.model_hash,
        result.scores.device if result.scores is not None else "",
        tuple(filter(None, (*notes, note, *result.warnings))),
        (shape[1], shape[2]),
        probs_N_K,
    )


def _classifying(model_version: ModelVersion) -> ModelVersion:
    """Return a model for classes and information without cost; `std` replaces `random`."""
    agent = model_version.agent
    acquisition = "std" if agent.settings.acquisition == "random" else agent.settings.acquisition
    settings = replace(agent.settings, acquisition=acquisition)
    return replace(model_version, agent=replace(agent, settings=settings, cost_model=None, notes=()))


def _in_memory(frame: FramePlane):  # type: ignore[no-untyped-def]  # pixels of any type
    plane_C_Y_X = frame.pixels_C_Y_X
    if not isinstance(plane_C_Y_X, LazyPlane):
        return plane_C_Y_X
    if plane_bytes(plane_C_Y_X.frame, plane_C_Y_X.planes) > LARGE_BYTES:
        raise FrameError(
            f"{frame.source} is too large to be resampled here. Label some crops at its pixel size and train, or "
            "resample it with another program first."
        )
    return plane_C_Y_X[:, :, :]
