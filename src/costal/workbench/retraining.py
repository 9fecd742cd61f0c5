"""A project's agent retrained on all its answers: a job for another process, for it loads torch."""

from collections import Counter
from dataclasses import dataclass, replace

from costal.frames.normalise import IntensityRange, normalise
from costal.labels.effort import derive, replay
from costal.labels.ledger import read_on
from costal.labels.models import Generation, Origin, newest_number, save_agent
from costal.labels.project import Project
from costal.labels.records import PresentedCrop
from costal.labels.store import Store
from costal.loop import learn
from costal.scoring.generation import Ranges, current_generation, range_in_use
from costal.scoring.pixel_size import distinct
from costal.types import Answer, Job
from costal.workbench.fitting import learned_shape, left_out, remedy
from costal.workbench.review import review


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """A project to retrain."""

    project: Project
    seed: int
    device: str = "auto"


def retrain(request: RetrainRequest) -> Job[Generation]:
    """Return the agent retrained on all labels and efforts of a project, saved as its next generation.

    Crops of another shape than the project's (see `learned_shape`) are left out and counted in the notes. Without a
    classifier nothing is saved, for nothing could be asked of it: the generation is 0 and the notes say why.

    Raises
    ------
    CostalError
        When training diverges or nothing can be written: the newest saved agent is still the old one.
    """
    project = request.project
    with Store(project.store_path, read_only=True) as store:
        presented, ranges = store.presented(), store.ranges()
        figures = review(project, read_on(store))
        shape = learned_shape(project, presented)
        pixel_um = distinct(store.pixel_sizes(shape))
    answers = answers_of(project, presented, ranges, shape)
    agent = yield from learn(current_generation(project, shape).agent, answers, request.seed, request.device)
    notes = (*agent.notes, *left_out(presented, shape))
    if not agent.classifier:
        newest = newest_number(project.model_folder)
        stays = f" Model {newest} stays the newest." if newest else ""
        ends = (remedy(presented, shape), f"No model was saved.{stays}")
        return Generation(0, replace(agent, notes=(*notes, *filter(None, ends))))
    used = sorted(each.label_id for each in presented if each.label_id is not None and each.pixels_C_H_W.shape == shape)
    origin = Origin(tuple(used), request.seed, figures.metrics(), pixel_um=pixel_um)
    return save_agent(project.model_folder, replace(agent, notes=notes), origin, project.kept_models)


def answers_of(
    project: Project,
    presented: list[PresentedCrop],
    ranges: Ranges,
    crop_shape: tuple[int, int, int],
) -> list[Answer]:
    """Return what the agent learns from: normalised crops of one shape, their labels and derived efforts."""
    idle_limit_ns = round(project.idle_limit_s * 1e9)
    answered: Counter[str] = Counter()
    answers = []
    for each in presented:
        order = answered[each.annotator]
        answered[each.annotator] += 1
        if each.pixels_C_H_W.shape != crop_shape:
            continue
        effort = derive(replay(each.events, idle_limit_ns))
        own = IntensityRange(each.low_C, each.high_C)
        answers.append(
            Answer(
                normalise(each.pixels_C_H_W, range_in_use(project, own, ranges)),
                project.class_index(each.class_id),
                effort.active_s if effort.usable else None,
                effort.censored,
                each.annotator,
                order,
            )
        )
    return answers
