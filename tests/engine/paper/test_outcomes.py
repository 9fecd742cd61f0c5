from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.errors import CostalError
from costal.paper.outcomes import (
    Quantity,
    area,
    comparisons,
    exactly,
    finished,
    interval,
    known_arms,
    mean_over_rounds,
    outcomes,
    price,
    slopes,
    table_1,
)
from costal.paper.plan import RANDOM_ARM, Arm, Plan

STD, BALD = Arm("STD", acquisition="std"), Arm("BALD", acquisition="bald")
PLAN = Plan("a plan", "mnist", (STD, RANDOM_ARM), rounds=3, repeats=2)
NEVER = (0.5, 0.6, 0.7, 0.8)
T_1, T_2 = 12.706205, 4.302653  # 97.5 % quantiles of Student's t with 1 and 2 degrees of freedom


def rows_of(arm, repeat, accuracies, costs=(), **more):
    """Return the rows of a run, one for each accuracy: 10 labels and, unless said, 100 cost units a round."""
    count = len(accuracies)
    figures = {
        "data": "MNIST",
        "arm": arm.name,
        "repeat": repeat,
        "round": range(count),
        "labels": [20 + 10 * at for at in range(count)],
        "accuracy": accuracies,
        "total_cost": costs or [100.0 * at for at in range(count)],
    }
    return pd.DataFrame(figures | more)


def rounds_of(*runs):
    return pd.concat(runs, ignore_index=True)


REACHED = rounds_of(
    rows_of(STD, 0, (0.5, 0.9, 0.9, 0.97)),  # 30 labels
    rows_of(RANDOM_ARM, 0, (0.5, 0.7, 0.8, 0.9)),  # 50
    rows_of(STD, 1, (0.5, 0.8, 1.0, 0.95)),  # 35
    rows_of(RANDOM_ARM, 1, (0.5, 0.8, 0.9, 0.91)),  # 40
)


def test_the_area_is_the_mean_accuracy_up_to_so_many_labels_through_the_tested_rounds():
    df = rounds_of(rows_of(STD, 0, (0.5, np.nan, 0.9, 0.7)))  # tested at 20, 40 and 50 labels
    # 20 labels at 0.7 on average, then 5 at 0.85
    assert area(df, STD, (0,), 45).value_R == pytest.approx([(20 * 0.7 + 5 * 0.85) / 25])
    assert area(df, STD, (0,), 300).value_R == pytest.approx([(20 * 0.7 + 10 * 0.8) / 30])  # it ends at 50


@pytest.mark.parametrize(
    ("accuracies", "labels", "cost"),
    [
        pytest.param((0.5, 0.8, 0.95, 0.97), 30 + 10 * 2 / 3, 100 + 200 / 3, id="between two rounds"),
        pytest.param((0.5, 0.9, 0.95, 0.97), 30, 100, id="exactly at a round"),
        pytest.param((0.95, 0.8, 0.95, 0.97), 20, 0, id="from the start"),
        pytest.param((0.8, 1.0, 0.7, 0.95), 25, 50, id="lost again later"),
        pytest.param((0.7, np.nan, 0.8, 1.0), 45, 250, id="over an untested round"),
        pytest.param((0.7, np.nan, np.nan, 1.0), 40, 200, id="over two untested rounds"),
        pytest.param(NEVER, np.nan, np.nan, id="never"),
        pytest.param((), np.nan, np.nan, id="no rounds"),
    ],
)
def test_the_target_is_reached_where_accuracy_first_crosses_it(accuracies, labels, cost):
    run = rows_of(STD, 0, accuracies)
    assert price(run, 0.9, "labels") == pytest.approx(labels, nan_ok=True)
    assert price(run, 0.9, "total_cost") == pytest.approx(cost, nan_ok=True)


def test_the_order_of_the_rows_does_not_matter():
    run = rows_of(STD, 0, (0.5, 0.8, 1.0, 0.7))
    assert price(run[::-1], 0.9, "labels") == price(run, 0.9, "labels") == pytest.approx(35)


def test_an_interval_is_students():
    result = interval([1, 2, 3])
    assert (result.mean, result.count) == (2, 3)
    assert result.spread == pytest.approx(np.sqrt(2 / 3))
    assert (result.low, result.high) == pytest.approx((2 - T_2 / np.sqrt(3), 2 + T_2 / np.sqrt(3)))


