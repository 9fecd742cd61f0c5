"""The rounds of the experiment for another process: the data set is passed by its name."""

from dataclasses import replace

from costal.paper import experiment as rounds
from costal.paper.datasets import load_dataset
from costal.paper.experiment import ArmState, Exam, Proposal, RoundReport
from costal.paper.expert import SimulatedExpert
from costal.paper.plan import Arm, Experiment
from costal.types import Answer, Job


def start(experiment: Experiment, arm: Arm, data: str, by_hand: bool) -> Job[tuple[ArmState, RoundReport, str]]:
    """Return an arm after round 0, its report and the name of the data set.

    When the rest is answered by hand, the first labels have no effort: cost units and seconds do not mix.
    """
    dataset = load_dataset(data)
    state = rounds.begin(experiment, arm, 0, dataset, SimulatedExpert(experiment.base_cost_K))
    if by_hand:
        state = replace(state, answers=tuple(replace(answer, effort=None) for answer in state.answers))
    ((state, report),) = yield from rounds.close_round(experiment, [state], [None], [Exam(dataset.test())])
    return state, report, dataset.name


def propose_round(experiment: Experiment, state: ArmState, data: str) -> Job[Proposal]:
    """Return the arm's next query (see `experiment.propose_round`)."""
    expert = SimulatedExpert(experiment.base_cost_K)
    return (yield from rounds.propose_round(experiment, state, load_dataset(data), expert))


def learn_round(
    experiment: Experiment, state: ArmState, proposal: Proposal, answers: tuple[Answer, ...] | None, data: str
) -> Job[tuple[ArmState, RoundReport]]:
    """Return the arm after its answers, of the simulated expert when none are given."""
    dataset = load_dataset(data)
    if answers is None:
        expert = SimulatedExpert(experiment.base_cost_K)
        answers = rounds.simulated_answers(state, proposal, dataset, expert)
    state = rounds.answered(state, proposal.asked_n[: len(answers)], answers)
    ((state, report),) = yield from rounds.close_round(experiment, [state], [proposal], [Exam(dataset.test())])
    return state, report


def play_round(experiment: Experiment, state: ArmState, data: str) -> Job[tuple[ArmState, RoundReport]]:
    """Return the arm after one whole simulated round."""
    proposal = yield from propose_round(experiment, state, data)
    return (yield from learn_round(experiment, state, proposal, None, data))
