"""The value of a crop, v = I^α / C^β, and the choice of the best n. Needs numpy only, so a slider can call it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costal.errors import AgentError
from costal.types import Floats

COST_FLOOR = 1e-3
"""Least cost that divides (seconds or cost units), so that no value is infinite."""


def value(information_N: ArrayLike, cost_N: ArrayLike, alpha: float = 1.0, beta: float = 0.3) -> Floats:
    """Return v = I^α / C^β for each crop, float32 of shape (N,), finite and >= 0.

    Information a rounding error below zero counts as zero, cost below `COST_FLOOR` as the floor; 0^0 is 1.

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
    value_N = worth / np.maximum(cost, COST_FLOOR) ** beta if beta else worth
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
        raise AgentError(f"A query of {n} crops asks nothing. Choose n = 1 or more.")
    if np.isnan(values).any():
        raise AgentError("A crop's value is not a number. Score the pool again.")
    n = min(n, len(values))
    # What is below the n-th greatest need not be sorted.
    least = -np.partition(-values, n - 1)[n - 1] if n else np.inf
    best = np.flatnonzero(values >= least)
    drawn = rng.random(len(values))[best]  # one for each crop, so that ties come in the same order whatever n is
    return best[np.lexsort((drawn, -values[best]))][:n]
