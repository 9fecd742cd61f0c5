"""What more labels would bring, from the accuracies that fewer labels gave. Pure numpy.

Errors fall about as a power of the number of labels. With so few points no more can be fitted than that: a level and
a slope; resampling the groups of labels shows how uncertain the slope is.

Source
------
Cortes, Jackel, Solla, Vapnik, Denker 1993, *Learning Curves: Asymptotic Values and Rate of Convergence* (the power
law); Figueroa, Zeng-Treitler, Kandula, Ngo 2012, *Predicting sample size required for classification performance*.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 400
MOST_SLOPE = 1.0
"""No error falls faster than as one over the number of labels."""

Floats64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gain:
    """By how many percentage points accuracy is expected to rise, give or take so many with 95 % confidence."""

    points: float
    plus_minus: float


def expected_gain(
    correct_S_N: Floats64,
    learned_S: Floats64,
    group_N: NDArray[np.int64],
    now: float,
    more: float,
    rng: np.random.Generator,
) -> Gain:
    """Return what `more` labels add to the accuracy of a model that learned from `now`.

    `correct_S_N` tells to which share (0 to 1) models that learned from `learned_S` labels predicted each of N labels
    right; `group_N` tells which of these are alike.
    """
    _, inverse_N = np.unique(group_N, return_inverse=True)
    groups = int(inverse_N.max()) + 1
    right_S_G = np.stack([np.bincount(inverse_N, each, groups) for each in correct_S_N])
    size_G = np.bincount(inverse_N, minlength=groups).astype(np.float64)
    best = max(_gain(right_S_G.sum(1), size_G.sum(), learned_S, now, more), 0.0)  # more labels do no harm
    drawn = rng.integers(groups, size=(DRAWS, groups))
    gains = [_gain(right_S_G[:, each].sum(1), size_G[each].sum(), learned_S, now, more) for each in drawn]
    low, high = np.percentile(gains, (2.5, 97.5))
    return Gain(100 * best, 100 * float(max(high - best, best - low)))


def _gain(right_S: Floats64, count: float, learned_S: Floats64, now: float, more: float) -> float:
    """Return the gain in accuracy that a line through the logarithms of error and labels gives."""
    error_S = (count - right_S + 0.5) / (count + 1)  # none is zero
    across_S = np.log(learned_S)
    apart_S = across_S - across_S.mean()
    slope = -float((apart_S * np.log(error_S)).sum() / (apart_S**2).sum())
    slope = min(max(slope, -MOST_SLOPE), MOST_SLOPE)
    error = float(np.exp(np.log(error_S).mean() - slope * (np.log(now) - across_S.mean())))
    return float(min(error, 1.0) * (1 - (1 + more / now) ** -slope))
