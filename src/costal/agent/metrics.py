"""Figures of merit of an agent, from numpy arrays."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from costal.types import Floats


def accuracy(probs_N_K: Floats, class_N: ArrayLike) -> float:
    """Return the share of crops whose most probable class is the true one, in [0, 1]."""
    return float(np.mean(probs_N_K.argmax(axis=1) == np.asarray(class_N)))


def cost_bias(predicted_N: ArrayLike, measured_N: ArrayLike) -> float:
    """Return the mean of predicted less measured effort: below zero when costs are underestimated."""
    return float(np.mean(np.asarray(predicted_N, dtype=float) - np.asarray(measured_N, dtype=float)))


def cost_rank_correlation(predicted_N: ArrayLike, measured_N: ArrayLike) -> float:
    """Return Spearman's rank correlation of predicted and measured effort; NaN when either is constant."""
    predicted, measured = np.asarray(predicted_N, dtype=float), np.asarray(measured_N, dtype=float)
    if len(predicted) < 2 or np.ptp(predicted) == 0 or np.ptp(measured) == 0:
        return float("nan")
    return float(spearmanr(predicted, measured).statistic)
