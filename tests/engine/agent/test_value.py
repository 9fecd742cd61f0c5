import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.agent.value import COST_FLOOR, log_cost_of_class, select, share_explained, value
from costal.errors import AgentError
from costal.types import STEEPEST_ALPHA, STEEPEST_BETA

INFORMATION = [0.2, 0.8, 0.5]
COST = [1.0, 16.0, 4.0]


@pytest.mark.parametrize(
    ("alpha", "beta", "expected"),
    [
        pytest.param(1, 0, INFORMATION, id="β = 0 is information alone"),
        pytest.param(0, 0.5, [1, 1 / 4, 1 / 2], id="α = 0 is cheapness alone"),
        pytest.param(0, 0, [1, 1, 1], id="both 0 is indifference"),
        pytest.param(1, 0.5, [0.2, 0.2, 0.25], id="the formula"),
        pytest.param(2, 1, [0.04, 0.04, 0.0625], id="other exponents"),
    ],
)
def test_value_is_information_to_alpha_over_cost_to_beta(alpha, beta, expected):
    np.testing.assert_allclose(value(INFORMATION, COST, alpha, beta), expected, rtol=1e-6)


def test_value_is_float32():
    assert value(INFORMATION, COST).dtype == np.float32


@pytest.mark.parametrize("cost", [0.0, -1.0, COST_FLOOR / 10, COST_FLOOR])
def test_a_cost_below_the_floor_counts_as_the_floor(cost):
    np.testing.assert_allclose(value([0.5], [cost], 1, 0.5), [0.5 / np.sqrt(COST_FLOOR)], rtol=1e-6)


def test_the_largest_exponents_that_can_be_set_give_finite_values():
    values = value([3.0, 0.0], [0.0, 1e6], STEEPEST_ALPHA, STEEPEST_BETA)
    assert values.tolist() == [np.finfo(np.float32).max, 0.0]


def test_information_a_rounding_error_below_zero_counts_as_zero():
    assert value([-1e-9], [1.0], 0.5, 0).tolist() == [0.0]


def test_no_information_to_the_power_of_zero_is_one():
    assert value([0.0], [1.0], 0, 0).tolist() == [1.0]


@pytest.mark.parametrize(("alpha", "beta"), [(-0.1, 0), (0, -0.1)])
def test_negative_exponents_are_refused(alpha, beta):
    with pytest.raises(AgentError, match="must not be negative"):
        value(INFORMATION, COST, alpha, beta)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_counted(broken):
    with pytest.raises(AgentError, match="information of 2 crops"):
        value([broken, 0.1, broken], COST)
    with pytest.raises(AgentError, match="cost of 1 crops"):
        value(INFORMATION, [1, broken, 1])


@given(
    scores=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1e6)), min_size=1, max_size=20),
    alpha=st.floats(0, 4),
    beta=st.floats(0, 4),
)
def test_value_is_finite_and_not_negative(scores, alpha, beta):
    values = value([i for i, _ in scores], [c for _, c in scores], alpha, beta)
    assert np.isfinite(values).all()
    assert (values >= 0).all()


def test_select_returns_the_best_first():
    assert select([0.1, 0.9, 0.5, 0.7], 3, np.random.default_rng(0)).tolist() == [1, 3, 2]


def test_select_returns_all_when_the_pool_is_smaller_than_n():
    assert select([0.1, 0.9], 5, np.random.default_rng(0)).tolist() == [1, 0]


def test_select_from_no_crops_is_empty():
    assert select([], 3, np.random.default_rng(0)).tolist() == []


def test_ties_are_broken_alike_under_one_seed_and_uniformly_over_seeds():
    firsts = [int(select(np.ones(4), 1, np.random.default_rng(seed))[0]) for seed in range(2000)]
    assert firsts == [int(select(np.ones(4), 1, np.random.default_rng(seed))[0]) for seed in range(2000)]
    counts = np.bincount(firsts, minlength=4)
    assert (abs(counts - 500) < 4 * np.sqrt(2000 * 0.25 * 0.75)).all()


def test_ties_never_let_a_lesser_value_pass():
    for seed in range(20):
        assert set(select([0, 1, 0, 1, 0], 2, np.random.default_rng(seed)).tolist()) == {1, 3}


@given(values=st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, np.inf]), max_size=40), n=st.integers(1, 45))
def test_the_best_are_those_of_a_full_sort_ties_included(values, n):
    drawn = np.random.default_rng(3).random(len(values))
    whole = sorted(range(len(values)), key=lambda crop: (-values[crop], drawn[crop]))
    assert select(values, n, np.random.default_rng(3)).tolist() == whole[:n]


