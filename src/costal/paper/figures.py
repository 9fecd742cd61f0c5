"""The pictures of an experiment: Figure 1 in the paper's form, and the learning curves behind it.

Both take any plan, and show the runs that reached the round in question, finished or not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from costal.paper.outcomes import Interval, finished, interval, known_arms, percent, random_arm
from costal.paper.plan import Arm, Plan

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KNOWN_COLOUR = "#2171b5"
KNOWN_SHADES = ("#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c", "#08306b")
"""Colours of known costs, from light to dark as β rises."""
RANDOM_COLOUR = "#666666"
OTHER_COLOURS = ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000", "#56b4e9")
"""Colours of the Okabe-Ito palette, which colour-blind readers can tell apart."""
OTHER_MARKERS = ("D", "^", "v", "P", "X")
LETTERS_PER_INCH, LEGEND_MARK = 11, 7
"""Letters that fit into a legend, and those that a mark takes beside its name."""


@dataclass(frozen=True, slots=True)
class Style:
    """How an arm is drawn, in both pictures alike."""

    arm: Arm
    colour: str
    marker: str
    line: str


def styles(plan: Plan) -> tuple[Style, ...]:
    """Return how each arm is drawn: random grey and dashed, known costs in shades of blue, the rest apart."""
    known, others = known_arms(plan), zip(cycle(OTHER_COLOURS), cycle(OTHER_MARKERS), strict=False)
    drawn = []
    for arm in plan.arms:
        if arm == random_arm(plan):
            drawn.append(Style(arm, RANDOM_COLOUR, "s", "--"))
        elif arm in known:
            shade = round(known.index(arm) * (len(KNOWN_SHADES) - 1) / (len(known) - 1))
            drawn.append(Style(arm, KNOWN_SHADES[shade], "o", "-"))
        else:
            drawn.append(Style(arm, *next(others), "-"))
    return tuple(drawn)


def figure_1(df: "pd.DataFrame", plan: Plan, unit: str = "cost units") -> "Figure":
    """Return test accuracy against total cost, a panel for each round looked at and the last, a marker for each arm.

    Error bars are standard deviations over repeats. Arms with known costs are joined in order of β, which is written
    beside them. `unit` is that of the costs.
    """
    from matplotlib.figure import Figure

    rounds = rounds_shown(plan)
    figure = Figure(figsize=(max(7.0, 6.0 * len(rounds)), 5.4), layout="constrained")
    draw_rounds(figure.subplots(1, len(rounds), squeeze=False)[0], df, plan, unit)
    _finish(figure, df, plan, "Accuracy against cost", "bars: standard deviations over repeats")
    return figure


def rounds_shown(plan: Plan) -> list[int]:
    """Return the rounds that Figure 1 has a panel for."""
    return sorted({*plan.looked_at, plan.rounds})


def draw_rounds(panels: "Iterable[Axes]", df: "pd.DataFrame", plan: Plan, unit: str) -> None:
    """Draw Figure 1 into panels, one for each of `rounds_shown`; `df` needs the rows of these rounds alone."""
    for axes, round_number in zip(panels, rounds_shown(plan), strict=True):
        _draw_round(axes, df, plan, round_number)
        axes.set_xlabel(f"total cost ({unit})")
        axes.set_ylabel("test accuracy")


def learning_curves(df: "pd.DataFrame", plan: Plan, unit: str = "cost units") -> "Figure":
    """Return test accuracy against labels and total cost: each arm's mean in a band of ± 1 s.d. over repeats."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.4), layout="constrained")
    panels = (("labels", "labels, including the initial set"), ("total_cost", f"total cost ({unit})"))
    for axes, (column, label) in zip(figure.subplots(1, 2), panels, strict=True):
        for style in styles(plan):
            _draw_curve(axes, df, style, column)
        axes.axhline(plan.target, color="black", lw=0.8, ls=":", label=percent(plan.target))
        axes.set_xlabel(label)
        axes.set_ylabel("test accuracy")
        axes.grid(alpha=0.3)
    _finish(figure, df, plan, "Learning curves", "mean ± 1 s.d. over repeats")
    return figure


