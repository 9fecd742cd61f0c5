"""The paper's experiment, one round at a time: the loop of the microscope with another source and another oracle.

Every random choice has a seed named after what it is for: pools and the initial set from (seed, repeat), so all arms of
a repeat share them; training and masks from (seed, repeat, arm, round).
"""

import time
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from costal.loop import learn, new_agent, propose
from costal.paper.datasets import CLASS_COUNT, SIDE, Dataset, initial_indices, pool_indices
from costal.paper.expert import Oracle
from costal.seeds import seed_for
from costal.types import AcquisitionName, Agent, AgentSettings, Answer, Floats, Job, Pool, Query, Training


@dataclass(frozen=True, slots=True)
class Arm:
    """One setting under comparison; with ``learns_cost`` false the cost model is not trained and C is uniform."""

    name: str
    acquisition: AcquisitionName
    alpha: float = 1.0
    beta: float = 0.0

    @property
    def learns_cost(self) -> bool:
        """Whether this arm needs a cost model: only when β lets the cost matter."""
        return self.beta > 0


RANDOM_ARM = Arm("random", "random")


@dataclass(frozen=True, slots=True)
class Experiment:
    """What all arms share: seed, repeat, N images a round, n of them labelled, T passes, device and training."""

    seed: int = 0
    repeat: int = 0
    pool_size: int = 1000
    n: int = 10
    passes: int = 50
    device: str = "auto"
    training: Training = field(default_factory=Training)

    def settings(self, arm: Arm) -> AgentSettings:
        """Return the settings of an arm's agent."""
        return AgentSettings(CLASS_COUNT, arm.acquisition, arm.alpha, arm.beta, self.passes, self.n, self.training)


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What one round came to. `accuracy` is the mean network's on the test set; `total_cost` leaves out the start.

    `seconds` holds the time spent by phase: it differs between equal runs, so it is kept apart from the figures.
    """

    arm: str
    round_number: int
    labels: int
    accuracy: float
    total_cost: float
    class_counts_K: tuple[int, ...]
    mean_information: float = float("nan")
    predicted_cost: float = float("nan")
    measured_cost: float = float("nan")
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArmState:
    """An arm between two rounds: its agent and all answers so far. Enough to go on from."""

    arm: Arm
    round_number: int
    agent: Agent
    answers: tuple[Answer, ...]
    total_cost: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """An arm's query of a round: the pool's images and true classes, and what was picked."""

    images_N_H_W: NDArray[np.uint8]
    class_N: NDArray[np.int64]
    query: Query
    seconds: float


def to_crops(images_N_H_W: NDArray[np.uint8]) -> Floats:
    """Return images as crops of shape (N, 1, 28, 28) in [0, 1]."""
    return (images_N_H_W[:, None] / 255).astype(np.float32)


def start(experiment: Experiment, arm: Arm, dataset: Dataset, oracle: Oracle) -> Job[tuple[ArmState, RoundReport]]:
    """Return an arm after round 0: trained on 20 labelled images, 2 of each class, whose cost does not count."""
    images, classes = dataset.take(initial_indices(dataset, experiment.seed, experiment.repeat))
    labels, costs = oracle.answer(images, classes)
    agent = new_agent(experiment.settings(arm), (1, SIDE, SIDE))
    state = ArmState(arm, 0, agent, to_answers(images, labels, costs), 0.0)
    state, report = yield from _close_round(experiment, state, dataset)
    return state, report


def propose_round(experiment: Experiment, state: ArmState, dataset: Dataset) -> Job[Proposal]:
    """Return what the arm asks in its next round, from a pool that no round has seen."""
    began, number = time.perf_counter(), state.round_number + 1
    indices = pool_indices(dataset, experiment.seed, experiment.repeat, number, experiment.pool_size)
    images, classes = dataset.take(indices)
    seed = _seed(experiment, state.arm, number)
    query = yield from propose(state.agent, Pool(to_crops(images)), seed, experiment.device)
    return Proposal(images, classes, query, time.perf_counter() - began)


def learn_round(
    experiment: Experiment, state: ArmState, proposal: Proposal, answers: tuple[Answer, ...], dataset: Dataset
) -> Job[tuple[ArmState, RoundReport]]:
    """Return the arm retrained on its new answers too, and the report of the round that this ends."""
    cost = sum(answer.effort or 0.0 for answer in answers)
    state = replace(
        state,
        round_number=state.round_number + 1,
        answers=(*state.answers, *answers),
        total_cost=state.total_cost + cost,
    )
    state, report = yield from _close_round(experiment, state, dataset)
    return state, _with_query(report, state.arm, proposal, answers)


def play_round(
    experiment: Experiment, state: ArmState, dataset: Dataset, oracle: Oracle
) -> Job[tuple[ArmState, RoundReport, Proposal]]:
    """Return the arm after one whole round in which `oracle` answers, its report and what was proposed."""
    proposal = yield from propose_round(experiment, state, dataset)
    answers = simulated_answers(proposal, oracle)
    state, report = yield from learn_round(experiment, state, proposal, answers, dataset)
    return state, report, proposal


def simulated_answers(proposal: Proposal, oracle: Oracle) -> tuple[Answer, ...]:
    """Return what an oracle answers to a query, best first."""
    picked = proposal.query.picked_n
    images = proposal.images_N_H_W[picked]
    return to_answers(images, *oracle.answer(images, proposal.class_N[picked]))


def to_answers(images_N_H_W: NDArray[np.uint8], class_N: NDArray[np.int64], cost_N: Floats) -> tuple[Answer, ...]:
    """Return labelled images with their costs as the loop takes them."""
    crops = to_crops(images_N_H_W)
    return tuple(
        Answer(crop, int(label), float(cost)) for crop, label, cost in zip(crops, class_N, cost_N, strict=True)
    )


def _close_round(experiment: Experiment, state: ArmState, dataset: Dataset) -> Job[tuple[ArmState, RoundReport]]:
    """Retrain on all answers, test, and report."""
    from costal.agent.classifier import classify
    from costal.agent.metrics import accuracy

    began = time.perf_counter()
    answers = [answer if state.arm.learns_cost else replace(answer, effort=None) for answer in state.answers]
    seed = _seed(experiment, state.arm, state.round_number)
    agent = yield from learn(state.agent, answers, seed, experiment.device)
    learned = time.perf_counter()
    images, classes = dataset.test()
    probs_N_K = yield from classify(agent, to_crops(images), experiment.device)
    seconds = {"learn": learned - began, "test": time.perf_counter() - learned}
    labels = [answer.class_index for answer in state.answers if answer.class_index is not None]
    report = RoundReport(
        state.arm.name,
        state.round_number,
        len(labels),
        accuracy(probs_N_K, classes),
        state.total_cost,
        tuple(np.bincount(labels, minlength=CLASS_COUNT).tolist()),
        seconds=seconds,
    )
    return replace(state, agent=agent), report


def _with_query(report: RoundReport, arm: Arm, proposal: Proposal, answers: tuple[Answer, ...]) -> RoundReport:
    """Return the report with what the query promised beside what it cost."""
    query = proposal.query
    costs = [answer.effort for answer in answers if answer.effort is not None]
    return replace(
        report,
        mean_information=float(query.scores.information_N[query.picked_n].mean()),
        predicted_cost=float(query.scores.cost_N[query.picked_n].mean()) if arm.learns_cost else float("nan"),
        measured_cost=float(np.mean(costs)) if costs else float("nan"),
        seconds=report.seconds | {"propose": proposal.seconds},
    )


def _seed(experiment: Experiment, arm: Arm, round_number: int) -> int:
    return seed_for(experiment.seed, "round", experiment.repeat, arm.name, round_number)
