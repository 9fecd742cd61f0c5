"""Small pictures of planes: their size, colours and values, and how little of a large plane is read."""

import numpy as np
import pytest
import tifffile

from costal.frames import thumbnails
from costal.frames.lazy import open_lazily
from costal.frames.planes import describe, planes_called
from costal.frames.read import Planes
from costal.frames.thumbnails import thumbnail

WHOLE = Planes(None, None, None)


@pytest.mark.parametrize(
    "planes",
    [WHOLE, Planes(None, 3, 0), Planes((0, 2), "max", None), Planes((1,), None, None), Planes(None, "mean", "max")],
)
def test_the_words_for_planes_are_read_back_as_these(planes):
    assert planes_called(describe(planes)) == planes


@pytest.mark.parametrize("words", ["slice 3", "maximum projection", "all as channels", "z three", ""])
def test_words_of_earlier_versions_name_no_planes(words):
    assert planes_called(words) is None


def test_a_picture_keeps_the_shape_of_its_plane(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 99, (100, 400), np.uint16))
    assert thumbnail(open_lazily(tmp_path / "a.tif"), WHOLE, 96).shape == (24, 96, 3)


def test_a_small_plane_is_not_made_larger(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.arange(32 * 20, dtype=np.uint8).reshape(32, 20))
    assert thumbnail(open_lazily(tmp_path / "a.tif"), WHOLE).shape == (32, 20, 3)


def test_a_grey_plane_runs_from_black_to_white(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.repeat(np.repeat([[100, 300]], 8, 0), 8, 1).astype(np.uint16))
    picture = thumbnail(open_lazily(tmp_path / "a.tif"), WHOLE)
    assert picture[:, :8].max() == 0
    assert picture[:, 8:].min() == 255


def test_channels_are_added_in_their_colours(tmp_path):
    pixels = np.zeros((2, 8, 8), np.uint16)
    pixels[0, :, :4], pixels[1, :4] = 1000, 50
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    picture = thumbnail(open_lazily(tmp_path / "a.tif"), WHOLE)
    assert picture[0, 7].tolist() == [0, 255, 0]
    assert picture[7, 0].tolist() == [255, 0, 255]
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[7, 7].tolist() == [0, 0, 0]


def test_three_channels_have_the_colours_that_the_window_gives_them(tmp_path):
    pixels = np.zeros((3, 8, 9), np.uint16)
    for at in range(3):
        pixels[at, :, 3 * at : 3 * at + 3] = 1000
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    picture = thumbnail(open_lazily(tmp_path / "a.tif"), WHOLE)
    assert picture[0, ::3].tolist() == [[0, 255, 255], [255, 255, 0], [255, 0, 255]]


def test_a_colour_image_keeps_its_hue(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = (200, 100, 0)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    assert thumbnail(open_lazily(tmp_path / "a.tif"), WHOLE)[0, 0].tolist() == [255, 128, 0]


class Counted:
    """A level that counts the pixels of the chunks that are decoded of it."""

    def __init__(self, array, chunks):
        self._array, self.chunks, self.decoded = array, chunks, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key):
        ends = [each.indices(size) for each, size in zip(key, self.shape, strict=True)]
        count = [-(-end // chunk) - start // chunk for (start, end, _), chunk in zip(ends, self.chunks, strict=True)]
        self.decoded += int(np.prod(count) * np.prod(self.chunks))
        return self._array[key]


def lazily(tmp_path, levels):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    whole = open_lazily(tmp_path / "a.tif")
    known = whole.source, whole.axes, levels[0].shape, tuple(levels), None, "identity"
    return type(whole)(*known, channels=whole.channels)


@pytest.mark.parametrize("chunks", [(256, 256), (1, 20000), (64, 20000), (500, 500)])
def test_of_a_large_plane_few_chunks_are_decoded(tmp_path, chunks):
    ramp = np.broadcast_to((np.arange(20000) // 79).astype(np.uint8)[:, np.newaxis], (20000, 20000))
    level = Counted(ramp, chunks)
    picture = thumbnail(lazily(tmp_path, [level]), WHOLE)
    assert picture.shape == (96, 96, 3)
    assert level.decoded <= thumbnails.MOST_BYTES
    assert picture[0].max() < picture[-1].min()


def test_a_plane_that_is_one_large_chunk_has_no_picture(tmp_path):
    level = Counted(np.broadcast_to(np.uint8(1), (20000, 20000)), (20000, 20000))
    assert thumbnail(lazily(tmp_path, [level]), WHOLE) is None
    assert level.decoded == 0


def test_a_pyramid_is_read_at_its_coarsest_level_that_suffices(tmp_path):
    levels = [Counted(np.broadcast_to(np.uint8(0), (side, side)), (64, 64)) for side in (20000, 2000, 200, 20)]
    assert thumbnail(lazily(tmp_path, levels), WHOLE).shape == (96, 96, 3)
    assert [each.decoded > 0 for each in levels] == [False, False, True, False]