@pytest.mark.parametrize("n", [0, -1])
def test_a_query_of_nothing_is_refused(n):
    with pytest.raises(AgentError, match="is empty"):
        select([1.0], n, np.random.default_rng(0))


def test_a_value_that_is_not_a_number_is_refused():
    with pytest.raises(AgentError, match="not a number"):
        select([1.0, np.nan], 1, np.random.default_rng(0))


@given(values=st.lists(st.floats(0, 10), max_size=30), n=st.integers(1, 40), seed=st.integers(0, 10))
def test_selected_crops_are_distinct_sorted_and_no_other_is_better(values, n, seed):
    picked = select(values, n, np.random.default_rng(seed))
    assert len(set(picked.tolist())) == len(picked) == min(n, len(values))
    chosen = [values[index] for index in picked]
    assert chosen == sorted(chosen, reverse=True)
    left = [each for index, each in enumerate(values) if index not in picked]
    assert not left or not chosen or max(left) <= min(chosen)


# two classes of which the second costs ten times as much; the crops of each cost half or twice what is usual there
COST_4 = np.array([1.0, 4.0, 10.0, 40.0])
SURE = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)


def test_within_a_class_cost_counts_beside_the_mean_of_log_cost_of_the_class():
    # the means are those of 2 and of 20
    values = value(np.ones(4), COST_4, beta=1.0, rule="within_class", probs_N_K=SURE)
    assert values.tolist() == pytest.approx([2.0, 0.5, 2.0, 0.5])


def test_within_a_class_an_undecided_crop_is_beside_the_mean_of_both():
    assert log_cost_of_class(COST_4, np.full((4, 2), 0.5, np.float32)) == pytest.approx(np.log(COST_4).mean())


def test_beta_shrinks_to_nothing_where_the_class_tells_the_cost():
    values = value(np.ones(4), [2.0, 2.0, 20.0, 20.0], beta=1.0, rule="shrinking", probs_N_K=SURE)
    assert values.tolist() == pytest.approx([1, 1, 1, 1])


def test_beta_is_whole_where_the_class_tells_nothing_of_the_cost():
    values = value(np.ones(4), [1.0, 4.0, 1.0, 4.0], beta=0.5, rule="shrinking", probs_N_K=SURE)
    assert values.tolist() == pytest.approx([1, 0.5, 1, 0.5])


def test_the_share_explained_is_that_of_the_variance_between_classes():
    log_cost = np.array([0.0, 2.0, 4.0, 6.0])  # class means 1 and 5: 4 of a variance of 5
    assert share_explained(log_cost, np.array([1.0, 1, 5, 5])) == pytest.approx(0.8)
    assert share_explained(np.zeros(4), np.zeros(4)) == 0


def test_the_best_of_every_predicted_class_is_worth_as_much_as_the_best_of_all():
    values = value([8, 2, 3, 1], np.ones(4), beta=0.3, rule="every_class", probs_N_K=SURE)
    assert values.tolist() == [8, 2, 8, 1]


@pytest.mark.parametrize("rule", ["within_class", "shrinking", "every_class"])
def test_without_class_probabilities_every_rule_is_the_papers(rule):
    paper = value(np.arange(4), COST_4, beta=0.5).tolist()
    unknown = np.array([[np.nan, np.nan], [0, 0], [np.nan, np.nan], [0, 0]], np.float32)
    assert value(np.arange(4), COST_4, beta=0.5, rule=rule).tolist() == paper
    assert value(np.arange(4), COST_4, beta=0.5, rule=rule, probs_N_K=unknown).tolist() == paper


@pytest.mark.parametrize("rule", ["within_class", "shrinking", "every_class"])
def test_at_beta_0_no_rule_changes_the_value(rule):
    assert value(np.arange(4), COST_4, beta=0.0, rule=rule, probs_N_K=SURE).tolist() == [0, 1, 2, 3]


def test_crops_that_were_not_scored_have_no_say_in_the_rule():
    scored = value(np.ones(4), COST_4, beta=1.0, rule="within_class", probs_N_K=SURE)
    more = np.concatenate([SURE, np.zeros((1, 2), np.float32)])
    whole = value(np.ones(5), [*COST_4, 7.0], beta=1.0, rule="within_class", probs_N_K=more)
    assert whole[:4].tolist() == scored.tolist()
