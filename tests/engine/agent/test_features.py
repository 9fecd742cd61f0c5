import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from costal.agent.features import simple_features, spread_out


def test_features_are_standardised_mean_spread_percentile_and_edges():
    crops = np.zeros((2, 1, 8, 8), dtype=np.float32)
    crops[1, 0, :, 4:] = 1  # one edge: brighter, wider spread, higher percentile, stronger edge
    np.testing.assert_allclose(simple_features(crops), [[-1] * 4, [1] * 4])


def test_a_checkerboard_has_the_mean_of_two_halves_but_stronger_edges():
    y, x = np.mgrid[:8, :8]
    crops = np.stack([x >= 4, (x + y) % 2])[:, None].astype(np.float32)
    np.testing.assert_allclose(simple_features(crops), [[0, 0, 0, -1], [0, 0, 0, 1]], atol=1e-9)


def test_there_are_four_features_per_channel():
    assert simple_features(np.random.default_rng(0).random((3, 2, 8, 8), dtype=np.float32)).shape == (3, 8)


def test_equal_crops_have_features_of_zero():
    assert not simple_features(np.ones((3, 1, 8, 8), dtype=np.float32)).any()


def test_the_next_crop_is_the_farthest_from_those_before():
    line = np.array([[0.0], [1.0], [4.0], [10.0]])
    seed = next(seed for seed in range(50) if np.random.default_rng(seed).integers(4) == 0)
    assert spread_out(line, 3, np.random.default_rng(seed)).tolist() == [0, 3, 2]


def test_one_crop_of_each_kind_comes_before_a_second_of_any():
    kinds = np.repeat(np.eye(4) * 10, 5, axis=0) + np.random.default_rng(0).normal(0, 0.1, (20, 4))
    for seed in range(10):
        assert sorted(spread_out(kinds, 4, np.random.default_rng(seed)) // 5) == [0, 1, 2, 3]


@given(count=st.integers(1, 12), n=st.integers(1, 15), seed=st.integers(0, 20), equal=st.booleans())
def test_spread_out_crops_are_distinct_and_as_many_as_there_are(count, n, seed, equal):
    features = np.zeros((count, 3)) if equal else np.random.default_rng(seed).random((count, 3))
    picked = spread_out(features, n, np.random.default_rng(seed)).tolist()
    assert len(set(picked)) == len(picked) == min(n, count)
    assert picked == spread_out(features, n, np.random.default_rng(seed)).tolist()
