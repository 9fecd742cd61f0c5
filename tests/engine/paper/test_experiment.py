import math
from dataclasses import replace

import numpy as np
import pytest

from costal.agent.classifier import classify
from costal.errors import DatasetError
from costal.paper.experiment import (
    ArmState,
    Exam,
    accuracies,
    answered,
    begin,
    close_round,
    learned,
    propose_round,
    simulated_answers,
)
from costal.paper.expert import SimulatedExpert
from costal.paper.plan import RANDOM_ARM, Arm, Experiment
from costal.paper.sources import initial_indices, pool_indices
from costal.types import finish

STD, COSTLY = Arm("STD", acquisition="std"), Arm("STD, β = 0.3", acquisition="std", beta=0.3)
KNOWN = Arm("known", acquisition="std", beta=0.3, cost="known")
EXPERT = SimulatedExpert(tuple(float(k) for k in range(10)))


def run(experiment, arm, dataset, rounds, repeat=0):
    state = begin(experiment, arm, repeat, dataset, EXPERT)
    ((state, report),) = finish(close_round(experiment, [state], [None], [Exam(dataset.test())]))
    reports, proposals = [report], []
    for _ in range(rounds):
        proposal = finish(propose_round(experiment, state, dataset, EXPERT))
        state = answered(state, proposal.asked_n, simulated_answers(state, proposal, dataset, EXPERT))
        ((state, report),) = finish(close_round(experiment, [state], [proposal], [Exam(dataset.test())]))
        reports.append(report)
        proposals.append(proposal)
    return state, reports, proposals


@pytest.fixture
def two_rounds(quick_experiment, small_digits):
    return run(quick_experiment, COSTLY, small_digits, 2)


def figures(reports):
    """Return what a report says of the run, without the seconds; nan is written out, for it equals nothing."""
    return [repr(replace(report, seconds={})) for report in reports]


@pytest.mark.parametrize("arm", [COSTLY, RANDOM_ARM], ids=lambda arm: arm.acquisition)
def test_equal_experiments_give_equal_reports(quick_experiment, small_digits, arm):
    first, again = (figures(run(quick_experiment, arm, small_digits, 2)[1]) for _ in range(2))
    assert first == again


def test_another_seed_or_repeat_gives_other_reports(quick_experiment, small_digits):
    runs = [(quick_experiment, 0), (replace(quick_experiment, seed=1), 0), (quick_experiment, 1)]
    texts = {
        tuple(figures([replace(report, repeat=0) for report in run(each, STD, small_digits, 1, repeat)[1]]))
        for each, repeat in runs
    }
    assert len(texts) == 3


def test_the_total_cost_is_the_sum_of_what_was_asked_without_the_start(two_rounds, small_digits):
    state, reports, proposals = two_rounds
    costs = [EXPERT.answer(small_digits, each.asked_n, 0, 0)[1].sum() for each in proposals]
    assert [report.total_cost for report in reports] == pytest.approx([0, costs[0], costs[0] + costs[1]])
    assert state.total_cost == reports[-1].total_cost
    assert sum(reports[1].chosen_cost_n) == pytest.approx(costs[0])


def test_each_round_adds_n_labels_of_the_crops_that_were_picked(two_rounds):
    state, reports, proposals = two_rounds
    assert [report.labels for report in reports] == [20, 24, 28]
    assert [report.round_number for report in reports] == [0, 1, 2]
    assert [sum(report.class_counts_K) for report in reports] == [20, 24, 28]
    picked = np.concatenate([each.crops_N_C_H_W[each.query.picked_n] for each in proposals])
    np.testing.assert_array_equal(np.stack([answer.crop_C_H_W for answer in state.answers[20:]]), picked)
    classes = np.concatenate([each.class_N[each.query.picked_n] for each in proposals])
    assert [answer.class_index for answer in state.answers[20:]] == classes.tolist()
    assert [answer.order for answer in state.answers] == list(range(28))


def test_a_report_holds_what_the_query_promised_and_what_it_cost(two_rounds):
    _, reports, proposals = two_rounds
    query, true_N = proposals[0].query, proposals[0].true_cost_N
    predicted_N, picked = query.scores.cost_N, query.picked_n
    assert reports[1].mean_information == pytest.approx(query.scores.information_N[picked].mean())
    assert reports[1].mean_value == pytest.approx(query.value_N[picked].mean())
    assert reports[1].predicted_cost == pytest.approx(predicted_N[picked].mean())
    assert reports[1].measured_cost == pytest.approx(reports[1].total_cost / 4)
    assert reports[1].cost_bias_picked == pytest.approx((predicted_N - true_N)[picked].mean(), rel=1e-4)
    assert reports[1].cost_bias_pool == pytest.approx((predicted_N - true_N).mean(), rel=1e-4)
    assert math.isnan(reports[0].measured_cost)
    assert set(reports[1].seconds) == {"propose", "learn", "test"}


