"""The results of an experiment: the cost of a target accuracy, Table 1, and each arm against a baseline.

All figures come from the rows of rounds.csv, of a finished or a running experiment. Only runs that reached the last
round count, and arms are compared over the repeats that both finished. R counts such repeats.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from costal.errors import CostalError
from costal.paper.plan import Arm, Plan

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
FEWEST_REPEATS = 2
"""Below this many repeats there is no interval."""

Floats64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean of `count` repeats, their standard deviation, and the 95 % t-interval of the mean; NaN where too few.

    `spread` divides by the count, as the numbers printed in the paper's Table 1 do; the interval does not.
    """

    mean: float
    spread: float
    low: float
    high: float
    count: int

    def __format__(self, form: str) -> str:
        """Return mean and interval, each number in this form: ``0.60 [0.52, 0.68]``."""
        if not self.count:
            return "–"
        if np.isnan(self.low):
            return f"{self.mean:{form}} (no interval)"
        return f"{self.mean:{form}} [{self.low:{form}}, {self.high:{form}}]"


def interval(value_R: ArrayLike) -> Interval:
    """Return mean, standard deviation and 95 % interval over repeats; all NaN as soon as one value is."""
    values = np.asarray(value_R, np.float64)
    count = len(values)
    mean = float(values.mean()) if count else np.nan
    if count < FEWEST_REPEATS:
        return Interval(mean, np.nan, np.nan, np.nan, count)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * values.std(ddof=1) / np.sqrt(count))
    return Interval(mean, float(values.std()), mean - half, mean + half, count)


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number for each of R repeats, and the bounds on those that are not known: a run may never reach its target.

    The truth is at least `low_R` and at most `high_R`; both equal `value_R` where that is known. NaN: not known, no
    such bound. Sums and ratios carry the bounds along; ratios are of positive numbers.
    """

    value_R: Floats64
    low_R: Floats64
    high_R: Floats64

    def __sub__(self, other: "Quantity") -> "Quantity":
        """Return the paired differences."""
        return Quantity(self.value_R - other.value_R, self.low_R - other.high_R, self.high_R - other.low_R)

    def __truediv__(self, other: "Quantity") -> "Quantity":
        """Return the paired ratios."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return Quantity(self.value_R / other.value_R, self.low_R / other.high_R, self.high_R / other.low_R)

    @property
    def missing(self) -> int:
        """How many of the R values are not known."""
        return int(np.isnan(self.value_R).sum())

    @property
    def interval(self) -> Interval:
        """The interval over the repeats whose value is known."""
        return interval(self.value_R[~np.isnan(self.value_R)])


def percent(share: float) -> str:
    """Return a share in percent: ``90 %``."""
    return f"{100 * share:g} %"


def exactly(value_R: ArrayLike) -> Quantity:
    """Return a quantity that is known in every repeat."""
    values = np.asarray(value_R, np.float64)
    return Quantity(values, values, values)


def first_crossing(x_M: ArrayLike, y_M: ArrayLike, level: float) -> float:
    """Return the first x at which y is no longer below the level, linear between points; NaN when it stays below."""
    x, y = np.asarray(x_M, np.float64), np.asarray(y_M, np.float64)
    above = np.flatnonzero(y >= level)
    if not len(above):
        return np.nan
    at = int(above[0])
    if at == 0:
        return float(x[0])
    return float(x[at - 1] + (level - y[at - 1]) / (y[at] - y[at - 1]) * (x[at] - x[at - 1]))


def price(run: "pd.DataFrame", target: float, column: str) -> float:
    """Return the labels (including the initial set) or the total cost at which one run first reached an accuracy.

    NaN if it never did. `run` has the rows of one arm and repeat. Between two rounds that were tested accuracy is taken
    to be linear.
    """
    tested = run.dropna(subset=["accuracy"]).sort_values("round")
    return first_crossing(tested[column], tested["accuracy"], target)


def run_of(df: "pd.DataFrame", arm: Arm, repeat: int) -> "pd.DataFrame":
    """Return the rounds of one run, in order."""
    return df[(df["arm"] == arm.name) & (df["repeat"] == repeat)].sort_values("round")


