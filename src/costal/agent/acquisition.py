"""Acquisition functions: the committee's class probabilities P in, information I out.

Each takes `probs_T_N_K` (passes, crops, classes; rows sum to 1) and returns a float tensor of shape (N,).

Source: Gal, Islam, Ghahramani 2017, *Deep Bayesian Active Learning with Image Data*, section 4.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from costal.types import AcquisitionName


def entropy(probs: Tensor) -> Tensor:
    """Return the Shannon entropy in nats over the last axis; 0 log 0 is 0."""
    return torch.special.entr(probs).sum(-1)  # type: ignore[no-any-return]


def predictive_entropy(probs_T_N_K: Tensor) -> Tensor:
    """Return the entropy of the committee's mean, in [0, log K] nats."""
    return entropy(probs_T_N_K.mean(0))


def bald(probs_T_N_K: Tensor) -> Tensor:
    """Return the mutual information of label and weights, in [0, log K] nats: zero when the committee agrees."""
    return predictive_entropy(probs_T_N_K) - entropy(probs_T_N_K).mean(0)


def std(probs_T_N_K: Tensor) -> Tensor:
    """Return the mean over classes of the standard deviation over passes (of the population), in [0, 0.5]."""
    return probs_T_N_K.std(0, correction=0).mean(-1)


def variation_ratio(probs_T_N_K: Tensor) -> Tensor:
    """Return one less the greatest mean probability, in [0, 1 - 1/K]."""
    return 1 - probs_T_N_K.mean(0).amax(-1)


ACQUISITION_FUNCTIONS: dict[AcquisitionName, Callable[[Tensor], Tensor]] = {
    "bald": bald,
    "predictive_entropy": predictive_entropy,
    "std": std,
    "variation_ratio": variation_ratio,
}
"""All that need a committee; ``random`` does not look at the crops."""
