"""A project's agent retrained on all its answers: a job for another process, for it loads torch."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from costal.frames.normalise import IntensityRange, normalise, shared_range
from costal.labels.effort import derive, replay
from costal.labels.event_table import read_on
from costal.labels.models import ModelVersion, Provenance, newest_number, save_agent
from costal.labels.project import Project
from costal.labels.recipes import Recipe
from costal.labels.records import PresentedCrop
from costal.labels.store import Store
from costal.loop import learn
from costal.scoring.features import FeatureFiles, files_of, kept_or_computed, made_by
from costal.scoring.model_version import current_version, range_of_project
from costal.scoring.pixel_size import distinct
from costal.types import Agent, Answer, Floats, Job, Progress, map_progress
from costal.workbench.fitting import learned_shape, left_out, remedy
from costal.workbench.review import review

BLOCK = 512
"""Labelled crops whose features are in one file, in the order in which they were shown."""
NO_CROP = np.empty((0, 0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """A project to retrain.

    One that normalises all frames alike keeps the range of its newest model, unless a `new_range` is wanted.
    """

    project: Project
    seed: int
    device: str = "auto"
    new_range: bool = False


def retrain(request: RetrainRequest) -> Job[ModelVersion]:
    """Return the agent retrained on all labels and efforts of a project, saved as its next generation.

    Crops of another shape than the project's (see `learned_shape`) are left out and counted in the notes. Without a
    classifier nothing is saved, for nothing could be asked of it: the generation is 0 and the notes say why.

    Raises
    ------
    CostalError
        When training diverges or nothing can be written: the newest saved agent is still the old one.
    """
    project = request.project
    material = material_of(project, request.new_range)
    agent = yield from fit(material, request.seed, request.device)
    presented, shape = material.presented, material.shape
    notes = (*agent.notes, *left_out(presented, shape))
    if not agent.classifier:
        newest = newest_number(project.model_folder)
        stays = f" Model {newest} stays the newest." if newest else ""
        ends = (remedy(presented, shape), f"No model was saved.{stays}")
        return ModelVersion(0, replace(agent, notes=(*notes, *filter(None, ends))))
    with Store(project.store_path, read_only=True) as store:
        metrics, pixel_um = review(project, read_on(store)).metrics(), distinct(store.pixel_sizes(shape))
    provenance = replace(origin_of(material, agent, request.seed, request.device), metrics=metrics, pixel_um=pixel_um)
    return save_agent(project.model_folder, replace(agent, notes=notes), provenance, project.kept_models)


@dataclass(frozen=True, slots=True)
class Material:
    """All that a project's models learn from: its presentations up to the one numbered `upto`, and how they are seen.

    `limits` are the range of all frames, None where each has its own.
    """

    project: Project
    presented: Sequence[PresentedCrop]
    upto: int
    shape: tuple[int, int, int]
    limits: IntensityRange | None
    fresh: Agent

    @property
    def label_ids(self) -> tuple[int, ...]:
        """The labels that are learned, by the ids that they had at first."""
        alike = (each for each in self.presented if each.pixels_C_H_W.shape == self.shape)
        return tuple(sorted(each.label_id for each in alike if each.label_id is not None))

    @property
    def class_index(self) -> dict[int, int]:
        """The network output of each class that is learned."""
        indices = {each.id: self.project.class_index(each.id) for each in self.project.classes}
        return {each: index for each, index in indices.items() if index is not None}


def material_of(project: Project, new_range: bool = False) -> Material:
    """Return what a project's models learn from now.

    Raises
    ------
    ProjectError
        When the project cannot be read.
    """
    with Store(project.store_path, read_only=True) as store:
        upto, ranges = store.newest_presentation(), store.ranges()
        presented = store.presented(upto)
    shape = learned_shape(project, presented)
    limits = range_of_project(project, ranges, shape[0], new_range)
    return Material(project, presented, upto, shape, limits, current_version(project, shape).agent)


def fit(material: Material, seed: int, device: str) -> Job[Agent]:
    """Return the agent that learns from a project's material."""
    learned = yield from learned_answers(material, device)
    return (yield from learn(material.fresh, learned, seed, device))


