"""The rounds of the experiment with the data set named, not passed: what another process can be asked to run."""

from dataclasses import replace

from costal.paper import experiment as rounds
from costal.paper.datasets import load_dataset
from costal.paper.experiment import Arm, ArmState, Experiment, Proposal, RoundReport
from costal.paper.expert import SimulatedExpert
from costal.types import Answer, Job


def start(experiment: Experiment, arm: Arm, data: str, by_hand: bool) -> Job[tuple[ArmState, RoundReport, str]]:
    """Return an arm after round 0, its report and the name of the data set (see `experiment.start`).

    When the rest is answered by hand, the first labels have no effort: cost units and seconds do not mix.
    """
    dataset = load_dataset(data)
    state, report = yield from rounds.start(experiment, arm, dataset, SimulatedExpert())
    if by_hand:
        state = replace(state, answers=tuple(replace(answer, effort=None) for answer in state.answers))
    return state, report, dataset.name


def propose_round(experiment: Experiment, state: ArmState, data: str) -> Job[Proposal]:
    """Return what the arm asks next (see `experiment.propose_round`)."""
    return (yield from rounds.propose_round(experiment, state, load_dataset(data)))


def learn_round(
    experiment: Experiment, state: ArmState, proposal: Proposal, answers: tuple[Answer, ...] | None, data: str
) -> Job[tuple[ArmState, RoundReport]]:
    """Return the arm after its answers, of the simulated expert when none are given (see `experiment.learn_round`)."""
    if answers is None:
        answers = rounds.simulated_answers(proposal, SimulatedExpert())
    return (yield from rounds.learn_round(experiment, state, proposal, answers, load_dataset(data)))


def play_round(experiment: Experiment, state: ArmState, data: str) -> Job[tuple[ArmState, RoundReport]]:
    """Return the arm after one whole simulated round (see `experiment.play_round`)."""
    state, report, _ = yield from rounds.play_round(experiment, state, load_dataset(data), SimulatedExpert())
    return state, report
