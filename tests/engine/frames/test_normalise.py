import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from costal.errors import FrameError
from costal.frames.grid import crops, tile
from costal.frames.normalise import (
    IntensityRange,
    LazyCrops,
    intensity_range,
    merge_ranges,
    normalise,
    percentiles_by_count,
)

pixels_C_Y_X = arrays(np.float64, (2, 9, 11), elements=st.integers(0, 1000).map(float), fill=st.nothing())


def test_the_range_is_the_percentiles_of_each_channel():
    ramp = np.arange(101.0).reshape(1, 1, 101)
    plane = np.concatenate([ramp, 10 * ramp + 5])
    limits = intensity_range(plane, percentiles=(10, 90))
    assert limits == IntensityRange((10.0, 105.0), (90.0, 905.0))


def test_pixels_that_are_not_finite_do_not_count():
    ramp = np.arange(101.0).reshape(1, 1, 101)
    lies = np.full((1, 1, 300), np.nan)
    lies[..., ::3], lies[..., 1::3] = np.inf, -np.inf
    assert intensity_range(np.concatenate([ramp, lies], axis=2)) == intensity_range(ramp)


def test_a_few_bright_spots_on_an_even_ground_are_not_a_constant_channel():
    plane = np.full((1, 100, 100), 7, np.uint16)
    plane[0, 3, 4] = 500
    assert intensity_range(plane) == IntensityRange((7.0,), (500.0,))


def test_the_range_of_int16_does_not_overflow():
    plane = np.array([[[-32768, 32767]]], np.int16)
    assert intensity_range(plane, percentiles=(0, 50)) == IntensityRange((-32768.0,), (-0.5,))


def test_a_big_plane_is_sampled_the_same_way_twice_and_close_to_the_whole():
    plane = np.random.default_rng(0).normal(100, 10, (1, 2100, 4000)).astype(np.float32)
    first, second = intensity_range(plane), intensity_range(plane)
    assert first == second
    low, high = np.percentile(plane, (1.0, 99.8))
    assert first.low_C[0] == pytest.approx(low, abs=0.1)
    assert first.high_C[0] == pytest.approx(high, abs=0.2)


@pytest.mark.parametrize("percentiles", [(50, 50), (90, 10), (-1, 99), (1, 101), (np.nan, 99)])
def test_percentiles_that_do_not_grow_from_0_to_100_are_refused(percentiles):
    with pytest.raises(FrameError, match="two numbers from 0 to 100, the smaller one first"):
        intensity_range(np.zeros((1, 8, 8)), percentiles)


def test_a_channel_without_a_finite_pixel_is_refused_by_number():
    plane = np.zeros((2, 8, 8))
    plane[1] = np.nan
    with pytest.raises(FrameError, match="Channel 1 has no finite pixel"):
        intensity_range(plane)


def test_merging_takes_the_lowest_low_and_the_highest_high_of_each_channel():
    ranges = [IntensityRange((1, 20), (5, 90)), IntensityRange((2, 10), (9, 60))]
    assert merge_ranges(ranges) == IntensityRange((1, 10), (9, 90))


def test_merging_one_range_changes_nothing():
    one = IntensityRange((1.5, 2.5), (3.0, 4.0))
    assert merge_ranges(iter([one])) == one


@pytest.mark.parametrize(
    "ranges", [[], [IntensityRange((0,), (1,)), IntensityRange((0, 0), (1, 1))]], ids=["none", "1 and 2 channels"]
)
def test_ranges_of_no_common_channels_are_refused(ranges):
    with pytest.raises(FrameError, match="cannot be merged"):
        merge_ranges(ranges)


def test_low_becomes_0_high_becomes_1_and_far_values_are_clipped():
    crop = np.array([[[10, 30, 20, 0, 50, 60, -1000, 9999]]], np.int32)
    values = normalise(crop, IntensityRange((10.0,), (30.0,)))
    assert values.dtype == np.float32
    assert values.tolist() == [[[0.0, 1.0, 0.5, -0.5, 2.0, 2.0, -1.0, 2.0]]]


