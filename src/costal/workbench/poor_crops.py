"""Crops that teach little: near-duplicates by their features, dark ones and those out of focus by their pixels."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from costal.workbench.gallery import UNLABELLED, GalleryCrops

DUPLICATE, DARK, BLURRED = 1, 2, 4
POOR_NAMES = {DUPLICATE: "near-duplicate", DARK: "dark", BLURRED: "out of focus"}
ALIKE = 0.98
"""The cosine of two crops' centred features from which on they are near-duplicates."""
DARK_SHARE, BLUR_SHARE = 0.15, 0.15
"""Of the frame's median: less light than so much is dark, less fine detail than so much is out of focus."""
MOST_COMPARED = 20_000
BLOCK = 1024

Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]
Pixels = Callable[[Iterable[int]], dict[int, NDArray[np.generic] | str]]


def with_poor(crops: GalleryCrops, read: Pixels) -> GalleryCrops:
    """Return the crops with what is poor about each; `read` gives pixels (C, H, W) by row, or why there are none."""
    poor_N = np.where(near_duplicates(crops), DUPLICATE, 0)
    for frame_id in np.unique(crops.frame_id_N).tolist():
        rows = np.flatnonzero(crops.frame_id_N == frame_id)
        dark_n, blurred_n = dark_and_blurred(*_measured(rows, read))
        poor_N[rows] |= np.where(dark_n, DARK, 0) | np.where(blurred_n, BLURRED, 0)
    return replace(crops, poor_N=poor_N)


def near_duplicates(crops: GalleryCrops) -> Flags:
    """Return which crops without a label look like one that has a label, or that stands before them."""
    is_double_N = np.zeros(len(crops), np.bool_)
    for each in crops.similarities:
        features_M_F = np.asarray(each.features_M_F, np.float32)[:MOST_COMPARED]
        rows_M = each.rows_M[:MOST_COMPARED]
        if len(rows_M) < 2:
            continue
        features_M_F = features_M_F - features_M_F.mean(0)  # what all have in common tells nothing
        features_M_F /= np.maximum(np.linalg.norm(features_M_F, axis=1, keepdims=True), 1e-9)
        is_free_M = crops.label_N[rows_M] == UNLABELLED
        order_M = np.argsort(is_free_M, kind="stable")  # those with a label come first
        sorted_M_F = features_M_F[order_M]
        for first in range(0, len(order_M), BLOCK):
            block = sorted_M_F[first : first + BLOCK] @ sorted_M_F[: first + BLOCK].T
            earlier = np.arange(block.shape[1]) < first + np.arange(len(block))[:, None]
            own = rows_M[order_M[first : first + BLOCK]]
            is_double_N[own] = ((block >= ALIKE) & earlier).any(1)
    is_double_N &= crops.label_N == UNLABELLED
    return is_double_N


def _measured(rows: Rows, read: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the light and the detail of crops (n,), NaN where their pixels cannot be read."""
    light_n, detail_n = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for first in range(0, len(rows), BLOCK):
        pixels = read(rows[first : first + BLOCK].tolist())
        for place, row in enumerate(rows[first : first + BLOCK].tolist(), first):
            crop = pixels[row]
            if not isinstance(crop, str):
                light_n[place], detail_n[place] = light_and_detail(crop)
    return light_n, detail_n


def light_and_detail(crop_C_H_W: NDArray[np.generic]) -> tuple[float, float]:
    """Return the mean of a crop's pixels and the variance of their Laplacian, after 2 x 2 pixels were averaged."""
    plane = crop_C_H_W.astype(np.float64).mean(0)
    height, width = (2 * (side // 2) for side in plane.shape)
    small = plane[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    around = small[:-2, 1:-1] + small[2:, 1:-1] + small[1:-1, :-2] + small[1:-1, 2:]
    return float(plane.mean()), float((around - 4 * small[1:-1, 1:-1]).var()) if around.size else 0.0


def dark_and_blurred(
    light_n: NDArray[np.float64], detail_n: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which crops of one frame are dark, and which others are out of focus, by light and detail of each.

    Light counts above that of the frame's darkest crop; detail as it grows with light, for noise does.
    """
    if not np.isfinite(light_n).any():
        return np.zeros(len(light_n), np.bool_), np.zeros(len(light_n), np.bool_)
    above_n = light_n - np.nanmin(light_n)
    dark_n = above_n < DARK_SHARE * np.nanmedian(above_n)
    sharp_n = detail_n / np.maximum(light_n, np.finfo(np.float64).tiny)
    lit_n = sharp_n[~dark_n & np.isfinite(sharp_n)]
    blurred_n = ~dark_n & (sharp_n < BLUR_SHARE * np.median(lit_n)) if len(lit_n) else np.zeros(len(sharp_n), np.bool_)
    return dark_n & np.isfinite(light_n), blurred_n & np.isfinite(light_n)


def counts_of(crops: GalleryCrops) -> dict[str, int]:
    """Return how many crops without a label are poor, by what is poor about them."""
    free_N = crops.label_N == UNLABELLED
    return {name: int((free_N & ((crops.poor_N & code) > 0)).sum()) for code, name in POOR_NAMES.items()}
