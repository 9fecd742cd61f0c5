"""Several simulated annotators, who need different times for the same crops."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from costal.agent.value import COST_FLOOR
from costal.paper.sources import Dataset, Indices
from costal.seeds import rng_for
from costal.types import Answer, Floats

TURN = 10
"""How many crops an annotator answers before the next annotator takes over."""
PACE = 0.3
"""The standard deviation of annotators' log pace: some are slow with everything."""
SAMPLE = 1000


def with_annotators(dataset: Dataset, count: int, agreement: float, seed: int, repeat: int) -> Dataset:
    """Return a data set whose efforts are those of `count` annotators, `TURN` crops each in turn.

    An annotator's log effort is the standardised log effort of the data plus a normally distributed part of its own.
    The size of that part gives two annotators this rank correlation (Spearman's) on the same crops. Mean and spread of
    log effort are those of the data, except for the annotator's pace. With one annotator the data set is unchanged.
    """
    if count == 1:
        return dataset
    sample = np.arange(min(SAMPLE, dataset.train_size))
    known = np.log(np.maximum(dataset.effort(sample, repeat, 0), COST_FLOOR)).astype(np.float64)
    mean, spread = float(known.mean()), float(known.std()) or 1.0
    shared = pearson_of(agreement)
    rng = rng_for(seed, "annotators", repeat)
    pace_A = PACE * rng.standard_normal(count)
    own_A_N = rng.standard_normal((count, dataset.train_size)).astype(np.float32)

    def effort(indices: Indices, repeat: int, order: int | Indices) -> Floats:
        alone = np.log(np.maximum(dataset.effort(indices, repeat, 0), COST_FLOOR))
        annotator = np.broadcast_to(np.asarray(order) // TURN % count, np.shape(indices))
        own = own_A_N[annotator, indices]
        log_effort = math.sqrt(shared) * (alone - mean) / spread + math.sqrt(1 - shared) * own
        seconds: Floats = np.exp(mean + spread * log_effort + pace_A[annotator]).astype(np.float32)
        return seconds

    return replace(dataset, effort=effort, annotators=count)


def pearson_of(spearman: float) -> float:
    """Return the correlation of two normal variables whose rank correlation is this."""
    return 2 * math.sin(math.pi / 6 * spearman)


def turn_of(order: int, count: int) -> tuple[str, int]:
    """Return who answers after this many answers, and how many of these were that annotator's own."""
    if count == 1:
        return "", order
    rounds, place = divmod(order, TURN * count)
    return f"annotator {place // TURN + 1}", rounds * TURN + place % TURN


def as_given(answers: Sequence[Answer], count: int) -> tuple[Answer, ...]:
    """Return answers, ordered among all, with each annotator's own order."""
    turns = [turn_of(answer.order, count) for answer in answers]
    return tuple(
        replace(answer, annotator=annotator, order=order)
        for answer, (annotator, order) in zip(answers, turns, strict=True)
    )
