"""A round in pictures: the mosaic with its heatmap, the picked crops, and the learning curves so far."""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from costal.paper.experiment import RoundReport
from costal.paper.mosaic import mosaic, mosaic_grid, mosaic_heatmap
from costal.types import Query

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARM_COLOURS = ("#0077bb", "#999999", "#ee7733", "#009988", "#cc3311", "#33bbee")


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


def mosaic_figure(dataset_name: str, images_N_H_W: NDArray[np.uint8], query: Query) -> "Figure":
    """Return a round's mosaic with its query outlined, and the value of each crop over it."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    side = images_N_H_W.shape[1]
    grid = mosaic_grid(len(images_N_H_W), side)
    figure = Figure(figsize=(14, 7), layout="constrained")
    left, right = figure.subplots(1, 2)
    whole = mosaic(images_N_H_W)
    left.imshow(whole, cmap="gray")
    left.set_title(f"{len(images_N_H_W)} {dataset_name}, {len(query.picked_n)} picked")
    right.imshow(whole, cmap="gray")
    extent = (-0.5, grid.width - 0.5, grid.height - 0.5, -0.5)
    values = mosaic_heatmap(query.value_N, side)
    image = right.imshow(values, cmap="viridis", alpha=0.75, extent=extent, interpolation="nearest")
    figure.colorbar(image, ax=right, label="value v", shrink=0.8)
    right.set_title("value v = I^α / C^β")
    for axes in (left, right):
        axes.set_axis_off()
        for index in query.picked_n:
            y, x = grid.origin(int(index))
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), side, side, fill=False, ec="#ff5533", lw=1.8))
    return figure


def picks_figure(
    dataset_name: str, images_N_H_W: NDArray[np.uint8], class_names: Sequence[str], query: Query
) -> "Figure":
    """Return the picked crops, best first, with class (of all N), I, C and v."""
    from matplotlib.figure import Figure

    cols = min(5, len(query.picked_n))
    rows = -(-len(query.picked_n) // cols)
    figure = Figure(figsize=(2.2 * cols, 2.6 * rows + 0.5), layout="constrained")
    figure.suptitle(f"The query, best first ({dataset_name})")
    for rank, (axes, index) in enumerate(zip(np.ravel(figure.subplots(rows, cols)), query.picked_n, strict=False), 1):
        axes.imshow(images_N_H_W[index], cmap="gray")
        scores = query.scores
        axes.set_title(
            f"{rank}: class {class_names[index]}\nI {scores.information_N[index]:.2f}  "
            f"C {scores.cost_N[index]:.1f}  v {query.value_N[index]:.2f}",
            fontsize=8,
        )
    for axes in figure.axes:
        axes.set_axis_off()
    return figure
