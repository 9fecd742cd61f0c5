import numpy as np
import pytest

from costal.workbench.gallery import EXCLUDED, POOR, UNLABELLED, Filter, GalleryCrops, Similarity
from costal.workbench.poor_crops import (
    BLURRED,
    DARK,
    DUPLICATE,
    counts_of,
    dark_and_blurred,
    light_and_detail,
    near_duplicates,
    with_poor,
)


def crops_with(features, labels):
    count = len(labels)
    zeros, nothing = np.zeros(count, np.int64), np.full(count, np.nan, np.float32)
    probs = np.full((count, 1), np.nan, np.float32)
    similarity = Similarity(np.arange(count), np.asarray(features, np.float64))
    columns = zeros, zeros, zeros, zeros, np.array(labels), zeros > 0, probs, nothing, nothing, nothing, zeros, zeros
    return GalleryCrops((1,), *columns, (similarity,))


def test_only_later_crops_without_a_label_are_near_duplicates():
    """0 is like 2, and 1 like 3, which has a label: so 1 is its double, and 2 that of 0."""
    crops = crops_with([[1, 0], [0, 1], [1, 0.01], [0, 1]], [UNLABELLED, UNLABELLED, UNLABELLED, 1])
    assert near_duplicates(crops).tolist() == [False, True, True, False]


def test_crops_that_differ_are_no_duplicates():
    assert not near_duplicates(crops_with([[1, 0], [0, 1], [-1, 0], [0, -1]], [UNLABELLED] * 4)).any()


def test_the_detail_of_a_slope_is_none_and_of_a_checkerboard_of_pairs_is_known():
    slope = np.broadcast_to(np.arange(8.0), (1, 8, 8))
    assert light_and_detail(slope) == pytest.approx((3.5, 0.0))
    board = np.kron(np.indices((4, 4)).sum(0) % 2, np.ones((2, 2)))[None]
    assert light_and_detail(board) == pytest.approx((0.5, 16.0))  # the Laplacian is 4 or -4


def test_dark_and_blurred_crops_are_told_by_the_others_of_their_frame():
    light = np.array([10.0, 10.5, 20, 20, 20, 20, np.nan])
    detail = np.array([1.0, 1, 10, 10, 10, 1, np.nan])
    dark, blurred = dark_and_blurred(light, detail)
    assert dark.tolist() == [True, True, False, False, False, False, False]
    assert blurred.tolist() == [False, False, False, False, False, True, False]


def test_a_frame_that_cannot_be_read_has_no_poor_crops():
    crops = with_poor(crops_with([[1, 0], [0, 1]], [0, 0]), lambda rows: dict.fromkeys(rows, "It is gone."))
    assert crops.poor_N.tolist() == [0, 0]


def test_a_filter_shows_poor_crops_until_they_are_excluded():
    crops = crops_with([[1, 0], [0, 1], [1, 0], [0, 1]], [UNLABELLED] * 4)
    flat, rough = np.full((1, 8, 8), 24.0), 20 + 8 * np.random.default_rng(0).standard_normal((1, 8, 8))
    crops = with_poor(crops, lambda rows: {row: flat if row == 1 else rough + row for row in rows})
    assert crops.poor_N[1] & BLURRED
    assert counts_of(crops)["near-duplicate"] == 2
    chosen = Filter(label=POOR - DUPLICATE)
    assert (chosen.poor, Filter(label=POOR - DARK).poor, Filter(label=1).poor) == (DUPLICATE, DARK, 0)
    assert np.flatnonzero(chosen.flags(crops)).tolist() == [2, 3]
    excluded = crops.labelled([2], [EXCLUDED], [False])
    assert np.flatnonzero(chosen.flags(excluded)).tolist() == [3]
