"""Any image layer is a frame: what is on the screen, a projection, or all channels."""

import numpy as np
import pytest
from napari.components import Dims
from napari.layers import Image

from costal.errors import FrameError
from napari_costal.canvas.layer_frames import LayerView, frame_of, pixel_um_of, view_of


def viewed(layer, point, planes, **more):
    """Return the view of a layer in a viewer whose sliders stand at a point of the world."""
    dims = Dims(ndim=len(point), range=[(0, 100, 1)] * len(point), point=point, **more)
    return view_of(layer, dims, planes)


STACK = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, 20, 30)


def test_a_plane_keeps_its_bit_depth_and_values():
    pixels = np.arange(600, dtype=np.int16).reshape(20, 30) - 300
    frame, plane = frame_of(viewed(Image(pixels), (0, 0), "the slice shown"))
    assert plane.dtype == np.int16
    assert plane.shape == (1, 20, 30)
    np.testing.assert_array_equal(plane[0], pixels)
    assert frame.axes == "CYX"


@pytest.mark.parametrize(
    ("planes", "expected"),
    [
        ("the slice shown", STACK[1:2]),
        ("maximum projection", STACK.max(0, keepdims=True)),
        ("all as channels", STACK),
    ],
)
def test_leading_axes_are_sliced_projected_or_kept(planes, expected):
    _, plane = frame_of(viewed(Image(STACK), (1, 0, 0), planes))
    np.testing.assert_array_equal(plane, expected)


def test_the_slice_is_part_of_the_frames_identity():
    first, second = (viewed(Image(STACK), (step, 0, 0), "the slice shown") for step in (0, 1))
    assert first.description != second.description
    assert frame_of(first)[0].content_hash != frame_of(second)[0].content_hash


def test_samples_of_an_rgb_layer_become_channels_without_alpha():
    rgba = np.zeros((20, 30, 4), dtype=np.uint8)
    rgba[..., 1], rgba[..., 3] = 7, 255
    _, plane = frame_of(viewed(Image(rgba, rgb=True), (0, 0), "the slice shown"))
    assert plane.shape == (3, 20, 30)
    assert [int(channel.max()) for channel in plane] == [0, 7, 0]


def test_a_two_dimensional_layer_in_a_deeper_viewer_is_whole():
    view = viewed(Image(STACK[0]), (2, 0, 0, 0), "the slice shown")
    assert view.steps == ()
    np.testing.assert_array_equal(frame_of(view)[1][0], STACK[0])


def test_too_many_channels_are_refused_with_the_remedy():
    with pytest.raises(FrameError, match=r"12 channels with these settings; at most 8 .*maximum projection"):
        frame_of(viewed(Image(np.zeros((12, 20, 30))), (0, 0, 0), "all as channels"))


def test_complex_pixels_are_refused():
    with pytest.raises(FrameError, match="complex"):
        frame_of(LayerView(np.zeros((20, 30), dtype=np.complex64), "waves", "the slice shown", (), False, None))


@pytest.mark.parametrize(
    ("unit", "scale", "expected"),
    [("micrometer", 0.02, 0.02), ("nanometer", 20.0, 0.02), ("pixel", 1.0, None)],
)
def test_the_pixel_size_comes_from_the_layers_units(unit, scale, expected):
    layer = Image(np.zeros((20, 30)), scale=(scale, scale), units=(unit, unit))
    assert pixel_um_of(layer) == (pytest.approx(expected) if expected else None)


def test_the_slice_is_the_one_that_the_layer_shows_there():
    """The sliders stand in the world: a layer with a scale and a place of its own shows another index."""
    layer = Image(np.arange(5 * 400).reshape(5, 20, 20), scale=(2, 1, 1), translate=(5, 0, 0))
    view = viewed(layer, (9.0, 0, 0), "the slice shown")
    assert view.steps == (2,)


@pytest.mark.parametrize("more", [{"ndisplay": 3}, {"order": (1, 0, 2)}], ids=["3D", "rolled"])
def test_other_displays_than_the_last_two_axes_are_refused(more):
    with pytest.raises(FrameError, match="Show the image in 2D"):
        viewed(Image(STACK), (1, 0, 0), "the slice shown", **more)


def test_a_frame_does_not_change_when_the_microscope_writes_on():
    live = np.zeros((20, 30), dtype=np.uint16)
    frame, plane = frame_of(viewed(Image(live), (0, 0), "the slice shown"))
    live[:] = 7
    assert plane.max() == 0
    assert frame.pixels.max() == 0


@pytest.mark.parametrize(
    ("axes", "shape", "planes", "words"),
    [
        ("Z", (5,), "the slice shown", "z 3"),
        ("T", (5,), "the slice shown", "t 3"),
        ("TZ", (4, 5), "the slice shown", "z 3, t 3"),
        ("TZ", (1, 5), "the slice shown", "z 3"),
        ("CZ", (4, 5), "the slice shown", "z 3, channels 3"),
        ("Z", (1,), "the slice shown", "all"),
        ("", (5,), "the slice shown", "slice 3"),
        ("TZ", (4, 5), "maximum projection", "max z, max t"),
        ("C", (4,), "maximum projection", "maximum projection"),
        ("C", (4,), "all as channels", "all"),
        ("Z", (4,), "all as channels", "all as channels"),
        ("", (), "the slice shown", "all"),
    ],
)
def test_planes_are_called_as_the_command_line_calls_them_where_the_axes_are_known(axes, shape, planes, words):
    steps = tuple(min(3, length - 1) for length in shape)
    assert LayerView(np.zeros((*shape, 8, 8)), "a.tif", planes, steps, False, None, axes).description == words
