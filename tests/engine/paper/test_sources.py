from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.errors import DatasetError
from costal.paper.sources import Dataset, initial_indices, pool_indices
from costal.seeds import rng_for


def crops_of(class_N, name="shapes", per_frame=None):
    """Return a source of blank crops with these classes."""
    class_N = np.asarray(class_N)
    return Dataset(
        name,
        tuple(map(str, range(class_N.max() + 1))),
        (1, 2, 2),
        "cost units",
        len(class_N),
        take=lambda rows: (np.zeros((len(rows), 1, 2, 2), np.float32), class_N[rows]),
        test=lambda: (np.zeros((0, 1, 2, 2), np.float32), class_N[:0]),
        effort=lambda rows, repeat, order: np.ones(len(rows), np.float32),
        fingerprint="",
        per_frame=per_frame,
    )


@pytest.fixture
def ten_classes():
    """Return 400 crops of ten classes."""
    return crops_of(np.arange(400) % 10)


@pytest.fixture
def frames():
    """Return 12 frames of 8 crops of three classes, the third of which has one crop in every frame."""
    return crops_of([0, 0, 0, 1, 1, 1, 1, 2] * 12, per_frame=8)


# start


@pytest.mark.parametrize("class_count", [2, 3, 10])
def test_the_start_has_two_crops_of_each_class(class_count):
    dataset = crops_of(np.arange(400) % class_count)
    indices = initial_indices(dataset, 0, 0)
    assert len(set(indices.tolist())) == 2 * class_count
    assert np.bincount(dataset.classes(indices)).tolist() == [2] * class_count


def test_rare_classes_are_looked_for_in_all_crops():
    class_N = np.zeros(5000, int)
    class_N[[17, 4711]] = 1
    assert {17, 4711} < set(initial_indices(crops_of(class_N), 0, 0).tolist())


def test_a_class_with_one_crop_is_refused_by_name():
    with pytest.raises(DatasetError, match=r"shapes has fewer than 2 crops to draw from in: 1, 3\."):
        initial_indices(crops_of([0, 0, 0, 1, 2, 2, 3]), 0, 0)


def test_the_start_and_the_first_pool_of_mnist_are_those_of_earlier_versions():
    dataset = crops_of(np.arange(60_000) % 10, "MNIST")
    order = rng_for(3, "pools", 4).permutation(60_000)
    start = initial_indices(dataset, 3, 4)
    first_two = [order[order % 10 == digit][:2] for digit in range(10)]
    assert set(start.tolist()) == set(np.concatenate(first_two).tolist())
    assert [int(np.flatnonzero(order == each)[0]) for each in start] == sorted(
        int(np.flatnonzero(order == each)[0]) for each in start
    )
    fresh = [each for each in order[:1020].tolist() if each not in set(start.tolist())]
    assert pool_indices(dataset, 3, 4, 1, 1000).tolist() == fresh[:1000]


# disjoint


def test_pools_share_no_crop_with_each_other_or_the_start(ten_classes):
    pools = [pool_indices(ten_classes, 0, 0, number, 95) for number in range(1, 5)]
    everything = np.concatenate([initial_indices(ten_classes, 0, 0), *pools])
    assert len(set(everything.tolist())) == len(everything) == 20 + 4 * 95
    assert [len(pool) for pool in pools] == [95] * 4


def test_repeats_and_seeds_draw_other_crops(ten_classes):
    drawn = {tuple(pool_indices(ten_classes, seed, repeat, 1, 50)) for seed in (0, 1) for repeat in (0, 1)}
    assert len(drawn) == 4
    starts = {tuple(initial_indices(ten_classes, seed, repeat)) for seed in (0, 1) for repeat in (0, 1)}
    assert len(starts) == 4


def test_too_large_pools_are_refused_with_the_arithmetic():
    dataset = crops_of(np.arange(60_000) % 10, "MNIST")
    with pytest.raises(
        DatasetError,
        match=r"98 disjoint pools of 1000 images and 20 initial images need 98,020, but MNIST has 60,000.* 612",
    ):
        pool_indices(dataset, 0, 0, 98, 1000)


def test_the_most_that_the_refusal_names_does_fit(ten_classes):
    with pytest.raises(DatasetError, match="at most 126"):
        pool_indices(ten_classes, 0, 0, 3, 127)
    assert len(pool_indices(ten_classes, 0, 0, 3, 126)) == 126