@pytest.mark.parametrize("values", [[], [0.3], [0.3, np.nan]], ids=["none", "one", "one not known"])
def test_there_is_no_interval_of_fewer_than_two_known_values(values):
    assert np.isnan([interval(values).low, interval(values).high, interval(values).spread]).all()


def test_equal_values_have_an_interval_of_no_width():
    assert (interval([0.5, 0.5]).low, interval([0.5, 0.5]).high) == (0.5, 0.5)


def test_the_standard_deviation_is_the_kind_the_paper_printed():
    assert f"{interval((0.67, 0.75, 1.04, 0.59, 0.62)).spread:.2f}" == "0.16"


@pytest.mark.parametrize(
    ("values", "text"),
    [([0.5, 0.5], "+0.50 [+0.50, +0.50]"), ([0.5], "+0.50 (no interval)"), ([], "–")],
    ids=["two", "one", "none"],
)
def test_an_interval_is_written_with_its_bounds(values, text):
    assert f"{interval(values):+.2f}" == text


bounds = st.tuples(*[st.floats(0.1, 100)] * 3).map(sorted)


@given(bounds, bounds, st.booleans(), st.booleans())
def test_the_truth_stays_within_the_bounds_of_differences_and_ratios(first, second, open_first, open_second):
    def quantity(low, high, is_open):
        return Quantity(np.array([np.nan]), np.array([low]), np.array([np.nan if is_open else high]))

    one, other = quantity(first[0], first[2], open_first), quantity(second[0], second[2], open_second)
    for result, truth in ((one - other, first[1] - second[1]), (one / other, first[1] / second[1])):
        slack = 1e-9 * (1 + abs(truth))
        assert not result.low_R[0] > truth + slack
        assert not result.high_R[0] < truth - slack
        assert np.isnan(result.low_R[0]) == open_second
        assert np.isnan(result.high_R[0]) == open_first


def test_table_1_has_the_ratio_of_each_repeat():
    (row,) = table_1(REACHED, PLAN)
    assert (row.arm, row.repeats, row.unreached, row.random_unreached) == (STD, (0, 1), 0, 0)
    assert row.ratio.value_R == pytest.approx([30 / 50, 35 / 40])
    assert row.ratio.interval.mean == pytest.approx(0.7375)
    assert row.ratio.interval.high == pytest.approx(0.7375 + T_1 * (0.875 - 0.6) / 2)


@pytest.mark.parametrize(
    ("std", "random", "ratio", "low", "high", "unreached"),
    [
        pytest.param((0.5, 0.9, 0.9, 0.9), NEVER, np.nan, np.nan, 30 / 50, (0, 1), id="only random"),
        pytest.param(NEVER, (0.5, 0.9, 0.9, 0.9), np.nan, 50 / 30, np.nan, (1, 0), id="only the arm"),
        pytest.param(NEVER, NEVER, np.nan, np.nan, np.nan, (1, 1), id="neither"),
    ],
)
def test_a_side_that_never_reaches_the_target_leaves_a_bound(std, random, ratio, low, high, unreached):
    plan = replace(PLAN, repeats=1)
    (row,) = table_1(rounds_of(rows_of(STD, 0, std), rows_of(RANDOM_ARM, 0, random)), plan)
    result = (row.ratio.value_R[0], row.ratio.low_R[0], row.ratio.high_R[0])
    assert result == pytest.approx((ratio, low, high), nan_ok=True)
    assert (row.unreached, row.random_unreached) == unreached


def test_a_repeat_that_one_side_has_not_finished_is_left_out():
    df = REACHED[~((REACHED["arm"] == "random") & (REACHED["repeat"] == 0) & (REACHED["round"] == 3))]
    assert finished(df, PLAN, STD) == (0, 1)
    assert finished(df, PLAN, STD, RANDOM_ARM) == (1,)
    (row,) = table_1(df, PLAN)
    assert row.ratio.value_R == pytest.approx([35 / 40])


def test_without_an_arm_that_selects_at_random_there_is_no_table_1():
    assert table_1(REACHED, replace(PLAN, arms=(STD,))) == ()


