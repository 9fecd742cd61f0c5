import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.errors import FrameError
from costal.frames.grid import crop_at, crop_um, crop_with_surroundings, crops, heatmap, index_at, origins, tile


def ramp(height, width, channels=1):
    return np.arange(channels * height * width, dtype=np.uint16).reshape(channels, height, width)


@st.composite
def grids(draw, edge=None):
    crop = draw(st.integers(8, 20))
    height, width = draw(st.integers(crop, 60)), draw(st.integers(crop, 60))
    return tile((height, width), crop, draw(st.integers(1, crop)), edge or draw(st.sampled_from(["drop", "pad"])))


@pytest.mark.parametrize(
    ("shape", "crop", "stride", "edge", "rows_cols"),
    [
        ((224, 224), 32, None, "drop", (7, 7)),
        ((100, 70), 32, None, "drop", (3, 2)),
        ((100, 70), 32, None, "pad", (4, 3)),
        ((96, 64), 32, None, "pad", (3, 2)),
        ((96, 64), 32, 16, "drop", (5, 3)),
        ((97, 65), 32, 16, "pad", (6, 4)),
        ((32, 32), 32, 1, "drop", (1, 1)),
        ((17, 40), 32, None, "pad", (1, 2)),
    ],
    ids=lambda value: str(value),
)
def test_rows_and_cols_are_those_counted_by_hand(shape, crop, stride, edge, rows_cols):
    grid = tile(shape, crop, stride, edge)
    assert (grid.rows, grid.cols) == rows_cols
    assert len(grid) == rows_cols[0] * rows_cols[1]


def test_crops_are_counted_row_by_row():
    grid = tile((20, 40), 10, 5)  # 3 rows of 7 columns
    by_hand = [[y, x] for y in (0, 5, 10) for x in (0, 5, 10, 15, 20, 25, 30)]
    np.testing.assert_array_equal(origins(grid), by_hand)
    np.testing.assert_array_equal(origins(grid, [20, 7, 6]), [[10, 30], [5, 0], [0, 30]])
    assert [list(grid.origin(index)) for index in range(len(grid))] == by_hand


@pytest.mark.parametrize(
    ("shape", "crop", "stride", "edge", "message"),
    [
        ((100, 100), 7, None, "drop", "too small. Choose at least 8"),
        ((100, 100), 16, 0, "drop", "stride of 0 .* Choose 1 to 16"),
        ((100, 100), 16, 17, "pad", "stride of 17 .* Choose 1 to 16"),
        ((20, 100), 21, None, "drop", "21 pixels does not fit a frame of 20 x 100. Choose at most 20, or pad"),
        ((20, 100), 40, None, "drop", "Choose at most 20\\.$"),
        ((20, 100), 40, None, "pad", "40 pixels does not fit a frame of 20 x 100. Choose at most 39\\.$"),
    ],
    ids=["small crop", "no stride", "gaps", "large crop", "larger than reflection", "padded too far"],
)
def test_a_grid_that_cannot_be_is_refused_with_what_could(shape, crop, stride, edge, message):
    with pytest.raises(FrameError, match=message):
        tile(shape, crop, stride, edge)


@given(grids())
def test_dropped_crops_lie_within_the_frame_and_padded_ones_cover_it(grid):
    covered = np.zeros((grid.height, grid.width), bool)
    for index in range(len(grid)):
        y, x = grid.origin(index)
        covered[y : y + grid.crop, x : x + grid.crop] = True
        if grid.edge == "drop":
            assert y + grid.crop <= grid.height
            assert x + grid.crop <= grid.width
    if grid.edge == "pad":
        assert covered.all()
    else:
        assert grid.height - np.flatnonzero(covered.any(axis=1))[-1] <= grid.stride


@given(grids("pad"))
def test_padding_reflects_as_numpy_does(grid):
    plane = ramp(grid.height, grid.width, 2)
    reach = [
        (n - 1) * grid.stride + grid.crop - side for n, side in ((grid.rows, grid.height), (grid.cols, grid.width))
    ]
    padded = np.pad(plane, [(0, 0), *((0, max(0, over)) for over in reach)], mode="reflect")
    for index in range(len(grid)):
        y, x = grid.origin(index)
        np.testing.assert_array_equal(crop_at(plane, grid, index), padded[:, y : y + grid.crop, x : x + grid.crop])


def test_a_crop_larger_than_the_frame_is_its_reflection():
    plane = ramp(5, 15)
    column = crop_at(plane, tile((5, 15), 9, edge="pad"), 0)[0, :, 0] // 15
    assert column.tolist() == [0, 1, 2, 3, 4, 3, 2, 1, 0]


