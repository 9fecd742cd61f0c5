"""The experiment, one round at a time: the loop of the microscope with another source and another oracle.

Arms and repeats run side by side, so that their networks train as one stack. Every random choice has a seed named after
its purpose: pools and the initial set from (seed, repeat), so all arms of a repeat share them; training and masks from
(seed, repeat, arm, round).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from costal.agent.metrics import accuracy, cost_bias, cost_rank_correlation, recalls
from costal.loop import learn_together, new_agent, propose
from costal.paper.annotators import as_given, turn_of
from costal.paper.expert import Oracle, SimulatedExpert
from costal.paper.plan import Arm, Experiment
from costal.paper.sources import Crops, Dataset, initial_indices, pool_indices
from costal.seeds import seed_for
from costal.types import Agent, Answer, Floats, Job, Pool, Query

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class ArmState:
    """An arm in one repeat, between two rounds: its agent, the query of each round, and all answers.

    `query_indices` has the crops of each round, the initial set first; `total_cost` does not count the initial set.
    """

    arm: Arm
    repeat: int
    agent: Agent
    query_indices: tuple[NDArray[np.int64], ...]
    answers: tuple[Answer, ...]
    total_cost: float

    @property
    def round_number(self) -> int:
        """The number of answered rounds; 0 at the start."""
        return len(self.query_indices) - 1


@dataclass(frozen=True, slots=True)
class Proposal:
    """An arm's query of a round from the pool `index_N`, and the simulated expert's cost of each pool crop."""

    index_N: NDArray[np.int64]
    crops_N_C_H_W: Floats
    class_N: NDArray[np.int64]
    true_cost_N: Floats
    query: Query
    seconds: float = 0.0

    @property
    def asked_n(self) -> NDArray[np.int64]:
        """The indices of the queried crops, best first."""
        return self.index_N[self.query.picked_n]


@dataclass(frozen=True, slots=True)
class Exam:
    """An arm's test after a round: its crops, whether it includes the committee, and whether recalls are kept."""

    crops: Crops
    committee: bool = False
    recalls: bool = False


