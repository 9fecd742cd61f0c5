"""The first query of a project without labels: crops that are typical of their kind, one of each kind.

Source: Hacohen, Dekel, Weinshall 2022, *Active Learning on a Budget* (TypiClust).
"""

from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS, ROUNDS = 20, 30
MOST_CLUSTERS = 50
MOST_COMPARED = 1000
"""Of more crops so many are drawn at random, so that a query is there at once."""


def typical(features_N_F: NDArray[np.floating], n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return n indices, the most typical crop of each of n clusters, largest cluster first; all if there are fewer.

    A crop is typical when its nearest neighbours within its cluster are near. Beyond `MOST_CLUSTERS` crops follow the
    next ones of each cluster.
    """
    count = len(features_N_F)
    if count <= n:
        return np.arange(count)
    compared = np.sort(rng.permutation(count)[: max(n, MOST_COMPARED)])
    features_N_F = features_N_F[compared]
    spread = features_N_F.std(0, dtype=np.float64)
    points = (features_N_F - features_N_F.mean(0, dtype=np.float64)) / np.where(spread > 0, spread, 1.0)
    cluster_N = clusters(points, min(n, MOST_CLUSTERS), rng)
    by_size = np.argsort(-np.bincount(cluster_N), kind="stable")
    ranked = [_most_typical_first(points, np.flatnonzero(cluster_N == each)) for each in by_size]
    in_turn = [each for rank in zip_longest(*ranked) for each in rank if each is not None]
    return compared[np.array(in_turn[:n], dtype=np.intp)]


def _most_typical_first(points: NDArray[np.float64], members: NDArray[np.intp]) -> list[int]:
    if len(members) == 1:
        return [int(members[0])]
    apart = np.sort(_squared(points[members], points[members]), axis=1)[:, 1 : NEIGHBOURS + 1]
    ranked: list[int] = members[np.argsort(np.sqrt(apart).mean(1), kind="stable")].tolist()
    return ranked


def clusters(points_N_F: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the cluster (N,) of each point, by k-means from centres that are drawn apart; none of n is empty.

    Source
    ------
    Arthur & Vassilvitskii 2007 (k-means++); Lloyd 1982.
    """
    centres = points_N_F[[int(rng.integers(len(points_N_F)))]]
    while len(centres) < n:
        nearest = _squared(points_N_F, centres).min(1)
        chance = nearest / nearest.sum() if nearest.sum() > 0 else None
        centres = np.concatenate([centres, points_N_F[[int(rng.choice(len(points_N_F), p=chance))]]])
    cluster_N = np.full(len(points_N_F), -1)
    for _ in range(ROUNDS):
        apart = _squared(points_N_F, centres)
        before, cluster_N = cluster_N, _none_empty(apart.argmin(1), apart)
        if np.array_equal(before, cluster_N):
            break
        centres = np.stack([points_N_F[cluster_N == each].mean(0) for each in range(n)])
    return cluster_N


def _none_empty(cluster_N: NDArray[np.intp], apart_N_M: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the clusters after each empty one got the point that lies worst in a cluster of several."""
    cluster_N = cluster_N.copy()
    for each in range(apart_N_M.shape[1]):
        if not (cluster_N == each).any():
            shared = np.bincount(cluster_N, minlength=apart_N_M.shape[1])[cluster_N] > 1
            own = np.where(shared, apart_N_M[np.arange(len(cluster_N)), cluster_N], -1.0)
            cluster_N[int(own.argmax())] = each
    return cluster_N


def _squared(one_N_F: NDArray[np.float64], other_M_F: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return squared distances (N, M), never below zero."""
    norms = (one_N_F**2).sum(1)[:, None] + (other_M_F**2).sum(1)
    squared: NDArray[np.float64] = np.maximum(norms - 2 * one_N_F @ other_M_F.T, 0.0)
    return squared
