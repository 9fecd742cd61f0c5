from dataclasses import replace

import numpy as np
import pytest

from costal.errors import DatasetError
from costal.paper import base_costs
from costal.paper.base_costs import BASE_COSTS, derive_base_costs, scaled
from costal.paper.plan import Arm
from costal.paper.run_lock import run_lock
from costal.paper.runner import run_task, tasks
from costal.types import finish


def test_costs_rise_with_the_counts_from_nothing_with_the_spread_asked_for():
    costs = scaled([10, 30, 20, 40], 5.0)
    # counts less the least: 0, 20, 10, 30, whose standard deviation is sqrt(125)
    np.testing.assert_allclose(costs, np.round(np.array([0, 20, 10, 30]) * 5 / np.sqrt(125), 1))
    assert costs.std() == pytest.approx(5, rel=0.01)


def test_equal_counts_give_no_base_costs():
    assert scaled([7, 7, 7], 5.0).tolist() == [0, 0, 0]


def test_base_costs_follow_from_what_std_asked_for(quick_plan, small_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(base_costs, "load_dataset", lambda _: small_digits)
    monkeypatch.setattr(base_costs, "PERIMETERS", 100)
    plan = replace(quick_plan, arms=(Arm("STD", acquisition="std"),))
    with run_lock(tmp_path, plan, small_digits):
        for task in tasks(plan)[:1]:
            finish(run_task(plan, task, tmp_path, small_digits))
        with pytest.raises(DatasetError, match="1 of 2 repeats of STD are finished"):
            derive_base_costs(tmp_path)
        finish(run_task(plan, tasks(plan)[1], tmp_path, small_digits))
    result = derive_base_costs(tmp_path)
    assert sum(result.count_K) == 2 * 3 * 4  # two repeats of three rounds of four, without the start
    np.testing.assert_array_equal(result.base_cost_K, scaled(result.count_K, result.perimeter_spread))
    assert f"| 3 | {result.count_K[3]} | {result.base_cost_K[3]:g} |" in result.text


def test_a_folder_without_a_run_and_a_run_without_std_are_refused(quick_plan, small_digits, tmp_path):
    with pytest.raises(DatasetError, match="has no run"):
        derive_base_costs(tmp_path)
    with run_lock(tmp_path, quick_plan, small_digits):
        pass
    with pytest.raises(DatasetError, match="no arm that selects by STD"):
        derive_base_costs(tmp_path)


def test_the_base_costs_in_use_are_of_ten_classes_of_which_the_cheapest_costs_nothing():
    assert len(BASE_COSTS) == 10
    assert min(BASE_COSTS) == 0 < max(BASE_COSTS)
