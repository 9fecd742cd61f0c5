import pytest
from scipy import stats

from tests.benchmarks.curves import parity


@pytest.mark.parametrize(
    ("stack", "peer", "agrees"),
    [
        ((0.90, 0.92), (0.90, 0.92), True),
        ((0.90, 0.92), (0.91, 0.93), True),
        ((0.90, 0.92), (0.92, 0.94), False),
        ((0.92, 0.94), (0.90, 0.92), False),
        ((0.80, 0.80), (0.80, 0.80), True),
        ((0.80, 0.80), (0.81, 0.81), False),
    ],
    ids=["equal", "within the spread", "worse", "better", "no spread", "no spread, apart"],
)
def test_means_agree_when_they_are_no_further_apart_than_models_are(stack, peer, agrees):
    assert parity(20, stack, peer).agrees is agrees


def test_the_interval_is_that_of_the_difference_of_two_means():
    found = parity(20, (0.5, 0.6, 0.7), (0.4, 0.5, 0.6))
    error = (2 * 0.1**2 / 3) ** 0.5  # both have a standard deviation of 0.1, so Welch's t has 4 degrees of freedom
    half = stats.t.ppf(0.975, 4) * error
    assert (found.stack_mean, found.peer_mean) == pytest.approx((0.6, 0.5))
    assert (found.stack_spread, found.peer_spread) == pytest.approx((0.1, 0.1))
    assert (found.low, found.high) == pytest.approx((0.1 - half, 0.1 + half))
