"""The value of a crop, v = I^α / C^β, the rules that change it where cost and class go together, and the best n.

Needs numpy only, so a slider can call it. C tells an expert's time, and with it the class, where the crops of one class
cost more than those of another: then a large β starves the expensive class. The rules, by name:

``paper``
    v as the paper has it.
``within_class``
    C as a share of the mean (of log C) at the crop's class probabilities: cheap for its class, not of a cheap class.
``shrinking``
    β less the share of the variance of log C that the class probabilities explain.
``every_class``
    v, but the best crop of each predicted class is worth as much as the best of all.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costal.errors import AgentError
from costal.types import Floats, ValueRule

Floats64 = NDArray[np.float64]
COST_FLOOR = 1e-3
"""Least cost that divides (seconds or cost units), so that no value is infinite."""


def value(
    information_N: ArrayLike,
    cost_N: ArrayLike,
    alpha: float = 1.0,
    beta: float = 0.3,
    rule: ValueRule = "paper",
    probs_N_K: Floats | None = None,
) -> Floats:
    """Return v = I^α / C^β for each crop, float32 of shape (N,), finite and >= 0.

    Information a rounding error below zero counts as zero, cost below `COST_FLOOR` as the floor; 0^0 is 1. A `rule`
    other than the paper's needs the class probabilities; a crop whose own are NaN or 0 has the paper's value.

    Raises
    ------
    AgentError
        When α or β is negative, or an I or C is not finite.

    Source
    ------
    Bernatchez, Durand, Lavoie-Cardinal 2022, the value of an image.
    """
    if alpha < 0 or beta < 0:
        raise AgentError(f"α = {alpha:g} and β = {beta:g} must not be negative. Choose 0 or more.")
    information = np.asarray(information_N, dtype=np.float64)
    cost = np.asarray(cost_N, dtype=np.float64)
    for name, scores in (("information", information), ("cost", cost)):
        broken = int(np.count_nonzero(~np.isfinite(scores)))
        if broken:
            raise AgentError(f"The {name} of {broken} crops is not a number. Retrain the agent, then score again.")
    worth = np.maximum(information, 0) ** alpha
    cost = np.maximum(cost, COST_FLOOR)
    value_N = _finite(worth / cost**beta if beta else worth)
    if not beta or rule == "paper" or probs_N_K is None:
        return value_N
    known_M = np.flatnonzero(np.isfinite(probs_N_K).all(axis=1) & probs_N_K.any(axis=1))
    if len(known_M):
        value_N[known_M] = _by_rule(rule, worth[known_M], cost[known_M], beta, probs_N_K[known_M])
    return value_N


def _by_rule(rule: ValueRule, worth_M: Floats64, cost_M: Floats64, beta: float, probs_M_K: Floats) -> Floats:
    """Return the values of crops whose class probabilities are known, by a rule other than the paper's."""
    if rule == "every_class":
        return _best_of_each(_finite(worth_M / cost_M**beta), probs_M_K.argmax(axis=1))
    expected_M = log_cost_of_class(cost_M, probs_M_K)
    if rule == "within_class":
        return _finite(worth_M / (cost_M / np.exp(expected_M)) ** beta)
    return _finite(worth_M / cost_M ** (beta * (1 - share_explained(np.log(cost_M), expected_M))))


def log_cost_of_class(cost_N: ArrayLike, probs_N_K: Floats) -> Floats64:
    """Return the log cost (N,) to be expected of crops whose class probabilities alone are known.

    That of a class is the mean of all log costs, weighted by the probabilities of the class.
    """
    probs = np.asarray(probs_N_K, np.float64)
    mean_K = probs.T @ np.log(np.asarray(cost_N, np.float64)) / np.maximum(probs.sum(axis=0), np.finfo(np.float64).tiny)
    expected: Floats64 = probs @ mean_K
    return expected


def share_explained(log_cost_N: Floats64, expected_N: Floats64) -> float:
    """Return the share of the variance of log cost that the expectation by class has, in [0, 1]; 0 without any."""
    variance = float(log_cost_N.var())
    return min(1.0, float(expected_N.var()) / variance) if variance > 0 else 0.0


def _best_of_each(value_N: Floats, predicted_N: NDArray[np.intp]) -> Floats:
    """Return values of which the greatest of each predicted class are raised to the greatest of all."""
    raised = value_N.copy()
    for each in np.unique(predicted_N):
        own = np.flatnonzero(predicted_N == each)
        raised[own[value_N[own].argmax()]] = value_N.max()
    return raised


def _finite(value_N: Floats64) -> Floats:
    return np.minimum(value_N, np.finfo(np.float32).max).astype(np.float32)


def select(value_N: ArrayLike, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the indices of the n crops of greatest value, best first; equal values in a random order of `rng`.

    Fewer than n are returned when the pool is smaller.

    Raises
    ------
    AgentError
        When n is less than 1 or a value is not a number.
    """
    values = np.asarray(value_N)
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    if n < 1:
        raise AgentError(f"A query of {n} crops is empty. Choose n = 1 or more.")
    if np.isnan(values).any():
        raise AgentError("A crop's value is not a number. Score the pool again.")
    n = min(n, len(values))
    # What is below the n-th greatest need not be sorted.
    least = -np.partition(-values, n - 1)[n - 1] if n else np.inf
    best = np.flatnonzero(values >= least)
    drawn = rng.random(len(values))[best]  # one for each crop, so that ties come in the same order whatever n is
    return best[np.lexsort((drawn, -values[best]))][:n]
