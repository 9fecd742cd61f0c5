"""What makes two crops alike: near features, or places that touch. Crops are named by their index in the pool.

Needs numpy only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from costal.types import Floats

Indices = NDArray[np.intp]

PAIRS, NEAREST_SHARE = 10_000, 0.005
"""Near-duplicates are nearer than the nearest 0.5 % of random pairs of the pool: whatever its scale, a crop then stands
for about one in 200, so that ten pass over 5 % of the pool, and a hundred still find unlike ones."""
SAME = 1e-10
"""Squared distance, against that from zero, which rounding alone makes between features of one crop in two batches."""
ROUNDING = 1e-5
"""More than the share by which squared distances of float32 can be off."""
CACHED_PAIRS = 2**18
"""Distances at a time, so that they are still in the cache when they are looked at."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """What makes two crops alike: features within `limit` of each other, or places (row, column) that touch.

    Features, places or both may be None: then they make none alike.
    """

    features_N_F: Floats | None
    places_N_2: NDArray[np.integer] | None
    limit: float = 0.0

    def alike(self, ones_A: Indices, others_B: Indices) -> NDArray[np.bool_]:
        """Return which of the ones are like which of the others, of shape (A, B)."""
        alike_A_B = np.zeros((len(ones_A), len(others_B)), dtype=np.bool_)
        if self.features_N_F is not None:
            ones, others = (self.features_N_F[crops].astype(np.float64) for crops in (ones_A, others_B))
            squares = np.square(ones).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
            alike_A_B |= squares - 2 * ones @ others.T <= self.limit**2 + SAME * squares
        if self.places_N_2 is not None:
            (rows, cols), (other_rows, other_cols) = self.places_N_2[ones_A].T, self.places_N_2[others_B].T
            touch = (np.abs(rows[:, None] - other_rows) <= 1) & (np.abs(cols[:, None] - other_cols) <= 1)
            alike_A_B |= touch
        return alike_A_B

    def is_like_any(self, ones_A: Indices, others_B: Indices) -> NDArray[np.bool_]:
        """Return which of the ones (A,) are like one or more of the others; the same as `alike`, but quicker."""
        found_A = np.zeros(len(ones_A), dtype=np.bool_)
        if len(ones_A) and len(others_B):
            if self.features_N_F is not None:
                found_A |= self._is_near_any(ones_A, others_B)
            if self.places_N_2 is not None:
                found_A |= _touch_any(self.places_N_2[ones_A], self.places_N_2[others_B])
        return found_A

    def _is_near_any(self, ones_A: Indices, others_B: Indices) -> NDArray[np.bool_]:
        """Return which features are within the limit: float32 settles all but those that its rounding could."""
        features: Floats = self.features_N_F if self.features_N_F is not None else np.empty((0, 0), np.float32)
        ones, others = (features[crops].astype(np.float32) for crops in (ones_A, others_B))
        most = [np.square(each).sum(axis=1).max() for each in (ones, others)]
        centre = others.mean(axis=0)
        ones, others = ones - centre, others - centre
        square_A, square_B = np.square(ones).sum(axis=1), np.square(others).sum(axis=1)
        nearest_A = np.full(len(ones), np.inf, dtype=np.float32)
        step = max(CACHED_PAIRS // len(ones), 1)
        for start in range(0, len(others), step):
            some = slice(start, start + step)
            least_A = (square_B[some, None] - 2 * others[some] @ ones.T).min(axis=0)
            np.minimum(nearest_A, least_A, out=nearest_A)
        rounding_A = ROUNDING * (square_A + square_B.max()) + SAME * sum(most)
        above_A = nearest_A + square_A - np.float32(self.limit**2)
        is_near_A: NDArray[np.bool_] = above_A < -rounding_A
        unsure = np.flatnonzero(np.abs(above_A) <= rounding_A)
        exactly = Similarity(self.features_N_F, None, self.limit)
        step = max(CACHED_PAIRS // len(others), 1)
        for start in range(0, len(unsure), step):
            some_unsure = unsure[start : start + step]
            is_near_A[some_unsure] = exactly.alike(others_B, ones_A[some_unsure]).any(axis=0)
        return is_near_A


def _touch_any(ones_A_2: NDArray[np.integer], others_B_2: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which places are among, or next to, one or more of the others."""
    width = int(max(ones_A_2[:, 1].max(), others_B_2[:, 1].max())) + 3  # so that no row runs into the next
    around = np.array([row * width + col for row in (-1, 0, 1) for col in (-1, 0, 1)])
    ones, others = (each[:, 0].astype(np.int64) * width + each[:, 1] for each in (ones_A_2, others_B_2))
    return np.isin(ones, (others[:, None] + around).ravel())


def similarity(
    features_N_F: Floats | None, places_N_2: NDArray[np.integer] | None, rng: np.random.Generator
) -> Similarity:
    """Return what makes crops of this pool alike, its limit from random pairs (see `NEAREST_SHARE`)."""
    if features_N_F is None or len(features_N_F) < 2:
        return Similarity(features_N_F, places_N_2)
    count = len(features_N_F)
    one = rng.integers(count, size=PAIRS)
    other = (one + rng.integers(1, count, size=PAIRS)) % count
    distances = np.linalg.norm(features_N_F[one] - features_N_F[other], axis=1)
    return Similarity(features_N_F, places_N_2, float(np.quantile(distances, NEAREST_SHARE)))
