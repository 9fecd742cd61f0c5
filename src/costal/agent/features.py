"""Simple features of crops: what a first query looks at where the project has no frozen backbone."""

import numpy as np
from numpy.typing import NDArray

from costal.types import Floats

BATCH = 4096
"""Crops at a time, for memory: what is made of them on the way is several times their size."""


def simple_features(crops_N_C_H_W: Floats) -> NDArray[np.float64]:
    """Return standardised features of shape (N, 4 C): mean, spread, 99th percentile and edge strength per channel."""
    batches = [_features(crops_N_C_H_W[start : start + BATCH]) for start in range(0, len(crops_N_C_H_W), BATCH)]
    features = np.concatenate(batches or [_features(crops_N_C_H_W)])
    spread = features.std(axis=0)
    standardised: NDArray[np.float64] = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return standardised


def _features(crops_B_C_H_W: Floats) -> NDArray[np.float64]:
    """Return the features of a few crops as they are."""
    crops = crops_B_C_H_W.astype(np.float64)
    edge_strength = np.abs(np.diff(crops, axis=-1)).mean((-2, -1)) + np.abs(np.diff(crops, axis=-2)).mean((-2, -1))
    columns = [
        crops.mean((-2, -1)),
        crops.std((-2, -1)),
        np.percentile(crops, 99, axis=(-2, -1)),
        edge_strength,
    ]
    return np.concatenate(columns, axis=1)
