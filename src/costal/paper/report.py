"""What a run leaves behind: rounds as CSV, and the mosaic, heatmap, picks and learning curves as pictures."""

import csv
from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from costal.paper.experiment import Proposal, RoundReport
from costal.paper.mosaic import mosaic, mosaic_grid, mosaic_heatmap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARM_COLOURS = ("#0077bb", "#999999", "#ee7733", "#009988", "#cc3311", "#33bbee")
ROUND_COLUMNS = (
    "data",
    "arm",
    "round",
    "labels",
    "accuracy",
    "total_cost",
    "mean_information",
    "predicted_cost",
    "measured_cost",
    "class_counts",
)
TIMING_COLUMNS = ("arm", "round", "propose", "learn", "test")


def write_rounds(path: Path, dataset_name: str, reports: Iterable[RoundReport]) -> None:
    """Write one row per arm and round; equal runs give equal bytes, for no timing is in it."""
    rows = [
        (
            dataset_name,
            each.arm,
            each.round_number,
            each.labels,
            f"{each.accuracy:.4f}",
            f"{each.total_cost:.4f}",
            f"{each.mean_information:.6f}",
            f"{each.predicted_cost:.4f}",
            f"{each.measured_cost:.4f}",
            " ".join(map(str, each.class_counts_K)),
        )
        for each in reports
    ]
    _write_csv(path, ROUND_COLUMNS, rows)


def write_timings(path: Path, reports: Iterable[RoundReport]) -> None:
    """Write the seconds that each phase of each round took."""
    phases = TIMING_COLUMNS[2:]
    rows = [
        (each.arm, each.round_number, *(f"{each.seconds.get(phase, 0.0):.3f}" for phase in phases)) for each in reports
    ]
    _write_csv(path, TIMING_COLUMNS, rows)


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def draw_accuracy(
    axes: "Axes", reports: Sequence[RoundReport], against: Literal["labels", "total_cost"], label: str
) -> None:
    """Draw test accuracy against labels or total cost, one colour per arm in order of appearance."""
    axes.clear()
    axes.set_xlabel(label)
    axes.set_ylabel("test accuracy")
    axes.grid(alpha=0.3)
    axes.margins(0.05, 0.1)
    arms = list(dict.fromkeys(each.arm for each in reports))
    for arm, colour in zip(arms, cycle(ARM_COLOURS), strict=False):
        own = [each for each in reports if each.arm == arm]
        axes.plot(
            [getattr(each, against) for each in own],
            [each.accuracy for each in own],
            "o-",
            ms=3,
            color=colour,
            label=arm,
        )
    if arms:
        axes.legend(frameon=False, loc="lower right")


def curves_figure(dataset_name: str, reports: Sequence[RoundReport]) -> "Figure":
    """Return accuracy against labels and against total cost."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    by_labels, by_cost = figure.subplots(1, 2)
    draw_accuracy(by_labels, reports, "labels", "labels")
    draw_accuracy(by_cost, reports, "total_cost", "total cost (cost units)")
    figure.suptitle(f"Learning curves on {dataset_name}")
    return figure


def mosaic_figure(dataset_name: str, proposal: Proposal) -> "Figure":
    """Return a round's mosaic with its query outlined, and the value of each crop over it."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    side = proposal.images_N_H_W.shape[1]
    grid = mosaic_grid(len(proposal.images_N_H_W), side)
    figure = Figure(figsize=(14, 7), layout="constrained")
    left, right = figure.subplots(1, 2)
    whole = mosaic(proposal.images_N_H_W)
    left.imshow(whole, cmap="gray")
    left.set_title(f"{len(proposal.images_N_H_W)} {dataset_name}, {len(proposal.query.picked_n)} picked")
    right.imshow(whole, cmap="gray")
    extent = (-0.5, grid.width - 0.5, grid.height - 0.5, -0.5)
    values = mosaic_heatmap(proposal.query.value_N, side)
    image = right.imshow(values, cmap="viridis", alpha=0.75, extent=extent, interpolation="nearest")
    figure.colorbar(image, ax=right, label="value v", shrink=0.8)
    right.set_title("value v = I^α / C^β")
    for axes in (left, right):
        axes.set_axis_off()
        for index in proposal.query.picked_n:
            y, x = grid.origin(int(index))
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), side, side, fill=False, ec="#ff5533", lw=1.8))
    return figure


def picks_figure(dataset_name: str, proposal: Proposal) -> "Figure":
    """Return the picked crops, best first, with class, I, C and v."""
    from matplotlib.figure import Figure

    query = proposal.query
    cols = min(5, len(query.picked_n))
    rows = -(-len(query.picked_n) // cols)
    figure = Figure(figsize=(2.2 * cols, 2.6 * rows + 0.5), layout="constrained")
    figure.suptitle(f"The query, best first ({dataset_name})")
    for rank, (axes, index) in enumerate(zip(np.ravel(figure.subplots(rows, cols)), query.picked_n, strict=False), 1):
        axes.imshow(proposal.images_N_H_W[index], cmap="gray")
        scores = query.scores
        axes.set_title(
            f"{rank}: class {proposal.class_N[index]}\nI {scores.information_N[index]:.2f}  "
            f"C {scores.cost_N[index]:.1f}  v {query.value_N[index]:.2f}",
            fontsize=8,
        )
    for axes in figure.axes:
        axes.set_axis_off()
    return figure
