"""One round of the experiment: train on all labels, score a pool, test; ours beside what a user would write."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costal.loop import learn, new_agent, score
from costal.paper.digits import CLASS_COUNT
from costal.paper.sources import Crops
from costal.types import AgentSettings, Floats, Job, Pool, Progress, Training, finish
from tests.benchmarks.peers import Lot, Tuning, bald_of, classes_of, train_in_turn
from tests.benchmarks.stopwatch import timed

OURS, PLAIN, CAREFUL = "costal", "plain loops", "plain loops, trunk once"
PASSES = 50


Phases = tuple[Callable[[], Any], Callable[[Any], object], Callable[[Any], NDArray[np.int64]]]


@dataclass(frozen=True, slots=True)
class RoundCost:
    """What a round takes, in phases, and the accuracy it ends with: medians over the repeats.

    `ratio` is our whole round as a share of this one.
    """

    name: str
    train: float
    score: float
    test: float
    accuracy: float
    ratio: float


def compare_rounds(
    lots: Sequence[Lot], pool_N_C_H_W: Floats, test: Crops, training: Training, device: str, tuning: Tuning
) -> Job[tuple[RoundCost, ...]]:
    """Return what a round takes by us and by plain loops, one repeat for each lot, in turns.

    The plain loops train and test as `tuning` serves them best, in the precision of `training`, and ask T = 50 passes
    in it: the whole network each time, or the trunk once.
    """
    from costal.agent.devices import on_threads

    took: dict[str, list[tuple[float, ...]]] = {OURS: [], PLAIN: [], CAREFUL: []}
    for number, lot in enumerate(lots):
        names = [*took]
        for name in names[number % 3 :] + names[: number % 3]:
            yield Progress(number, len(lots), f"A round of {len(lot.class_N)} labels: {name}")
            phases = (
                _ours(lot, pool_N_C_H_W, test[0], training, device)
                if name == OURS
                else _plain(lot, pool_N_C_H_W, test[0], training, device, tuning, name == CAREFUL)
            )
            with on_threads(tuning.threads):
                took[name].append(_took(phases, test[1], device))
    return tuple(_median(name, took[name], took[OURS]) for name in took)


def _median(name: str, own: Sequence[tuple[float, ...]], ours: Sequence[tuple[float, ...]]) -> RoundCost:
    train, ask, test, accuracy = (statistics.median(column) for column in zip(*own, strict=True))
    shares = [sum(our[:3]) / sum(each[:3]) for our, each in zip(ours, own, strict=True)]
    return RoundCost(name, train, ask, test, accuracy, statistics.median(shares))


def _took(phases: Phases, class_N: NDArray[np.int64], device: str) -> tuple[float, ...]:
    """Return the seconds of each phase, and the accuracy."""
    train, ask, classify = phases
    model, training = timed(train, device)
    _, asking = timed(lambda: ask(model), device)
    found_N, testing = timed(lambda: classify(model), device)
    return (*(each.on(device) for each in (training, asking, testing)), float(np.mean(found_N == class_N)))


def _ours(lot: Lot, pool: Floats, test: Floats, training: Training, device: str) -> Phases:
    from costal.agent.classifier import classify

    agent = new_agent(
        AgentSettings(CLASS_COUNT, acquisition="bald", passes=PASSES, training=training), lot.crops_N_C_H_W.shape[1:]
    )
    return (
        lambda: finish(learn(agent, lot.answers, lot.seed, device)),
        lambda learned: finish(score(learned, Pool(pool), 0, device)),
        lambda learned: finish(classify(learned, test, device)).argmax(1),
    )


def _plain(
    lot: Lot, pool: Floats, test: Floats, training: Training, device: str, tuning: Tuning, trunk_once: bool
) -> Phases:
    return (
        lambda: train_in_turn([lot], training, device, tuning)[0],
        lambda network: bald_of(network, pool, PASSES, training, device, trunk_once),
        lambda network: classes_of(network, test, training, device),
    )
