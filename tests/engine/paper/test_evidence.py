import math
from dataclasses import replace

import numpy as np
import pytest

from costal.paper.evidence import (
    Curve,
    Estimate,
    accuracy_at_labels,
    at_spendings,
    bootstrap,
    cost_ratio,
    isotonic,
    lowest_recall,
    reached,
    saving,
    savings,
)
from costal.paper.evidence_page import cheap_arm, limit_notes, sections, spending_curves
from costal.paper.outcomes import finished
from costal.paper.plan import RANDOM_ARM, Arm, Experiment, Plan
from tests.engine.paper.rounds_table import rounds_table

CHEAP = Arm("cheap", acquisition="random", beta=1.0)
STD = Arm("STD", acquisition="std", beta=0.3)
PLAN = Plan("bought", arms=(RANDOM_ARM, STD, CHEAP), experiment=Experiment(stop_cost=100.0), rounds=9, repeats=2)


def run_rows(arm, repeat, costs, accuracies, recalls="0.5 0.7", step=10):
    return [
        (arm.name, repeat, at, 20 + step * at, accuracy, float(cost), recalls)
        for at, (cost, accuracy) in enumerate(zip(costs, accuracies, strict=True))
    ]


def table(*rows):
    return rounds_table([row for run in rows for row in run], "recalls")


BY_CHANCE = ((0, 40, 80, 120), (0.5, 0.6, 0.7, 0.8))
HALF = ((0, 20, 40, 60, 110), (0.5, 0.6, 0.7, 0.8, 0.8))  # every accuracy at half the cost


def test_the_isotonic_fit_pools_what_falls():
    assert isotonic([1, 3, 2, 4]).tolist() == [1, 2.5, 2.5, 4]


def test_a_level_is_reached_where_the_line_between_points_crosses_it():
    x, y = np.array([0.0, 10, 20, 30]), np.array([0.2, 0.4, 0.4, 0.8])
    assert reached(x, y, np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])) == pytest.approx([0, 0, 5, 10, 25, math.inf])


def test_half_the_cost_at_every_accuracy_is_a_ratio_of_one_half():
    x = np.linspace(0, 100, 101)
    assert cost_ratio(x, np.minimum(0.5 + x / 100, 1.0), 0.5 + x / 200, 0.6) == pytest.approx(0.5)


def test_a_curve_beside_itself_has_ratio_one():
    x = np.linspace(0, 100, 101)
    wavy = 0.5 + x / 300 + 0.05 * np.sin(x)
    assert cost_ratio(x, wavy, wavy, 0.55) == pytest.approx(1)


def test_an_arm_that_misses_a_level_never_gets_there():
    x = np.linspace(0, 100, 101)
    assert cost_ratio(x, np.full(101, 0.6), 0.5 + x / 200, 0.55) == math.inf


def test_random_that_learns_nothing_has_no_accuracies_to_compare_at():
    x = np.linspace(0, 100, 101)
    assert math.isnan(cost_ratio(x, 0.5 + x / 200, np.full(101, 0.6), 0.6))


def test_a_level_that_the_start_has_costs_the_first_round():
    x = np.linspace(0, 100, 101)
    assert cost_ratio(x, np.full(101, 0.9), np.where(x < 50, 0.5, 0.8), 0.79, (10.0, 10.0)) == pytest.approx(
        10 / 50, rel=0.02
    )


def test_spendings_are_shares_of_what_the_baseline_spent_and_a_run_that_ended_keeps_its_last():
    base = [Curve(np.array([0.0, 100]), np.array([0.5, 0.7]), np.array([0.1, 0.2]))]
    own = [Curve(np.array([0.0, 50]), np.array([0.5, 0.9]), np.array([0.3, 0.4]))]
    assert at_spendings(own, base, "accuracy_M")[0] == pytest.approx([0.7, 0.9, 0.9, 0.9])
    assert at_spendings(base, base, "accuracy_M")[0] == pytest.approx([0.55, 0.6, 0.65, 0.7])


def test_the_lowest_recall_leaves_out_classes_that_no_test_crop_has():
    assert lowest_recall("0.9000 nan 0.4000") == 0.4
    assert math.isnan(lowest_recall(""))


