import math
from pathlib import Path

import pytest

from costal.paper.base_costs import BASE_COSTS, PROPORTIONS, SCALE
from costal.paper.calibration import Calibration, calibration_plans, random_cost, scaled_by
from costal.paper.experiment import answered, begin, close_round, propose_round, simulated_answers
from costal.paper.expert import SimulatedExpert
from costal.paper.plan import RANDOM_ARM, figure_1, table_1
from costal.types import finish


def test_the_scale_is_where_the_mean_excess_falls_to_0():
    result = Calibration({2.0: (0.02, 0.04), 3.0: (0.0, 0.02), 5.0: (-0.02, -0.02)})
    assert result.scale == pytest.approx(3 + 2 / 3, abs=0.005)  # from +1 % at 3 to -2 % at 5
    assert "equal at a factor of 3.67" in result.text
    assert result.base_cost_K == scaled_by(3.67)


@pytest.mark.parametrize("excess", [(0.03, 0.01), (-0.01, -0.02)], ids=["above everywhere", "below everywhere"])
def test_a_scale_that_no_factors_bracket_is_not_made_up(excess):
    result = Calibration({2.0: (excess[0],) * 2, 3.0: (excess[1],) * 2})
    assert math.isnan(result.scale)
    assert "not calibrated" in result.text
    assert "nan" not in result.text


def test_figure_1_is_run_with_the_scale_of_the_committed_calibration():
    page = (Path(__file__).parents[3] / "resources/reproduction/calibration/scale.md").read_text("utf-8")
    costs = ", ".join(f"{each:g}" for each in BASE_COSTS)
    assert page.rstrip().endswith(f"The two total costs are equal at a factor of {SCALE:g}: base costs {costs}.")


def test_base_costs_keep_their_proportions():
    assert scaled_by(2.0) == tuple(round(2 * each, 1) for each in PROPORTIONS)


def test_repeats_that_calibrate_are_not_those_that_test():
    seeds = {plan.experiment.seed for _, plan in calibration_plans()}
    assert len(seeds) == 1
    assert not seeds & {figure_1(PROPORTIONS).experiment.seed, table_1().experiment.seed}


def test_random_selection_costs_the_same_whether_it_is_trained_or_not(quick_plan, small_digits):
    shared, expert = quick_plan.experiment, SimulatedExpert(quick_plan.experiment.base_cost_K)
    state = begin(shared, RANDOM_ARM, 1, small_digits, expert)
    for _ in range(quick_plan.rounds):
        query = finish(propose_round(shared, state, small_digits, expert))
        state = answered(state, query.asked_n, simulated_answers(state, query, small_digits, expert))
        ((state, _),) = finish(close_round(shared, [state], [query], [None]))
    assert random_cost(quick_plan, 1, small_digits) == pytest.approx(state.total_cost)
