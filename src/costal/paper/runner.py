"""An experiment run to its end, from wherever it stopped: tasks of some arms and repeats, each a stack of its own.

Only finished rounds are kept, and a round depends only on the plan and the answers before it: networks are trained from
scratch, so an agent is rebuilt from the answers. A run that was killed and resumed gives equal files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from costal.agent.cards import card_of
from costal.paper.annotators import with_annotators
from costal.paper.archive import cost_after, read_round, rounds_done, write_round
from costal.paper.between_answers import chosen_between_answers
from costal.paper.experiment import (
    ArmState,
    Exam,
    Proposal,
    RoundReport,
    answered,
    begin,
    close_round,
    learned,
    propose_round,
    simulated_answers,
    to_answers,
)
from costal.paper.expert import SimulatedExpert
from costal.paper.plan import Plan
from costal.paper.plan_file import check
from costal.paper.sources import Crops, Dataset, initial_indices, pool_indices
from costal.types import BACKBONE_NAMES, Job, Progress, Result, map_progress


@dataclass(frozen=True, slots=True)
class Task:
    """Some arms and repeats of a plan that run side by side: places in ``plan.arms``, and repeats."""

    runs: tuple[tuple[int, int], ...]

    def name(self, plan: Plan) -> str:
        """Return its name, such as ``STD 0, STD 1``."""
        return ", ".join(f"{plan.arms[arm].name} {repeat}" for arm, repeat in self.runs)


def tasks(plan: Plan) -> tuple[Task, ...]:
    """Return the plan's tasks: repeat by repeat all arms, `stack` at a time; those of fewer repeats come last."""
    runs = [
        (number, repeat)
        for is_part in (False, True)
        for repeat in range(plan.repeats)
        for number, arm in enumerate(plan.arms)
        if (plan.repeats_of(arm) < plan.repeats) is is_part and repeat < plan.repeats_of(arm)
    ]
    return tuple(Task(tuple(runs[start : start + plan.stack])) for start in range(0, len(runs), plan.stack))


def run_names(plan: Plan) -> list[tuple[str, int]]:
    """Return the plan's (arm name, repeat) pairs in order."""
    return [(arm.name, repeat) for arm in plan.arms for repeat in range(plan.repeats_of(arm))]


def rounds_left(plan: Plan, task: Task, folder: Path) -> int:
    """Return how many rounds a task may still run; they run side by side, so the one furthest behind counts.

    A run that ended by its cost has none left.
    """
    return plan.rounds + 1 - _done(plan, _kept(plan, task, folder))


def _kept(plan: Plan, task: Task, folder: Path) -> dict[tuple[int, int], tuple[int, bool]]:
    """Return, for each run, how many rounds are finished and whether the last of them ended it by its cost."""
    kept = {}
    for arm, repeat in task.runs:
        name = plan.arms[arm].name
        done = rounds_done(folder, name, repeat)
        ends = done > 0 and plan.stop_cost_of(plan.arms[arm]) is not None
        kept[arm, repeat] = done, ends and plan.is_spent(plan.arms[arm], cost_after(folder, name, repeat, done - 1))
    return kept


def _done(plan: Plan, kept: Mapping[tuple[int, int], tuple[int, bool]]) -> int:
    """Return the rounds that are finished in every unfinished run."""
    return min((done for done, is_over in kept.values() if not is_over), default=plan.rounds + 1)


def run_task(plan: Plan, task: Task, folder: Path, dataset: Dataset) -> Job[None]:
    """Run the rest of a task, and store each round in `folder`; yields progress in rounds.

    Raises
    ------
    CostalError
        When the data do not suffice for the plan, a kept round is damaged, or training diverges.
    """
    from costal.agent.devices import on_threads

    expert = SimulatedExpert(plan.experiment.base_cost_K)
    kept = _kept(plan, task, folder)
    done = _done(plan, kept)
    if done > plan.rounds:
        return
    with on_threads(plan.threads):
        data = {repeat: _of_repeat(plan, dataset, repeat) for repeat in sorted({repeat for _, repeat in task.runs})}
        tests = {repeat: each.test() for repeat, each in data.items()}
        # A run that ended in the last finished round trained beside the others then, and does so again.
        runs = [run for run in task.runs if kept[run][0] >= done]
        states = [_resumed(plan, arm, repeat, data[repeat], expert, folder, done) for arm, repeat in runs]
        if done > 0:
            states = yield from _within(learned(plan.experiment, states), _message(plan, task, done - 1))
        for number in range(done, plan.rounds + 1):
            states = [state for state in states if not plan.is_spent(state.arm, state.total_cost)]
            if not states:
                return
            message = _message(plan, task, number)
            proposals: list[Proposal | None] = [None] * len(states)
            if number > 0:
                queries = yield from _within(_queries(plan, states, data, expert), message)
                for place, (state, each) in enumerate(zip(states, queries, strict=True)):
                    answers = simulated_answers(state, each, data[state.repeat], expert)
                    states[place], proposals[place] = answered(state, each.asked_n, answers), each
            exams = [_exam(plan, state, number, tests[state.repeat]) for state in states]
            closed = yield from _within(close_round(plan.experiment, states, proposals, exams), message)
            states = [state for state, _ in closed]
            for (state, report), proposal in zip(closed, proposals, strict=True):
                _keep(folder, dataset.name, state, report, proposal)