def test_a_start_of_more_labels_than_thirty_counts_after_its_first_round():
    few = table(run_rows(STD, 0, (0, 10, 20), (0.5, 0.6, 0.8)))
    many = few.assign(labels=few["labels"] + 20)
    assert accuracy_at_labels(few) == pytest.approx(0.6)
    assert accuracy_at_labels(many) == pytest.approx(0.6)


def test_the_bootstrap_of_two_values_ends_at_them():
    assert bootstrap(2, lambda weight_R: float(weight_R @ [1.0, 3.0])) == Estimate(2.0, 1.0, 3.0)


def test_one_repeat_has_no_interval():
    assert f"{bootstrap(1, lambda weight_R: 0.5):.2f}" == "0.50 (no interval)"


def test_an_interval_may_end_where_a_resample_never_gets_there():
    estimate = bootstrap(2, lambda weight_R: 1.0 if weight_R[0] else math.inf)
    assert f"{estimate:.2f}" == "1.00 [1.00, never]"


def test_an_arm_at_half_the_cost_saves_half_in_every_repeat():
    df = table(*(run_rows(RANDOM_ARM, r, *BY_CHANCE) for r in (0, 1)), *(run_rows(STD, r, *HALF) for r in (0, 1)))
    result = saving(df, PLAN, STD, RANDOM_ARM)
    assert result.repeats == (0, 1)
    assert f"{result.ratio:.2f}" == "0.50 [0.50, 0.50]"
    # at 30, 60, 90, 120 of cost: 0.65, 0.8, 0.8, 0.8 beside 0.575, 0.65, 0.725, 0.8
    assert [each.value for each in result.difference_S] == pytest.approx([0.075, 0.15, 0.075, 0.0])
    assert result.mean_difference.value == pytest.approx(0.075)
    assert (result.lowest_recall.value, result.recall_difference.value) == (0.5, 0.0)


def test_by_labels_the_same_runs_need_as_many():
    df = table(run_rows(RANDOM_ARM, 0, *BY_CHANCE), run_rows(STD, 0, *HALF))
    assert saving(df, PLAN, STD, RANDOM_ARM, "labels").ratio.value == pytest.approx(1)


def test_random_beside_random_costs_the_same():
    df = table(*(run_rows(RANDOM_ARM, repeat, *BY_CHANCE) for repeat in (0, 1)))
    assert saving(df, PLAN, RANDOM_ARM, RANDOM_ARM).ratio == Estimate(
        pytest.approx(1), pytest.approx(1), pytest.approx(1)
    )


def test_runs_that_spent_their_limit_are_finished_before_the_last_round():
    df = table(run_rows(RANDOM_ARM, 0, *BY_CHANCE), run_rows(RANDOM_ARM, 1, (0, 40, 80), (0.5, 0.6, 0.7)))
    assert finished(df, PLAN, RANDOM_ARM) == (0,)


def test_random_with_a_weighed_cost_is_the_arm_that_buys_the_cheap_ones():
    assert cheap_arm(PLAN) == CHEAP
    assert [each.arm for each in savings(table(run_rows(RANDOM_ARM, 0, *BY_CHANCE)), PLAN, RANDOM_ARM)] == [STD, CHEAP]


def test_the_page_compares_with_random_by_cost_and_labels_and_with_the_cheap_ones():
    df = table(run_rows(RANDOM_ARM, 0, *BY_CHANCE), run_rows(STD, 0, *HALF), run_rows(CHEAP, 0, *HALF))
    page = "\n".join(sections(df, PLAN))
    assert page.count("| STD | 1 | 0.50 (no interval) |") == 1
    assert "by labels" in page
    assert "against cheap" in page
    assert len(spending_curves(df, PLAN, "s").axes) == 2


def test_a_limit_that_is_never_reached_is_told():
    plan = replace(PLAN, rounds=3, experiment=Experiment(stop_cost=500.0))
    (note,) = limit_notes(table(run_rows(RANDOM_ARM, 0, *BY_CHANCE)), plan)
    assert note.startswith("random: 1 of 1 runs ended after 3 rounds, before their cost reached 500;")


def test_a_limit_that_the_first_query_passes_is_told():
    plan = replace(PLAN, experiment=Experiment(stop_cost=30.0))
    (note,) = limit_notes(table(run_rows(RANDOM_ARM, 0, (0, 40), (0.5, 0.6))), plan)
    assert note.startswith("random: in 1 of 1 runs the first query already cost stop_cost (30) or more.")
