"""Files say what their channels are: names, colours, and whether they are the samples of a colour image."""

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from costal.frames.lazy import open_lazily
from costal.frames.planes import describe, planes_of
from costal.frames.read import read
from costal.types import Channel, PlaneRule

PIXELS = np.random.default_rng(0).integers(0, 255, (3, 20, 24)).astype(np.uint8)
RGB = np.ascontiguousarray(np.moveaxis(PIXELS, 0, -1))


def red_table():
    table = np.zeros((3, 256), np.uint8)
    table[0] = np.arange(256)
    return table


def write_stack(path):
    tifffile.imwrite(path, PIXELS, photometric="minisblack", metadata={"axes": "CYX"})


def write_rgba(path):
    tifffile.imwrite(path, np.dstack([RGB, RGB[..., 0]]), photometric="rgb", extrasamples=(2,))


def write_samples(path):
    tifffile.imwrite(path, RGB, photometric="minisblack", planarconfig="contig")


def write_ome(path, colours):
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "actin", "FISH"], "Color": colours}}
    tifffile.imwrite(path, PIXELS, ome=True, photometric="minisblack", metadata=metadata)


@pytest.mark.parametrize(
    ("name", "write", "is_rgb"),
    [
        ("rgb.tif", lambda path: tifffile.imwrite(path, RGB, photometric="rgb"), True),
        ("rgba.tif", write_rgba, True),
        ("rgb.png", lambda path: Image.fromarray(RGB).save(path), True),
        ("rgb.jpg", lambda path: Image.fromarray(RGB).save(path), True),
        ("stack.tif", write_stack, False),
        ("samples.tif", write_samples, False),
        ("ome.ome.tif", lambda path: write_ome(path, [1, 2, 3]), False),
        ("grey.png", lambda path: Image.fromarray(PIXELS[0]).save(path), False),
    ],
)  # fmt: skip
def test_three_samples_a_pixel_are_rgb_and_three_channels_are_not(tmp_path, name, write, is_rgb):
    write(tmp_path / name)
    for frame in (read(tmp_path / name), open_lazily(tmp_path / name)):
        assert frame.is_rgb is is_rgb
        assert [each.index for each in frame.channels] == list(range(1 if name == "grey.png" else 3))
        if is_rgb:
            assert [each.name for each in frame.channels] == ["red", "green", "blue"]


def test_samples_that_the_user_calls_times_are_no_colours(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb")
    assert not read(tmp_path / "a.tif", axes="YXT").is_rgb


def test_names_and_colours_are_those_of_the_ome_xml(tmp_path):
    # red, green, blue and alpha in one signed number; -1, the schema's default, means no colour
    write_ome(tmp_path / "a.ome.tif", [0x0000FFFF, 0xFF8000FF - 2**32, -1])
    expected = (Channel(0, "DAPI", "#0000ff"), Channel(1, "actin", "#ff8000"), Channel(2, "FISH", ""))
    assert read(tmp_path / "a.ome.tif").channels == expected
    assert open_lazily(tmp_path / "a.ome.tif").channels == expected


def test_names_and_colours_are_those_of_imagej(tmp_path):
    grey = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    metadata = {"axes": "CYX", "mode": "composite", "Labels": ["DAPI", "actin"], "LUTs": [red_table(), grey]}
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[:2], imagej=True, metadata=metadata)
    assert read(tmp_path / "a.tif").channels == (Channel(0, "DAPI", "#ff0000"), Channel(1, "actin", "#ffffff"))


def test_names_and_colours_are_those_of_omero(tmp_path, write_zarr):
    path = write_zarr(tmp_path / "a.zarr", PIXELS, "cyx")
    group = zarr.open_group(str(path), mode="r+")
    channels = [{"label": "DAPI", "color": "0000FF"}, {"color": "none"}, {"label": 3, "color": "00ff00"}]
    group.attrs["ome"] = {**group.attrs["ome"], "omero": {"channels": channels}}
    frame = open_lazily(path)
    assert frame.channels == (Channel(0, "DAPI", "#0000ff"), Channel(1), Channel(2, "", "#00ff00"))
    assert not frame.is_rgb


@pytest.mark.parametrize("omero", [None, [], {"channels": "two"}, {"channels": [1, 2, 3]}, {"channels": [{}]}])
def test_channels_that_are_told_of_wrongly_have_no_name(tmp_path, write_zarr, omero):
    path = write_zarr(tmp_path / "a.zarr", PIXELS, "cyx")
    group = zarr.open_group(str(path), mode="r+")
    group.attrs["ome"] = {**group.attrs["ome"], "omero": omero}
    assert open_lazily(path).channels == (Channel(0), Channel(1), Channel(2))


def test_all_channels_in_their_order_are_called_as_if_none_were_chosen(tmp_path):
    write_stack(tmp_path / "a.tif")
    frame = read(tmp_path / "a.tif")
    named = [describe(planes_of(frame, PlaneRule(channels=some))[0]) for some in ((0, 1, 2), (0, 2), (2, 1, 0), None)]
    assert named == ["all", "channels 0 2", "channels 2 1 0", "all"]
