"""The current frame is seen alone and whole, under the overlays; what the user changes afterwards stays."""

import numpy as np
import pytest
from napari.components import ViewerModel

from costal.frames.grid import tile
from napari_costal.canvas.layer_frames import SOURCE
from napari_costal.canvas.overlays import GRID, QUERY, FrameOverlay, centres, is_ours
from napari_costal.canvas.placement import placement_of
from napari_costal.canvas.stage import Stage

CANVAS = 600, 800  # rows, columns
MARGIN = 0.95


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    viewer.canvas.size = CANVAS
    return viewer


def frame(viewer, name, pixel_um=1.0, shape=(100, 200), **options):
    place = {"scale": (pixel_um, pixel_um), "metadata": {SOURCE: f"{name}.tif"}}
    return viewer.add_image(np.zeros(shape), name=name, **place | options)


def test_a_chosen_frame_is_shown_and_the_one_before_is_hidden(viewer):
    one, other = frame(viewer, "one"), frame(viewer, "other")
    stage = Stage(viewer)
    stage.show([one])
    assert (one.visible, other.visible) == (True, False)
    stage.show([other])
    assert (one.visible, other.visible) == (False, True)


def test_a_frame_that_the_user_switches_on_stays_until_another_is_chosen(viewer):
    one, other = frame(viewer, "one"), frame(viewer, "other")
    stage = Stage(viewer)
    stage.show([one])
    other.visible = True
    stage.show([one])
    assert other.visible


@pytest.mark.parametrize(
    ("options", "stays"),
    [
        ({}, False),
        ({"blending": "additive"}, True),
        ({"translate": (100, 0)}, True),
        ({"translate": (99, 0)}, False),
        ({"translate": (0, 200)}, True),
    ],
    ids=["covers", "lets the frame through", "below", "overlaps by a row", "beside"],
)
def test_an_image_of_the_user_is_hidden_only_where_it_covers_the_frame(viewer, options, stays):
    one = frame(viewer, "one")
    own = viewer.add_image(np.zeros((100, 200)), name="own", **options)
    Stage(viewer).show([one])
    assert own.visible is stays


def test_an_image_under_the_frame_and_layers_that_are_no_images_are_let_alone(viewer):
    under = viewer.add_image(np.zeros((100, 200)))
    one = frame(viewer, "one")
    labels = viewer.add_labels(np.zeros((100, 200), int))
    Stage(viewer).show([one])
    assert under.visible
    assert labels.visible


@pytest.mark.parametrize("pixel_um", [0.02, 1.0, 5.0])
def test_a_chosen_frame_fills_the_canvas_whatever_the_pixel_size_of_the_one_before(viewer, pixel_um):
    before, other = frame(viewer, "before"), frame(viewer, "other", pixel_um)
    stage = Stage(viewer)
    stage.show([before])
    stage.show([other])
    height, width = 100 * pixel_um, 200 * pixel_um
    assert viewer.scene.camera.zoom == pytest.approx(MARGIN * min(600 / height, 800 / width))
    middle = ((height - pixel_um) / 2, (width - pixel_um) / 2)
    assert viewer.scene.camera.center[-2:] == pytest.approx(middle)


def test_the_next_frame_in_the_same_layer_is_fitted_too(viewer):
    layer = frame(viewer, "one")
    stage = Stage(viewer)
    stage.show([layer])
    layer.metadata, layer.scale = {SOURCE: "two.tif"}, (0.1, 0.1)
    stage.show([layer])
    assert viewer.scene.camera.zoom == pytest.approx(MARGIN * 800 / 20)


def test_the_frame_follows_the_canvas_until_the_user_looks_elsewhere(viewer):
    stage = Stage(viewer)
    stage.show([frame(viewer, "one")])
    viewer.canvas.size = (300, 400)
    assert viewer.scene.camera.zoom == pytest.approx(MARGIN * 2)
    viewer.scene.camera.zoom = 7.0
    viewer.canvas.size = CANVAS
    assert viewer.scene.camera.zoom == 7.0
    stage.show([frame(viewer, "another")])
    assert viewer.scene.camera.zoom == pytest.approx(MARGIN * 4)
    stage.stop()
    viewer.canvas.size = (300, 400)
    assert viewer.scene.camera.zoom == pytest.approx(MARGIN * 4)


def test_what_is_drawn_over_a_frame_lies_on_top_whatever_is_opened_or_moved(viewer):
    one, grid = frame(viewer, "one"), tile((100, 200), 20)
    overlay = FrameOverlay(viewer, "test")
    overlay.draw_query(centres(grid, [3]), grid, placement_of(one))
    overlay.draw_grid(grid, placement_of(one))

    def on_top():
        return [layer.metadata["part"] for layer in list(viewer.layers)[-2:] if is_ours(layer)]

    assert on_top() == [GRID, QUERY]
    other = frame(viewer, "other")
    assert on_top() == [GRID, QUERY]
    viewer.layers.move(viewer.layers.index(other), len(viewer.layers))
    assert on_top() == [GRID, QUERY]
    assert list(viewer.layers)[:2] == [one, other]
    overlay.stop()
    frame(viewer, "last")
    assert viewer.layers[-1].name == "last"
