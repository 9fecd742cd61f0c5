"""Arms compared at equal accuracy and at equal spending, paired by repeat, with bootstrap intervals.

All figures come from the rows of rounds.csv. R counts repeats, G points of a grid of costs (or of labels), S spendings,
B resamples of the repeats. The two arms of a comparison are resampled together, so intervals are paired.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from costal.paper.outcomes import FEWEST_REPEATS, finished, run_of
from costal.paper.plan import Arm, Plan

if TYPE_CHECKING:
    import pandas as pd

Axis = Literal["total_cost", "labels"]
LEVELS, FIRST_LABELS, BELOW_FINAL = 20, 30, 0.005
"""Accuracies at which costs are compared: the baseline's from this many labels to half a point below its last."""
SPENDINGS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the baseline's spending at which accuracies are compared."""
GRID, RESAMPLES, SEED = 401, 1000, 0

Floats64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % bootstrap interval: infinite where it was never reached, NaN where it is unknown."""

    value: float
    low: float
    high: float

    def __format__(self, form: str) -> str:
        """Return figure and interval, each number in this form: ``0.48 [0.41, 0.57]``."""

        def written(number: float) -> str:
            return "never" if np.isinf(number) else f"{number:{form}}"

        if np.isnan(self.value):
            return "–"
        interval = "no interval" if np.isnan(self.low) else f"[{written(self.low)}, {written(self.high)}]"
        return f"{written(self.value)} {interval if interval[0] == '[' else f'({interval})'}"


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy, and the lowest recall of a class, of one run at the costs or labels (M) at which it was tested."""

    x_M: Floats64
    accuracy_M: Floats64
    lowest_recall_M: Floats64


@dataclass(frozen=True, slots=True)
class Saving:
    """An arm compared with a baseline, over the `repeats` that both finished.

    `ratio` is the arm's cost at equal accuracy as a share of the baseline's; `difference_S` is its accuracy minus the
    baseline's at `SPENDINGS`, `mean_difference` their mean; `lowest_recall` is the arm's at all of the baseline's
    spending, and `recall_difference` is that minus the baseline's.
    """

    arm: Arm
    repeats: tuple[int, ...]
    ratio: Estimate
    difference_S: tuple[Estimate, ...]
    mean_difference: Estimate
    lowest_recall: Estimate
    recall_difference: Estimate


def savings(df: "pd.DataFrame", plan: Plan, baseline: Arm, axis: Axis = "total_cost") -> tuple[Saving, ...]:
    """Return every other arm compared with the baseline, at equal cost or at equal labels."""
    return tuple(saving(df, plan, arm, baseline, axis) for arm in plan.arms if arm != baseline)


def saving(df: "pd.DataFrame", plan: Plan, arm: Arm, baseline: Arm, axis: Axis = "total_cost") -> Saving:
    """Return an arm compared with the baseline."""
    repeats = finished(df, plan, arm, baseline)
    own = [curve(run_of(df, arm, repeat), axis) for repeat in repeats]
    base = [curve(run_of(df, baseline, repeat), axis) for repeat in repeats]
    if not repeats:
        nothing = Estimate(np.nan, np.nan, np.nan)
        return Saving(arm, repeats, nothing, (nothing,) * len(SPENDINGS), nothing, nothing, nothing)
    least_R = np.array([accuracy_at_labels(run_of(df, baseline, repeat)) for repeat in repeats])
    difference_R_S = at_spendings(own, base, "accuracy_M") - at_spendings(base, base, "accuracy_M")
    recall_R = at_spendings(own, base, "lowest_recall_M")[:, -1]
    base_recall_R = at_spendings(base, base, "lowest_recall_M")[:, -1]
    return Saving(
        arm,
        repeats,
        bootstrap(len(repeats), ratio_of(own, base, least_R)),
        tuple(mean_of(difference_R) for difference_R in difference_R_S.T),
        mean_of(difference_R_S.mean(1)),
        mean_of(recall_R),
        mean_of(recall_R - base_recall_R),
    )


def curve(run: "pd.DataFrame", axis: Axis) -> Curve:
    """Return the curve of one run, from its rows."""
    tested = run.dropna(subset=["accuracy"]).sort_values("round")
    recalls = tested["recalls"] if "recalls" in tested else [""] * len(tested)
    lowest = [lowest_recall(str(each)) for each in recalls]
    x, accuracy = (tested[name].to_numpy(np.float64) for name in (axis, "accuracy"))
    return Curve(x, accuracy, np.array(lowest, np.float64))


def lowest_recall(written: str) -> float:
    """Return the lowest recall in a row, over the classes with test crops; NaN without recalls."""
    known = [recall for recall in map(float, written.split()) if not np.isnan(recall)]
    return min(known, default=np.nan)


