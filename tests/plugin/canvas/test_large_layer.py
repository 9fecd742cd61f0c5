"""A layer whose plane is large is found again in its file, and cut from there; any doubt is told or avoided."""

import numpy as np
import pytest
from napari.components import Dims
from napari.layers import Image

from costal.errors import FrameError
from costal.frames.lazy import open_lazily
from costal.frames.read import Planes
from costal.frames.windows import LazyPlane, content_hash
from napari_costal.canvas import large_layer
from napari_costal.canvas.large_layer import lazy_plane_of, read_for_store
from napari_costal.canvas.layer_frames import SOURCE, frame_of, view_of
from napari_costal.canvas.opening import open_image

PIXELS = np.random.default_rng(0).integers(0, 4000, (2, 3, 4, 70, 90)).astype(np.uint16)
"""T, C, Z, Y, X"""


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(large_layer, "LARGE_BYTES", 1000)


@pytest.fixture
def path(tmp_path, write_zarr):
    return write_zarr(tmp_path / "a.ome.zarr", PIXELS, "tczyx")


def viewed(layer, point, planes="the slice shown"):
    return view_of(layer, Dims(ndim=len(point), range=[(0, 100, 1)] * len(point), point=point), planes)


def layer_of(pixels, path, **more):
    return Image(pixels, metadata={SOURCE: str(path)}, **more)


def test_a_slice_is_that_of_the_sliders(path):
    plane = lazy_plane_of(viewed(layer_of(PIXELS, path), (1, 2, 3, 0, 0)))
    assert plane.planes == Planes((2,), 3, 1)
    np.testing.assert_array_equal(plane[:, 10:50, 20:60], PIXELS[1, 2, 3, None, 10:50, 20:60])


def test_named_axes_in_another_order_are_understood(path):
    turned = layer_of(PIXELS.swapaxes(1, 2), path, axis_labels=("T", "Z", "C", "Y", "X"))
    assert lazy_plane_of(viewed(turned, (0, 3, 1, 0, 0))).planes == Planes((1,), 3, 0)


def test_the_channel_of_a_layer_that_shows_only_one_is_found_by_its_pixels(path):
    assert lazy_plane_of(viewed(layer_of(PIXELS[:, 1], path), (1, 2, 0, 0))).planes == Planes((1,), 2, 1)


def test_channels_that_look_alike_are_not_guessed(tmp_path, write_zarr):
    path = write_zarr(tmp_path / "b.ome.zarr", np.zeros((2, 70, 90), np.uint16), "cyx")
    with pytest.raises(FrameError, match=r"several equal channels.*costal open"):
        lazy_plane_of(viewed(layer_of(np.zeros((70, 90), np.uint16), path), (0, 0)))


def test_projections_and_channels_are_those_of_the_layer(tmp_path, write_zarr):
    for axes, pixels, planes, expected in (
        ("zyx", PIXELS[0, 0], "maximum projection", Planes(None, "max", None)),
        ("cyx", PIXELS[0, :, 0], "all as channels", Planes(None, None, None)),
    ):
        path = write_zarr(tmp_path / f"{axes}.zarr", pixels, axes)
        view = viewed(layer_of(pixels, path), (0, 0, 0), planes)
        plane = lazy_plane_of(view)
        assert plane.planes == expected
        np.testing.assert_array_equal(plane[:, :, :], frame_of(view)[1])


@pytest.mark.parametrize("which", ["other pixels", "other size", "no file", "a projection over channels", "small"])
def test_what_is_not_the_files_is_read_from_the_layer(which, path, monkeypatch):
    pixels, planes, point = PIXELS[0, 0, 0], "the slice shown", (0, 0)
    if which == "other pixels":
        pixels = pixels + 1
    elif which == "other size":
        pixels = pixels[:60]
    elif which == "no file":
        path = "layer:a"
    elif which == "small":
        monkeypatch.setattr(large_layer, "LARGE_BYTES", pixels.nbytes)
    else:
        pixels, planes, point = PIXELS, "maximum projection", (0,) * 5
    view = viewed(layer_of(pixels, path), point, planes)
    assert lazy_plane_of(view) is None
    record, plane = read_for_store(view)
    assert isinstance(plane.pixels_C_Y_X, np.ndarray)
    assert (record.height, record.width) == pixels.shape[-2:]


def test_the_store_knows_a_plane_by_what_the_command_line_knows_it_by(path):
    record, plane = read_for_store(viewed(layer_of(PIXELS, path), (1, 2, 3, 0, 0)))
    assert isinstance(plane.pixels_C_Y_X, LazyPlane)
    assert record.content_hash == content_hash(open_lazily(path), Planes((2,), 3, 1))
    assert (record.planes, record.source, record.pixel_um) == ("z 3, t 1, channels 2", str(path), 0.1)


def test_an_ome_zarr_is_opened_without_its_pixels(tmp_path, write_zarr):
    pixels = PIXELS[0, 0, 0]
    frame, ((low, high),) = open_image(write_zarr(tmp_path / "a.zarr", pixels, levels=2))
    assert frame.shape == pixels.shape
    assert (low, high) == pytest.approx(np.percentile(pixels, (1, 99.8)), rel=0.01)
