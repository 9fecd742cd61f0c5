import numpy as np
import pytest

from costal.errors import FrameError
from costal.frames import resample
from costal.frames.resample import resampled


def test_larger_pixels_are_the_mean_of_what_they_cover():
    plane = np.arange(24, dtype=np.uint16).reshape(1, 4, 6)
    np.testing.assert_allclose(resampled(plane, 0.5), [[[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]]])


def test_a_pixel_that_lies_in_two_larger_ones_counts_in_both_by_its_parts():
    # 3 pixels to 2: [a b c] to [(a + b / 2) / 1.5, (b / 2 + c) / 1.5]
    np.testing.assert_allclose(resampled(np.array([[[3.0, 6, 0]]] * 3).transpose(1, 0, 2), 2 / 3)[0, 0], [4, 2])


def test_smaller_pixels_lie_on_lines_between_the_old_ones():
    row = resampled(np.array([[[0.0, 4.0]]]), 2)[0, 0]
    np.testing.assert_allclose(row, [0, 1, 3, 4])


@pytest.mark.parametrize("zoom", [0.2, 0.37, 1.3, 5])
def test_a_constant_stays_exactly_the_same(zoom):
    assert np.unique(resampled(np.full((2, 33, 41), 12345, np.uint16), zoom)).tolist() == [12345]


def test_nan_stays_where_it_is():
    plane = np.ones((1, 40, 40))
    plane[:, :10, :10] = np.nan
    expected = np.zeros((20, 20), bool)
    expected[:5, :5] = True
    np.testing.assert_array_equal(np.isnan(resampled(plane, 0.5)[0]), expected)


def test_what_would_be_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(resample, "MOST_PIXELS", 100)
    with pytest.raises(FrameError, match="20 x 20 pixels, which is too many"):
        resampled(np.ones((1, 4, 4)), 5)
