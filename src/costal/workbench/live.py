"""Learning between two answers: both heads are fitted, and the frame at work is scored again. A job of the engine."""

from dataclasses import dataclass, replace

from costal.labels.models import ModelVersion, newest_number
from costal.labels.project import Project
from costal.scoring.bands import rows_of_band, score_bands
from costal.scoring.prepare import Prepared, ScoreRequest, prepare
from costal.scoring.scores import FrameScores, put_together
from costal.seeds import seed_for
from costal.types import Job
from costal.workbench.retraining import fit, material_of, origin_of

MOST_CROPS = 4096
"""A frame of more crops is not scored between two answers."""


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """A project whose labels are others by now, and its frame at work, ready to be scored."""

    project: Project
    prepared: Prepared
    device: str = "auto"


def live_request(request: ScoreRequest) -> LiveRequest:
    """Return what the engine is asked: the frame made ready, its scores to be kept nowhere.

    Raises
    ------
    CostalError
        When the frame or the project cannot be read.
    """
    prepared = prepare(replace(request, folder=None))
    work = prepared.work
    if request.folder is not None:  # features are kept by the bands that are scored when no crop is on the screen
        work = replace(work, rows=rows_of_band(work.grid))
    prepared = replace(prepared, work=work, to_do=tuple(range(work.band_count)))
    return LiveRequest(request.project, prepared, request.device)


def live_seed(project: Project, labels: int) -> int:
    """Return the seed of a model between two answers: another one for each number of labels."""
    return seed_for(project.choices.seed, "live", labels)


def learn_between(request: LiveRequest) -> Job[FrameScores]:
    """Return the scores of the frame by a model that learned all labels so far; that model is not kept.

    They are None where the labels do not suffice for one.

    Raises
    ------
    CostalError
        When training diverges, or something cannot be read.
    """
    project, prepared = request.project, request.prepared
    material = material_of(project)
    seed = live_seed(project, len(material.label_ids))
    agent = yield from fit(material, seed, request.device)
    number = newest_number(project.model_folder)
    if not agent.classifier or agent.crop_shape != prepared.agent.crop_shape:
        return FrameScores(None, number, " ".join(agent.notes))
    origin = origin_of(material, agent, seed, request.device)
    prepared = replace(prepared, model_version=ModelVersion(number, agent, origin))
    made = yield from score_bands(prepared.work, prepared.work.open(), agent, prepared.to_do)
    return put_together(prepared, made.bands, device=made.device, notes=made.notes)
