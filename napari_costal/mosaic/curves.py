"""Learning curves of a running mosaic and of a run played back; another process draws them. No Qt."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from costal.labels.project import COLOURS
from costal.paper.experiment import RoundReport
from costal.paper.figures import draw_rounds, rounds_shown
from costal.paper.plan import RANDOM_ARM, Plan
from costal.paper.report import draw_accuracy
from napari_costal.mosaic.run import RoundPosition, Run
from napari_costal.ui.figures import DASHED, TEXT, Colours, Floats64, dress, shortened

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_NAME = 28


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy of an arm in the M tested rounds; the colour of a random arm is empty."""

    name: str
    colour: str
    labels_M: Floats64
    cost_M: Floats64
    accuracy_M: Floats64


@dataclass(frozen=True, slots=True)
class CurvesPicture:
    """The mean of each arm over its repeats, and the shown repeat up to the shown round, which a line marks."""

    curves: tuple[Curve, ...]
    shown: int
    own: Curve
    labels: float
    cost: float
    effort_unit: str

    def draw(self, figure: "Figure", colours: Colours) -> None:
        """Draw accuracy against labels and against total cost, with one legend."""
        by_labels, by_cost = figure.subplots(2, 1)
        for number, curve in enumerate(self.curves):
            is_shown = number == self.shown
            look: dict[str, Any] = {
                "color": curve.colour or colours.ink,
                "linestyle": "-" if curve.colour else DASHED,
                "linewidth": 2.4 if is_shown else 1.2,
                "zorder": 3 if is_shown else 2,
            }
            by_labels.plot(curve.labels_M, curve.accuracy_M, label=curve.name, **look)
            by_cost.plot(curve.cost_M, curve.accuracy_M, **look)
        self._mark(by_labels, self.own.labels_M, self.labels, colours)
        self._mark(by_cost, self.own.cost_M, self.cost, colours)
        by_labels.set_xlabel("labels")
        by_cost.set_xlabel(f"total cost ({self.effort_unit})" if self.effort_unit else "total cost")
        for axes in (by_labels, by_cost):
            axes.set_ylabel("test accuracy")
            darken(axes, colours)
            if not any(len(curve.labels_M) for curve in self.curves):
                announce(axes, "The accuracy on test images appears here\nafter the first tested round.", colours)
        marks, names = by_labels.get_legend_handles_labels()
        _add_legend(figure, dict(zip(names, marks, strict=True)), colours)

    def _mark(self, axes: "Axes", along_M: Floats64, here: float, colours: Colours) -> None:
        """Draw the shown repeat up to a round."""
        colour = self.own.colour or colours.ink
        axes.axvline(here, color=colours.ink, linewidth=0.8, alpha=0.7, zorder=1)
        axes.plot(along_M, self.own.accuracy_M, color=colour, linewidth=0.9, linestyle=":", zorder=4)
        if len(along_M):
            dot: dict[str, Any] = {
                "markeredgecolor": colours.ink,
                "markeredgewidth": 0.8,
                "markersize": 5.5,
                "zorder": 5,
            }
            axes.plot(along_M[-1:], self.own.accuracy_M[-1:], "o", color=colour, **dot)


@dataclass(frozen=True, slots=True)
class RoundsPicture:
    """The rounds so far; efforts by hand are seconds, so the random arm has no comparable cost."""

    title: str
    reports: tuple[RoundReport, ...]
    by_hand: bool

    def draw(self, figure: "Figure", colours: Colours) -> None:
        """Draw accuracy against labels and against total cost."""
        by_labels, by_cost = figure.subplots(2, 1)
        draw_accuracy(by_labels, self.reports, "labels", "labels")
        if self.by_hand:
            own = [each for each in self.reports if each.arm != RANDOM_ARM.name]
            draw_accuracy(by_cost, own, "total_cost", "your seconds (not known for random)")
        else:
            draw_accuracy(by_cost, self.reports, "total_cost", "total cost (cost units)")
        by_labels.set_title(self.title)
        for axes, against in ((by_labels, "labels given"), (by_cost, "cost of the labels")):
            darken(axes, colours)
            if not self.reports:
                announce(axes, f"Accuracy on test images\nagainst {against},\ncompared with random selection.", colours)