def test_all_arms_of_a_repeat_see_the_same_start_and_pools(quick_experiment, small_digits):
    seen = []
    for arm in (STD, COSTLY, RANDOM_ARM):
        state, _, proposals = run(quick_experiment, arm, small_digits, 1)
        seen.append((state.query_indices[0], proposals[0].index_N))
    for begun, pool in seen[1:]:
        np.testing.assert_array_equal(begun, seen[0][0])
        np.testing.assert_array_equal(pool, seen[0][1])


def test_a_round_draws_its_own_pool_and_the_start_is_the_initial_set(two_rounds, small_digits):
    state, _, proposals = two_rounds
    for number, proposal in enumerate(proposals, 1):
        np.testing.assert_array_equal(proposal.index_N, pool_indices(small_digits, 0, 0, number, 30))
    np.testing.assert_array_equal(state.query_indices[0], initial_indices(small_digits, 0, 0))


@pytest.mark.parametrize(
    ("arm", "learns"),
    [(STD, False), (COSTLY, True), (KNOWN, False), (Arm("budget", acquisition="std", budget=9.0), True)],
    ids=["β = 0", "β > 0", "known cost", "a budget"],
)
def test_only_an_arm_that_weighs_an_unknown_cost_learns_it(quick_experiment, small_digits, arm, learns):
    state = begin(quick_experiment, arm, 0, small_digits, EXPERT)
    (state,) = finish(learned(quick_experiment, [state]))
    assert arm.learns_cost is learns
    assert (state.agent.cost_model is not None) is learns
    assert all(answer.effort > 0 for answer in state.answers)


def test_with_known_costs_each_crop_is_weighed_by_what_it_costs(quick_experiment, small_digits):
    _, reports, (proposal,) = run(quick_experiment, KNOWN, small_digits, 1)
    np.testing.assert_array_equal(proposal.query.scores.cost_N, proposal.true_cost_N)
    scores = proposal.query.scores
    np.testing.assert_allclose(proposal.query.value_N, scores.information_N / scores.cost_N**0.3, rtol=1e-5)
    assert math.isnan(reports[1].predicted_cost)


def test_an_arm_with_a_budget_spends_no_more_than_it_and_asks_for_what_that_buys(quick_experiment, small_digits):
    arm = Arm("budget", acquisition="std", cost="known", budget=400.0)
    state, reports, _ = run(quick_experiment, arm, small_digits, 2)
    assert all(sum(report.chosen_cost_n) <= 400.001 for report in reports[1:])
    assert state.total_cost > 500
    assert [report.labels for report in reports] != [20, 24, 28]


def test_arms_side_by_side_learn_what_each_learns_alone(quick_experiment, small_digits):
    states = [begin(quick_experiment, arm, repeat, small_digits, EXPERT) for arm in (STD, COSTLY) for repeat in (0, 1)]
    together = finish(learned(quick_experiment, states))
    for state, beside in zip(states, together, strict=True):
        (alone,) = finish(learned(quick_experiment, [state]))
        crops, _ = small_digits.test()
        alone_N_K, beside_N_K = (finish(classify(each.agent, crops, "cpu")) for each in (alone, beside))
        np.testing.assert_allclose(beside_N_K, alone_N_K, atol=0.01)
        assert (alone.agent.cost_model is None) == (beside.agent.cost_model is None)


def test_an_ensemble_has_its_members(quick_experiment, small_digits):
    state, _, (proposal,) = run(quick_experiment, Arm("three", acquisition="std", members=3), small_digits, 1)
    assert len(state.agent.classifier) == 3
    assert len(proposal.query.picked_n) == 4


def test_the_committee_is_tested_only_when_asked_for(quick_experiment, small_digits):
    state = begin(quick_experiment, RANDOM_ARM, 0, small_digits, EXPERT)
    (state,) = finish(learned(quick_experiment, [state]))
    test = small_digits.test()
    mean, none, _ = finish(accuracies(quick_experiment, state, test, committee=False))
    again, committee, _ = finish(accuracies(quick_experiment, state, test, committee=True))
    assert mean == again
    assert math.isnan(none)
    assert 0 <= committee <= 1


def test_a_data_set_too_small_for_the_next_round_is_refused(quick_experiment, small_digits):
    experiment = replace(quick_experiment, pool_size=200)
    state, _, _ = run(experiment, RANDOM_ARM, small_digits, 1)
    with pytest.raises(DatasetError, match="2 disjoint pools of 200"):
        finish(propose_round(experiment, state, small_digits, EXPERT))


def test_the_papers_figures_are_the_defaults():
    assert (Experiment().pool_size, Experiment().n, Experiment().passes) == (1000, 10, 50)


def test_the_round_number_counts_the_rounds_that_are_answered():
    rows = np.arange(2)
    assert ArmState(STD, 0, None, (rows,), (), 0.0).round_number == 0
    assert ArmState(STD, 0, None, (rows, rows, rows), (), 0.0).round_number == 2