# redraw


def played(dataset, rounds, pool_size, n, repeat=0):
    """Return all pools of a run in which each round labels the first n of its pool, and what was labelled."""
    queries = [initial_indices(dataset, 0, repeat)]
    pools = []
    for number in range(1, rounds + 1):
        pools.append(pool_indices(dataset, 0, repeat, number, pool_size, "redraw", tuple(queries)))
        queries.append(pools[-1][:n])
    return pools, queries


def test_redrawn_pools_are_the_disjoint_ones_while_those_last(ten_classes):
    pools, _ = played(ten_classes, 4, 95, 10)
    for number, pool in enumerate(pools, 1):
        assert pool.tolist() == pool_indices(ten_classes, 0, 0, number, 95).tolist()


@given(pool_size=st.integers(20, 150), n=st.integers(0, 8), repeat=st.integers(0, 3))
def test_no_redrawn_pool_offers_what_was_labelled_before_and_none_of_a_turn_offers_a_crop_twice(pool_size, n, repeat):
    dataset = crops_of(np.arange(400) % 10)
    pools, queries = played(dataset, 14, pool_size, n, repeat)
    left, offered = 380, set()
    for number, pool in enumerate(pools):
        if left < pool_size:
            left, offered = 400 - sum(map(len, queries[: number + 1])), set()
        assert len(set(pool.tolist())) == pool_size
        assert not offered & set(pool.tolist())
        assert not set(pool.tolist()) & set(np.concatenate(queries[: number + 1]).tolist())
        offered |= set(pool.tolist())
        left -= pool_size


def test_crops_passed_over_are_offered_again_in_another_order(ten_classes):
    pools, _ = played(ten_classes, 2, 380, 0)
    assert set(pools[0].tolist()) == set(pools[1].tolist())
    assert pools[0].tolist() != pools[1].tolist()


def test_what_a_turn_labels_does_not_change_its_later_pools(ten_classes):
    _, queries = played(ten_classes, 6, 100, 10)
    long, short = tuple(queries), tuple(queries[:4])
    assert pool_indices(ten_classes, 0, 0, 6, 100, "redraw", long).tolist() == (
        pool_indices(ten_classes, 0, 0, 6, 100, "redraw", short).tolist()
    )


def test_a_redraw_without_the_labels_before_it_is_refused(ten_classes):
    with pytest.raises(ValueError, match="needs it to round 3"):
        pool_indices(ten_classes, 0, 0, 4, 100, "redraw", tuple(np.zeros((3, 0), int)))


def test_a_pool_larger_than_what_is_left_without_a_label_is_refused_with_the_numbers(ten_classes):
    with pytest.raises(DatasetError, match=r"pool of 381 images is too large: .* only 380 unlabelled"):
        pool_indices(ten_classes, 0, 0, 1, 381, "redraw")


# frames


def test_a_round_offers_one_whole_frame_and_none_twice(frames):
    pools = [pool_indices(frames, 0, 0, number, 8) for number in range(1, 11)]
    assert all(pool.tolist() == list(range(pool[0], pool[0] + 8)) and pool[0] % 8 == 0 for pool in pools)
    assert len({int(pool[0]) for pool in pools}) == 10


def test_the_start_is_from_the_first_frames_of_a_repeat_which_no_round_offers(frames):
    start = initial_indices(frames, 0, 0)
    order = rng_for(0, "pools", 0).permutation(12)
    assert np.bincount(frames.classes(start)).tolist() == [2, 2, 2]
    assert np.bincount(start // 8, minlength=12)[order[:2]].tolist() == [5, 1]
    assert pool_indices(frames, 0, 0, 1, 8)[0] == order[2] * 8


def test_repeats_see_frames_in_another_order(frames):
    seen = [[int(pool_indices(frames, 0, repeat, number, 8)[0]) for number in (1, 2, 3)] for repeat in range(4)]
    assert all(one != other for one, other in pairwise(seen))


def test_a_pool_that_is_no_whole_frame_is_refused_with_the_remedy(frames):
    with pytest.raises(DatasetError, match=r"frames of 8 crops.*set pool_size = 8, not 1000"):
        pool_indices(frames, 0, 0, 1, 1000)


def test_frames_that_run_out_are_counted(frames):
    with pytest.raises(DatasetError, match="need 13 frames, but shapes has 12"):
        pool_indices(frames, 0, 0, 11, 8, "redraw")