def test_a_crop_keeps_the_dtype_and_all_channels():
    plane = ramp(20, 30, channels=3)
    crop = crop_at(plane, tile((20, 30), 10), 4)
    assert crop.dtype == np.uint16
    np.testing.assert_array_equal(crop, plane[:, 10:20, 10:20])


@pytest.mark.parametrize("index", [-1, 6])
def test_a_crop_that_the_grid_does_not_have_is_an_index_error(index):
    with pytest.raises(IndexError, match=f"crop {index} is not one of 6"):
        crop_at(ramp(20, 30), tile((20, 30), 10), index)


def test_a_plane_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(FrameError, match="frame is 21 x 30, the grid is for 20 x 30"):
        crop_at(ramp(21, 30), tile((20, 30), 10), 0)


@given(grid=grids(), batch=st.integers(1, 9))
def test_the_batches_hold_every_crop_once_in_order(grid, batch):
    plane = ramp(grid.height, grid.width)
    chosen = list(range(len(grid)))[:40]
    batches = list(crops(plane, grid, chosen, batch))
    assert all(len(part) <= batch for part in batches)
    np.testing.assert_array_equal(np.concatenate(batches), np.stack([crop_at(plane, grid, i) for i in chosen]))


def test_without_indices_all_crops_come_and_with_them_their_order_is_kept():
    plane, grid = ramp(20, 30), tile((20, 30), 10)
    assert [part.shape for part in crops(plane, grid, batch=4)] == [(4, 1, 10, 10), (2, 1, 10, 10)]
    (picked,) = crops(plane, grid, np.array([5, 0]))
    assert picked[:, 0, 0, 0].tolist() == [10 * 30 + 20, 0]
    assert list(crops(plane, grid, [])) == []


@pytest.mark.parametrize(
    ("index", "shape", "offset"),
    [(0, (13, 13), (0, 0)), (4, (13, 16), (3, 3)), (5, (13, 13), (3, 3)), (1, (13, 16), (0, 3))],
    ids=["corner", "lower edge", "lower right", "upper edge"],
)
def test_surroundings_end_at_the_frame_and_the_offset_finds_the_crop(index, shape, offset):
    plane, grid = ramp(20, 30), tile((20, 30), 10)
    shown, (y, x) = crop_with_surroundings(plane, grid, index, margin=3)
    assert (shown.shape[1:], (y, x)) == (shape, offset)
    np.testing.assert_array_equal(shown[:, y : y + 10, x : x + 10], crop_at(plane, grid, index))


def test_surroundings_of_a_padded_crop_show_no_reflected_pixel():
    plane, grid = ramp(25, 25), tile((25, 25), 10, edge="pad")
    shown, offset = crop_with_surroundings(plane, grid, 8, margin=2)
    np.testing.assert_array_equal(shown, plane[:, 18:, 18:])
    assert offset == (2, 2)


def test_the_heatmap_is_nan_where_there_is_no_value():
    grid = tile((20, 30), 10)
    result = heatmap(grid, [1.5, 2.5], indices=[5, 1])
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, [[np.nan, 2.5, np.nan], [np.nan, np.nan, 1.5]])
    np.testing.assert_array_equal(heatmap(grid, range(6)), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(("values", "indices"), [([1.0], None), ([1.0], [0, 1])], ids=["all", "some"])
def test_a_heatmap_needs_one_value_per_crop(values, indices):
    with pytest.raises(FrameError, match="1 values do not fit"):
        heatmap(tile((20, 30), 10), values, indices)


@given(grid=grids(), at=st.tuples(st.integers(0, 59), st.integers(0, 59)))
def test_a_pixel_finds_the_crop_with_the_nearest_centre_among_those_that_contain_it(grid, at):
    y, x = at
    distances = {}
    for index in range(len(grid)):
        top, left = grid.origin(index)
        if top <= y < top + grid.crop and left <= x < left + grid.crop:
            distances[index] = abs(2 * (y - top) - grid.crop + 1) + abs(2 * (x - left) - grid.crop + 1)
    inside = y < grid.height and x < grid.width
    # min returns the first of equals: the upper and left one
    assert index_at(grid, y, x) == (min(distances, key=distances.__getitem__) if inside and distances else None)


@pytest.mark.parametrize(
    ("y", "x", "index"),
    [(0, 0, 0), (9, 10, 1), (19, 29, 5), (20, 0, None), (0, 30, None), (-1, 0, None), (0, -1, None)],
)
def test_a_pixel_finds_its_crop_and_none_in_the_rest_and_outside(y, x, index):
    assert index_at(tile((24, 34), 10), y, x) == index


def test_the_side_of_a_crop_in_micrometres_needs_a_pixel_size():
    grid = tile((64, 64), 32)
    assert crop_um(grid, 0.02) == pytest.approx(0.64)
    assert crop_um(grid, None) is None
