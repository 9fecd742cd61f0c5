"""Training many models as one stack, against the same models one after another: throughput and learning curves."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from costal.agent.metrics import accuracy
from costal.loop import learn_together, new_agent, score
from costal.paper.base_costs import BASE_COSTS
from costal.paper.datasets import load_dataset
from costal.paper.digits import CLASS_COUNT
from costal.paper.forecast import Pace, forecast_left
from costal.paper.plan import PROTOCOL, figure_1, table_1
from costal.paper.runner import tasks
from costal.paper.sources import Crops, Dataset
from costal.seeds import rng_for, seed_for
from costal.types import Agent, AgentSettings, Floats, Job, Pool, Progress, Training, finish
from tests.benchmarks.curves import Parity, parity
from tests.benchmarks.machine import Figures, Machine, machine
from tests.benchmarks.peers import Lot, Tuning, classes_of, train_in_turn, tuned
from tests.benchmarks.rounds import RoundCost, compare_rounds
from tests.benchmarks.stopwatch import Spent, timed, unit_on

STACK, PEER = "stack", "peer"
FEWEST_MODELS, FEWEST_LABELS, LEAST_REPEATS = 2, 80, 3
SCORED_CROPS, ROUND_LABELS = 1000, 500
STACK_THREADS = 1  # as the plans of the experiment say


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What is compared: so many models with so many labels each, repeated for about so many seconds.

    At least `FEWEST_MODELS` models and `FEWEST_LABELS` labels, repeated at least `LEAST_REPEATS` times however long
    that takes. `data` is a choice of `load_dataset`; the first `test_crops` of its test set tell the accuracy.
    """

    models: int = 20
    labels: int = 260
    device: str = "auto"
    seconds: float = 120.0
    data: str = "auto"
    seed: int = 0
    test_crops: int = 2000
    training: Training = PROTOCOL

    @property
    def label_counts(self) -> tuple[int, ...]:
        """The points of the learning curves: an eighth, a quarter, a half and all of the labels."""
        return tuple(self.labels // share for share in (8, 4, 2, 1))


@dataclass(frozen=True, slots=True)
class Turn:
    """One training of all models of a repeat with so many labels, by the stack or by the peer."""

    path: str
    repeat: int
    labels: int
    spent: Spent
    accuracy_M: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TrainingFigures(Figures):
    """What the comparison came to.

    All seconds but those of `turns` are in `unit`: CPU seconds on a CPU, else seconds on the clock. `stack_s` and
    `peer_s` are medians for one model with all labels. `ratio` is the stack's throughput over the peer's: median, least
    and greatest of the repeats. `rounds` is what a whole round of `ROUND_LABELS` labels
    takes: trained, `SCORED_CROPS` crops scored, all tests. `forecast_s` are estimates for whole experiments, by name.
    """

    request: TrainingRequest
    tuning: Tuning
    unit: str
    repeats: int
    stack_s: float
    peer_s: float
    ratio: float
    ratio_least: float
    ratio_most: float
    parity: tuple[Parity, ...]
    rounds: tuple[RoundCost, ...]
    pace: Pace
    forecast_s: dict[str, float]
    turns: tuple[Turn, ...]


def compare_training(request: TrainingRequest) -> Job[TrainingFigures]:
    """Return the throughput and the learning curves of the stack and of the peer, trained in turns in one run.

    The first repeat trains on each of the label counts, the others on all labels. Every repeat has labels and seeds of
    its own, and the two take turns in going first.

    Raises
    ------
    CostalError
        When the device or the data are not here, or a training diverges.
    """
    from costal.agent.devices import choose_device

    request = replace(request, device=choose_device(request.device))
    dataset = load_dataset(request.data)
    here = machine(request.device, dataset.fingerprint)
    crops, classes = dataset.test()
    test = crops[: request.test_crops], classes[: request.test_crops]
    yield Progress(0, LEAST_REPEATS, "Tuning the peer")
    lots = _lots(dataset, request, 0)
    tuning = tuned(lots[0], request.training, request.device)
    yield Progress(0, LEAST_REPEATS, "Scoring and testing")
    score_s, classify_s = _paces_of_use(request, lots, crops)
    turns: list[Turn] = []
    began, repeat = time.perf_counter(), 0
    while repeat < LEAST_REPEATS or time.perf_counter() - began < request.seconds:
        lots = _lots(dataset, request, repeat)
        for place, labels in enumerate(request.label_counts if repeat == 0 else (request.labels,)):
            some = [lot.first(labels) for lot in lots]
            for path in (STACK, PEER) if (repeat + place) % 2 == 0 else (PEER, STACK):
                yield Progress(repeat, max(repeat + 1, LEAST_REPEATS), f"{labels} labels: {path}")
                turns.append(_turn(request, path, repeat, some, test, tuning))
        repeat += 1
    apart = replace(request, models=LEAST_REPEATS, labels=ROUND_LABELS, seed=seed_for(request.seed, "a round"))
    rounds = yield from compare_rounds(
        _lots(dataset, apart, 0),
        crops[:SCORED_CROPS],
        (crops, classes),
        request.training,
        request.device,
        tuning,
    )
    return _figures(request, here, tuning, turns, rounds, (score_s, classify_s), len(crops))


def _lots(dataset: Dataset, request: TrainingRequest, repeat: int) -> list[Lot]:
    """Return what each model of a repeat is trained on."""
    lots = []
    for model in range(request.models):
        rng = rng_for(request.seed, "labels", repeat, model)
        crops, classes = dataset.take(rng.permutation(dataset.train_size)[: request.labels])
        lots.append(Lot(crops, classes, seed_for(request.seed, "model", repeat, model)))
    return lots


def _turn(request: TrainingRequest, path: str, repeat: int, lots: Sequence[Lot], test: Crops, tuning: Tuning) -> Turn:
    training, device = request.training, request.device
    if path == STACK:
        agents, spent = _stacked(lots, training, device)
        found = [_accuracy_of(agent, test, device) for agent in agents]
    else:
        networks, spent = timed(lambda: train_in_turn(lots, training, device, tuning), device)
        found = [float(np.mean(classes_of(each, test[0], training, device) == test[1])) for each in networks]
    return Turn(path, repeat, len(lots[0].class_N), spent, tuple(found))


def _stacked(lots: Sequence[Lot], training: Training, device: str) -> tuple[list[Agent], Spent]:
    """Return an agent for each lot, trained together as the experiment trains them, and what that took."""
    from costal.agent.devices import on_threads

    agent = new_agent(AgentSettings(CLASS_COUNT, training=training), lots[0].crops_N_C_H_W.shape[1:])
    answers = [lot.answers for lot in lots]
    job = learn_together([agent] * len(lots), answers, [lot.seed for lot in lots], device)
    with on_threads(STACK_THREADS):
        return timed(lambda: finish(job), device)


def _accuracy_of(agent: Agent, test: Crops, device: str) -> float:
    from costal.agent.classifier import classify

    return accuracy(finish(classify(agent, test[0], device)), test[1])


def _paces_of_use(request: TrainingRequest, lots: Sequence[Lot], crops: Floats) -> tuple[float, float]:
    """Return the seconds for a crop to be scored by a committee, and to be classified."""
    from costal.agent.classifier import classify
    from costal.agent.devices import on_threads

    device, pool = request.device, crops[:SCORED_CROPS]
    (agent, *_), _ = _stacked(lots, replace(request.training, min_steps=1, epochs=0), device)

    def seconds(use: Callable[[], Job[object]]) -> float:
        with on_threads(STACK_THREADS):  # the first use also sets up what is set up once
            return min(timed(lambda: finish(use()), device)[1].on(device) for _ in range(3)) / len(pool)

    return seconds(lambda: score(agent, Pool(pool), 0, device)), seconds(lambda: classify(agent, pool, device))


def _figures(
    request: TrainingRequest,
    here: Machine,
    tuning: Tuning,
    turns: Sequence[Turn],
    rounds: tuple[RoundCost, ...],
    paces: tuple[float, float],
    test_crops: int,
) -> TrainingFigures:
    whole = [turn for turn in turns if turn.labels == request.labels]
    stack, peer = ([turn.spent.on(request.device) for turn in whole if turn.path == path] for path in (STACK, PEER))
    ratios = [slow / fast for slow, fast in zip(peer, stack, strict=True)]
    pace = Pace(statistics.median(stack) / request.models, *paces)
    plans = (table_1(), figure_1(BASE_COSTS))
    return TrainingFigures(
        here,
        request,
        tuning,
        unit_on(request.device),
        len(stack),
        pace.train_s,
        statistics.median(peer) / request.models,
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        tuple(_parity(turns, labels) for labels in request.label_counts),
        rounds,
        pace,
        {
            plan.name: forecast_left(plan, dict.fromkeys(tasks(plan), plan.rounds + 1), pace, test_crops)
            for plan in plans
        },
        tuple(turns),
    )


def _parity(turns: Sequence[Turn], labels: int) -> Parity:
    stack, peer = (
        [each for turn in turns if (turn.path, turn.labels) == (path, labels) for each in turn.accuracy_M]
        for path in (STACK, PEER)
    )
    return parity(labels, stack, peer)
