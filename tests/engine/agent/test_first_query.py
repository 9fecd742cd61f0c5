"""The first query: one typical crop of each kind."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.agent import first_query
from costal.agent.first_query import clusters, typical

RNG = np.random.default_rng


def groups(counts, apart=100.0):
    """Return points in groups of these sizes, far from one another, with the group of each."""
    group_N = np.repeat(np.arange(len(counts)), counts)
    points = RNG(0).normal(size=(len(group_N), 3))
    points += apart * group_N[:, None]
    return points.astype(np.float32), group_N


def test_every_kind_is_asked_about_once_and_the_most_frequent_first():
    points, group_N = groups([20, 50, 5])
    assert group_N[typical(points, 3, RNG(1))].tolist() == [1, 0, 2]


def test_the_crop_amid_its_neighbours_is_typical():
    line = np.array([[-9.0], [-1.0], [0.0], [1.0], [9.0]], np.float32)
    assert typical(line, 1, RNG(0)).tolist() == [2]


def test_all_are_asked_when_there_are_no_more():
    assert typical(np.zeros((3, 2), np.float32), 5, RNG(0)).tolist() == [0, 1, 2]


def test_a_second_crop_of_a_kind_comes_when_every_cluster_was_asked_about(monkeypatch):
    monkeypatch.setattr(first_query, "MOST_CLUSTERS", 2)
    points, group_N = groups([20, 8])
    assert group_N[typical(points, 5, RNG(1))].tolist() == [0, 1, 0, 1, 0]


def test_of_many_crops_some_drawn_at_random_are_compared(monkeypatch):
    monkeypatch.setattr(first_query, "MOST_COMPARED", 6)
    points, _ = groups([500, 500])
    picked = [tuple(typical(points, 2, RNG(seed)).tolist()) for seed in range(10)]
    assert len(set(picked)) == 10  # among all crops, or all six, the same ones would be typical again and again
    assert all(0 <= each < 1000 for pair in picked for each in pair)


@given(count=st.integers(2, 40), n=st.integers(1, 12), kinds=st.integers(1, 4), seed=st.integers(0, 99))
def test_indices_differ_even_where_crops_are_alike(count, n, kinds, seed):
    points = RNG(seed).integers(0, kinds, (count, 2)).astype(np.float32)
    picked = typical(points, n, RNG(seed))
    assert len(set(picked.tolist())) == len(picked) == min(n, count)


def test_the_same_draws_give_the_same_crops():
    points, _ = groups([30, 30])
    assert np.array_equal(typical(points, 7, RNG(3)), typical(points, 7, RNG(3)))


@pytest.mark.parametrize("n", [1, 4])
def test_no_cluster_is_empty(n):
    assert set(clusters(np.zeros((6, 2)), n, RNG(0)).tolist()) == set(range(n))