def _draw_round(axes: "Axes", df: "pd.DataFrame", plan: Plan, round_number: int) -> None:
    rows = df[df["round"] == round_number].dropna(subset=["accuracy"])
    labels = sorted(set(rows["labels"]))
    span = "–".join(f"{each:.0f}" for each in dict.fromkeys((labels[0], labels[-1]))) if labels else "no run so far"
    axes.set_title(f"round {round_number} ({span} labels)" if labels else f"round {round_number} ({span})")
    points = {arm.name: _point(rows, arm) for arm in plan.arms}
    known = [arm for arm in known_arms(plan) if points[arm.name][0].count]
    if known:
        cost, accuracy = (np.array([points[arm.name][at].mean for arm in known]) for at in (0, 1))
        axes.plot(cost, accuracy, "-", color=KNOWN_COLOUR, lw=1.2, zorder=1)
    for style in styles(plan):
        _draw_point(axes, style, *points[style.arm.name], beside=f"{style.arm.beta:g}" if style.arm in known else "")
    axes.grid(alpha=0.3)
    axes.margins(0.1)


def _point(rows: "pd.DataFrame", arm: Arm) -> tuple[Interval, Interval]:
    own = rows[rows["arm"] == arm.name]
    return interval(own["total_cost"]), interval(own["accuracy"])


def _draw_point(axes: "Axes", style: Style, cost: Interval, accuracy: Interval, beside: str) -> None:
    from matplotlib.patheffects import withStroke

    if not cost.count:
        return
    axes.errorbar(
        cost.mean,
        accuracy.mean,
        yerr=None if np.isnan(accuracy.spread) else accuracy.spread,
        xerr=None if np.isnan(cost.spread) else cost.spread,
        fmt=style.marker,
        ms=8,
        mec="white",
        mew=0.6,
        color=style.colour,
        capsize=3,
        elinewidth=1.1,
        label=style.arm.name,
    )
    axes.annotate(
        beside,
        (cost.mean, accuracy.mean),
        (7, 7),
        textcoords="offset points",
        path_effects=[withStroke(linewidth=3, foreground="white")],
        zorder=5,
    )


def _draw_curve(axes: "Axes", df: "pd.DataFrame", style: Style, column: str) -> None:
    rows = df[df["arm"] == style.arm.name].dropna(subset=["accuracy"])
    if rows.empty:
        return
    by_round = rows.groupby("round")
    x, mean = by_round[column].mean(), by_round["accuracy"].mean()
    spread = by_round["accuracy"].std(ddof=0)
    (line,) = axes.plot(x, mean, style.line, color=style.colour, lw=1.5, label=style.arm.name)
    line.set(marker=style.marker, markevery=0.12, ms=5, mec="white", mew=0.5)
    axes.fill_between(x, mean - spread, mean + spread, color=style.colour, alpha=0.15, lw=0)


def _finish(figure: "Figure", df: "pd.DataFrame", plan: Plan, what: str, how: str) -> None:
    name = str(df["data"].iloc[0]) if len(df) else plan.data
    done, total = sum(len(finished(df, plan, arm)) for arm in plan.arms), plan.run_count
    remarks = [how, "quick run: smaller than the experiment"] if plan.is_quick else [how]
    if done < total:
        remarks.append(f"{done} of {total} runs finished")
    figure.suptitle(f"{what} on {name}\n{'; '.join(remarks)}", fontsize=11)
    entries = {
        label: mark for axes in figure.axes for mark, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    widest = max(map(len, entries), default=0) + LEGEND_MARK
    ncols = max(1, min(len(entries), int(figure.get_figwidth() * LETTERS_PER_INCH / widest)))
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=ncols, frameon=False)
