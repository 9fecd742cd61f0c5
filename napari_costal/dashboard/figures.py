"""The dashboard's figures. No Qt, no napari: a separate process draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_costal.ui.figures import DASHED, TEXT, Colours, Floats64, dress, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHORTEST_S = 0.05
"""Shorter efforts are drawn here, because a logarithmic axis has no zero."""
CONTROL = "#ee7733"
"""The colour of controls; colour-blind people can distinguish it from that of chosen crops, on light and dark."""
LONGEST_NAME = 14


@dataclass(frozen=True, slots=True)
class AccuracyPicture:
    """Accuracy with its interval, against labels and against expert minutes."""

    label_count_S: NDArray[np.int64]
    minutes_S: Floats64
    share_S: Floats64
    low_S: Floats64
    high_S: Floats64

    def draw(self, figure: "Figure", colours: Colours) -> None:
        """Draw two axes that share the accuracy."""
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        for axes, along, title in zip(
            figure.subplots(1, 2, sharey=True),
            (self.label_count_S, self.minutes_S),
            ("labels", "expert minutes"),
            strict=True,
        ):
            axes.fill_between(along, self.low_S, self.high_S, color=colours.line, alpha=0.25, linewidth=0)
            axes.plot(along, self.share_S, color=colours.line, linewidth=1.6)
            axes.plot(along[-1:], self.share_S[-1:], "o", color=colours.line, markersize=4.5)
            axes.set(xlabel=title, ylim=(0, 1.03), xlim=(0, max(float(along[-1]) * 1.04, 1)))
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_formatter(PercentFormatter(1))
            _dress(axes, colours)


@dataclass(frozen=True, slots=True)
class EffortPicture:
    """Predicted against measured effort in seconds, of chosen crops and of controls, on logarithmic axes."""

    chosen_s_2_Q: Floats64
    control_s_2_Q: Floats64

    def draw(self, figure: "Figure", colours: Colours) -> None:
        """Draw dots, and the diagonal of exact predictions."""
        axes = figure.subplots()
        both = np.maximum(np.concatenate([self.chosen_s_2_Q, self.control_s_2_Q], axis=1), SHORTEST_S)
        ends = both.min() / 1.25, both.max() * 1.25
        for (predicted_s, measured_s), colour, name, size, alpha in (
            (np.maximum(self.chosen_s_2_Q, SHORTEST_S), colours.line, "chosen", 3.0, 0.5),
            (np.maximum(self.control_s_2_Q, SHORTEST_S), CONTROL, "control", 4.5, 0.95),
        ):
            dots = axes.plot(measured_s, predicted_s, "o", label=name, color=colour, alpha=alpha, markersize=size)
            dots[0].set(markeredgecolor=colours.background, markeredgewidth=0.4)
        axes.plot(ends, ends, color=colours.ink, linewidth=0.9, linestyle=DASHED, zorder=1)
        axes.set(xlabel="measured (s)", ylabel="predicted (s)", xlim=ends, ylim=ends)
        _in_seconds(axes, "x")
        _in_seconds(axes, "y")
        axes.legend(loc="upper left", frameon=False, handletextpad=0.2, borderaxespad=0.2, fontsize=TEXT)
        _dress(axes, colours)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: its name, colour, number of labels, quartiles of its efforts in seconds, and some single efforts."""

    name: str
    colour: str
    labels: int
    quartiles_s: Floats64
    efforts_s: Floats64


@dataclass(frozen=True, slots=True)
class ClassesPicture:
    """The class balance, and the efforts of each class."""

    rows: Sequence[ClassRow]

    def draw(self, figure: "Figure", colours: Colours) -> None:
        """Draw bars, and beside them a strip of dots with median and quartiles."""
        from matplotlib.ticker import MaxNLocator

        balance, effort = figure.subplots(1, 2, sharey=True, width_ratios=(2, 3))
        for at, row in enumerate(self.rows):
            balance.barh(at, row.labels, color=row.colour, height=0.62)
            place = {"xy": (row.labels, at), "xytext": (3, 0), "textcoords": "offset points", "va": "center"}
            balance.annotate(f"{row.labels:,}", **place, color=colours.ink, fontsize=TEXT)
            if len(row.efforts_s):
                _draw_strip(effort, at, row, colours)
        most = max(row.labels for row in self.rows)
        balance.set(xlabel="labels", xlim=(0, max(most, 1) * 1.35), ylim=(len(self.rows) - 0.5, -0.5))
        balance.set_yticks(range(len(self.rows)), [shortened(row.name, LONGEST_NAME) for row in self.rows])
        balance.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        effort.set_xlabel("measured effort (s)")
        if any(len(row.efforts_s) for row in self.rows):
            _in_seconds(effort, "x")
        for axes in (balance, effort):
            _dress(axes, colours)
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0)


