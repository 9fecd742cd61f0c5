"""Simple features of crops, and a first query that is spread over them: for a project without labels."""

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


def spread_out(features_N_F: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return n indices spread over feature space: each next one is farthest from those before it.

    The first is drawn by `rng`; fewer than n are returned when there are fewer rows.

    Source
    ------
    Gonzalez 1985, farthest-first traversal (k-centre greedy).
    """
    picked: list[int] = [int(rng.integers(len(features_N_F)))]
    distance_N = np.linalg.norm(features_N_F - features_N_F[picked[0]], axis=1)
    distance_N[picked[0]] = -1.0
    while len(picked) < min(n, len(features_N_F)):
        farthest = int(np.argmax(distance_N))
        picked.append(farthest)
        distance_N = np.minimum(distance_N, np.linalg.norm(features_N_F - features_N_F[farthest], axis=1))
        distance_N[picked] = -1.0
    return np.array(picked, dtype=np.intp)
