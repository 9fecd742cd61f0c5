"""The scale of the base costs, the one constant that the paper does not give, calibrated on separate repeats.

Known costs at β = 0.2 must cost as much as random selection, because the paper's lines cross there. The scale
multiplies base costs of fixed proportions (`base_costs`); it is interpolated linearly between the factors tried.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from costal.paper.archive import read_rows, report_from
from costal.paper.base_costs import PROPORTIONS
from costal.paper.experiment import answered, begin, propose_round, simulated_answers
from costal.paper.expert import SimulatedExpert
from costal.paper.outcomes import first_crossing
from costal.paper.plan import CALIBRATED_BETA, RANDOM_ARM, Plan, calibration
from costal.paper.runner import run_names
from costal.paper.sources import Dataset
from costal.types import Job, Progress, finish

SCALES = (2.0, 3.0, 5.0, 8.0)
"""Factors to try; the scale lies between two of them."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The share by which known costs exceed those of random selection (S, R), by factor and repeat."""

    excess_S_R: Mapping[float, tuple[float, ...]]

    @property
    def scale(self) -> float:
        """The factor at which the mean excess falls to 0, to a hundredth; NaN when it does not."""
        means = [-float(np.mean(each)) for each in self.excess_S_R.values()]
        return round(first_crossing([*self.excess_S_R], means, 0.0), 2) if means[0] < 0 else float("nan")

    @property
    def base_cost_K(self) -> tuple[float, ...]:
        """The base costs at that factor."""
        return scaled_by(self.scale)

    @property
    def text(self) -> str:
        """The calibration as a page."""
        rows = [
            f"| {scale:g} | {' | '.join(f'{100 * each:+.2f} %' for each in own)} | {100 * np.mean(own):+.2f} % |"
            for scale, own in self.excess_S_R.items()
        ]
        repeats = range(1, len(next(iter(self.excess_S_R.values()))) + 1)
        return "\n".join(
            [
                f"Total cost of known costs at β = {CALIBRATED_BETA:g}, minus that of random selection:\n",
                f"| factor | {' | '.join(f'repeat {each}' for each in repeats)} | mean |",
                f"|{'---|' * (len(repeats) + 2)}",
                *rows,
                f"\n{self._conclusion}",
                "",
            ]
        )

    @property
    def _conclusion(self) -> str:
        if math.isnan(self.scale):
            return "The two total costs are not equal at any factor in the range tried: the scale is not calibrated."
        costs = ", ".join(f"{each:g}" for each in self.base_cost_K)
        return f"The two total costs are equal at a factor of {self.scale:g}: base costs {costs}."


def scaled_by(scale: float) -> tuple[float, ...]:
    """Return the base costs at a scale, to a tenth of a unit."""
    return tuple(round(scale * each, 1) for each in PROPORTIONS)


def calibration_plans(data: str = "mnist") -> Iterator[tuple[float, Plan]]:
    """Yield each factor with the plan that tries it."""
    for scale in SCALES:
        yield scale, calibration(scaled_by(scale), data)


def calibrated(folder: Path, dataset: Dataset) -> Job[Calibration]:
    """Return the calibration from the finished runs of `calibration_plans` in this folder; see `folder_of`."""
    excess: dict[float, tuple[float, ...]] = {}
    for scale, plan in calibration_plans():
        rows = [report_from(row) for row in read_rows(folder_of(folder, scale), run_names(plan))]
        shares = []
        for last in [each for each in rows if each.round_number == plan.rounds]:
            yield Progress(last.repeat, plan.repeats, "Random selection (no training)")
            shares.append(last.total_cost / random_cost(plan, last.repeat, dataset) - 1)
        excess[scale] = tuple(shares)
    return Calibration(excess)


def folder_of(folder: Path, scale: float) -> Path:
    """Return the folder of the run of a factor."""
    return folder / f"scale-{scale:g}"


def random_cost(plan: Plan, repeat: int, dataset: Dataset) -> float:
    """Return the total cost of random selection in a repeat of a plan: nothing is trained for it."""
    expert, shared = SimulatedExpert(plan.experiment.base_cost_K), plan.experiment
    state = begin(shared, RANDOM_ARM, repeat, dataset, expert)
    for _ in range(plan.rounds):
        proposal = finish(propose_round(shared, state, dataset, expert))
        state = answered(state, proposal.asked_n, simulated_answers(state, proposal, dataset, expert))
    return state.total_cost