@dataclass(frozen=True, slots=True)
class RoundReport:
    """The figures of one round; NaN where there is none.

    `accuracy` is the mean network's on the test set, `committee_accuracy` that of the mean of all passes; `total_cost`
    does not count the initial set. Costs and I are means over the query, the biases means of predicted less true cost
    over the query and over the whole pool. `seconds` holds the time spent by phase: it differs between equal runs, so
    it is kept apart from the figures. `recall_K` has the mean network's recall of each class on the test set, NaN where
    the set has none of it; it is empty where recalls are not kept.
    """

    arm: str
    repeat: int
    round_number: int
    labels: int
    accuracy: float
    committee_accuracy: float
    total_cost: float
    class_counts_K: tuple[int, ...]
    mean_information: float = NAN
    mean_value: float = NAN
    predicted_cost: float = NAN
    measured_cost: float = NAN
    cost_bias_picked: float = NAN
    cost_bias_pool: float = NAN
    cost_rank_pool: float = NAN
    chosen_cost_n: tuple[float, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    recall_K: tuple[float, ...] = ()


def begin(experiment: Experiment, arm: Arm, repeat: int, dataset: Dataset, oracle: Oracle) -> ArmState:
    """Return an arm before its first training, with the initial set answered: 2 crops of each class."""
    indices = initial_indices(dataset, experiment.seed, repeat)
    labels, costs = oracle.answer(dataset, indices, repeat, 0)
    settings = experiment.settings(arm, len(dataset.class_names))
    agent = new_agent(settings, dataset.crop_shape, dataset.is_rgb)
    state = ArmState(arm, repeat, agent, (), (), 0.0)
    crops_N_C_H_W, censored_N = dataset.take(indices)[0], dataset.censored(indices)
    answers = to_answers(crops_N_C_H_W, labels, costs, censored_N=censored_N, annotators=dataset.annotators)
    return replace(answered(state, indices, answers), total_cost=0.0)


def answered(state: ArmState, indices: NDArray[np.int64], answers: tuple[Answer, ...]) -> ArmState:
    """Return the arm with one more round's answers; its agent has not learned from them yet."""
    cost = sum(answer.effort or 0.0 for answer in answers)
    return replace(
        state,
        query_indices=(*state.query_indices, indices),
        answers=(*state.answers, *answers),
        total_cost=state.total_cost + cost,
    )


def learned(
    experiment: Experiment, states: Sequence[ArmState], seeds: Sequence[int] | None = None
) -> Job[list[ArmState]]:
    """Return the arms with their agents retrained on all their answers, as one stack; seeds default to the round's."""
    answers = [
        [answer if state.arm.learns_cost else replace(answer, effort=None) for answer in state.answers]
        for state in states
    ]
    agents = [state.agent for state in states]
    seeds = seeds or [_seed(experiment, state, state.round_number) for state in states]
    agents = yield from learn_together(agents, answers, seeds, experiment.device)
    return [replace(state, agent=agent) for state, agent in zip(states, agents, strict=True)]


def propose_round(experiment: Experiment, state: ArmState, dataset: Dataset, expert: SimulatedExpert) -> Job[Proposal]:
    """Return the arm's query for its next round."""
    began, number = time.perf_counter(), state.round_number + 1
    indices = pool_indices(
        dataset, experiment.seed, state.repeat, number, experiment.pool_size, experiment.pools, state.query_indices
    )
    crops, classes = dataset.take(indices)
    true_cost_N = expert.cost(dataset, indices, state.repeat, len(state.answers))
    seed = _seed(experiment, state, number)
    annotator, order = turn_of(len(state.answers), dataset.annotators)
    pool = Pool(crops, annotator, order)
    known_cost_N = true_cost_N if state.arm.cost == "known" else None
    query = yield from propose(state.agent, pool, seed, experiment.device, known_cost_N)
    return Proposal(indices, crops, classes, true_cost_N, query, time.perf_counter() - began)


def simulated_answers(state: ArmState, proposal: Proposal, dataset: Dataset, oracle: Oracle) -> tuple[Answer, ...]:
    """Return an oracle's answers to a query, best first."""
    labels, costs = oracle.answer(dataset, proposal.asked_n, state.repeat, len(state.answers))
    crops_n_C_H_W, censored_n = proposal.crops_N_C_H_W[proposal.query.picked_n], dataset.censored(proposal.asked_n)
    return to_answers(crops_n_C_H_W, labels, costs, len(state.answers), censored_n, dataset.annotators)


def to_answers(
    crops_N_C_H_W: Floats,
    class_N: NDArray[np.int64],
    cost_N: Floats,
    order: int = 0,
    censored_N: NDArray[np.bool_] | None = None,
    annotators: int = 1,
) -> tuple[Answer, ...]:
    """Return labelled crops with their costs as answers for the loop, given after `order` others."""
    is_censored = np.zeros(len(class_N), np.bool_) if censored_N is None else censored_N
    rows = zip(crops_N_C_H_W, class_N, cost_N, is_censored, strict=True)
    answers = [
        Answer(crop, int(label), float(cost), bool(censored), order=order + place)
        for place, (crop, label, cost, censored) in enumerate(rows)
    ]
    return as_given(answers, annotators)


def accuracies(
    experiment: Experiment, state: ArmState, test: Crops, committee: bool
) -> Job[tuple[float, float, tuple[float, ...]]]:
    """Return the accuracy on a test set of the mean network, of the committee if wanted, and each class's recall."""
    from costal.agent.classifier import ask_committee, classify
    from costal.agent.devices import choose_device

    crops, classes = test
    probs_N_K = yield from classify(state.agent, crops, experiment.device)
    by_committee = NAN
    if committee:
        settings = replace(state.agent.settings, acquisition="std")  # its information is not used
        agent = replace(state.agent, settings=settings)
        seed = seed_for(_seed(experiment, state, state.round_number), "test")
        output, _ = yield from ask_committee(agent, crops, seed, choose_device(experiment.device))
        by_committee = accuracy(output.probs_N_K, classes)
    return accuracy(probs_N_K, classes), by_committee, tuple(recalls(probs_N_K, classes))


def close_round(
    experiment: Experiment,
    states: Sequence[ArmState],
    proposals: Sequence[Proposal | None],
    exams: Sequence[Exam | None],
) -> Job[list[tuple[ArmState, RoundReport]]]:
    """Return arms retrained side by side on their answers, each with the report of the finished round.

    `exams` has the test of each arm, None for no test.
    """
    began = time.perf_counter()
    states = yield from learned(experiment, states)
    learning = (time.perf_counter() - began) / len(states)
    closed = []
    for state, proposal, exam in zip(states, proposals, exams, strict=True):
        began, mean, committee, recall_K = time.perf_counter(), NAN, NAN, tuple[float, ...]()
        if exam is not None:
            mean, committee, recall_K = yield from accuracies(experiment, state, exam.crops, exam.committee)
        testing = time.perf_counter() - began
        seconds = {"propose": proposal.seconds if proposal else 0.0, "learn": learning, "test": testing}
        report = report_of(state, proposal, (mean, committee))
        kept_K = recall_K if exam is not None and exam.recalls else ()
        closed.append((state, replace(report, recall_K=kept_K, seconds=seconds)))
    return closed


def report_of(
    state: ArmState, proposal: Proposal | None = None, accuracies: tuple[float, float] = (NAN, NAN)
) -> RoundReport:
    """Return the report of a state's last round: its query, its cost, and its accuracies (mean network, committee)."""
    labels = [answer.class_index for answer in state.answers if answer.class_index is not None]
    counts = tuple(np.bincount(labels, minlength=state.agent.settings.class_count).tolist())
    mean, committee = accuracies
    report = RoundReport(
        state.arm.name, state.repeat, state.round_number, len(labels), mean, committee, state.total_cost, counts
    )
    return report if proposal is None else _with_query(report, state, proposal)


def _with_query(report: RoundReport, state: ArmState, proposal: Proposal) -> RoundReport:
    """Return the report with the query's predicted and true costs."""
    scores, picked, true_N = proposal.query.scores, proposal.query.picked_n, proposal.true_cost_N
    costs = [answer.effort for answer in state.answers[-len(picked) :] if answer.effort is not None]
    report = replace(
        report,
        mean_information=float(scores.information_N[picked].mean()),
        mean_value=float(proposal.query.value_N[picked].mean()),
        measured_cost=float(np.mean(costs)) if costs else NAN,
        chosen_cost_n=tuple(costs),
    )
    if state.agent.cost_model is None:
        return report
    return replace(
        report,
        predicted_cost=float(scores.cost_N[picked].mean()),
        cost_bias_picked=cost_bias(scores.cost_N[picked], true_N[picked]),
        cost_bias_pool=cost_bias(scores.cost_N, true_N),
        cost_rank_pool=cost_rank_correlation(scores.cost_N, true_N),
    )


def _seed(experiment: Experiment, state: ArmState, round_number: int) -> int:
    return seed_for(experiment.seed, "round", state.repeat, state.arm.name, round_number)


def seed_between(experiment: Experiment, state: ArmState) -> int:
    """Return the seed of an arm between two answers: it differs with the number of answers."""
    return seed_for(experiment.seed, "answer", state.repeat, state.arm.name, len(state.answers))
