"""The base cost of each class, derived from how often it is queried: informative classes cost more.

The paper sets its base costs so that the more informative classes cost more, without numbers. Ours: a class queried
more often than another costs more in proportion, the cheapest costs nothing, and the standard deviation over the
classes is that of the perimeters over the images, so that neither part of the cost drowns the other.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costal.errors import DatasetError
from costal.paper.archive import read_rows, report_from
from costal.paper.datasets import load_dataset
from costal.paper.plan_file import load_plan
from costal.paper.run_lock import PLAN_FILE
from costal.paper.sources import initial_indices
from costal.seeds import rng_for

PROPORTIONS = (35.0, 0.0, 53.2, 44.4, 28.6, 51.0, 24.2, 33.8, 66.3, 43.1)
"""Of the ten digits, in units of perimeter: `costal reproduce base-costs` on the first run of Table 1."""
SCALE = 6.27
"""The factor at which known costs at β = 0.2 cost as much as random selection, by `costal reproduce scale`."""
BASE_COSTS = tuple(round(SCALE * each, 1) for each in PROPORTIONS)
"""The base costs of Figure 1."""
PERIMETERS = 2000


@dataclass(frozen=True, slots=True)
class BaseCosts:
    """Base costs (K,), the counts that they were derived from, and the number of repeats."""

    base_cost_K: tuple[float, ...]
    count_K: tuple[int, ...]
    repeats: int
    perimeter_spread: float

    @property
    def text(self) -> str:
        """The base costs as a page."""
        rows = [
            f"| {k} | {count} | {cost:g} |"
            for k, (count, cost) in enumerate(zip(self.count_K, self.base_cost_K, strict=True))
        ]
        return "\n".join(
            [
                f"STD without costs, {self.repeats} repeats. The base costs have the standard deviation of the digits' "
                f"perimeters, {self.perimeter_spread:.1f}.\n",
                "| class | times queried | base cost |\n|---|---|---|",
                *rows,
                "",
            ]
        )


def derive_base_costs(folder: Path) -> BaseCosts:
    """Return the base costs derived from the first arm of a run that selects by STD without weighing cost.

    Raises
    ------
    DatasetError
        When the folder holds no run with such an arm, or that arm is not finished.
    """
    if not (folder / PLAN_FILE).exists():
        raise DatasetError(f"{folder} has no run. Give the folder of a run of Table 1.")
    plan = load_plan(folder / PLAN_FILE)
    arm = next((each for each in plan.arms if each.acquisition == "std" and not each.weighs_cost), None)
    if arm is None:
        raise DatasetError(f"{folder} has no arm that selects by STD without weighing cost. Give a run of Table 1.")
    reports = [report_from(row) for row in read_rows(folder, [(arm.name, repeat) for repeat in range(plan.repeats)])]
    last = [each for each in reports if each.round_number == plan.rounds]
    if len(last) < plan.repeats:
        raise DatasetError(f"{len(last)} of {plan.repeats} repeats of {arm.name} are finished. Finish the run first.")
    dataset = load_dataset(plan.data)
    start_K = np.bincount(dataset.classes(initial_indices(dataset, plan.experiment.seed, 0)))
    count_K = np.sum([each.class_counts_K for each in last], axis=0) - plan.repeats * start_K
    sample = rng_for(plan.experiment.seed, "perimeters").choice(dataset.train_size, PERIMETERS, replace=False)
    spread = float(dataset.effort(sample, 0, 0).std())
    return BaseCosts(tuple(scaled(count_K, spread).tolist()), tuple(count_K.tolist()), plan.repeats, spread)


def scaled(count_K: ArrayLike, spread: float) -> NDArray[np.float64]:
    """Return costs (K,) linear in the counts, the least 0, with this standard deviation, to a tenth of a unit."""
    count = np.asarray(count_K, dtype=float)
    deviation = count.std()
    if deviation == 0:
        return np.zeros_like(count)
    costs: NDArray[np.float64] = np.round((count - count.min()) * spread / deviation, 1)
    return costs
