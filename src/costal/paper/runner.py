"""An experiment run to its end, from wherever it stopped: tasks of some arms and repeats, each a stack of its own.

Only finished rounds are kept, and a round depends on nothing but the plan and the answers before it: networks are
trained from scratch, so an agent is made again from the answers. Killed anywhere and resumed, a run gives equal files.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from costal.errors import DatasetError
from costal.paper.archive import read_round, rounds_done, write_round
from costal.paper.experiment import (
    NAN,
    ArmState,
    Proposal,
    accuracies,
    answered,
    begin,
    learned,
    propose_round,
    report_of,
    simulated_answers,
    to_answers,
)
from costal.paper.expert import SimulatedExpert
from costal.paper.plan import Plan
from costal.paper.sources import Crops, Dataset
from costal.types import Job, Progress, Result


@dataclass(frozen=True, slots=True)
class Task:
    """Some arms and repeats of a plan that go side by side: places in ``plan.arms``, and repeats."""

    runs: tuple[tuple[int, int], ...]

    def name(self, plan: Plan) -> str:
        """Return what it is, such as ``STD 0, STD 1``."""
        return ", ".join(f"{plan.arms[arm].name} {repeat}" for arm, repeat in self.runs)


def tasks(plan: Plan) -> tuple[Task, ...]:
    """Return the plan's tasks: repeat by repeat all arms, `stack` at a time."""
    runs = [(arm, repeat) for repeat in range(plan.repeats) for arm in range(len(plan.arms))]
    return tuple(Task(tuple(runs[start : start + plan.stack])) for start in range(0, len(runs), plan.stack))


def run_names(plan: Plan) -> list[tuple[str, int]]:
    """Return the plan's (arm name, repeat) pairs in order."""
    return [(arm.name, repeat) for arm in plan.arms for repeat in range(plan.repeats)]


def rounds_left(plan: Plan, task: Task, folder: Path) -> int:
    """Return how many rounds a task has still to run; they go side by side, so the one furthest behind tells."""
    return plan.rounds + 1 - min(rounds_done(folder, plan.arms[arm].name, repeat) for arm, repeat in task.runs)


def run_task(plan: Plan, task: Task, folder: Path, dataset: Dataset) -> Job[None]:
    """Run what is left of a task, and keep each round in `folder`; yields progress in rounds.

    Raises
    ------
    CostalError
        When the data do not suffice for the plan, a kept round is damaged, or training diverges.
    """
    from costal.agent.devices import on_threads

    expert = SimulatedExpert(plan.experiment.base_cost_K)
    done = plan.rounds + 1 - rounds_left(plan, task, folder)
    if done > plan.rounds:
        return
    with on_threads(plan.threads):
        test = dataset.test()
        states = [_resumed(plan, arm, repeat, dataset, expert, folder, done) for arm, repeat in task.runs]
        if done == 0:
            states = yield from _close(plan, task, folder, dataset, test, states, [None] * len(states), NAN)
        else:
            message = _message(plan, task, done - 1)
            states = yield from _within(learned(plan.experiment, states), message)
        for number in range(max(done, 1), plan.rounds + 1):
            began, message = time.perf_counter(), _message(plan, task, number)
            proposals: list[Proposal | None] = []
            for place, state in enumerate(states):
                job = propose_round(plan.experiment, state, dataset, expert)
                proposal = yield from _within(job, message)
                answers = simulated_answers(state, proposal, dataset, expert)
                states[place] = answered(state, proposal.asked_n, answers)
                proposals.append(proposal)
            seconds = time.perf_counter() - began
            states = yield from _close(plan, task, folder, dataset, test, states, proposals, seconds)


def _resumed(
    plan: Plan, arm: int, repeat: int, dataset: Dataset, expert: SimulatedExpert, folder: Path, done: int
) -> ArmState:
    """Return an arm with the answers of its first `done` rounds, not yet trained on them."""
    state = begin(plan.experiment, plan.arms[arm], repeat, dataset, expert)
    for number in range(1, done):
        kept = read_round(folder, state.arm.name, repeat, number)
        crops, _ = dataset.take(kept.asked_n)
        answers = to_answers(crops, kept.label_n, kept.cost_n, len(state.answers))
        state = answered(state, kept.asked_n, answers)
    return state


def _close(
    plan: Plan,
    task: Task,
    folder: Path,
    dataset: Dataset,
    test: Crops,
    states: list[ArmState],
    proposals: list[Proposal | None],
    proposing: float,
) -> Job[list[ArmState]]:
    """Return the arms retrained on the answers of the round; test them, and keep the round."""
    number, began = states[0].round_number, time.perf_counter()
    message = _message(plan, task, number)
    states = yield from _within(learned(plan.experiment, states), message)
    learning = time.perf_counter() - began
    for state, proposal in zip(states, proposals, strict=True):
        began, found = time.perf_counter(), (NAN, NAN)
        if plan.tests_mean(number):
            committee = plan.tests_committee(number)
            found = yield from _within(accuracies(plan.experiment, state, test, committee), message)
        seconds = {
            "propose": proposing / len(states),
            "learn": learning / len(states),
            "test": time.perf_counter() - began,
        }
        report = replace(report_of(state, len(dataset.class_names), proposal, found), seconds=seconds)
        own = state.answers[-len(state.asked[-1]) :]
        labels = np.array([answer.class_index for answer in own], dtype=np.int64)
        costs = np.array([answer.effort for answer in own], dtype=np.float64)
        write_round(folder, dataset.name, report, state.asked[-1], labels, costs, proposal)
    return states


def _message(plan: Plan, task: Task, number: int) -> Progress:
    return Progress(number, plan.rounds + 1, f"{task.name(plan)}: round {number} of {plan.rounds}")


def _within(job: Job[Result], progress: Progress) -> Job[Result]:
    """Return the job's result, telling `progress` in place of its own."""
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        yield progress


def require_enough(plan: Plan, dataset: Dataset) -> None:
    """Find out before any work that the pools, the query or the base costs do not fit the data.

    Raises
    ------
    CostalError
        With the arithmetic.
    """
    from costal.paper.sources import initial_indices, pool_indices

    shared = plan.experiment
    if shared.n > shared.pool_size:
        raise DatasetError(
            f"{shared.n} crops cannot be chosen from a pool of {shared.pool_size}. Lower n or raise pool_size."
        )
    last = plan.rounds if shared.pools == "disjoint" else 1  # redrawn pools never end
    pool_indices(dataset, shared.seed, 0, last, shared.pool_size, shared.pools, ())
    SimulatedExpert(shared.base_cost_K).answer(dataset, initial_indices(dataset, shared.seed, 0)[:1], 0, 0)
