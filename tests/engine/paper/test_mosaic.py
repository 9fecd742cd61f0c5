import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.frames.grid import crops
from costal.paper.digits import to_crops
from costal.paper.mosaic import mosaic, mosaic_grid, mosaic_heatmap, to_images


def images_of(count, side=4):
    return np.random.default_rng(count).integers(1, 256, (count, side, side), dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12, 13, 100, 1000])
def test_every_image_is_found_at_its_origin_and_the_rest_is_black(count):
    images = images_of(count)
    grid, whole = mosaic_grid(count, 4), mosaic(images)
    assert whole.shape == (grid.height, grid.width)
    for index in range(count):
        y, x = grid.origin(index)
        np.testing.assert_array_equal(whole[y : y + 4, x : x + 4], images[index])
    assert np.count_nonzero(whole) == count * 16


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_tiling_the_mosaic_gives_the_same_crops_back(count):
    images = images_of(count, 8)
    tiled = np.concatenate(list(crops(mosaic(images)[None], mosaic_grid(count, 8))))
    np.testing.assert_array_equal(tiled[:count, 0], images)


@given(st.integers(1, 3000))
def test_the_grid_is_near_square_and_no_row_is_empty(count):
    grid = mosaic_grid(count, 28)
    assert grid.cols - 1 <= grid.rows <= grid.cols
    assert (grid.rows - 1) * grid.cols < count <= len(grid)


@given(st.integers(1, 500), st.data())
def test_a_crops_value_lies_over_its_image_in_the_heatmap(count, data):
    index = data.draw(st.integers(0, count - 1))
    y, x = mosaic_grid(count, 28).origin(index)
    values = mosaic_heatmap(np.arange(count), 28)
    assert values[y // 28, x // 28] == index
    assert np.count_nonzero(~np.isnan(values)) == count


def test_places_left_over_have_no_value():
    np.testing.assert_array_equal(mosaic_heatmap([1, 2, 3], 28), [[1, 2], [3, np.nan]])


def test_images_that_became_crops_come_back():
    images = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    shown = to_images(to_crops(images))
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, images)


def test_of_a_crop_the_first_channel_is_shown_and_what_is_too_bright_or_dark_is_clipped():
    crops_1_2_1_4 = np.array([[[[-0.5, 0.5, 1.0, 7.0]], [[1.0, 1.0, 1.0, 1.0]]]], np.float32)
    np.testing.assert_array_equal(to_images(crops_1_2_1_4), [[[0, 128, 255, 255]]])
