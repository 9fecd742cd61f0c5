"""Plot the demo's learning curves: reads seed-*.csv beside this file and writes curves.png."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

HERE = Path(__file__).parent
COLOURS = {"std, β = 0.3": "#0077bb", "random": "#888888"}


def main() -> None:
    """Draw one thin line per seed and a thick one for the mean of the seeds, for each arm."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    by_labels, by_cost = figure.subplots(1, 2, sharey=True)
    for arm, colour in COLOURS.items():
        runs = [read(path, arm) for path in sorted(HERE.glob("seed-*.csv"))]
        labels, accuracy, cost = (np.array([[row[column] for row in run] for run in runs]) for column in range(3))
        by_labels.plot(labels.T, accuracy.T, color=colour, lw=0.7, alpha=0.6)
        by_labels.plot(labels[0], accuracy.mean(0), color=colour, lw=2.5, label=f"{arm} (mean of {len(runs)} seeds)")
        by_cost.plot(cost.T, accuracy.T, color=colour, lw=0.7, alpha=0.6)
        by_cost.plot(cost.mean(0), accuracy.mean(0), color=colour, lw=2.5)
    by_labels.set(xlabel="labels", ylabel="test accuracy, MNIST (10,000 images)")
    by_cost.set(xlabel="total cost (cost units)")
    by_labels.legend(frameon=False)
    for axes in (by_labels, by_cost):
        axes.grid(alpha=0.3)
    figure.savefig(HERE / "curves.png", dpi=110)


def read(path: Path, arm: str) -> list[tuple[float, float, float]]:
    """Return (labels, accuracy, total cost) of one arm, round by round."""
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["arm"] == arm]
    return [(float(row["labels"]), float(row["accuracy"]), float(row["total_cost"])) for row in rows]


if __name__ == "__main__":
    main()
