"""Colours of thumbnails: as napari shows the layers, and as the labelling page does."""

import numpy as np
import pytest
from napari.layers import Image

from costal.frames.normalise import IntensityRange
from napari_costal.canvas.render import render
from napari_costal.gallery.looks import PLAIN, PLAIN_RGB, looks_of, picture
from napari_costal.gallery.thumbnails import scaled

RANGE = IntensityRange((0.0, 0.0, 0.0), (200.0, 200.0, 200.0))


def channels():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 200, (3, 16, 16)).astype(np.uint16)
    options = [{"colormap": each, "blending": "additive"} for each in ("red", "green", "magma")]
    layers = [Image(plane, contrast_limits=(10, 150), **each) for plane, each in zip(pixels, options, strict=True)]
    layers[1].gamma = 0.5
    return pixels, layers


@pytest.mark.parametrize("hidden", [(), (1,), (0, 1, 2)])
def test_channels_look_as_on_the_bench_to_within_a_shade(hidden):
    pixels, layers = channels()
    for each in hidden:
        layers[each].visible = False
    expected = render(pixels, layers, RANGE)[..., :3].astype(int)
    shown = picture(pixels, looks_of(layers), RANGE, is_own=True).astype(int)
    assert np.abs(expected - shown).max() <= 3
    assert np.ptp(shown) > 100


def test_an_rgb_image_is_shown_as_it_is_in_the_file():
    pixels = np.random.default_rng(1).integers(0, 256, (3, 8, 8)).astype(np.uint8)
    layer = Image(np.moveaxis(pixels, 0, -1), rgb=True)
    np.testing.assert_array_equal(picture(pixels, looks_of([layer]), RANGE, True), np.moveaxis(pixels, 0, -1))


def test_another_frame_is_shown_within_its_own_range():
    pixels = np.array([[[0, 500, 1000]]], np.uint16)
    layer = Image(np.zeros((4, 4), np.uint16), contrast_limits=(0, 100), colormap="gray")
    own, other = (
        picture(pixels, looks_of([layer]), IntensityRange((0.0,), (1000.0,)), each)[0, :, 0].tolist()
        for each in (True, False)
    )
    assert own == [0, 255, 255]
    assert other == [0, 128, 255]


def test_without_a_layer_one_channel_is_grey_and_three_of_an_rgb_project_are_colours():
    one = picture(np.array([[[0, 100, 200]]]), PLAIN, IntensityRange((0.0,), (200.0,)), False)
    assert one[0].tolist() == [[0, 0, 0], [128, 128, 128], [255, 255, 255]]
    three = picture(np.array([[[200]], [[0]], [[100]]]), PLAIN_RGB, RANGE, False)
    assert three[0, 0].tolist() == [255, 0, 128]


def test_looks_are_equal_where_they_show_the_same():
    _, layers = channels()
    before = looks_of(layers)
    assert looks_of(layers) == before
    layers[2].contrast_limits = (10, 151)
    assert looks_of(layers) != before


@pytest.mark.parametrize(("side", "expected"), [(8, (4, 8)), (64, (32, 64)), (16, (8, 16))])
def test_a_thumbnail_keeps_its_shape_within_its_side(side, expected):
    image = scaled(np.full((8, 16, 3), 200, np.uint8), side)
    assert (image.height(), image.width()) == expected
    assert image.pixelColor(0, 0).red() == 200


def test_a_reason_stays_a_reason():
    assert scaled("gone", 8) == "gone"
