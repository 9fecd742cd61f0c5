import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from costal.agent.acquisition import (
    ACQUISITION_FUNCTIONS,
    bald,
    entropy,
    predictive_entropy,
    std,
    variation_ratio,
)
from costal.types import ACQUISITION_NAMES

LOG2, LOG4 = math.log(2), math.log(4)
QUARTERS = 0.75 * math.log(4 / 3) + 0.25 * LOG4  # the entropy of (3/4, 1/4)
AGREE_CERTAIN = [[[1.0, 0.0]], [[1.0, 0.0]]]
AGREE_UNSURE = [[[0.5, 0.5]], [[0.5, 0.5]]]
OPPOSITE = [[[1.0, 0.0]], [[0.0, 1.0]]]
LEANING = [[[1.0, 0.0]], [[0.5, 0.5]]]
FOUR = [[[1.0, 0, 0, 0]], [[0, 1.0, 0, 0]], [[0, 0, 1.0, 0]], [[0, 0, 0, 1.0]]]


@pytest.mark.parametrize(
    ("function", "probs_T_N_K", "expected"),
    [
        pytest.param(bald, AGREE_CERTAIN, 0.0, id="bald: certain and agreed"),
        pytest.param(bald, AGREE_UNSURE, 0.0, id="bald: unsure but agreed"),
        pytest.param(bald, OPPOSITE, LOG2, id="bald: two opposite certain passes"),
        pytest.param(bald, LEANING, QUARTERS - LOG2 / 2, id="bald: one certain, one unsure"),
        pytest.param(bald, FOUR, LOG4, id="bald: four opposite passes"),
        pytest.param(predictive_entropy, AGREE_CERTAIN, 0.0, id="entropy: certain"),
        pytest.param(predictive_entropy, AGREE_UNSURE, LOG2, id="entropy: unsure"),
        pytest.param(predictive_entropy, OPPOSITE, LOG2, id="entropy: opposite"),
        pytest.param(predictive_entropy, LEANING, QUARTERS, id="entropy: mean is (3/4, 1/4)"),
        pytest.param(std, AGREE_UNSURE, 0.0, id="std: agreed"),
        pytest.param(std, OPPOSITE, 0.5, id="std: opposite"),
        pytest.param(std, LEANING, 0.25, id="std: half a step apart"),
        pytest.param(std, FOUR, math.sqrt(3) / 4, id="std: four opposite passes"),
        pytest.param(variation_ratio, AGREE_CERTAIN, 0.0, id="variation ratio: certain"),
        pytest.param(variation_ratio, LEANING, 0.25, id="variation ratio: mean is (3/4, 1/4)"),
        pytest.param(variation_ratio, FOUR, 0.75, id="variation ratio: four opposite passes"),
    ],
)
def test_information_equals_the_value_computed_by_hand(function, probs_T_N_K, expected):
    assert function(torch.tensor(probs_T_N_K)).item() == pytest.approx(expected, abs=1e-6)


def test_each_crop_has_its_own_information():
    probs_T_N_K = torch.cat([torch.tensor(each) for each in (AGREE_UNSURE, OPPOSITE, LEANING)], dim=1)
    expected = [0.0, LOG2, QUARTERS - LOG2 / 2]
    np.testing.assert_allclose(bald(probs_T_N_K).numpy(), expected, atol=1e-6)


def test_entropy_takes_zero_times_log_zero_as_zero():
    assert entropy(torch.tensor([1.0, 0.0, 0.0])).item() == 0.0


def test_the_table_holds_every_name_but_random():
    assert set(ACQUISITION_FUNCTIONS) == set(ACQUISITION_NAMES) - {"random"}


@pytest.mark.parametrize("name", ACQUISITION_FUNCTIONS)
@given(
    weights=st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(2, 6)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.floats(1e-6, 1))
    )
)
def test_information_stays_in_its_range_and_does_not_depend_on_the_order_of_passes(name, weights):
    probs_T_N_K = torch.from_numpy(weights / weights.sum(-1, keepdims=True))
    classes = probs_T_N_K.shape[2]
    most = {"bald": math.log(classes), "predictive_entropy": math.log(classes), "std": 0.5}
    information_N = ACQUISITION_FUNCTIONS[name](probs_T_N_K)
    assert information_N.shape == (probs_T_N_K.shape[1],)
    assert (information_N >= -1e-9).all()
    assert (information_N <= most.get(name, 1 - 1 / classes) + 1e-9).all()
    torch.testing.assert_close(ACQUISITION_FUNCTIONS[name](probs_T_N_K.flip(0)), information_N)