def finished(df: "pd.DataFrame", plan: Plan, *arms: Arm) -> tuple[int, ...]:
    """Return the repeats that ended in every one of these arms: by their cost, or after the last round."""
    shared = set.intersection(*(_ended(df, plan, arm) for arm in arms))
    return tuple(sorted(shared & set(range(plan.repeats))))


def _ended(df: "pd.DataFrame", plan: Plan, arm: Arm) -> set[int]:
    last = df[df["arm"] == arm.name].sort_values("round").drop_duplicates("repeat", keep="last")
    stop_cost = plan.stop_cost_of(arm)
    is_over = (last["round"] == plan.rounds) | (last["total_cost"] >= (np.inf if stop_cost is None else stop_cost))
    return {int(each) for each in last.loc[is_over, "repeat"]}


def at_round(df: "pd.DataFrame", arm: Arm, repeats: tuple[int, ...], column: str, round_number: int) -> Quantity:
    """Return a figure of an arm after one round, or the last one before, in each repeat; NaN where it is missing."""
    rows = df[(df["arm"] == arm.name) & (df["round"] <= round_number)].sort_values("round")
    rows = rows.drop_duplicates("repeat", keep="last").set_index("repeat")
    return exactly(rows[column].reindex(list(repeats)).to_numpy(np.float64))


def to_target(df: "pd.DataFrame", plan: Plan, arm: Arm, repeats: tuple[int, ...], column: str) -> Quantity:
    """Return the `labels` or `total_cost` to the plan's target; if never reached, the total spent is a lower bound."""
    value_R = np.array([price(run_of(df, arm, repeat), plan.target, column) for repeat in repeats], np.float64)
    end_R = at_round(df, arm, repeats, column, plan.rounds).value_R
    return Quantity(value_R, np.where(np.isnan(value_R), end_R, value_R), value_R)


def area(df: "pd.DataFrame", arm: Arm, repeats: tuple[int, ...], labels: float) -> Quantity:
    """Return an arm's mean accuracy up to this many labels, or to the end, in each repeat: the area under its curve."""
    return exactly([_mean_accuracy(run_of(df, arm, repeat), labels) for repeat in repeats])


def _mean_accuracy(run: "pd.DataFrame", labels: float) -> float:
    tested = run.dropna(subset=["accuracy"])
    x, y = tested["labels"].to_numpy(np.float64), tested["accuracy"].to_numpy(np.float64)
    end = min(labels, x[-1])
    at = np.append(x[x < end], end)
    return float(np.trapezoid(np.interp(at, x, y), at) / (end - x[0]))


def at_end(df: "pd.DataFrame", plan: Plan, arms: tuple[Arm, ...], column: str) -> tuple[Quantity, ...]:
    """Return a figure of each arm after the last round, over the repeats that all of them finished."""
    repeats = finished(df, plan, *arms)
    return tuple(at_round(df, arm, repeats, column, plan.rounds) for arm in arms)


def slopes(df: "pd.DataFrame", plan: Plan, arms: tuple[Arm, ...], column: str, round_number: int) -> Quantity:
    """Return the least-squares slope on β of a figure of these arms after one round, in each repeat all finished."""
    repeats = finished(df, plan, *arms)
    value_A_R = np.array([at_round(df, arm, repeats, column, round_number).value_R for arm in arms])
    beta_A = np.array([arm.beta for arm in arms])
    centred_A = beta_A - beta_A.mean()
    return exactly(centred_A @ value_A_R / (centred_A @ centred_A))


def mean_over_rounds(df: "pd.DataFrame", plan: Plan, arm: Arm, column: str) -> Quantity:
    """Return the mean of a figure over the rounds that have it, in each repeat the arm finished."""
    runs = (run_of(df, arm, repeat) for repeat in finished(df, plan, arm))
    return exactly([float(run[column].mean()) for run in runs])


def random_arm(plan: Plan) -> Arm | None:
    """Return the arm that selects at random and weighs no cost, the first of several; None without one."""
    return next((arm for arm in plan.arms if arm.acquisition == "random" and not arm.weighs_cost), None)


