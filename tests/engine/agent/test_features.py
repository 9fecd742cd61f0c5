import numpy as np

from costal.agent.features import simple_features


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
