import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.agent.metrics import (
    accuracy,
    accuracy_interval,
    calibration,
    cost_bias,
    cost_rank_correlation,
    effort_fit,
    gain_interval,
    unlikely_to_help,
)


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


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        pytest.param(81, 263, 0.2553, 0.3662, id="Newcombe 1998, table I"),
        pytest.param(15, 148, 0.0624, 0.1605, id="another row of it"),
        pytest.param(0, 20, 0.0, 0.1611, id="none right"),
        pytest.param(20, 20, 0.8389, 1.0, id="all right"),
        pytest.param(0, 0, 0.0, 1.0, id="nothing is known"),
    ],
)
def test_the_interval_of_an_accuracy_is_wilsons(correct, total, low, high):
    assert accuracy_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


def test_a_higher_level_makes_a_wider_interval():
    (low, high), (lower, higher) = accuracy_interval(7, 10), accuracy_interval(7, 10, 0.99)
    assert lower < low < 0.7 < high < higher


# calibration


def test_calibration_is_counted_per_bin_by_hand():
    found = calibration([0.5, 0.7, 0.9, 1.0], [True, False, True, True], bins=4)
    assert found.count_B.tolist() == [0, 0, 2, 2]
    np.testing.assert_allclose(found.confidence_B, [np.nan, np.nan, 0.6, 0.95])
    np.testing.assert_allclose(found.accuracy_B, [np.nan, np.nan, 0.5, 1.0])
    assert found.expected_error == pytest.approx((2 * 0.1 + 2 * 0.05) / 4)


def test_without_labels_calibration_is_unknown():
    found = calibration([], [])
    assert found.count_B.tolist() == [0] * 10
    assert math.isnan(found.expected_error)


def test_one_who_is_right_as_often_as_sure_is_calibrated_and_one_who_boasts_is_not():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 20_000)
    assert calibration(confidence, rng.random(20_000) < confidence).expected_error < 0.02
    assert calibration(confidence, rng.random(20_000) < confidence - 0.2).expected_error == pytest.approx(0.2, abs=0.02)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30), st.integers(1, 12))
def test_every_label_is_in_one_bin_and_the_error_is_a_share(labels, bins):
    found = calibration([sure for sure, _ in labels], [right for _, right in labels], bins)
    assert found.count_B.sum() == len(labels)
    assert len(found.count_B) == bins
    assert 0 <= found.expected_error <= 1


# effort


def test_errors_of_log_effort_are_those_of_the_model_and_of_the_geometric_mean_so_far():
    measured = np.exp([0.0, 1.0, 2.0])
    # By hand: the constant guess is 0, then 0.5, so it errs by 1 and 1.5; the model by 0.5 and 0.5.
    fit = effort_fit(np.exp([7.0, 1.5, 1.5]), measured)
    assert fit.count == 3
    assert fit.log_error == pytest.approx(0.5)
    assert fit.skill == pytest.approx(0.6)


def test_a_log_normal_mean_is_judged_by_its_median():
    measured, spread = np.exp([0.0, 1.0, 2.0]), np.array([0.3, 0.5, 1.0])
    assert effort_fit(measured * np.exp(spread**2 / 2), measured, spread).log_error == pytest.approx(0, abs=1e-12)


def test_bias_is_the_mean_difference_with_students_interval():
    fit = effort_fit([3, 5, 4], [1, 2, 3])
    # By hand: differences 2, 3, 1; their spread is 1, and t of two degrees of freedom is 4.3027.
    assert fit.bias == 2
    assert (fit.bias_low, fit.bias_high) == pytest.approx(
        (2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)), abs=1e-4
    )
    assert fit.rank_correlation == pytest.approx(0.5)


def test_a_guess_as_good_as_a_constant_has_no_skill():
    rng = np.random.default_rng(0)
    measured = rng.lognormal(1, 0.5, 4000)
    assert effort_fit(np.full(4000, math.exp(1)), measured).skill == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("count", [0, 1])
def test_of_too_few_efforts_nothing_is_told(count):
    fit = effort_fit([2.0] * count, [1.0] * count)
    assert fit.count == count
    unknown = [fit.rank_correlation, fit.bias_low, fit.bias_high, fit.log_error, fit.skill]
    assert np.isnan(unknown).all()


def test_equal_efforts_leave_no_constant_guess_to_beat():
    fit = effort_fit([3.0, 3.0], [2.0, 2.0])
    assert (fit.bias, fit.bias_low, fit.bias_high) == (1, 1, 1)
    assert math.isnan(fit.skill)


def test_an_effort_of_no_time_counts_as_the_least():
    assert effort_fit([1.0, 1.0], [0.0, 1.0]).skill == 1


# whether labelling more helps


@pytest.mark.parametrize(
    ("older", "newer", "low", "high"),
    [
        pytest.param((48, 80), (56, 70), 0.0524, 0.3339, id="Newcombe 1998, table II, (a)"),
        pytest.param((3, 10), (9, 10), 0.1705, 0.8090, id="(b)"),
        pytest.param((0, 10), (10, 10), 0.6075, 1.0, id="(h)"),
    ],
)
def test_the_interval_of_a_gain_is_newcombes(older, newer, low, high):
    assert gain_interval(older, newer) == pytest.approx((low, high), abs=5e-5)


def answers(older_right, older, newer_right, newer):
    """Return control labels in order of time, so many right in either half."""
    halves = [np.arange(older) < older_right, np.arange(newer) < newer_right]
    return np.concatenate(halves)


@pytest.mark.parametrize(
    ("correct", "is_plateau", "said"),
    [
        pytest.param([], False, "0 control labels, 60 are needed", id="none"),
        pytest.param(answers(29, 29, 0, 30), False, "59 control labels, 60 are needed", id="one short"),
        pytest.param(answers(15, 30, 28, 30), False, "Labelling helps: the newer 30 control labels", id="a gain"),
        pytest.param(answers(24, 30, 24, 30), False, "may still help", id="equal, but few"),
        pytest.param(answers(900, 1000, 900, 1000), True, "unlikely to help", id="equal, and many"),
        pytest.param(answers(850, 1000, 920, 1000), False, "Labelling helps", id="a gain, and many"),
    ],
)
def test_a_plateau_is_said_only_when_the_gain_is_surely_small(correct, is_plateau, said):
    hint = unlikely_to_help(correct)
    assert hint.is_plateau is is_plateau
    assert said in hint.text


def test_the_hint_gives_its_figures():
    # By hand: 0.9 of 1000 has the interval 0.8798 to 0.9171, so the gain is within -2.6 to 2.6 points.
    assert unlikely_to_help(answers(900, 1000, 900, 1000)).text == (
        "Labelling more is unlikely to help: the newer 1000 control labels were predicted with 90% accuracy, the older "
        "1000 with 90%: a gain of -2.6 to +2.6 points (95 % interval)."
    )


def test_of_an_odd_number_the_newer_half_has_one_more():
    assert "the newer 31 control labels" in unlikely_to_help(np.ones(61, bool)).text


def test_random_answers_of_a_steady_gain_are_seldom_called_a_plateau():
    rng = np.random.default_rng(0)
    chances = np.concatenate([np.full(300, 0.75), np.full(300, 0.85)])
    said = sum(unlikely_to_help(rng.random(600) < chances).is_plateau for _ in range(300))
    assert said / 300 < 0.05


def test_what_a_dock_loads_leaves_out_statistics_that_take_a_second():
    script = "import sys, costal.workbench.retraining; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=120).returncode == 0
