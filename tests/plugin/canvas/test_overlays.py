"""What is drawn lies where the crop lies: to the pixel, whatever the layer's transform."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from napari.components import ViewerModel
from napari.layers import Image

from costal.frames.grid import crop_at, heatmap, tile
from costal.labels.project import COLOURS
from napari_costal.canvas.overlays import (
    GRID,
    HEATMAP,
    LABELS,
    MOST_BOXES,
    QUERY,
    QUERY_COLOUR,
    FrameOverlay,
    centres,
    is_ours,
)
from napari_costal.canvas.placement import placement_of

TRANSFORMS = {
    "plain": {},
    "scaled": {"scale": (0.02, 0.02)},
    "scaled and moved": {"scale": (0.5, 0.5), "translate": (10.0, -3.0)},
    "not square": {"scale": (2.0, 0.5), "translate": (1.0, 2.0)},
    "turned": {"scale": (0.5, 0.5), "translate": (4.0, 5.0), "rotate": 30.0},
    "affine": {"affine": np.array([[0, 1.5, 3], [-1.5, 0, 7], [0, 0, 1]])},
}


@pytest.fixture(params=TRANSFORMS.values(), ids=TRANSFORMS)
def layer(request):
    return Image(np.zeros((100, 130)), **request.param)


@pytest.mark.parametrize(("crop", "stride"), [(32, 32), (33, 33), (32, 20)])
def test_a_heatmap_pixel_covers_its_crop(layer, crop, stride):
    viewer = ViewerModel()
    viewer.add_layer(layer)
    grid = tile((100, 130), crop, stride)
    FrameOverlay(viewer, "test").draw_heatmap(
        heatmap(grid, np.arange(len(grid))), grid, placement_of(layer), "value v", None
    )
    (drawn,) = (each for each in viewer.layers if is_ours(each))
    for index in range(len(grid)):
        row, col = divmod(index, grid.cols)
        y, x = grid.origin(index)
        middle = layer.data_to_world((y + (crop - 1) / 2, x + (crop - 1) / 2))
        np.testing.assert_allclose(drawn.data_to_world((row, col)), middle, atol=1e-9)
        # The corner of the heatmap's pixel is the corner of the cell that the stride gives this crop.
        corner = layer.data_to_world((y + (crop - stride) / 2 - 0.5, x + (crop - stride) / 2 - 0.5))
        np.testing.assert_allclose(drawn.data_to_world((row - 0.5, col - 0.5)), corner, atol=1e-9)


def test_a_bright_crop_is_found_under_the_hottest_pixel(layer):
    rng = np.random.default_rng(0)
    grid = tile((100, 130), 16)
    index = int(rng.integers(len(grid)))
    y, x = grid.origin(index)
    frame = np.zeros((1, 100, 130), dtype=np.float32)
    frame[0, y : y + 16, x : x + 16] = 1
    values = [crop_at(frame, grid, each).mean() for each in range(len(grid))]
    viewer = ViewerModel()
    viewer.add_layer(layer)
    FrameOverlay(viewer, "test").draw_heatmap(heatmap(grid, values), grid, placement_of(layer), "value v", None)
    (drawn,) = (each for each in viewer.layers if is_ours(each))
    hottest = np.unravel_index(np.argmax(drawn.data), drawn.data.shape)
    place = layer.world_to_data(drawn.data_to_world(hottest))
    assert frame[0, round(place[0]), round(place[1])] == 1
    np.testing.assert_allclose(place, (y + 7.5, x + 7.5), atol=1e-6)


def test_boxes_lie_on_the_crops_they_name(layer):
    viewer = ViewerModel()
    viewer.add_layer(layer)
    grid = tile((100, 130), 20)
    overlay = FrameOverlay(viewer, "test")
    overlay.draw_query(centres(grid, [0, 7]), grid, placement_of(layer))
    overlay.draw_labels(centres(grid, [3]), ["#ff0000"], grid, placement_of(layer))
    query = next(each for each in viewer.layers if each.metadata.get("part") == QUERY)
    np.testing.assert_allclose(
        [query.data_to_world(point) for point in query.data[::2]],
        [layer.data_to_world((9.5, 9.5)), layer.data_to_world((29.5, 29.5))],
    )
    assert list(query.text.string.array if hasattr(query.text.string, "array") else query.text.values)[1::2] == [
        "1",
        "2",
    ]


def test_a_rank_is_white_on_a_dark_plate_in_the_corner_of_its_crop():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((100, 100)))
    grid, overlay = tile((100, 100), 50), FrameOverlay(viewer, "test")
    for picked in ([0, 3], [3], [0, 1, 2]):
        overlay.draw_query(centres(grid, picked), grid, placement_of(layer))
        query = viewer.layers[-1]
        plates = slice(1, None, 2)
        np.testing.assert_allclose(query.size[plates], 18)  # 0.36 of the crop
        np.testing.assert_allclose(query.data[plates], np.array([grid.origin(at) for at in picked]) - 0.5 + 18 / 2)
        assert query.face_color[plates, :3].max() < 0.1
        assert (query.face_color[plates, 3] == 1).all()
        assert (query.face_color[::2, 3] == 0).all()
        assert list(query.text.values) == [each for rank in range(1, len(picked) + 1) for each in ("", str(rank))]


def test_the_boxes_of_a_query_have_the_colour_of_no_class():
    def far(one, other):
        return np.abs(np.array(to_rgb(one)) - to_rgb(other)).max()

    assert min(far(QUERY_COLOUR, each) for each in COLOURS) > 0.3


def test_a_labelled_crop_has_a_wide_frame_and_a_tint_of_its_class():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((100, 100)))
    grid, overlay = tile((100, 100), 50), FrameOverlay(viewer, "test")
    overlay.draw_labels(centres(grid, [0, 3]), ["#ff0000", "#0000ff"], grid, placement_of(layer))
    labels = viewer.layers[-1]
    np.testing.assert_allclose(labels.border_width, 4)  # 0.08 of the crop
    np.testing.assert_allclose(labels.size, 46)
    np.testing.assert_allclose(labels.face_color, [[1, 0, 0, 0.3], [0, 0, 1, 0.3]], atol=1e-6)


def test_limits_follow_the_values():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((64, 64)))
    grid, overlay = tile((64, 64), 32), FrameOverlay(viewer, "test")
    for top in (1.0, 50.0, 0.01):
        overlay.draw_heatmap(heatmap(grid, [0, 0.2 * top, 0.5 * top, top]), grid, placement_of(layer), "value v", None)
        drawn = next(each for each in viewer.layers if each.metadata.get("part") == HEATMAP)
        np.testing.assert_allclose(drawn.contrast_limits, (0, top), rtol=1e-6)
    assert len(viewer.layers) == 2, "the heatmap is updated, not added again"


def test_equal_values_and_missing_ones_are_drawn_too():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((64, 64)))
    grid, overlay = tile((64, 64), 32), FrameOverlay(viewer, "test")
    for values in ([1, 1, 1, 1], [np.nan] * 4):
        overlay.draw_heatmap(heatmap(grid, values), grid, placement_of(layer), "value v", None)
        drawn = next(each for each in viewer.layers if each.metadata.get("part") == HEATMAP)
        low, high = drawn.contrast_limits
        assert low < high


def test_the_users_selection_stays_on_the_frame():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((64, 64)))
    grid, overlay = tile((64, 64), 32), FrameOverlay(viewer, "test")
    overlay.draw_grid(grid, placement_of(layer))
    overlay.draw_query(centres(grid, [0]), grid, placement_of(layer))
    assert viewer.layers.selection.active is layer


def test_boxes_are_capped_and_a_dense_grid_is_not_drawn():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((4096, 4096), dtype=np.uint8))
    grid, overlay = tile((4096, 4096), 16), FrameOverlay(viewer, "test")
    overlay.draw_grid(grid, placement_of(layer))
    assert [each for each in viewer.layers if each.metadata.get("part") == GRID and each.visible] == []
    overlay.draw_labels(centres(grid, range(2 * MOST_BOXES)), ["#ffffff"] * 2 * MOST_BOXES, grid, placement_of(layer))
    drawn = next(each for each in viewer.layers if each.metadata.get("part") == LABELS)
    assert len(drawn.data) == MOST_BOXES


def test_only_our_own_layers_are_hidden_and_drawn_again_in_place():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((64, 64)), name="heatmap")
    grid = tile((64, 64), 32)
    mine, others = FrameOverlay(viewer, "mine"), FrameOverlay(viewer, "others")
    for overlay in (mine, others):
        overlay.draw_grid(grid, placement_of(layer))
    mine.hide()
    assert [each.visible for each in viewer.layers] == [True, False, True]
    mine.draw_grid(grid, placement_of(layer))
    assert [each.visible for each in viewer.layers] == [True, True, True]
    assert len(viewer.layers) == 3


def test_what_the_user_hides_stays_hidden():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((64, 64)))
    grid, overlay = tile((64, 64), 32), FrameOverlay(viewer, "test")
    overlay.draw_grid(grid, placement_of(layer))
    viewer.layers[-1].visible = False
    overlay.hide()
    overlay.draw_grid(grid, placement_of(layer))
    assert not viewer.layers[-1].visible


def test_boxes_move_to_another_frame_and_crop_size():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((64, 64)))
    other = viewer.add_image(np.zeros((64, 64)), scale=(2, 2), translate=(5, 5))
    overlay = FrameOverlay(viewer, "test")
    overlay.draw_query(centres(tile((64, 64), 32), [0, 1, 2]), tile((64, 64), 32), placement_of(layer))
    overlay.draw_query(centres(tile((64, 64), 16), [1]), tile((64, 64), 16), placement_of(other))
    query = viewer.layers[-1]
    np.testing.assert_allclose(query.data_to_world(query.data[0]), other.data_to_world((7.5, 23.5)))
    np.testing.assert_allclose(query.size, [15, 16 * 0.36])
    assert list(query.text.values) == ["", "1"]