def test_nan_becomes_0_and_infinities_become_the_ends_of_the_range():
    crop = np.array([[[np.nan, np.inf, -np.inf, 3.0]]], np.float32)
    assert normalise(crop, IntensityRange((1.0,), (5.0,))).tolist() == [[[0.0, 1.0, 0.0, 0.5]]]


@pytest.mark.parametrize(("low", "high"), [(4.0, 4.0), (5.0, 4.0)], ids=["equal", "reversed"])
def test_a_constant_channel_becomes_0_and_leaves_the_others_alone(low, high):
    crop = np.full((2, 2, 2), 6.0)
    crop[0, 0, 0] = np.inf
    values = normalise(crop, IntensityRange((low, 4.0), (high, 8.0)))
    assert values[0].tolist() == [[0, 0], [0, 0]]
    assert values[1].tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_the_channel_is_the_third_axis_from_the_end():
    crops = np.random.default_rng(1).integers(0, 100, (4, 5, 2, 8, 8))
    limits = IntensityRange((0.0, 10.0), (100.0, 60.0))
    values = normalise(crops, limits)
    assert values.shape == crops.shape
    np.testing.assert_array_equal(values[3, 2], normalise(crops[3, 2], limits))


def test_limits_of_other_channels_are_refused():
    with pytest.raises(FrameError, match="3 channels, but the intensity range has 1"):
        normalise(np.zeros((3, 8, 8)), IntensityRange((0.0,), (1.0,)))


@given(plane=pixels_C_Y_X, gain=st.floats(1e-3, 1e3), offset=st.floats(-1e4, 1e4))
def test_gain_and_offset_of_the_detector_do_not_matter(plane, gain, offset):
    plane[:, 0, :2] = 0, 1000  # no constant channel: there, rounding would become its range
    moved = gain * plane + offset
    np.testing.assert_allclose(
        normalise(moved, intensity_range(moved)), normalise(plane, intensity_range(plane)), atol=1e-5
    )


@given(counts=arrays(np.uint16, (1, 16, 16), elements=st.integers(0, 100)))
def test_100_counts_on_an_offset_of_32768_are_as_good_as_without_it(counts):
    moved = counts + np.uint16(32768)
    np.testing.assert_allclose(
        normalise(moved, intensity_range(moved)), normalise(counts, intensity_range(counts)), atol=1e-6
    )


@given(
    crop=arrays(np.float32, (1, 4, 4), elements=st.floats(width=32)),
    low=st.floats(-1e6, 1e6),
    span=st.floats(1e-3, 1e6),
)
def test_the_result_is_finite_and_within_the_clip_whatever_the_pixels(crop, low, span):
    values = normalise(crop, IntensityRange((low,), (low + span,)))
    assert np.isfinite(values).all()
    assert values.min() >= -1
    assert values.max() <= 2


def test_any_slice_of_a_planes_crops_is_those_crops_normalised():
    pixels = np.random.default_rng(0).integers(0, 999, (2, 80, 96)).astype(np.uint16)
    grid, limits = tile((80, 96), 16), intensity_range(pixels)
    (cut,) = crops(pixels, grid)
    lazy = LazyCrops(pixels, limits, grid)
    assert (len(lazy), lazy.shape) == (30, (30, 2, 16, 16))
    np.testing.assert_array_equal(lazy[25:40], normalise(cut, limits)[25:])


@given(
    values=st.lists(st.integers(-300, 300), min_size=1, max_size=60),
    ends=st.tuples(st.floats(0, 49), st.floats(50, 100)),
)
def test_percentiles_by_count_are_those_of_numpy_to_the_last_bit(values, ends):
    pixels = np.array(values, np.int16)
    assert percentiles_by_count(pixels, ends) == tuple(np.percentile(pixels.astype(np.float64), ends))


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16"])
def test_the_range_of_an_integer_plane_is_that_of_its_pixels_as_floats(kind):
    info = np.iinfo(kind)
    plane = np.random.default_rng(0).integers(info.min, info.max, (1, 64, 64), endpoint=True).astype(kind)
    assert intensity_range(plane) == intensity_range(plane.astype(np.float64))
