import numpy as np
import pytest

from costal.frames.grid import tile
from costal.frames.information import blank_crops, is_blank, told_blank

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("channels", "blank"),
    [
        pytest.param([[7, 7, 7, 7]], True, id="constant"),
        pytest.param([[0, 0, 0, 0]], True, id="zero"),
        pytest.param([[7, 7, 7, 8]], False, id="one pixel differs"),
        pytest.param([[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]], True, id="each channel constant"),
        pytest.param([[1, 1, 1, 1], [2, 2, 2, 3]], False, id="one channel shows something"),
        pytest.param([[NAN, NAN, NAN, NAN]], True, id="all NaN"),
        pytest.param([[NAN, NAN, 1, 2]], False, id="half NaN"),
        pytest.param([[NAN, NAN, NAN, 2]], True, id="mostly NaN"),
        pytest.param([[NAN, 5, 5, 5]], True, id="constant but for NaN"),
        pytest.param([[INF, -INF, 5, 5]], True, id="constant but for infinity"),
        pytest.param([[INF, -INF, NAN, 5]], True, id="mostly infinite"),
    ],
)
def test_a_crop_has_information_when_some_channel_has_finite_pixels_that_differ(channels, blank):
    crops = np.array(channels, np.float32).reshape(1, len(channels), 2, 2)
    assert is_blank(crops).tolist() == [blank]
    if np.isfinite(crops).all():
        assert is_blank(crops.astype(np.uint16)).tolist() == [blank]


def test_the_constant_half_of_a_frame_has_no_information():
    pixels = np.arange(16 * 32, dtype=np.uint16).reshape(1, 16, 32)
    pixels[:, :, :16] = 9
    assert blank_crops(pixels, tile((16, 32), 8)).tolist() == [True, True, False, False] * 2


def test_a_corner_of_nan_has_no_information_and_its_neighbours_have():
    pixels = np.random.default_rng(0).random((1, 24, 24))
    pixels[:, :8, :8] = np.nan
    pixels[:, 8, 8] = np.nan
    assert np.flatnonzero(blank_crops(pixels, tile((24, 24), 8))).tolist() == [0]


def test_what_is_said_counts_them_and_tells_a_frame_of_nothing():
    assert told_blank(0, 64) == ""
    assert told_blank(3, 64).startswith("3 of 64 crops have no information")
    assert told_blank(64, 64).startswith("The frame has no information")