def is_plain(arm: Arm) -> bool:
    """Return whether an arm is the paper's own kind: one network, the n crops of highest value, no budget."""
    is_papers = arm.rule == "paper" and not arm.diverse and arm.members == 1 and arm.budget is None
    return is_papers and arm.acquisition != "random"


def known_arms(plan: Plan) -> tuple[Arm, ...]:
    """Return the plain arms of one acquisition function with known costs, β = 0 among them, by rising β.

    Empty when there are fewer than two.
    """
    plain = [arm for arm in plan.arms if is_plain(arm)]
    acquisition = next((arm.acquisition for arm in plain if arm.beta > 0 and arm.cost == "known"), None)
    arms = [arm for arm in plain if arm.acquisition == acquisition and (arm.beta == 0 or arm.cost == "known")]
    return tuple(sorted(arms, key=lambda arm: arm.beta)) if len(arms) > 1 else ()


@dataclass(frozen=True, slots=True)
class Ratio:
    """An arm of Table 1: its labels to the target, as a share of those of random selection in the same repeat.

    `ratio` is over `repeats`, those that both finished; `unreached` and `random_unreached` of them never reached it.
    Its `high_R` is the bound "less than" where only random selection did not.
    """

    arm: Arm
    repeats: tuple[int, ...]
    ratio: Quantity
    unreached: int
    random_unreached: int


def table_1(df: "pd.DataFrame", plan: Plan) -> tuple[Ratio, ...]:
    """Return the rows of Table 1: each arm that does not select at random; none without a random arm."""
    random = random_arm(plan)
    if random is None:
        return ()
    return tuple(_ratio(df, plan, arm, random) for arm in plan.arms if arm != random)


def _ratio(df: "pd.DataFrame", plan: Plan, arm: Arm, random: Arm) -> Ratio:
    repeats = finished(df, plan, arm, random)
    own, by_chance = (to_target(df, plan, each, repeats, "labels") for each in (arm, random))
    return Ratio(arm, repeats, own / by_chance, own.missing, by_chance.missing)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of an arm over its `repeats`, or, from `comparisons`, their differences from a baseline's.

    `labels` (including the initial set), `accuracy` and `total_cost` are at the last round.
    """

    arm: Arm
    repeats: tuple[int, ...]
    labels: Quantity
    accuracy: Quantity
    total_cost: Quantity
    labels_to_target: Quantity
    cost_to_target: Quantity


def outcomes(df: "pd.DataFrame", plan: Plan) -> tuple[Outcome, ...]:
    """Return the figures of each arm over the repeats it finished."""
    return tuple(_outcome(df, plan, arm, finished(df, plan, arm)) for arm in plan.arms)


def comparisons(df: "pd.DataFrame", plan: Plan, baseline: str) -> tuple[Outcome, ...]:
    """Return by how much each other arm differs from the baseline, in pairs over the repeats that both finished.

    Raises
    ------
    CostalError
        If the plan has no arm of that name.
    """
    base = next((arm for arm in plan.arms if arm.name == baseline), None)
    if base is None:
        names = ", ".join(arm.name for arm in plan.arms)
        raise CostalError(f'There is no arm "{baseline}" to compare with; the arms are: {names}.')
    return tuple(_difference(df, plan, arm, base) for arm in plan.arms if arm != base)


def _difference(df: "pd.DataFrame", plan: Plan, arm: Arm, base: Arm) -> Outcome:
    repeats = finished(df, plan, arm, base)
    own, other = (_outcome(df, plan, each, repeats) for each in (arm, base))
    return Outcome(
        arm,
        repeats,
        own.labels - other.labels,
        own.accuracy - other.accuracy,
        own.total_cost - other.total_cost,
        own.labels_to_target - other.labels_to_target,
        own.cost_to_target - other.cost_to_target,
    )


def _outcome(df: "pd.DataFrame", plan: Plan, arm: Arm, repeats: tuple[int, ...]) -> Outcome:
    labels, accuracy, cost = (
        at_round(df, arm, repeats, column, plan.rounds) for column in ("labels", "accuracy", "total_cost")
    )
    price = to_target(df, plan, arm, repeats, "labels")
    return Outcome(arm, repeats, labels, accuracy, cost, price, to_target(df, plan, arm, repeats, "total_cost"))