def _draw_strip(axes: "Axes", at: int, row: ClassRow, colours: Colours) -> None:
    low, middle, high = np.maximum(row.quartiles_s, SHORTEST_S)
    apart = 0.28 * (np.arange(len(row.efforts_s)) * 0.618 % 1 * 2 - 1)  # spread evenly, and equal in every drawing
    dots = np.maximum(row.efforts_s, SHORTEST_S)
    axes.plot(dots, at + apart, "o", color=row.colour, alpha=0.55, markersize=2.6, markeredgewidth=0)
    axes.plot((low, high), (at, at), color=colours.ink, linewidth=1.4, solid_capstyle="butt")
    axes.plot(middle, at, "o", color=colours.background, markeredgecolor=colours.ink, markersize=5)


@dataclass(frozen=True, slots=True)
class CalibrationPicture:
    """Accuracy against confidence in bins, with intervals and the number of labels of each bin."""

    confidence_B: Floats64
    accuracy_B: Floats64
    low_B: Floats64
    high_B: Floats64
    count_B: NDArray[np.intp]

    def draw(self, figure: "Figure", colours: Colours) -> None:
        """Draw points with whiskers about the diagonal, and faint bars for the number of labels."""
        from matplotlib.ticker import PercentFormatter

        axes = figure.subplots()
        bins = len(self.count_B)
        centres, tall = (np.arange(bins) + 0.5) / bins, 0.35 * self.count_B / max(self.count_B.max(), 1)
        axes.bar(centres, tall, 0.94 / bins, color=colours.faint, alpha=0.5)
        axes.plot((0, 1), (0, 1), color=colours.ink, linewidth=0.9, linestyle=DASHED)
        axes.vlines(self.confidence_B, self.low_B, self.high_B, color=CONTROL, linewidth=1.5)
        axes.plot(self.confidence_B, self.accuracy_B, "o", color=CONTROL, markersize=5)
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.03))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
        _dress(axes, colours)


@dataclass(frozen=True, slots=True)
class ConfusionPicture:
    """The confusion matrix: labels of each class (rows) by predicted class (columns), and the share predicted right."""

    names: Sequence[str]
    confusion_K_K: Floats64

    def draw(self, figure: "Figure", colours: Colours) -> None:
        """Draw the shares of each row as shades, with the counts."""
        axes = figure.subplots()
        total_K = self.confusion_K_K.sum(1, keepdims=True)
        share_K_K = self.confusion_K_K / np.maximum(total_K, 1e-9)
        rows, columns = share_K_K.shape
        for row, column in np.ndindex(rows, columns):
            share = float(share_K_K[row, column])
            colour = colours.line if row == column else CONTROL
            axes.barh(row, 0.96, left=column - 0.48, height=0.92, color=colour, alpha=0.08 + 0.8 * share)
            if self.confusion_K_K[row, column] > 0:
                count = f"{self.confusion_K_K[row, column]:.3g}"
                axes.text(column, row, count, color=colours.ink, ha="center", va="center", fontsize=TEXT)
        short = [shortened(name, LONGEST_NAME) for name in self.names]
        right = [f" {share_K_K[row, row]:.0%}" if total_K[row, 0] else "" for row in range(rows)]
        axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), xlabel="predicted", ylabel="label, share correct")
        axes.set_xticks(range(columns), short)
        axes.set_yticks(range(rows), [name + own for name, own in zip(short, right, strict=True)])
        _dress(axes, colours)
        axes.grid(visible=False)
        axes.tick_params(length=0)


def _in_seconds(axes: "Axes", which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain numbers for ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set(**{f"{which}scale": "log"})
    low, high = getattr(axes, f"get_{which}lim")()
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 6 * low else range(1, 10)))
    axis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axis.set_minor_locator(NullLocator())


def _dress(axes: "Axes", colours: Colours) -> None:
    """Draw axes in the viewer's colours, with a faint grid and without a frame."""
    dress(axes, colours)
    axes.tick_params(length=2.5, color=colours.faint)
    axes.grid(color=colours.faint, alpha=0.35, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