def accuracy_at_labels(run: "pd.DataFrame", labels: int = FIRST_LABELS) -> float:
    """Return a run's accuracy at this many labels, or after its first round if the start has as many."""
    own = curve(run, "labels")
    at = max(labels, own.x_M[min(1, len(own.x_M) - 1)])
    return float(np.interp(at, own.x_M, own.accuracy_M))


def at_spendings(curves: Sequence[Curve], base: Sequence[Curve], what: str) -> Floats64:
    """Return a figure of each run (R, S) at shares of its baseline's spending; an ended run keeps its last figure."""
    rows = [
        np.interp(np.multiply(SPENDINGS, limit.x_M[-1]), own.x_M, getattr(own, what))
        for own, limit in zip(curves, base, strict=True)
    ]
    return np.array(rows)


def isotonic(y_G: ArrayLike) -> Floats64:
    """Return the rising curve that is nearest to a curve, by least squares."""
    fit: Floats64 = isotonic_regression(np.asarray(y_G, np.float64)).x
    return fit


def reached(x_G: Floats64, rising_G: Floats64, level_L: Floats64) -> Floats64:
    """Return the first x (L,) at which a rising curve reaches each level, linear between points; infinite: never."""
    at_L = np.searchsorted(rising_G, level_L, side="left")
    is_never, is_first = at_L == len(rising_G), at_L == 0
    at_L = at_L.clip(1, len(rising_G) - 1)
    low, high = rising_G[at_L - 1], rising_G[at_L]
    share = (level_L - low) / np.where(high > low, high - low, 1)
    x_L = x_G[at_L - 1] + share * (x_G[at_L] - x_G[at_L - 1])
    return np.where(is_never, np.inf, np.where(is_first, x_G[0], x_L))


def cost_ratio(
    x_G: Floats64, arm_G: ArrayLike, base_G: ArrayLike, least: float, first: tuple[float, float] = (0, 0)
) -> float:
    """Return the geometric mean of the arm's cost as a share of the baseline's at equal accuracies.

    `arm_G` and `base_G` are mean accuracies at the costs `x_G`; their isotonic fits are compared. The `LEVELS`
    accuracies go from `least` to `BELOW_FINAL` below the baseline's last. `first` are the costs of the first rounds: a
    level that is reached earlier counts with this cost, because no run can spend less. Infinite where the arm does not
    reach all levels, NaN where the baseline has none.
    """
    arm_fit, base_fit = isotonic(arm_G), isotonic(base_G)
    most = base_fit[-1] - BELOW_FINAL
    if not least < most:
        return float("nan")
    levels = np.linspace(least, most, LEVELS)
    own = np.maximum(reached(x_G, arm_fit, levels), first[0])
    base = np.maximum(reached(x_G, base_fit, levels), first[1])
    if np.isinf(own).any():
        return float("inf")
    with np.errstate(divide="ignore", invalid="ignore"):  # costs may be 0
        return float(np.exp(np.log(own / base).mean()))


def ratio_of(own: Sequence[Curve], base: Sequence[Curve], least_R: Floats64) -> Callable[[Floats64], float]:
    """Return the function that gives the cost ratio from the weight (R,) of each repeat, which sum to 1."""
    x_G = np.linspace(min(each.x_M[0] for each in (*own, *base)), max(each.x_M[-1] for each in (*own, *base)), GRID)
    own_R_G, base_R_G = (
        np.array([np.interp(x_G, each.x_M, each.accuracy_M) for each in curves]) for curves in (own, base)
    )
    first_R = [[each.x_M[min(1, len(each.x_M) - 1)] for each in curves] for curves in (own, base)]

    def ratio(weight_R: Floats64) -> float:
        own_first, base_first = (float(weight_R @ first) for first in first_R)
        least = float(weight_R @ least_R)
        return cost_ratio(x_G, weight_R @ own_R_G, weight_R @ base_R_G, least, (own_first, base_first))

    return ratio


def mean_of(value_R: ArrayLike) -> Estimate:
    """Return the mean over repeats and its bootstrap interval."""
    values = np.asarray(value_R, np.float64)
    return bootstrap(len(values), lambda weight_R: float(weight_R @ values))


def bootstrap(repeats: int, figure: Callable[[Floats64], float]) -> Estimate:
    """Return a figure of the weights (R,) of repeats and its 95 % percentile interval over resampled repeats.

    A resample without a figure is left out. Below `FEWEST_REPEATS` there is no interval.
    """
    value = figure(np.full(repeats, 1 / repeats))
    if repeats < FEWEST_REPEATS or np.isnan(value):
        return Estimate(value, np.nan, np.nan)
    weights = np.random.default_rng(SEED).multinomial(repeats, np.full(repeats, 1 / repeats), RESAMPLES) / repeats
    resampled = np.array([figure(weight_R) for weight_R in weights])
    resampled = resampled[~np.isnan(resampled)]
    # A number and infinity cannot be interpolated: the interval ends at observed values.
    low, high = np.quantile(resampled, (0.025, 0.975), method="inverted_cdf")
    return Estimate(value, float(low), float(high))
