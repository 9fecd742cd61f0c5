"""Figures of merit of an agent, from numpy arrays, each with what is needed to judge it: an interval or a rival."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costal.agent.value import COST_FLOOR
from costal.types import Floats

FEWEST_IN_HALF = 30
LEAST_GAIN = 0.05
"""A gain in accuracy that is surely below this is a plateau."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidence against accuracy in bins of equal width over [0, 1]; NaN in an empty bin.

    `expected_error` is the mean distance of the two, weighted by `count_B` (ECE); NaN without labels.
    """

    confidence_B: NDArray[np.float64]
    accuracy_B: NDArray[np.float64]
    count_B: NDArray[np.intp]
    expected_error: float


@dataclass(frozen=True, slots=True)
class EffortFit:
    """How `count` predicted efforts fit the measured ones; NaN where there are too few to tell.

    `bias` is the mean of predicted less measured, in the unit of effort, with a 95 % interval. `log_error` is the mean
    absolute error of log effort. `skill` is the share that the model saves of the error of a guess that knows no crop:
    1 is perfect, at 0 or below the constant guess is as good.
    """

    count: int
    rank_correlation: float
    bias: float
    bias_low: float
    bias_high: float
    log_error: float
    skill: float


@dataclass(frozen=True, slots=True)
class Hint:
    """What the control labels say of labelling more, with the figures, and whether it is unlikely to help."""

    text: str
    is_plateau: bool


def accuracy(probs_N_K: Floats, class_N: ArrayLike) -> float:
    """Return the share of crops whose most probable class is the true one, in [0, 1]."""
    return float(np.mean(probs_N_K.argmax(axis=1) == np.asarray(class_N)))


def recalls(probs_N_K: Floats, class_N: ArrayLike) -> list[float]:
    """Return the share of each class's crops (K) whose most probable class is theirs; NaN for a class without any."""
    classes, right_N = np.asarray(class_N), probs_N_K.argmax(axis=1) == np.asarray(class_N)
    own = (right_N[classes == each] for each in range(probs_N_K.shape[1]))
    return [float(right.mean()) if len(right) else float("nan") for right in own]


def cost_bias(predicted_N: ArrayLike, measured_N: ArrayLike) -> float:
    """Return the mean of predicted less measured effort: below zero when costs are underestimated."""
    return float(np.mean(np.asarray(predicted_N, dtype=float) - np.asarray(measured_N, dtype=float)))


def cost_rank_correlation(predicted_N: ArrayLike, measured_N: ArrayLike) -> float:
    """Return Spearman's rank correlation of predicted and measured effort; NaN when either is constant."""
    predicted, measured = np.asarray(predicted_N, dtype=float), np.asarray(measured_N, dtype=float)
    if len(predicted) < 2 or np.ptp(predicted) == 0 or np.ptp(measured) == 0:
        return float("nan")
    from scipy import stats

    return float(stats.spearmanr(predicted, measured).statistic)


