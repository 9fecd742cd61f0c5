"""A palette that is a ramp is a display; other palettes are colours."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from costal.errors import FrameError
from costal.frames.lazy import open_lazily
from costal.frames.palette import RAMP, is_ramp
from costal.frames.read import read

UP = np.arange(256)
NONE = np.zeros(256, int)
MARKED = np.stack([UP, UP, UP])
MARKED[:, 0], MARKED[:, -1] = (0, 0, 255), (255, 0, 0)
RAMPS = {
    "grey": [UP, UP, UP],
    "green": [NONE, UP, NONE],
    "orange": [UP, UP // 2, NONE],
    "inverted": [255 - UP] * 3,
    "hot": [np.minimum(3 * UP, 255), np.clip(3 * UP - 255, 0, 255), np.clip(3 * UP - 510, 0, 255)],
    "saturated": [np.minimum(2 * UP, 255)] * 3,
    "ends marked": MARKED,
}
RNG = np.random.default_rng(0)
COLOURS = {
    "random": RNG.integers(0, 256, (3, 256)),
    "rainbow": [np.abs(UP - 128), UP, 255 - UP],
    "three labels": [np.where(UP == 1, 255, 0), np.where(UP == 2, 255, 0), np.where(UP == 3, 255, 0)],
    "black": [NONE] * 3,
    "cube": [UP // 36 % 6 * 51, UP // 6 % 6 * 51, UP % 6 * 51],
}


@pytest.mark.parametrize("palette", RAMPS.values(), ids=list(RAMPS))
def test_a_ramp_is_told_from_colours(palette):
    assert is_ramp(palette)
    assert is_ramp(np.asarray(palette) * 257)


@pytest.mark.parametrize("palette", COLOURS.values(), ids=list(COLOURS))
def test_colours_are_no_ramp(palette):
    assert not is_ramp(palette)


def test_a_ramp_of_12_bits_in_a_table_of_16_is_one():
    table = np.zeros(65536, int)
    table[:4096] = np.arange(4096) * 16
    assert is_ramp([table] * 3)


def test_a_tiff_with_a_ramp_is_read_as_intensities_with_a_note(tmp_path):
    pixels = RNG.integers(1, 256, (20, 30)).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="palette", colormap=(np.stack([UP] * 3) * 257).astype(np.uint16))
    frame = read(path)
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert (frame.axes, frame.notes) == ("YX", (RAMP,))
    assert open_lazily(path).notes == (RAMP,)


def test_a_tiff_with_colours_is_refused(tmp_path):
    colours = (np.asarray(COLOURS["random"]) * 257).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", np.ones((20, 30), np.uint8), photometric="palette", colormap=colours)
    with pytest.raises(FrameError, match="palette pixels, which are not intensities"):
        read(tmp_path / "a.tif")


def test_a_png_with_a_ramp_is_read_as_intensities(tmp_path):
    pixels = RNG.integers(1, 256, (20, 30)).astype(np.uint8)
    image = Image.fromarray(pixels, "L").convert("P")
    image.putpalette(np.stack([UP // 2, UP, NONE], 1).astype(np.uint8).tobytes())
    image.save(tmp_path / "a.png")
    frame = read(tmp_path / "a.png")
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert frame.notes == (RAMP,)
