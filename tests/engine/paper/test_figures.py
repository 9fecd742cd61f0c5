from dataclasses import replace

import numpy as np
import pytest

from costal.paper.figures import figure_1, learning_curves, styles
from costal.paper.plan import RANDOM_ARM, Arm, Plan
from costal.paper.plan import figure_1 as figure_1_plan
from tests.engine.paper.rounds_table import rounds_table

KNOWN = (
    Arm("known, β = 0.4", acquisition="std", beta=0.4, cost="known"),
    Arm("known, β = 0", acquisition="std", cost="known"),
)
LEARNED = Arm("learned, β = 0.4", acquisition="std", beta=0.4)
PLAN = Plan("figure1", "mnist", (RANDOM_ARM, *KNOWN, LEARNED), rounds=2, repeats=2, looked_at=(1,))
BASE = {RANDOM_ARM: 500.0, KNOWN[0]: 300.0, KNOWN[1]: 700.0, LEARNED: 400.0}


def rounds_of(plan=PLAN):
    """Return runs whose second repeat costs 20 % more and is more accurate by 0.02."""
    rows = []
    for arm in plan.arms:
        for repeat in range(plan.repeats):
            for at in range(plan.rounds + 1):
                accuracy = 0.5 + 0.4 * at / plan.rounds + 0.02 * repeat
                cost = BASE.get(arm, 600.0) * at * (1 + 0.2 * repeat)
                rows.append((arm.name, repeat, at, 20 + 10 * at, accuracy, cost))
    return rounds_table(rows)


def points_of(axes):
    """Return the markers of a panel by name: their position and the lengths of their bars, across and up."""
    result = {}
    for container in axes.containers:
        line, _, bars = container.lines
        spans = [np.ptp(np.array(bar.get_segments()[0]), axis=0).max() / 2 for bar in bars]
        result[container.get_label()] = (line.get_xydata()[0].tolist(), spans)
    return result


def texts_outside(figure):
    figure.draw_without_rendering()
    marks = [figure.legends[0], *(axes.xaxis.label for axes in figure.axes)]
    marks += [axes.yaxis.label for axes in figure.axes] + [text for axes in figure.axes for text in axes.texts]
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [mark.get_window_extent() for mark in marks]
    return [box for box in boxes if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]


def test_figure_1_has_a_panel_for_each_round_looked_at_and_the_last():
    axes = figure_1(rounds_of(), PLAN, "s").axes
    assert [each.get_title() for each in axes] == ["round 1 (30 labels)", "round 2 (40 labels)"]
    assert {each.get_xlabel() for each in axes} == {"total cost (s)"}


def test_every_arm_has_a_marker_at_its_mean_with_standard_deviations_both_ways():
    early, late = map(points_of, figure_1(rounds_of(), PLAN).axes)
    assert set(late) == {arm.name for arm in PLAN.arms}
    position, bars = late["random"]
    assert position == pytest.approx([1100, 0.91])
    assert bars == pytest.approx([100, 0.01])
    assert early["random"][0] == pytest.approx([550, 0.71])


def test_known_costs_are_joined_in_order_of_beta_and_marked_with_it():
    panel = figure_1(rounds_of(), PLAN).axes[1]
    joined = next(line for line in panel.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-")
    assert joined.get_xdata().tolist() == pytest.approx([2 * 700 * 1.1, 2 * 300 * 1.1])
    assert {text.get_text(): text.xy[0] for text in panel.texts if text.get_text()} == pytest.approx(
        {"0": 2 * 700 * 1.1, "0.4": 2 * 300 * 1.1}
    )


def test_arms_look_different_and_alike_in_both_pictures():
    looks = styles(PLAN)
    assert len({(style.colour, style.marker) for style in looks}) == len(PLAN.arms)
    assert len({style.marker for style in looks if style.arm not in KNOWN}) == 2
    curves = learning_curves(rounds_of(), PLAN).axes[0]
    assert [line.get_color() for line in curves.lines][:4] == [style.colour for style in looks]


def test_curves_show_the_mean_in_a_band_of_one_standard_deviation():
    by_labels, by_cost = learning_curves(rounds_of(), PLAN, "s").axes
    assert by_labels.lines[0].get_xydata() == pytest.approx(np.array([[20, 0.51], [30, 0.71], [40, 0.91]]))
    assert by_cost.lines[0].get_xydata()[:, 0] == pytest.approx([0, 550, 1100])
    assert by_labels.collections[0].get_datalim(by_labels.transData).extents == pytest.approx([20, 0.50, 40, 0.92])
    assert by_cost.get_xlabel() == "total cost (s)"


def test_rounds_that_were_not_tested_are_passed_over():
    df = rounds_of()
    df.loc[df["round"] == 1, "accuracy"] = np.nan
    assert learning_curves(df, PLAN).axes[0].lines[0].get_xdata().tolist() == [20, 40]
    assert points_of(figure_1(df, PLAN).axes[0]) == {}


def test_what_is_finished_is_shown_and_the_rest_is_said():
    df = rounds_of()
    df = df[(df["repeat"] == 0) | (df["round"] < 2)]
    figure = figure_1(df, PLAN)
    early, late = map(points_of, figure.axes)
    assert len(early["random"][1]) == 2
    assert late["random"] == ([1000, pytest.approx(0.9)], [])
    assert "4 of 8 runs finished" in figure.get_suptitle()


@pytest.mark.parametrize("draw", [figure_1, learning_curves])
def test_a_quick_run_says_so(draw):
    assert "quick run" in draw(rounds_of(), replace(PLAN, is_quick=True)).get_suptitle()
    assert "quick run" not in draw(rounds_of(), PLAN).get_suptitle()


@pytest.mark.parametrize("draw", [figure_1, learning_curves])
def test_a_run_without_a_round_is_drawn_empty(draw):
    figure = draw(rounds_of().iloc[:0], PLAN)
    figure.draw_without_rendering()
    assert "0 of 8 runs finished" in figure.get_suptitle()


LONG = tuple(Arm(f"an arm of one's own with a long name, number {number}", acquisition="bald") for number in range(9))


@pytest.mark.parametrize("draw", [figure_1, learning_curves])
@pytest.mark.parametrize(
    "plan",
    [PLAN, figure_1_plan((1.0,) * 10), replace(PLAN, arms=LONG, looked_at=())],
    ids=["small", "Figure 1", "long names"],
)
def test_nothing_is_cut_off(draw, plan):
    assert texts_outside(draw(rounds_of(plan), plan)) == []
