"""Arms at equal accuracy and at equal spending, in Markdown and as a picture."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from costal.paper.evidence import BELOW_FINAL, FIRST_LABELS, GRID, LEVELS, SPENDINGS, Axis, Saving, curve, savings
from costal.paper.figures import Style, styles
from costal.paper.outcomes import finished, interval, percent, random_arm, run_of
from costal.paper.plan import Arm, Plan

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADINGS: dict[Axis, str] = {"total_cost": "cost", "labels": "labels"}


def cheap_arm(plan: Plan) -> Arm | None:
    """Return the arm that selects by cost alone (random information, weighed cost); None without one."""
    return next((arm for arm in plan.arms if arm.acquisition == "random" and arm.weighs_cost), None)


def sections(df: "pd.DataFrame", plan: Plan) -> Iterator[str]:
    """Yield headings and tables: arms against random selection, and against selection by cost alone."""
    baselines = [arm for arm in (random_arm(plan), cheap_arm(plan)) if arm is not None]
    for place, baseline in enumerate(baselines):
        yield f"## Cost and accuracy, against {baseline.name}"
        axes: tuple[Axis, ...] = ("total_cost", "labels") if place == 0 else ("total_cost",)
        for axis in axes:
            yield saving_table(savings(df, plan, baseline, axis), baseline, axis)
    yield "\n".join(f"- {note}" for note in (_reading(), *limit_notes(df, plan)))


def saving_table(rows: Sequence[Saving], baseline: Arm, axis: Axis = "total_cost") -> str:
    """Return a table of arms compared with a baseline, at equal cost or equal labels."""
    what = HEADINGS[axis]
    shares = " | ".join(f"at {percent(share)}" for share in SPENDINGS)
    header = f"| by {what} | repeats | {what} ratio | {shares} | lowest recall | minus {baseline.name}'s |"
    lines = [header.replace("||", "|"), "|" + " --- |" * (5 + len(SPENDINGS))]
    for row in rows:
        differences = " | ".join(f"{each:+.3f}" for each in row.difference_S)
        name = row.arm.name.replace("|", "/")
        lines.append(
            f"| {name} | {len(row.repeats)} | {row.ratio:.2f} | {differences} | {row.lowest_recall.value:.3f} | "
            f"{row.recall_difference:+.3f} |"
        )
    return "\n".join(lines)


def _reading() -> str:
    return (
        "The ratio is what the arm spends (cost, or labels) for an accuracy, divided by what the baseline spends for "
        f"the same accuracy: the geometric mean over {LEVELS} accuracies, read from isotonic fits of the mean curves. "
        f"The lowest is the accuracy of the baseline at {FIRST_LABELS} labels (after its first round, if that comes "
        f"later), the highest {100 * BELOW_FINAL:g} points below its last. 'never': the arm did not "
        "reach all of them. The other columns are the accuracy minus the baseline's at shares of the baseline's "
        "spending in the same repeat, and the lowest recall of a class at all of that spending. In brackets: 95 % "
        "bootstrap intervals over repeats."
    )


def limit_notes(df: "pd.DataFrame", plan: Plan) -> Iterator[str]:
    """Yield a sentence for each arm whose runs did not reach their limit, or passed it with their first query."""
    for arm in plan.arms:
        limit, runs = plan.stop_cost_of(arm), [run_of(df, arm, repeat) for repeat in finished(df, plan, arm)]
        if limit is None or not runs:
            continue
        short = sum(run["total_cost"].iloc[-1] < limit for run in runs)
        if short:
            yield (
                f"{arm.name}: {short} of {len(runs)} runs ended after {plan.rounds} rounds, before their cost reached "
                f"{limit:g}; their last figures are used for the rest. Raise rounds, or lower stop_cost."
            )
        at_once = sum(run["round"].iloc[-1] == 1 and run["total_cost"].iloc[-1] >= limit for run in runs)
        if at_once:
            yield (
                f"{arm.name}: in {at_once} of {len(runs)} runs the first query already cost stop_cost ({limit:g}) or "
                "more. Raise stop_cost, or lower n."
            )


def spending_curves(df: "pd.DataFrame", plan: Plan, unit: str) -> "Figure":
    """Return test accuracy against labels and total cost: the mean of runs at equal spending, and its 95 % interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.4), layout="constrained")
    panels: tuple[tuple[Axis, str], ...] = (
        ("labels", "labels, including the initial set"),
        ("total_cost", f"total cost ({unit})"),
    )
    for axes, (axis, label) in zip(figure.subplots(1, 2), panels, strict=True):
        for style in styles(plan):
            _draw(axes, df, plan, style, axis)
        axes.set_xlabel(label)
        axes.set_ylabel("test accuracy")
        axes.grid(alpha=0.3)
    name = str(df["data"].iloc[0]) if len(df) else plan.data
    figure.suptitle(f"Accuracy at equal cost on {name}\nmean over repeats, with its 95 % interval", fontsize=11)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _draw(axes: "Axes", df: "pd.DataFrame", plan: Plan, style: Style, axis: Axis) -> None:
    runs: Iterable[pd.DataFrame] = (run_of(df, style.arm, repeat) for repeat in finished(df, plan, style.arm))
    curves = [curve(run, axis) for run in runs]
    if not curves:
        return
    x_G = np.linspace(min(each.x_M[0] for each in curves), float(np.median([each.x_M[-1] for each in curves])), GRID)
    accuracy_R_G = np.array([np.interp(x_G, each.x_M, each.accuracy_M) for each in curves])
    (line,) = axes.plot(x_G, accuracy_R_G.mean(0), style.line, color=style.colour, lw=1.5, label=style.arm.name)
    line.set(marker=style.marker, markevery=0.12, ms=5, mec="white", mew=0.5)
    bounds = [interval(column) for column in accuracy_R_G.T] if len(curves) > 1 else []
    if bounds:
        axes.fill_between(
            x_G, [each.low for each in bounds], [each.high for each in bounds], color=style.colour, alpha=0.15, lw=0
        )
