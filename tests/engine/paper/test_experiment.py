import math
from dataclasses import replace

import numpy as np
import pytest

from costal.errors import DatasetError
from costal.paper.datasets import initial_indices, pool_indices
from costal.paper.experiment import RANDOM_ARM, Arm, Experiment, play_round, propose_round, start, to_crops
from costal.paper.expert import SimulatedExpert
from costal.types import finish

STD, COSTLY = Arm("STD", "std"), Arm("STD, β = 0.3", "std", beta=0.3)
EXPERT = SimulatedExpert(tuple(float(k) for k in range(10)))


def run(experiment, arm, dataset, rounds):
    state, report = finish(start(experiment, arm, dataset, EXPERT))
    reports, proposals = [report], []
    for _ in range(rounds):
        state, report, proposal = finish(play_round(experiment, state, dataset, EXPERT))
        reports.append(report)
        proposals.append(proposal)
    return state, reports, proposals


@pytest.fixture
def experiment(quick_experiment):
    return quick_experiment(pool_size=30, n=4, passes=3, device="cpu")


@pytest.fixture
def two_rounds(experiment, small_digits):
    return run(experiment, COSTLY, small_digits, 2)


def figures(reports):
    """Return what a report says of the run, without the seconds; nan is written out, for it equals nothing."""
    return [repr(replace(report, seconds={})) for report in reports]


@pytest.mark.parametrize("arm", [COSTLY, RANDOM_ARM], ids=lambda arm: arm.acquisition)
def test_equal_experiments_give_equal_reports(experiment, small_digits, arm):
    first, again = (figures(run(experiment, arm, small_digits, 2)[1]) for _ in range(2))
    assert first == again


def test_another_seed_or_repeat_gives_other_reports(experiment, small_digits):
    runs = [experiment, replace(experiment, seed=1), replace(experiment, repeat=1)]
    assert len({tuple(figures(run(each, STD, small_digits, 1)[1])) for each in runs}) == 3


def test_the_total_cost_is_the_sum_of_what_was_asked_without_the_start(two_rounds):
    state, reports, proposals = two_rounds
    costs = []
    for proposal in proposals:
        picked = proposal.query.picked_n
        costs.append(EXPERT.answer(proposal.images_N_H_W[picked], proposal.class_N[picked])[1].sum())
    assert [report.total_cost for report in reports] == pytest.approx([0, costs[0], costs[0] + costs[1]])
    assert state.total_cost == reports[-1].total_cost


def test_each_round_adds_n_labels_of_the_images_that_were_picked(two_rounds):
    state, reports, proposals = two_rounds
    assert [report.labels for report in reports] == [20, 24, 28]
    assert [report.round_number for report in reports] == [0, 1, 2]
    for report in reports:
        assert sum(report.class_counts_K) == report.labels
    picked = np.concatenate([to_crops(each.images_N_H_W[each.query.picked_n]) for each in proposals])
    np.testing.assert_array_equal(np.stack([answer.crop_C_H_W for answer in state.answers[20:]]), picked)
    classes = np.concatenate([each.class_N[each.query.picked_n] for each in proposals])
    assert [answer.class_index for answer in state.answers[20:]] == classes.tolist()


def test_a_report_holds_what_the_query_promised_and_what_it_cost(two_rounds):
    _, reports, proposals = two_rounds
    query = proposals[0].query
    assert reports[1].mean_information == pytest.approx(query.scores.information_N[query.picked_n].mean())
    assert reports[1].predicted_cost == pytest.approx(query.scores.cost_N[query.picked_n].mean())
    assert reports[1].measured_cost == pytest.approx(reports[1].total_cost / 4)
    assert math.isnan(reports[0].measured_cost)
    assert set(reports[1].seconds) == {"propose", "learn", "test"}


def test_all_arms_of_a_repeat_see_the_same_start_and_pools(experiment, small_digits):
    seen = []
    for arm in (STD, COSTLY, RANDOM_ARM):
        state, _ = finish(start(experiment, arm, small_digits, EXPERT))
        proposal = finish(propose_round(experiment, state, small_digits))
        seen.append((np.stack([each.crop_C_H_W for each in state.answers]), proposal.images_N_H_W))
    for begun, pool in seen[1:]:
        np.testing.assert_array_equal(begun, seen[0][0])
        np.testing.assert_array_equal(pool, seen[0][1])


def test_a_round_draws_its_own_pool(two_rounds, small_digits):
    _, _, proposals = two_rounds
    for number, proposal in enumerate(proposals, 1):
        images, classes = small_digits.take(pool_indices(small_digits, 0, 0, number, 30))
        np.testing.assert_array_equal(proposal.images_N_H_W, images)
        np.testing.assert_array_equal(proposal.class_N, classes)


def test_the_start_is_the_initial_set(two_rounds, small_digits):
    images, _ = small_digits.take(initial_indices(small_digits, 0, 0))
    np.testing.assert_array_equal(np.stack([each.crop_C_H_W for each in two_rounds[0].answers[:20]]), to_crops(images))


@pytest.mark.parametrize(("arm", "learns"), [(STD, False), (COSTLY, True)], ids=["β = 0", "β > 0"])
def test_only_an_arm_whose_beta_counts_learns_the_cost(experiment, small_digits, arm, learns):
    state, _ = finish(start(experiment, arm, small_digits, EXPERT))
    assert arm.learns_cost is learns
    assert (state.agent.cost_model is not None) is learns
    assert all(answer.effort > 0 for answer in state.answers)


def test_a_data_set_too_small_for_the_next_round_is_refused(experiment, small_digits):
    experiment = replace(experiment, pool_size=200)
    state, _, _ = run(experiment, RANDOM_ARM, small_digits, 1)
    with pytest.raises(DatasetError, match="2 disjoint pools of 200 images and 20 at the start need 420"):
        finish(play_round(experiment, state, small_digits, EXPERT))


def test_the_papers_figures_are_the_defaults():
    assert (Experiment().pool_size, Experiment().n, Experiment().passes) == (1000, 10, 50)


def test_crops_are_images_scaled_to_one():
    crops = to_crops(np.array([[[0, 51], [255, 102]]], dtype=np.uint8))
    assert (crops.shape, crops.dtype) == ((1, 1, 2, 2), np.float32)
    np.testing.assert_allclose(crops[0, 0], [[0, 0.2], [1, 0.4]])