def accuracy_interval(correct: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval (low, high) of an accuracy of `correct` out of `total`; (0, 1) when there are none."""
    return share_interval(correct / total, total, level) if total else (0.0, 1.0)


def share_interval(share: float, count: float, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval (low, high) of a share in [0, 1] of `count` > 0 independent cases, a fraction too.

    Source
    ------
    Wilson 1927, *Probable Inference, the Law of Succession, and Statistical Inference*.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = share + z**2 / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    widest = 1 + z**2 / count
    return max((centre - half) / widest, 0.0), min((centre + half) / widest, 1.0)


def calibration(confidence_N: ArrayLike, correct_N: ArrayLike, bins: int = 10) -> Calibration:
    """Return how sure an agent was against how often it was right.

    Parameters
    ----------
    confidence_N
        The greatest class probability of each crop, in [0, 1].
    correct_N
        Whether the most probable class was the true one.
    bins
        How many bins of equal width; a confidence on an edge belongs to the bin above it, and 1 to the last.

    Source
    ------
    Guo, Pleiss, Sun, Weinberger 2017, *On Calibration of Modern Neural Networks*, section 2.
    """
    confidence, correct = np.asarray(confidence_N, dtype=float), np.asarray(correct_N, dtype=float)
    bin_N = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    count_B = np.bincount(bin_N, minlength=bins)
    divisor_B = np.where(count_B > 0, count_B, np.nan)
    confidence_B = np.bincount(bin_N, confidence, bins) / divisor_B
    accuracy_B = np.bincount(bin_N, correct, bins) / divisor_B
    apart = float(np.nansum(count_B * np.abs(confidence_B - accuracy_B)))
    return Calibration(confidence_B, accuracy_B, count_B, apart / len(correct) if len(correct) else float("nan"))


def effort_fit(predicted_N: ArrayLike, measured_N: ArrayLike, spread_N: ArrayLike = 0.0) -> EffortFit:
    """Return how predicted efforts fit the measured ones.

    Both errors of log effort leave the first presentation out, for which there is no constant guess: for the k-th it
    is the geometric mean of those measured before.

    Parameters
    ----------
    predicted_N, measured_N
        Efforts in order of time, each predicted before it was measured; measured ones not censored.
    spread_N
        The standard deviation of log effort that the agent predicted with. A prediction is the log-normal mean; its
        error is that of the median, the guess that a constant geometric mean is too.
    """
    predicted, measured = np.asarray(predicted_N, dtype=float), np.asarray(measured_N, dtype=float)
    count = len(measured)
    apart = predicted - measured
    nan = float("nan")
    from scipy import stats

    half = stats.t.ppf(0.975, count - 1) * apart.std(ddof=1) / np.sqrt(count) if count > 1 else nan
    bias = float(apart.mean()) if count else nan
    log_error = constant_error = nan
    if count > 1:
        log_measured = np.log(np.maximum(measured, COST_FLOOR))
        log_median = np.log(np.maximum(predicted, COST_FLOOR)) - np.asarray(spread_N, dtype=float) ** 2 / 2
        log_constant = np.cumsum(log_measured)[:-1] / np.arange(1, count)
        log_error = float(np.abs(log_median - log_measured)[1:].mean())
        constant_error = float(np.abs(log_constant - log_measured[1:]).mean())
    return EffortFit(
        count,
        cost_rank_correlation(predicted, measured),
        bias,
        float(bias - half),
        float(bias + half),
        log_error,
        1 - log_error / constant_error if constant_error else nan,
    )


def gain_interval(older: tuple[int, int], newer: tuple[int, int], level: float = 0.95) -> tuple[float, float]:
    """Return the interval (low, high) of the gain in accuracy from older to newer labels, each (correct, total) > 0.

    Source
    ------
    Newcombe 1998, *Interval estimation for the difference between independent proportions*, method 10.
    """
    before, after = older[0] / older[1], newer[0] / newer[1]
    before_low, before_high = accuracy_interval(*older, level)
    after_low, after_high = accuracy_interval(*newer, level)
    gain = after - before
    return (
        float(gain - np.hypot(after - after_low, before_high - before)),
        float(gain + np.hypot(after_high - after, before - before_low)),
    )


def unlikely_to_help(correct_N: ArrayLike) -> Hint:
    """Return whether labelling more is unlikely to help, from the control labels alone.

    A plateau is said only when the newer half of them is surely less than 5 points more accurate than the older.

    Parameters
    ----------
    correct_N
        Whether each control was predicted right before it was labelled, in order of time.
    """
    correct = np.asarray(correct_N, dtype=bool)
    half = len(correct) // 2
    if half < FEWEST_IN_HALF:
        return Hint(
            f"Too early to say whether labelling more helps: {len(correct)} control labels, "
            f"{2 * FEWEST_IN_HALF} are needed.",
            False,
        )
    older, newer = correct[:half], correct[half:]
    low, high = gain_interval((int(older.sum()), len(older)), (int(newer.sum()), len(newer)))
    is_plateau = high < LEAST_GAIN
    figures = (
        f"the newer {len(newer)} control labels were predicted with {newer.mean():.0%} accuracy, the older "
        f"{len(older)} with {older.mean():.0%}: a gain of {_points(low)} to {_points(high)} points (95 % interval)"
    )
    if is_plateau:
        return Hint(f"Labelling more is unlikely to help: {figures}.", True)
    if low > 0:
        return Hint(f"Labelling helps: {figures}.", False)
    enough = f"Below {LEAST_GAIN * 100:.0f} points, labelling more is not worth the time."
    return Hint(f"Labelling more may still help: {figures}. {enough}", False)


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