def _queries(
    plan: Plan, states: list[ArmState], data: Mapping[int, Dataset], expert: SimulatedExpert
) -> Job[list[Proposal]]:
    """Return the next queries of arms that run side by side."""
    proposals: list[Proposal] = []
    for state in states:
        proposals += [(yield from propose_round(plan.experiment, state, data[state.repeat], expert))]
    return (yield from chosen_between_answers(plan.experiment, states, proposals, data, expert))


def _of_repeat(plan: Plan, dataset: Dataset, repeat: int) -> Dataset:
    shared = plan.experiment
    return with_annotators(dataset.of(repeat), shared.annotators, shared.agreement, shared.seed, repeat)


def _exam(plan: Plan, state: ArmState, number: int, test: Crops) -> Exam | None:
    """Return the test of an arm after this round; its last round, also by cost, has all tests."""
    is_last = plan.is_spent(state.arm, state.total_cost)
    if not (is_last or plan.tests_mean(number)):
        return None
    return Exam(test, is_last or plan.tests_committee(number), plan.recalls)


def _resumed(
    plan: Plan, arm: int, repeat: int, dataset: Dataset, expert: SimulatedExpert, folder: Path, done: int
) -> ArmState:
    """Return an arm with the answers of its first `done` rounds, not yet trained on them."""
    state = begin(plan.experiment, plan.arms[arm], repeat, dataset, expert)
    for number in range(1, done):
        kept = read_round(folder, state.arm.name, repeat, number)
        crops, _ = dataset.take(kept.asked_n)
        answers = to_answers(
            crops, kept.label_n, kept.cost_n, len(state.answers), dataset.censored(kept.asked_n), dataset.annotators
        )
        state = answered(state, kept.asked_n, answers)
    return state


def _keep(folder: Path, data: str, state: ArmState, report: RoundReport, proposal: Proposal | None) -> None:
    """Write the last round of an arm."""
    own = state.answers[-len(state.query_indices[-1]) :]
    labels = np.array([answer.class_index for answer in own], dtype=np.int64)
    costs = np.array([answer.effort for answer in own], dtype=np.float64)
    write_round(folder, data, report, state.query_indices[-1], labels, costs, proposal)


def _message(plan: Plan, task: Task, number: int) -> Progress:
    return Progress(number, plan.rounds + 1, f"{task.name(plan)}: round {number} of {plan.rounds}")


def _within(job: Job[Result], progress: Progress) -> Job[Result]:
    """Return the job's result, reporting `progress` in place of its own."""
    return map_progress(job, lambda _: progress)


def progress_of(plan: Plan, left: Mapping[Task, int], message: str) -> Progress:
    """Return a plan's progress from the rounds that its tasks have left, counted per arm and repeat."""
    total = (plan.rounds + 1) * sum(len(task.runs) for task in left)
    return Progress(total - sum(len(task.runs) * rounds for task, rounds in left.items()), total, message)


def fingerprint_of(plan: Plan, dataset: Dataset) -> str:
    """Return the MD5 of the crops, then the weights that a user added for an arm; equal ones give equal rounds.

    Raises
    ------
    AgentError
        When the weights of an arm are not on this machine.
    """
    added = sorted({arm.backbone for arm in plan.arms} - set(BACKBONE_NAMES))
    cards = [card for card in map(card_of, added) if card is not None]
    return " ".join([dataset.fingerprint, *(f"{card.name} {card.sha256}" for card in cards)])


def require_enough(plan: Plan, dataset: Dataset) -> None:
    """Check before any work that a plan is consistent, has its weights, and fits the data.

    Raises
    ------
    CostalError
        If it does not; names the key, or the numbers.
    """
    check(plan)
    for arm in plan.arms:
        card_of(arm.backbone)
    for repeat in range(plan.repeats if dataset.split else 1):
        _require_enough(plan, dataset.of(repeat), repeat)


def _require_enough(plan: Plan, dataset: Dataset, repeat: int) -> None:
    shared = plan.experiment
    last = plan.rounds if shared.pools == "disjoint" else 1  # redrawn pools never end
    pool_indices(dataset, shared.seed, repeat, last, shared.pool_size, shared.pools, ())
    SimulatedExpert(shared.base_cost_K).answer(dataset, initial_indices(dataset, shared.seed, repeat)[:1], repeat, 0)
