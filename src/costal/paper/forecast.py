"""How long a whole experiment takes on this device, estimated from one timed round."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from costal.paper.experiment import begin, learned
from costal.paper.expert import SimulatedExpert
from costal.paper.plan import Arm, Plan
from costal.paper.runner import Task
from costal.paper.sources import Dataset
from costal.types import Agent, Job

TRIED_CROPS = 500


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds to train one network of a stack, to score one crop by a committee, and to classify one crop."""

    train_s: float
    score_s: float
    classify_s: float


def _of_arm(plan: Plan, arm: Arm, pace: Pace, test_crops: int) -> float:
    """Return the seconds of an arm's repeat."""
    networks = arm.members + arm.learns_cost
    scored = 0 if arm.acquisition == "random" else plan.rounds * plan.experiment.pool_size * arm.members
    priced = plan.rounds * plan.experiment.pool_size if arm.learns_cost else 0
    numbers = range(plan.rounds + 1)
    tests = sum(map(plan.tests_mean, numbers)) * test_crops * arm.members
    committee_tests = sum(map(plan.tests_committee, numbers)) * test_crops * arm.members
    return (
        len(numbers) * networks * pace.train_s
        + (scored + committee_tests) * pace.score_s
        + (priced + tests) * pace.classify_s
    )


def forecast_left(plan: Plan, left: Mapping[Task, int], pace: Pace, test_crops: int) -> float:
    """Return an estimate of the seconds for the rounds that the tasks of a plan have left, one task after another.

    It counts training, scoring and testing only. It assumes a committee with as many passes as the timed one, and a
    training that takes equally long for any number of labels.
    """
    return sum(
        _of_arm(plan, plan.arms[arm], pace, test_crops) * rounds / (plan.rounds + 1)
        for task, rounds in left.items()
        for arm, _ in task.runs
    )


def _with_one_step(agent: Agent) -> Agent:
    training = replace(agent.settings.training, min_steps=1, epochs=0)
    return replace(agent, settings=replace(agent.settings, training=training))


def measure_pace(plan: Plan, dataset: Dataset) -> Job[tuple[Pace, int]]:
    """Return the measured seconds of one training, a committee and a test here, and the number of test crops.

    Measured on the first arm, at the start of its first repeat; this takes a few seconds.
    """
    from costal.agent.classifier import ask_committee, classify
    from costal.agent.devices import choose_device, on_threads

    shared, expert = plan.experiment, SimulatedExpert(plan.experiment.base_cost_K)
    state = begin(shared, replace(plan.arms[0], beta=0.0, budget=None, members=1), 0, dataset, expert)
    tested, _ = dataset.test()
    crops = tested[:TRIED_CROPS]
    with on_threads(plan.threads):
        # The first training also does the one-time setup.
        yield from learned(shared, [replace(state, agent=_with_one_step(state.agent))])
        start = time.perf_counter()
        (state,) = yield from learned(shared, [state])
        agent = replace(state.agent, settings=replace(state.agent.settings, acquisition="std"))
        trained = time.perf_counter()
        yield from ask_committee(agent, crops, 0, choose_device(shared.device))
        scored = time.perf_counter()
        yield from classify(agent, crops, shared.device)
        tested_at = time.perf_counter()
    pace = Pace(trained - start, (scored - trained) / len(crops), (tested_at - scored) / len(crops))
    return pace, len(tested)
