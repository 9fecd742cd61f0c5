import re
from dataclasses import replace

import pandas as pd
import pytest

from costal.paper.environment import environment
from costal.paper.plan import RANDOM_ARM, Arm, Experiment, Plan, figure_1, quick, table_1
from costal.paper.summary import arm_table, comparison_table, ratio_table, summary
from tests.engine.paper.rounds_table import BIASES, rounds_table

STD = Arm("STD", acquisition="std")
PLAN = Plan("table1", "mnist", (STD, RANDOM_ARM), rounds=3, repeats=3)


def rounds_of(plan=PLAN, **labels):
    """Return runs that reach 90 % at these labels, one for each repeat; 99: never."""
    rows = [
        (arm, repeat, at, 20 + 10 * at, 0.9 if 20 + 10 * at >= reached else 0.5, 100.0 * at, -1.0, -1.0)
        for arm, runs in labels.items()
        for repeat, reached in enumerate(runs)
        for at in range(plan.rounds + 1)
    ]
    return rounds_table(rows, *BIASES)


def rounds_of_all(plan):
    frames = [rounds_of(plan, **{arm.name: (40,) * plan.repeats}) for arm in plan.arms]
    return pd.concat(frames, ignore_index=True)


RUNS = rounds_of(STD=(30, 30, 99), random=(50, 99, 40))


