"""A round of an arm that learns after each answer: the rest of its query is chosen again, as in the window.

The crop on the screen and the prepared one stay. The model that chooses the crop at place k knows the answers to the
first k - 1 - `FIXED` crops of the round.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from costal.loop import FIXED, rest_of_query, score
from costal.paper.annotators import turn_of
from costal.paper.experiment import ArmState, Proposal, learned, seed_between, simulated_answers
from costal.paper.expert import SimulatedExpert
from costal.paper.plan import Experiment
from costal.paper.sources import Dataset
from costal.types import Job, Pool


def chosen_between_answers(
    experiment: Experiment,
    states: Sequence[ArmState],
    proposals: Sequence[Proposal],
    data: Mapping[int, Dataset],
    expert: SimulatedExpert,
) -> Job[list[Proposal]]:
    """Return the queries of arms that run side by side; arms that learn after each answer choose again.

    `data` are the data sets by repeat. A query keeps the scores that it began with.
    """
    renewed = list(proposals)
    for count in range(1, max(len(each.query.picked_n) for each in proposals)):
        places = [
            place
            for place, (state, each) in enumerate(zip(states, renewed, strict=True))
            if state.arm.retrain == "answer" and count + FIXED < len(each.query.picked_n)
        ]
        if not places:
            break
        known = [_after(states[place], renewed[place], data[states[place].repeat], expert, count) for place in places]
        seeds = [seed_between(experiment, state) for state in known]
        for place, state, seed in zip(places, (yield from learned(experiment, known, seeds)), seeds, strict=True):
            renewed[place] = yield from _renewed(
                experiment, state, renewed[place], seed, count, data[state.repeat].annotators
            )
    return renewed


def _after(state: ArmState, proposal: Proposal, dataset: Dataset, expert: SimulatedExpert, count: int) -> ArmState:
    """Return the arm with the first `count` answers to its query."""
    answers = simulated_answers(state, proposal, dataset, expert)
    return replace(state, answers=(*state.answers, *answers[:count]))


def _renewed(
    experiment: Experiment, state: ArmState, proposal: Proposal, seed: int, count: int, annotators: int
) -> Job[Proposal]:
    """Return a proposal whose crops after the fixed ones are those that the arm would choose now."""
    annotator, order = turn_of(len(state.answers), annotators)
    pool = Pool(proposal.crops_N_C_H_W, annotator, order)
    began = time.perf_counter()
    scores = yield from score(state.agent, pool, seed, experiment.device)
    if state.arm.cost == "known":
        scores = replace(scores, cost_N=proposal.true_cost_N, cost_is_uniform=False)
    query, end = proposal.query, count + FIXED
    candidates = np.setdiff1d(np.arange(len(proposal.index_N)), query.picked_n)
    rest_n, control_n = rest_of_query(
        scores, state.agent.settings, seed, (query.picked_n[end:], query.control_n[end:]), candidates
    )
    query = replace(
        query,
        picked_n=np.concatenate([query.picked_n[:end], rest_n]),
        control_n=np.concatenate([query.control_n[:end], control_n]),
    )
    return replace(proposal, query=query, seconds=proposal.seconds + time.perf_counter() - began)