def test_nothing_has_finished_before_anything_ran():
    empty = REACHED.iloc[:0]
    assert finished(empty, PLAN, STD) == ()
    (row,) = table_1(empty, PLAN)
    assert row.ratio.interval.count == 0


def test_outcomes_are_those_of_the_last_round_and_of_the_target():
    std, random = outcomes(REACHED, PLAN)
    assert std.accuracy.value_R.tolist() == [0.97, 0.95]
    assert std.labels.value_R.tolist() == [50, 50]
    assert random.total_cost.value_R.tolist() == [300, 300]
    assert random.labels_to_target.value_R == pytest.approx([50, 40])
    assert random.cost_to_target.value_R == pytest.approx([300, 200])


def test_arms_are_compared_repeat_by_repeat():
    (std,) = comparisons(REACHED, PLAN, "random")
    assert std.accuracy.value_R == pytest.approx([0.07, 0.04])
    assert std.labels_to_target.value_R == pytest.approx([-20, -5])
    assert std.cost_to_target.value_R == pytest.approx([-200, -50])
    assert std.total_cost.interval.mean == 0
    (random,) = comparisons(REACHED, PLAN, "STD")
    assert random.accuracy.value_R == pytest.approx(-std.accuracy.value_R)


def test_a_repeat_that_never_reached_the_target_is_missing_from_its_price_only():
    df = rounds_of(REACHED[REACHED["repeat"] == 0], rows_of(STD, 1, NEVER), rows_of(RANDOM_ARM, 1, NEVER))
    (std,) = comparisons(df, PLAN, "random")
    assert (std.labels_to_target.missing, std.labels_to_target.interval.count) == (1, 1)
    assert std.accuracy.interval.count == 2


def test_a_baseline_that_is_no_arm_is_refused_with_the_arms_there_are():
    with pytest.raises(CostalError, match=r'no arm "radnom".*STD, random'):
        comparisons(REACHED, PLAN, "radnom")


def test_known_costs_are_swept_in_order_of_beta():
    plain = Arm("β = 0", acquisition="std")
    high, low = (Arm(f"known {beta}", acquisition="std", beta=beta, cost="known") for beta in (0.4, 0.2))
    apart = (
        RANDOM_ARM,
        BALD,
        Arm("learned", acquisition="std", beta=0.2),
        Arm("diverse", acquisition="std", beta=0.2, cost="known", diverse=True),
        Arm("three", acquisition="std", members=3),
        Arm("by budget", acquisition="std", cost="known", budget=9),
    )
    assert known_arms(replace(PLAN, arms=(high, *apart, low, plain))) == (plain, low, high)


@pytest.mark.parametrize(
    "arms",
    [(STD, BALD, RANDOM_ARM), (RANDOM_ARM, Arm("known", acquisition="std", beta=0.1, cost="known"))],
    ids=["no costs", "one arm only"],
)
def test_a_sweep_needs_two_arms(arms):
    assert known_arms(replace(PLAN, arms=arms)) == ()


def test_the_slope_on_beta_is_that_of_the_line_through_the_arms():
    arms = tuple(Arm(f"β = {beta}", acquisition="std", beta=beta, cost="known") for beta in (0.0, 0.1, 0.3))
    plan = replace(PLAN, arms=arms)
    df = rounds_of(*(rows_of(arm, repeat, (0.5, 0.9 - (1 + repeat) * arm.beta, 0.9, 0.9))
                     for arm in arms for repeat in (0, 1)))  # fmt: skip
    assert slopes(df, plan, arms, "accuracy", 1).value_R == pytest.approx([-1, -2])
    assert slopes(df, plan, arms, "accuracy", 3).value_R == pytest.approx([0, 0])


def test_the_mean_over_rounds_skips_rounds_without_the_figure():
    df = rows_of(STD, 0, NEVER, cost_bias_pool=[np.nan, np.nan, -1.0, -2.0])
    assert mean_over_rounds(df, PLAN, STD, "cost_bias_pool").value_R.tolist() == [-1.5]


def test_what_is_known_exactly_has_itself_for_bounds():
    result = exactly([1, 2])
    assert result.low_R.tolist() == result.high_R.tolist() == result.value_R.tolist() == [1, 2]
    assert result.missing == 0
