"""What a project's model said of a whole frame, kept in a few bytes: how many crops of each class it predicted.

The files lie in the project's folder of scores, which may be deleted at any time.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from costal.errors import ProjectError
from costal.files import write_atomically
from costal.labels.lock import is_held_elsewhere
from costal.labels.project import Project
from costal.labels.store import Store
from costal.scoring.prepare import Prepared
from costal.scoring.scores import FrameScores

FOLDER = "frames"


@dataclass(frozen=True, slots=True)
class FrameSummary:
    """How many crops of each class id model `generation`, of this file's hash, predicted in a frame."""

    content_hash: str
    generation: int
    model_hash: str
    predicted: Mapping[int, int]


def summary_of(prepared: Prepared, scores: FrameScores) -> FrameSummary | None:
    """Return what was predicted, None where no model was asked or nothing was scored."""
    which = scores.which_M
    if scores.scores is None:
        return None
    probs_N_K = scores.scores.probs_N_K if which is None else scores.scores.probs_N_K[which]
    class_ids = prepared.agent.settings.class_ids
    if not class_ids or not np.isfinite(probs_N_K).all():
        return None
    counts = np.bincount(probs_N_K.argmax(axis=1), minlength=len(class_ids))
    predicted = {class_id: int(count) for class_id, count in zip(class_ids, counts, strict=True) if count}
    return FrameSummary(prepared.content_hash, scores.generation, scores.model_hash, predicted)


def keep_summary(prepared: Prepared, scores: FrameScores) -> None:
    """Keep what was predicted of a frame of the project, where this process may write to it."""
    project, summary = prepared.project, summary_of(prepared, scores)
    if summary is None or is_held_elsewhere(project.folder):
        return
    path = _path(project, summary.content_hash)
    with suppress(OSError, ProjectError):  # a cache: a full disk or a read-only project has none
        with Store(project.store_path, read_only=True) as store:
            if not store.frame_with(summary.content_hash):
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(summary)).encode())


def load_summaries(project: Project) -> dict[str, FrameSummary]:
    """Return what was predicted of each frame, by its content; files that cannot be read count as not there."""
    summaries = {}
    for path in (project.scores_folder / FOLDER).glob("*.json"):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            document = json.loads(path.read_text("utf-8"))
            predicted = {int(class_id): int(count) for class_id, count in document["predicted"].items()}
            known = str(document["content_hash"]), int(document["generation"]), str(document["model_hash"])
            summaries[known[0]] = FrameSummary(*known, predicted)
    return summaries


def _path(project: Project, content_hash: str) -> Path:
    return project.scores_folder / FOLDER / f"{content_hash[:40]}.json"