def learned_answers(material: Material, device: str) -> Job[list[Answer]]:
    """Return the answers of a project's material with the features of its backbone (see `with_kept_features`)."""
    project, presented = material.project, material.presented
    answers = answers_of(project, presented, material.limits, material.shape)
    return (yield from with_kept_features(files_of(project), material.fresh, answers, len(presented), device))


def origin_of(material: Material, agent: Agent, seed: int, device: str) -> Provenance:
    """Return how an agent came to be that learned from this material in this process."""
    import torch

    from costal.agent.devices import choose_device

    limits, used = material.limits, material.label_ids
    low_C, high_C = (limits.low_C, limits.high_C) if limits is not None else ((), ())
    recipe = Recipe(
        used,
        material.upto,
        seed,
        asdict(agent.settings),
        material.shape,
        material.class_index,
        material.project.idle_limit_s,
        material.project.intake.rgb,
        asdict(agent.backbone) if agent.backbone is not None else None,
        choose_device(device).split(":")[0],
        agent.precision,
        torch.get_num_threads(),
        low_C,
        high_C,
    )
    return Provenance(used, seed, low_C=low_C, high_C=high_C, recipe=recipe.to_json())


def answers_of(
    project: Project,
    presented: Sequence[PresentedCrop],
    limits: IntensityRange | None,
    crop_shape: tuple[int, int, int],
) -> Iterator[Answer]:
    """Return what the agent learns from, one by one: normalised crops of one shape, their labels and derived efforts.

    They are normalised with these `limits`, or each with its own frame's.
    """
    idle_limit_ns = round(project.idle_limit_s * 1e9)
    answered: Counter[str] = Counter()
    for each in presented:
        order = answered[each.annotator]
        answered[each.annotator] += bool(each.events)  # practice comes of crops that were looked at one by one
        if each.pixels_C_H_W.shape != crop_shape:
            continue
        effort = derive(replay(each.events, idle_limit_ns))
        own = limits or IntensityRange(each.low_C, each.high_C)
        yield Answer(
            normalise(each.pixels_C_H_W, shared_range(own) if project.intake.rgb else own),
            project.class_index(each.class_id),
            effort.active_s if effort.usable else None,
            effort.censored,
            each.annotator,
            order,
        )


def with_kept_features(
    files: FeatureFiles, agent: Agent, answers: Iterable[Answer], count: int, device: str
) -> Job[list[Answer]]:
    """Return the answers with the features of the agent's frozen backbone: kept, or made now and kept by blocks.

    There are at most `count` of them. Of answers with features the crops are let go, which take ten times the memory.
    """
    if agent.backbone is None:
        return list(answers)
    from costal.agent.devices import choose_device

    device = choose_device(device)
    augment = agent.settings.training.augment
    complete: list[Answer] = []
    remaining = iter(answers)
    while block := list(islice(remaining, BLOCK)):
        start = len(complete)
        keys_N = np.array([blake2b(each.crop_C_H_W.tobytes(), digest_size=16).hexdigest() for each in block])
        made_of = made_by(agent, device) | {"labelled": start, "turned": augment}

        def compute(places: NDArray[np.intp], block: Sequence[Answer] = block) -> Job[Floats]:
            return _looked_at(agent, [block[place] for place in places], device)

        job = kept_or_computed(files, made_of, keys_N, compute)
        features_N_V_F = yield from map_progress(job, lambda each, past=start: _among(each, past, count))  # type: ignore[misc]
        complete += [
            replace(each, crop_C_H_W=NO_CROP, features_V_F=own) for each, own in zip(block, features_N_V_F, strict=True)
        ]
    return complete


def _looked_at(agent: Agent, answers: Sequence[Answer], device: str) -> Job[Floats]:
    from costal.agent.backbones import answers_with_features

    complete = yield from answers_with_features(agent, answers, device)
    return np.stack([each.features_V_F for each in complete if each.features_V_F is not None])


def _among(progress: Progress, past: int, total: int) -> Progress:
    return Progress(min(past + BLOCK, total), total, progress.message)