@dataclass(frozen=True, slots=True)
class Figure1Picture:
    """Figure 1 of the runs that reached its rounds; a row has arm, repeat, round, labels, accuracy, total cost."""

    plan: Plan
    rows: tuple[tuple[str, int, int, int, float, float], ...]
    effort_unit: str

    def draw(self, figure: "Figure", colours: Colours) -> None:
        """Draw accuracy against total cost, one panel for each round, with one legend."""
        import pandas as pd

        df = pd.DataFrame(self.rows, columns=["arm", "repeat", "round", "labels", "accuracy", "total_cost"])
        panels = figure.subplots(len(rounds_shown(self.plan)), 1, squeeze=False)[:, 0]
        draw_rounds(panels, df, self.plan, self.effort_unit or "cost units")
        named: dict[str, Artist] = {}
        for axes in panels:
            darken(axes, colours)
            named |= {name: mark for mark, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        _add_legend(figure, named, colours)


def figure_1_picture(run: Run, effort_unit: str) -> Figure1Picture:
    """Return Figure 1 of the rounds that a run has finished."""
    shown = rounds_shown(run.plan)
    rows = tuple(
        (each.arm, each.repeat, each.round_number, each.labels, each.accuracy, each.total_cost)
        for reports in run.reports
        for each in reports
        if each.round_number in shown
    )
    return Figure1Picture(run.plan, rows, effort_unit)


def curves_picture(run: Run, place: RoundPosition, effort_unit: str) -> CurvesPicture:
    """Return the learning curves of a run at a round."""
    others, arms = cycle(COLOURS), run.plan.arms
    colours = ["" if arm.acquisition == "random" else next(others) for arm in arms]
    curves = tuple(
        mean_curve(arm.name, colour, [run.of(number, repeat) for repeat in range(run.plan.repeats)])
        for number, (arm, colour) in enumerate(zip(arms, colours, strict=True))
    )
    past = run.of(place.arm, place.repeat)[: place.number + 1]
    own = mean_curve(arms[place.arm].name, colours[place.arm], [past])
    labels, cost = (past[-1].labels, past[-1].total_cost) if past else (np.nan, np.nan)
    return CurvesPicture(curves, place.arm, own, labels, cost, effort_unit)


def mean_curve(name: str, colour: str, repeats: Sequence[Sequence[RoundReport]]) -> Curve:
    """Return the mean, for each round, of the repeats that were tested in it."""
    tested: dict[int, list[tuple[float, float, float]]] = {}
    for reports in repeats:
        for each in reports:
            if not np.isnan(each.accuracy):
                tested.setdefault(each.round_number, []).append((each.labels, each.total_cost, each.accuracy))
    means_M_3 = np.array([np.mean(tested[number], axis=0) for number in sorted(tested)]).reshape(-1, 3)
    return Curve(name, colour, *means_M_3.T)


def _add_legend(figure: "Figure", named: "dict[str, Artist]", colours: Colours) -> None:
    """Draw one legend below all panels, if anything is drawn."""
    if named:
        look: dict[str, Any] = {"ncols": 2, "frameon": False, "fontsize": TEXT, "handlelength": 1.6}
        names = [shortened(name, LONGEST_NAME) for name in named]
        legend = figure.legend(list(named.values()), names, loc="outside lower center", **look)
        for text in legend.get_texts():
            text.set_color(colours.ink)


def announce(axes: "Axes", text: str, colours: Colours) -> None:
    """Write into empty axes what they will show, without tick labels."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    middle: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.5, text, color=colours.ink, fontsize=TEXT, **middle)


def darken(axes: "Axes", colours: Colours) -> None:
    """Draw axes in the viewer's colours, with small ticks and a grid."""
    dress(axes, colours)
    axes.tick_params(labelsize=TEXT - 1)
    axes.grid(alpha=0.3)
