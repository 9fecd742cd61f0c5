"""Frames that arrived, scored before anybody looks at them: which of them to open next."""

from dataclasses import dataclass
from pathlib import Path

from costal.errors import FrameError
from costal.frames.read import Planes
from costal.labels.project import Project
from costal.labels.store import Store
from costal.scoring.frame_planes import frames_of
from costal.scoring.job import score_prepared
from costal.scoring.prepare import MISSING_IN_WINDOW, ScoreRequest, kept_in, prepare
from costal.scoring.queries import labels_of, query_among
from costal.types import Job


@dataclass(frozen=True, slots=True)
class PriorityRequest:
    """A file to be scored for a project and for whom."""

    project: Project
    path: Path
    annotator: str
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class FramePriority:
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


def offer(request: PriorityRequest) -> Job[tuple[FramePriority, ...]]:
    """Return what each frame of a file has to give.

    Raises
    ------
    CostalError
        When the file or the project cannot be read, or the crops do not fit.
    """
    project = request.project
    _, frames = frames_of(project, str(request.path), MISSING_IN_WINDOW)
    offers = []
    with Store(project.store_path, read_only=True) as store:
        for frame in frames:
            score_request = ScoreRequest(
                project, frame, kept_in(project, frame), MISSING_IN_WINDOW, "none", request.annotator, request.device
            )
            prepared = prepare(score_request)
            scored = yield from score_prepared(prepared)
            labels, value, seconds = labels_of(prepared, store), None, None
            query = query_among(prepared, scored, labels) if scored.scores is not None else None
            if scored.scores is not None and query is not None:
                value = float(query.value_N[query.picked_n].sum()) if query.value_N is not None else None
                if not scored.scores.cost_is_uniform:
                    seconds = float(scored.scores.cost_N[query.picked_n].sum())
            details = (
                frame.planes or Planes(),
                frame.description,
                frame.content_hash,
                len(prepared.work.grid),
                len(labels),
            )
            offers.append(FramePriority(*details, value, seconds, scored.generation))
    if not offers:
        raise FrameError(f"{request.path} has no frame to score. Choose another Z or T under Advanced.")
    return tuple(offers)
