"""Learning curves of two ways to train the same models, and whether they are the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True, slots=True)
class Parity:
    """Test accuracies of models with so many labels, trained in the stack and by the peer.

    Spreads are standard deviations over models, which differ in labels and seeds. `low` and `high` are the 95 %
    interval of how far the stack's mean is above the peer's. The means agree when they are no further apart than one
    model is from another.
    """

    labels: int
    models: int
    stack_mean: float
    stack_spread: float
    peer_mean: float
    peer_spread: float
    low: float
    high: float
    agrees: bool


def parity(labels: int, stack_M: Sequence[float], peer_M: Sequence[float]) -> Parity:
    """Return how the accuracies of at least two models of each kind compare.

    Source
    ------
    Welch 1947, *The generalization of 'Student's' problem when several different population variances are involved*.
    """
    stack, peer = np.asarray(stack_M), np.asarray(peer_M)
    apart, spreads = float(stack.mean() - peer.mean()), (float(stack.std(ddof=1)), float(peer.std(ddof=1)))
    low = high = apart
    if any(spreads):
        low, high = map(float, stats.ttest_ind(stack, peer, equal_var=False).confidence_interval())
    agrees = abs(apart) <= float(np.hypot(*spreads) / np.sqrt(2))
    return Parity(
        labels, len(stack), float(stack.mean()), spreads[0], float(peer.mean()), spreads[1], low, high, agrees
    )