def row_of(page, name):
    """Return the cells of the first table row that starts with this name."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.split("|")[1:-1]]


def headings(page):
    return [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]


def test_table_1_has_ratios_and_bounds_beside_the_papers():
    result = row_of(ratio_table(RUNS, PLAN), "STD")
    assert result[1:4] == ["0.60", "< 0.60", "> 1.25"]
    assert result[4:] == ["0.60", "–", "1 of 3; random 1", "0.60 ± 0.09 [0.47, 0.74]"]


def test_table_1_has_mean_standard_deviation_and_interval():
    result = row_of(ratio_table(rounds_of(STD=(30, 30, 30), random=(50, 40, 50)), PLAN), "STD")
    assert result[1:6] == ["0.60", "0.75", "0.60", "0.65 ± 0.07", "[0.43, 0.87]"]


def test_a_repeat_that_is_not_finished_is_named_in_its_place():
    df = RUNS[~((RUNS["repeat"] == 1) & (RUNS["round"] == 3))]
    assert row_of(ratio_table(df, PLAN), "STD")[1:4] == ["0.60", "not finished", "> 1.25"]
    assert "**Not finished: 4 of 6 runs." in summary(df, PLAN)


def test_every_arm_has_its_figures():
    assert row_of(arm_table(RUNS, PLAN, "s"), "STD") == [
        "STD", "3 of 3", "50", "0.7667 ± 0.1886", "300.0 ± 0.0", "30 ± 0", "100.0 ± 0.0", "1",
    ]  # fmt: skip
    assert "total cost (s)" in arm_table(RUNS, PLAN, "s")


def test_differences_say_in_how_many_repeats_both_reached_the_target():
    df = rounds_of(STD=(30, 30, 99), random=(50, 50, 40))
    result = row_of(comparison_table(df, PLAN, "random"), "STD")
    assert result[:2] == ["STD", "3"]
    assert result[4:] == ["-20 [-20, -20] (2)", "-200.0 [-200.0, -200.0] (2)"]


def test_large_costs_are_written_without_decimals():
    df = RUNS.assign(total_cost=RUNS["total_cost"] * 100)
    assert row_of(arm_table(df, PLAN), "STD")[4] == "30,000 ± 0"


def test_the_page_of_table_1_has_its_sections_in_order():
    page = summary(RUNS, PLAN)
    assert page.startswith("# Table 1\n")
    assert headings(page) == [
        "What was run", "Labels to reach 90 %", "Every arm", "Against random", "Notes", "Environment",
    ]  # fmt: skip


def test_the_claims_are_on_the_page_where_a_plan_can_test_them():
    plan = replace(table_1(), rounds=3, repeats=2)
    page = summary(rounds_of_all(plan), plan)
    assert "The paper's claims, on MNIST" in headings(page)
    assert row_of(page, "1")[2] == "**undecided**"
    assert row_of(page, "2")[2] == "**not tested**"
    assert "95 % t-interval" in page


def test_the_page_of_figure_1_compares_with_random_selection_and_with_uniform_cost():
    plan = replace(figure_1((1.0,) * 10), rounds=3, repeats=2, looked_at=(1,))
    page = summary(rounds_of_all(plan), plan)
    assert "Labels to reach 90 %" not in headings(page)
    assert headings(page)[-4:-2] == ["Against random", "Against known, β = 0"]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        pytest.param(figure_1((1.0,) * 10), True, id="Figure 1"),
        pytest.param(quick(figure_1((1.0,) * 10)), False, id="quick"),
        pytest.param(table_1(), False, id="Table 1"),
    ],
)
def test_pools_that_do_not_fit_are_explained_with_the_arithmetic(plan, said):
    page = summary(RUNS.iloc[:0], plan)
    assert ("98 × 1000 = 98,000 is more than the 60,000 images of MNIST. Here pools are of 612." in page) is said


def test_pools_that_are_offered_again_are_explained():
    plan = figure_1((1.0,) * 10)
    plan = replace(plan, experiment=replace(plan.experiment, pools="redraw", pool_size=1000))
    assert "Here images without a label are offered again." in summary(RUNS.iloc[:0], plan)


def test_a_quick_run_says_so_at_the_top():
    page = summary(RUNS, replace(PLAN, is_quick=True))
    assert page.splitlines()[2].startswith("> **A quick run, smaller than")
    assert "A quick run" not in summary(RUNS, PLAN)


def test_before_a_run_has_finished_there_is_no_table():
    page = summary(RUNS.iloc[:0], PLAN)
    assert headings(page) == ["What was run", "Notes", "Environment"]
    assert "**Not finished: 0 of 6 runs." in page


def test_what_was_run_tells_arms_rounds_protocol_and_costs():
    arms = (Arm("dear", acquisition="std", beta=0.3, diverse=True, members=3, budget=50.0), RANDOM_ARM)
    shared = Experiment(seed=7, pool_size=100, n=5, passes=20, base_cost_K=(1.5, 2.0))
    page = summary(RUNS, replace(PLAN, arms=arms, experiment=shared, test_every=2, name="mine"))
    for text in (
        "# mine",
        "**dear** (std, α = 1, β = 0.3, learned cost, a cost of 50 per round instead of n crops, 3 members, diverse)",
        "**random** (random)",
        "3 rounds of N = 100 crops (never offered twice), of which n = 5 are labelled, after 20 labels at the start",
        "T = 20 passes. Tested every 2 rounds.",
        "seed 7; 3 of 6 runs finished",
        "from scratch in every round, Adam at 0.001 (constant), the larger of 150 steps and 30 epochs of 32 crops",
        "Base costs of the classes: 1.5, 2.",
    ):
        assert text in page


def test_no_base_costs_are_called_none():
    assert "Base costs of the classes: none." in summary(RUNS, PLAN)


def test_each_environment_is_printed_the_later_ones_with_what_differs():
    begun = environment("cpu", "crops")
    later = replace(begun, numpy="0.1", processor="another")
    page = summary(RUNS, PLAN, (begun, later))
    assert page.endswith("- device: cpu\n- fingerprint: crops\n- continued with numpy 0.1, processor another\n")


@pytest.mark.parametrize("plan", [table_1(), figure_1((1.0,) * 10)], ids=["Table 1", "Figure 1"])
def test_every_table_has_as_many_cells_in_each_row_as_in_its_header(plan):
    plan = replace(
        plan, rounds=3, repeats=2, looked_at=(1,), arms=(*plan.arms, Arm("a | b", acquisition="std", beta=0.1))
    )
    page = summary(rounds_of_all(plan), plan)
    tables = [block.splitlines() for block in re.split(r"\n\n", page) if block.startswith("|")]
    assert len(tables) > 2
    assert [len({line.count("|") for line in table}) for table in tables] == [1] * len(tables)
