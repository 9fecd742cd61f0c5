"""Pixel sizes as files give them, in every spelling; what is no size is unknown, with a note, and never a refusal."""

import numpy as np
import pytest
import tifffile

from costal.frames.ome_zarr import open_image
from costal.frames.read import read
from costal.frames.units import length, micrometres_per
from tests.formats import layouts

PLANE = layouts.ramp(32, 40)
SPELLINGS = [
    ("um", 1), ("µm", 1), ("μm", 1), ("\\u00B5m", 1), ("Âµm", 1), ("micron", 1), ("Microns", 1), ("micrometer", 1),
    ("micrometers", 1), ("micrometre", 1), ("micrometres", 1), ("nm", 1e-3), ("nanometer", 1e-3), ("nanometers", 1e-3),
    ("mm", 1e3), ("millimeter", 1e3), ("cm", 1e4), ("centimetres", 1e4), ("m", 1e6), ("metre", 1e6), ("inch", 25400),
    ("pm", 1e-6), ("Å", 1e-4), ("\u212b", 1e-4), ("angstrom", 1e-4),
]  # fmt: skip


@pytest.mark.parametrize(("unit", "um"), SPELLINGS, ids=[ascii(unit) for unit, _ in SPELLINGS])
def test_a_unit_is_known_in_every_spelling(unit, um):
    assert micrometres_per(unit) == um


@pytest.mark.parametrize("unit", ["", "pixel", "second", "um²", "foo"])
def test_what_is_no_length_is_no_unit(unit):
    assert micrometres_per(unit) is None


@pytest.mark.parametrize("given", ["0,065", "", None, "nan", "inf", -1, 0, "a"])
def test_what_is_no_length_above_zero_is_none(given):
    assert length(given) is None


@pytest.mark.parametrize(("unit", "um"), [("um", 0.25), ("nanometers", 0.25e-3), ("µm", 0.25), ("microns", 0.25)])
def test_ome_zarr_and_imagej_and_ome_tiff_share_one_table(unit, um, tmp_path, write_zarr):
    import zarr

    path = write_zarr(tmp_path / "a.zarr", PLANE, um=0.25)
    group = zarr.open_group(str(path), mode="r+")
    scales = dict(group.attrs["ome"])
    for axis in scales["multiscales"][0]["axes"]:
        axis["unit"] = unit
    group.attrs["ome"] = scales
    assert open_image(str(path)).pixel_um == pytest.approx(um)
    sides = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": unit, "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": unit}
    assert ome(tmp_path / "b.ome.tif", **sides).pixel_um == pytest.approx(um)
    written = unit.replace("µ", "\\u00B5")
    tifffile.imwrite(tmp_path / "c.tif", PLANE, imagej=True, resolution=(4, 4), metadata={"unit": written})
    assert read(tmp_path / "c.tif").pixel_um == pytest.approx(um)


MAKERS = [
    ("svs", lambda path: layouts.svs(path, layouts.ramp(128, 128, 3, dtype="uint8")), 0.499),
    ("metamorph", lambda path: layouts.stk(path, layouts.ramp(3, 32, 40)), 0.13),
    ("metamorph nm", lambda path: layouts.stk(path, layouts.ramp(3, 32, 40), (65, 1), b"nm"), 0.065),
    ("metaseries", lambda path: layouts.metaseries(path, PLANE), 0.325),
    ("metaseries off", lambda path: layouts.metaseries(path, PLANE, state="off"), None),
    ("metaseries pixels", lambda path: layouts.metaseries(path, PLANE, "1", "pixel"), None),
    ("fei", lambda path: layouts.fei(path, PLANE), 0.00135),
    ("zeiss sem", lambda path: layouts.zeiss_sem(path, PLANE), 0.01125),
]


@pytest.mark.parametrize(("write", "um"), [each[1:] for each in MAKERS], ids=[each[0] for each in MAKERS])
def test_the_pixel_size_is_read_from_the_maker_s_tags(write, um, tmp_path):
    frame = read(write(tmp_path / "a.tif"))
    assert frame.pixel_um == pytest.approx(um)
    assert not any("unknown" in note for note in frame.notes)


@pytest.mark.parametrize("text", ["0,499", "", "nan", "-1", "inf"])
def test_a_maker_s_size_that_is_no_number_is_unknown_with_a_note(text, tmp_path):
    frame = read(layouts.svs(tmp_path / "a.svs", layouts.ramp(128, 128, 3, dtype="uint8"), text))
    assert frame.pixel_um is None
    assert any(note.startswith("The pixel size is taken as unknown") for note in frame.notes)


def ome(path, **sides):
    """Write an OME-TIFF whose Pixels have these attributes as they stand."""
    text = " ".join(f'{name}="{value}"' for name, value in sides.items())
    image = layouts.ome_image(0, (1, 32, 40), [(0, path.name, "urn:a", 0)], text)
    layouts.write_planes(path, PLANE[np.newaxis], layouts.ome_root(image, "urn:a"))
    return read(path)


@pytest.mark.parametrize("text", ["0,065", "", "nan", "-0.1", "inf", "0"])
def test_an_ome_size_that_is_no_number_is_unknown_with_a_note_and_the_pixels_are_read(text, tmp_path):
    frame = ome(tmp_path / "a.ome.tif", PhysicalSizeX=text, PhysicalSizeY=text)
    np.testing.assert_array_equal(frame.pixels, PLANE)
    assert frame.pixel_um is None
    assert frame.notes[0].startswith("The pixel size is taken as unknown")


def test_the_height_has_a_unit_of_its_own(tmp_path):
    sides = {"PhysicalSizeX": 65, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.065}
    frame = ome(tmp_path / "a.ome.tif", **sides, PhysicalSizeYUnit="µm")
    assert (frame.pixel_um, frame.notes) == (pytest.approx(0.065), ())
    frame = ome(tmp_path / "b.ome.tif", **sides, PhysicalSizeYUnit="mm")
    assert frame.notes == ("Pixels are 0.065 by 65 um; the width is used for both sides.",)


def test_an_unknown_unit_is_told(tmp_path):
    frame = ome(tmp_path / "a.ome.tif", PhysicalSizeX=2, PhysicalSizeXUnit="parsec")
    assert frame.pixel_um is None
    assert frame.notes == (
        "The pixel size is taken as unknown: the file gives it as '2 parsec', a unit that is not known.",
    )
