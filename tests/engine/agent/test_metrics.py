import math

import numpy as np
import pytest

from costal.agent.metrics import accuracy, cost_bias, cost_rank_correlation


def test_accuracy_is_the_share_of_crops_whose_top_class_is_true():
    probs_N_K = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.8, 0.2]], dtype=np.float32)
    assert accuracy(probs_N_K, [0, 1, 0, 0]) == 0.75


def test_cost_bias_is_below_zero_when_costs_are_underestimated():
    assert cost_bias([1, 2], [2, 5]) == -2.0
    assert cost_bias([4, 4], [1, 3]) == 2.0


@pytest.mark.parametrize(
    ("predicted", "measured", "expected"),
    [([1, 2, 3], [10, 100, 1000], 1.0), ([3, 2, 1], [10, 20, 30], -1.0), ([1, 2, 3], [2, 3, 1], -0.5)],
    ids=["same order", "reversed", "by hand: 1 - 6 x 6 / 24"],
)
def test_rank_correlation_sees_only_the_order(predicted, measured, expected):
    assert cost_rank_correlation(predicted, measured) == pytest.approx(expected)


@pytest.mark.parametrize(("predicted", "measured"), [([1, 1], [1, 2]), ([1, 2], [1, 1]), ([1], [1])])
def test_rank_correlation_of_constants_is_nan(predicted, measured):
    assert math.isnan(cost_rank_correlation(predicted, measured))
