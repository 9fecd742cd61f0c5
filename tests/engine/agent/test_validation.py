import numpy as np
import pytest

from costal.agent.metrics import accuracy_interval, share_interval
from costal.agent.validation import (
    at_temperature,
    block_groups,
    doubtful,
    fitted_temperature,
    folds_of,
    frame_groups,
    grouped_interval,
    validation_of,
)


def ints(*numbers):
    return np.array(numbers, np.int64)


def test_frames_are_groups_only_where_every_class_is_in_two_of_them():
    assert frame_groups(ints(1, 1, 2, 2), ints(0, 1, 0, 1)).tolist() == [1, 1, 2, 2]
    assert frame_groups(ints(1, 1, 2, 2), ints(0, 1, 0, 0)) is None


def test_blocks_are_as_large_as_the_labels_allow():
    rows, cols = np.divmod(np.arange(256), 16)
    class_N = (rows // 4 + cols // 4) % 2
    group_N = block_groups(np.ones(256, np.int64), rows * 64, cols * 64, 64, class_N)
    # of 6 to 8 crops a side there are less than ten
    assert np.bincount(group_N).tolist() == np.outer([5, 5, 5, 1], [5, 5, 5, 1]).ravel().tolist()
    few = block_groups(ints(1, 1, 1), ints(0, 64, 128), ints(0, 0, 0), 64, ints(0, 0, 1))
    assert few is None


def test_a_group_is_in_one_fold_and_every_class_is_spread():
    rng = np.random.default_rng(0)
    group_N = rng.integers(0, 30, 300)
    class_N = np.where(group_N < 5, 1, 0)  # a rare class, in five groups
    fold_N = folds_of(group_N, class_N, 0, 5)
    assert all(len(set(fold_N[group_N == group])) == 1 for group in range(30))
    assert [len(set(group_N[(fold_N == fold) & (class_N == 1)])) for fold in range(5)] == [1] * 5
    assert np.bincount(fold_N).min() > 35


def test_the_interval_of_independent_labels_is_wilsons():
    correct_N = np.array([1.0, 1, 1, 0, 1, 1, 0, 1])
    share, low, high = grouped_interval(correct_N, np.arange(8))
    assert share == 0.75
    # alone in their groups, labels vary by 8/7 of what independent ones do; t of 7 degrees of freedom is 2.364624
    assert (low, high) == pytest.approx(share_interval(0.75, 7 * (1.959964 / 2.364624) ** 2), abs=1e-6)
    assert low < accuracy_interval(6, 8)[0]


def test_groups_that_are_right_or_wrong_as_a_whole_count_as_one_label_each():
    group_N = np.repeat(np.arange(10), 20)
    correct_N = np.repeat([1.0, 1, 1, 1, 0, 1, 1, 0, 1, 1], 20)
    share, low, high = grouped_interval(correct_N, group_N)
    assert share == pytest.approx(0.8)
    # the design effect is 20 x 10/9, so that 200 labels tell as much as 9; t of 9 degrees of freedom is 2.262157
    z, count = 1.959963984540054, 9 * (1.959964 / 2.262157) ** 2
    centre, half = 0.8 + z**2 / (2 * count), z * np.sqrt(0.16 / count + z**2 / (4 * count**2))
    ends = (centre - half) / (1 + z**2 / count), (centre + half) / (1 + z**2 / count)
    assert (low, high) == pytest.approx(ends, abs=1e-6)


def test_a_temperature_makes_probabilities_less_sure_and_they_sum_to_one():
    probs = np.float32([[0.8, 0.2], [0.5, 0.5], [1.0, 0.0]])
    cooled = at_temperature(probs, 2.0)
    np.testing.assert_allclose(cooled[0], [2 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(cooled.sum(1), 1, rtol=1e-6)
    assert cooled[2, 0] < 1
    np.testing.assert_array_equal(at_temperature(probs, 1.0)[:2], probs[:2])


def test_the_temperature_that_was_applied_is_found_again():
    rng = np.random.default_rng(0)
    true_N_K = rng.dirichlet([1, 1, 1], 20_000).astype(np.float32)
    class_N = np.array([rng.choice(3, p=each / each.sum()) for each in true_N_K.astype(float)])
    assert fitted_temperature(at_temperature(true_N_K, 0.5)[None], class_N) == pytest.approx(2.0, rel=0.06)


def test_figures_are_counted_by_hand():
    probs_N_K = np.float32([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2]])
    other_N_K = np.float32([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.8, 0.2]])
    found = validation_of(np.stack([probs_N_K, other_N_K]), ints(0, 0, 1, 1), np.arange(4))
    assert found.share == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    np.testing.assert_allclose(found.confusion_K_K, [[1.5, 0.5], [1, 1]])
    np.testing.assert_allclose(found.recall_K, [0.75, 0.5])
    assert found.count == 4


def test_labels_that_no_model_was_asked_about_do_not_count():
    probs_N_K = np.float32([[0.9, 0.1], [np.nan, np.nan], [0.3, 0.7]])
    found = validation_of(probs_N_K[None], ints(0, 0, 1), np.arange(3))
    assert (found.count, found.share) == (2, 1.0)
    assert np.isnan(found.probs_N_K[1]).all()


def test_labels_that_the_others_contradict_come_out_the_surest_first():
    # thresholds: 0.56 of class 0, 0.65 of class 1
    probs_N_K = np.float32([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.35, 0.65], [0.2, 0.8], [0.6, 0.4], [0.05, 0.95]])
    class_N = ints(0, 0, 0, 0, 1, 1, 1)
    found = doubtful(probs_N_K, class_N)
    assert found.tolist() == [2, 5, 3]  # 3 does not reach its threshold
    assert doubtful(probs_N_K, probs_N_K.argmax(1)).tolist() == []


def test_surer_contradictions_come_before_unsure_ones():
    """The mean of class 0's labels for it is (0.9 + 0.9 + 0.4) / 3, of class 1's (0.4 + 0.8) / 2: 0.73 and 0.6."""
    probs_N_K = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.2, 0.8]], np.float32)
    assert doubtful(probs_N_K, ints(0, 0, 0, 1, 1)).tolist() == [2, 3]
