import hashlib
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from costal.errors import FrameError
from costal.frames.read import Planes, frame_from_array, plane, read

STACK = np.arange(1, 6 * 32 * 40 + 1, dtype=np.uint16).reshape(6, 32, 40)
OFFSET = 32768


def frame(shape, axes, dtype=np.uint16):
    return frame_from_array(np.arange(np.prod(shape), dtype=dtype).reshape(shape), axes, None, "a frame")


def png(colour_type, samples):
    """Return a 16-bit PNG of 3 x 4 pixels, which Pillow itself cannot write in colour."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 4, 3, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + np.arange(4 * samples).astype(">u2").tobytes() for _ in range(3))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# real files


def real(name):
    root = os.environ.get("COSTAL_DATA")
    if root is None:
        pytest.skip("COSTAL_DATA is not set: the real microscopy files are not here")
    return Path(root) / "microscopy" / name


REAL = [
    ("fluorescence/BPAE_actin.tif", "YX", "float32", (680, 1100), None, (137, 43479)),
    ("fluorescence/IXMtest_A02_s9.tif", "CYX", "uint16", (3, 395, 695), None, (135, 4095)),
    ("fluorescence/hela-cells.tif", "YXC", "uint16", (512, 672, 3), 1 / 19.420064, (0, 4095)),
    ("fluorescence/membrane_2d_timelapse.tif", "TYX", "uint16", (5, 256, 256), None, (134, 4095)),
    ("sted_actin/01_Block_1.tif", "YX", "uint16", (224, 224), 0.02, (OFFSET, OFFSET + 158)),
    ("sted_actin/01_Block_2.tif", "YX", "uint16", (224, 224), 0.02, (OFFSET, OFFSET + 139)),
    ("sted_actin/07_Glu-Gly_1.tif", "YX", "uint16", (224, 224), 0.02, (OFFSET, OFFSET + 132)),
    ("sted_actin/07_Glu-Gly_2.tif", "YX", "uint16", (224, 224), 0.02, (OFFSET, OFFSET + 108)),
    ("sted_actin/3.tif", "YX", "int16", (224, 224), None, (0, 68)),
    ("sted_actin/7.tif", "YX", "int16", (224, 224), None, (0, 36)),
    ("sted_actin/actin_1.tiff", "YX", "int16", (224, 224), None, (0, 93)),
    ("sted_actin/actin_2.tiff", "YX", "int16", (224, 224), None, (0, 106)),
    ("sted_actin/actin_3.tiff", "YX", "int16", (224, 224), None, (0, 98)),
    ("sted_actin/tubulin.tiff", "YX", "int16", (224, 224), None, (0, 63)),
]


@pytest.mark.parametrize(
    ("name", "axes", "dtype", "shape", "pixel_um", "ends"), REAL, ids=[row[0].partition("/")[2] for row in REAL]
)
def test_a_real_file_keeps_its_axes_depth_and_pixel_size(name, axes, dtype, shape, pixel_um, ends):
    frame = read(real(name))
    assert (frame.axes, frame.pixels.dtype, frame.pixels.shape) == (axes, dtype, shape)
    assert frame.pixel_um == pytest.approx(pixel_um)
    assert (frame.pixels.min(), frame.pixels.max()) == ends
    assert frame.source == str(real(name))


def test_a_guessed_axis_is_confessed_and_can_be_overruled():
    path = real("fluorescence/membrane_2d_timelapse.tif")
    assert read(path).notes == ("Axis 0 (length 5) has no name in the file; it was read as T.",)
    assert (read(path, axes="ZYX").axes, read(path, axes="ZYX").notes) == ("ZYX", ())


# what files say


@pytest.mark.parametrize(
    ("name", "options", "axes", "pixel_um"),
    [
        ("a.ome.tif", {"metadata": {"axes": "ZYX", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm"}}, "ZYX", 0.25),
        ("a.ome.tif", {"metadata": {"axes": "CYX", "PhysicalSizeX": 0.1}}, "CYX", 0.1),
        ("a.ome.tif", {"metadata": {"axes": "TYX", "PhysicalSizeX": 3, "PhysicalSizeXUnit": "pixel"}}, "TYX", None),
        ("a.ome.tif", {"metadata": {"axes": "TYX"}, "compression": "zlib"}, "TYX", None),
        ("a.tif", {"imagej": True, "metadata": {"axes": "TYX", "unit": "um"}, "resolution": (5, 5)}, "TYX", 0.2),
        ("a.tif", {"imagej": True, "metadata": {"axes": "ZYX", "unit": "pixel"}, "resolution": (5, 5)}, "ZYX", None),
        ("a.tif", {"imagej": True, "metadata": {"axes": "CYX"}}, "CYX", None),
        ("a.tif", {"resolution": (50000, 50000), "resolutionunit": "CENTIMETER"}, "TYX", 0.2),
        ("a.tif", {"resolution": (254000, 254000), "resolutionunit": "INCH"}, "TYX", 0.1),
        ("a.tif", {"resolution": (72, 72), "resolutionunit": "INCH"}, "TYX", None),
        ("a.tif", {"resolution": (50000, 50000), "resolutionunit": "NONE"}, "TYX", None),
        ("a.tif", {"byteorder": ">", "bigtiff": True}, "TYX", None),
    ],
    ids=[
        "ome nm", "ome default unit", "ome pixel unit", "ome zlib", "imagej um", "imagej uncalibrated", "imagej bare",
        "tags cm", "tags inch", "tags 72 dpi", "tags without unit", "big-endian BigTIFF",
    ],
)  # fmt: skip
def test_a_stack_keeps_its_pixels_axes_and_pixel_size(tmp_path, name, options, axes, pixel_um):
    tifffile.imwrite(tmp_path / name, STACK, **options)
    frame = read(tmp_path / name)
    assert (frame.axes, frame.pixels.dtype) == (axes, np.uint16)
    assert frame.pixels.dtype.isnative
    assert frame.pixel_um == pytest.approx(pixel_um)
    np.testing.assert_array_equal(frame.pixels, STACK)


def test_pixels_that_are_not_square_are_confessed(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.ome.tif", STACK[0], metadata={"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    )
    frame = read(tmp_path / "a.ome.tif")
    assert frame.pixel_um == 0.5
    assert frame.notes == ("Pixels are 0.5 by 0.25 um; the width is used for both sides.",)


@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 16, 16), "CYX"), ((9, 16, 16), "TYX"), ((9, 2, 16, 16), "TCYX"), ((9, 8, 16, 16), "TZYX")]
)
def test_unnamed_axes_are_channels_when_short_then_time_then_z(tmp_path, shape, axes):
    tifffile.imwrite(tmp_path / "a.tif", np.ones(shape, np.uint8), photometric="minisblack")
    frame = read(tmp_path / "a.tif")
    assert (frame.axes, frame.pixels.shape, len(frame.notes)) == (axes, shape, len(shape) - 2)


def test_planes_of_zeros_are_confessed(tmp_path):
    half = STACK.copy()
    half[2:] = 0
    tifffile.imwrite(tmp_path / "a.ome.tif", half, metadata={"axes": "TYX"})
    assert read(tmp_path / "a.ome.tif").notes == ("4 of 6 planes hold only zeros; they may not have been written yet.",)


def test_only_the_first_series_is_read_and_that_is_confessed(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(STACK[0])
        writer.write(STACK[1, :9, :9])
    frame = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(frame.pixels, STACK[0])
    assert frame.notes == ("Only the first of 2 series was read.",)


def test_the_alpha_channel_is_left_out_of_tiff_and_png(tmp_path):
    rgba = np.arange(1, 9 * 9 * 4 + 1).astype(np.uint8).reshape(9, 9, 4)
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb")
    Image.fromarray(rgba).save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        frame = read(tmp_path / name)
        assert (frame.axes, frame.notes) == ("YXC", ("The alpha channel was left out.",))
        np.testing.assert_array_equal(frame.pixels, rgba[..., :3])


def test_a_damaged_ome_xml_is_confessed_and_the_pixels_are_read(tmp_path):
    xml = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image></OME>'
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK[0], description=xml, metadata=None)
    frame = read(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(frame.pixels, STACK[0])
    assert [note[:26] for note in frame.notes] == ["The OME-XML is damaged (mi"]


def test_a_colour_table_of_imagej_is_only_a_display(tmp_path):
    table = np.zeros((3, 256), np.uint16)
    pixels = STACK[0].astype(np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="palette", colormap=table, description="ImageJ=1.53c\n", metadata=None
    )
    frame = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert frame.notes == ("ImageJ's colour table was left out; the values are intensities.",)


@pytest.mark.parametrize(
    ("pixels", "axes"),
    [
        (STACK[0], "YX"),
        (STACK[0].astype(np.uint8), "YX"),
        (np.dstack([STACK[0].astype(np.uint8)] * 3), "YXC"),
        (STACK[0] % 2 == 0, "YX"),
    ],
    ids=["16 bits", "8 bits", "RGB", "1 bit"],
)
def test_a_png_keeps_its_depth(tmp_path, pixels, axes):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    frame = read(tmp_path / "a.png")
    assert (frame.axes, frame.pixel_um) == (axes, None)
    assert frame.pixels.dtype == (np.uint8 if pixels.dtype == bool else pixels.dtype)
    assert (frame.pixels > 0).tolist() == (pixels > 0).tolist()
    assert frame.pixels.max() == (pixels.max() if pixels.dtype != bool else 1)


def test_a_jpeg_is_read_whatever_its_name(tmp_path):
    Image.fromarray(np.full((16, 24), 77, np.uint8)).save(tmp_path / "picture", format="JPEG")
    frame = read(tmp_path / "picture")
    assert (frame.axes, frame.pixels.shape, frame.pixels[3, 5]) == ("YX", (16, 24), 77)


# files that lie


def short_ome(path):
    tifffile.imwrite(path, STACK, ome=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(path) as tiff:
        xml = tiff.ome_metadata.encode()
    tifffile.imwrite(path, STACK[:3], description=xml, metadata=None, photometric="minisblack")


def larger_ome(path):
    short_ome(path)
    path.write_bytes(path.read_bytes().replace(b'SizeX="40"', b'SizeX="80"'))


def short_imagej(path):
    tifffile.imwrite(path, STACK[:3], imagej=True, metadata={"axes": "TYX"})
    path.write_bytes(path.read_bytes().replace(b"images=3\n", b"images=9\n"))


def bytes_of(content):
    return lambda path: path.write_bytes(content)


def tiff_of(pixels, **options):
    return lambda path: tifffile.imwrite(path, pixels, **options)


def picture_of(mode, form):
    return lambda path: Image.new(mode, (9, 9)).save(path, format=form)


def cut_jpeg(path):
    Image.fromarray(STACK[0].astype(np.uint8)).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "cannot be opened .* Check the path"),
        (Path.mkdir, "is a folder. Choose an image file"),
        (bytes_of(b""), "is empty. Wait"),
        (bytes_of(b"cells,counts\n1,2\n"), "is not a TIFF, PNG or JPEG image. Export"),
        (bytes_of(b"II*\0\x08\0"), "is cut short or damaged, or"),
        (bytes_of(b"II*\0" + bytes(60)), "is cut short or damaged, or"),
        (tiff_of(np.ones((9, 9), np.complex64)), "complex pixels. Convert .* magnitude"),
        (
            tiff_of(np.ones((9, 9), np.uint8), photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
            "palette pixels",
        ),
        (
            tiff_of(np.ones((2, 9, 9, 3), np.uint8), imagej=True, photometric="rgb", metadata={"axes": "CYXS"}),
            "axes CYXS of shape .* Split",
        ),
        (short_ome, "has planes that are not written yet. Wait"),
        (larger_ome, "declares .* pixels but has"),
        (short_imagej, "declares 11520 pixels but has 3840. Wait"),
        (picture_of("P", "PNG"), "palette pixels, .* Save it as greyscale"),
        (picture_of("CMYK", "JPEG"), "CMYK pixels, .* Save it as greyscale"),
        (bytes_of(png(2, 3)), "16-bit colour PNG, of which only 8 bits can be read. Save it as TIFF"),
        (bytes_of(png(0, 1)[:-30]), "cannot be read .* cut short or damaged"),
        (cut_jpeg, "cannot be read .* cut short or damaged"),
    ],
    ids=[
        "missing", "folder", "empty", "text", "six bytes", "no directory", "complex", "palette", "channels and samples",
        "OME-XML declares more planes", "OME-XML declares more pixels", "ImageJ declares more planes", "palette PNG",
        "CMYK JPEG", "16-bit colour PNG", "cut PNG", "cut JPEG",
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_its_name_the_cause_and_the_remedy(tmp_path, write, message):
    path = tmp_path / "a.tif"
    write(path)
    with pytest.raises(FrameError, match=message) as refusal:
        read(path)
    assert str(refusal.value).startswith(str(path))


@pytest.mark.parametrize(
    "options",
    [
        {"ome": True, "metadata": {"axes": "TYX"}},
        {"ome": True, "metadata": {"axes": "TYX"}, "compression": "zlib"},
        {"imagej": True, "metadata": {"axes": "TYX"}},
        {},
        {"metadata": None},
        {"bigtiff": True, "byteorder": ">"},
    ],
    ids=["ome", "ome zlib", "imagej", "shaped", "plain", "big-endian BigTIFF"],
)
def test_a_tiff_cut_short_anywhere_is_refused(tmp_path, options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, **options)
    whole, texts = path.read_bytes(), {}
    for kept in (0.02, 0.3, 0.6, 0.97, 0.999):
        path.write_bytes(whole[: int(len(whole) * kept)])
        with pytest.raises(FrameError) as refusal:
            read(path)
        texts[kept] = str(refusal.value)
    assert [
        kept for kept, why in texts.items() if not re.search("cut short.*Wait until it is fully written", why)
    ] == []


def test_a_one_plane_ome_tiff_that_lost_its_metadata_is_refused(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK[0], metadata={"axes": "YX", "PhysicalSizeX": 0.1})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FrameError, match=r"cut short: \d+ bytes are declared, \d+ are there"):
        read(path)


# arrays


def test_the_hash_is_of_dtype_shape_and_pixels_and_nothing_else(tmp_path):
    pixels = np.array([[1, 2, 3], [4, 5, 6]], np.uint16)
    expected = hashlib.sha256(b"uint16 (2, 3)" + bytes([1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0])).hexdigest()
    layouts = [pixels, pixels.astype(">u2"), np.asfortranarray(pixels), np.repeat(pixels, 2, axis=1)[:, ::2]]
    assert {frame_from_array(each, "YX", 0.1, str(i)).content_hash for i, each in enumerate(layouts)} == {expected}
    others = [pixels + 1, pixels.astype(np.int16), pixels.reshape(3, 2)]
    assert expected not in {frame_from_array(each, "YX", None, "").content_hash for each in others}


def test_a_renamed_file_is_the_same_frame(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK)
    before = read(tmp_path / "a.tif")
    (tmp_path / "a.tif").rename(tmp_path / "b.tif")
    after = read(tmp_path / "b.tif")
    assert after.content_hash == before.content_hash
    assert after.source != before.source


def test_bool_becomes_uint8():
    result = frame_from_array(np.array([[True, False]]), "YX", None, "mask")
    assert (result.pixels.dtype, result.pixels.tolist()) == (np.uint8, [[1, 0]])


@pytest.mark.parametrize(
    ("pixels", "axes", "pixel_um", "message"),
    [
        (np.ones((2, 2), complex), "YX", None, "here has complex pixels"),
        (np.full((2, 2), None), "YX", None, "here has object pixels"),
        (np.full((2, 2), "a"), "YX", None, "here has str"),
        (np.ones((0, 2)), "YX", None, r"here is empty: its shape is \(0, 2\)"),
        (np.ones((2, 2, 2)), "YX", None, "axes 'YX'. Name each dimension once"),
        (np.ones((2, 2)), "YY", None, "axes 'YY'"),
        (np.ones((2, 2)), "TX", None, "with Y and X among them"),
        (np.ones((2, 2, 2)), "QYX", None, "letters of TZCYX"),
        (np.ones((2, 2)), "YX", 0.0, "pixel size of 0.0 um"),
        (np.ones((2, 2)), "YX", np.nan, "pixel size of nan um"),
    ],
    ids=["complex", "object", "text", "empty", "too few axes", "twice", "no Y", "unknown", "zero um", "nan um"],
)
def test_an_array_that_is_no_frame_is_refused(pixels, axes, pixel_um, message):
    with pytest.raises(FrameError, match=message):
        frame_from_array(pixels, axes, pixel_um, "here")


# planes


def test_a_plane_is_always_channels_rows_columns():
    assert plane(frame((4, 5), "YX")).shape == (1, 4, 5)
    samples = frame((4, 5, 3), "YXC")
    np.testing.assert_array_equal(plane(samples), samples.pixels.transpose(2, 0, 1))
    transposed = frame((5, 4), "XY")
    np.testing.assert_array_equal(plane(transposed)[0], transposed.pixels.T)


def test_slices_and_max_keep_the_dtype_and_mean_is_float32():
    stack = frame((2, 3, 4, 5), "TZYX")
    sliced = plane(stack, Planes(z=2, t=1))
    assert sliced.dtype == np.uint16
    np.testing.assert_array_equal(sliced[0], stack.pixels[1, 2])
    highest = plane(stack, Planes(z="max", t=1))
    assert highest.dtype == np.uint16
    np.testing.assert_array_equal(highest[0], stack.pixels[1].max(axis=0))
    middle = plane(stack, Planes(z="mean", t="mean"))
    assert middle.dtype == np.float32
    np.testing.assert_allclose(middle[0], stack.pixels.mean(axis=(0, 1)))


def test_t_is_projected_before_z():
    pixels = np.array([[1, 4], [3, 0]], np.uint8).reshape(2, 2, 1, 1)
    stack = frame_from_array(pixels, "TZYX", None, "")
    assert plane(stack, Planes(t="mean", z="max")).item() == 2.0
    assert plane(stack, Planes(t="max", z="mean")).item() == 3.5


def test_a_mean_of_large_counts_is_not_rounded_on_the_way():
    pixels = np.full((4097, 2, 2), 32_769, np.uint16)
    result = plane(frame_from_array(pixels, "ZYX", None, ""), Planes(z="mean"))
    np.testing.assert_array_equal(result, np.full((1, 2, 2), 32_769))


def test_channels_come_in_the_order_asked_for():
    stack = frame((3, 4, 5), "CYX")
    np.testing.assert_array_equal(plane(stack, Planes(channels=(2, 0))), stack.pixels[[2, 0]])


def test_a_frame_without_z_or_t_takes_any_projection_of_them():
    flat = frame((4, 5), "YX")
    np.testing.assert_array_equal(plane(flat, Planes(z=0, t="max")), plane(flat))


@pytest.mark.parametrize(
    ("planes", "message"),
    [
        (Planes(t=2), "no T 2. Choose T from 0 to 1"),
        (Planes(z=3), "no Z 3. Choose Z from 0 to 2"),
        (Planes(z=-1), "no Z -1"),
        (Planes(z="median"), "no Z 'median'"),
        (Planes(channels=(0, 1)), "no C 1. Choose C from 0 to 0"),
        (Planes(channels=("max",)), "no C 'max'"),
        (Planes(channels=()), "no C None. Choose C from 0 to 0"),
    ],
    ids=["T", "Z", "negative Z", "unknown projection", "channel", "projected channel", "no channel"],
)
def test_a_plane_out_of_range_is_refused_with_what_exists(planes, message):
    with pytest.raises(FrameError, match=re.escape("a frame has ") + message):
        plane(frame((2, 3, 4, 5), "TZYX"), planes)


@given(st.permutations("TZCYX"), st.integers(0, 1), st.integers(0, 2), st.integers(0, 3))
def test_the_same_pixel_is_found_in_any_order_of_axes(axes, t, z, channel):
    lengths = dict(zip("TZCYX", (2, 3, 4, 5, 6), strict=True))
    pixels = np.arange(720).reshape(2, 3, 4, 5, 6)
    moved = pixels.transpose(["TZCYX".index(letter) for letter in axes])
    assert moved.shape == tuple(lengths[letter] for letter in axes)
    result = plane(frame_from_array(moved, "".join(axes), None, ""), Planes((channel,), z, t))
    np.testing.assert_array_equal(result[0], pixels[t, z, channel])


def test_importing_the_room_loads_neither_torch_nor_an_image_library():
    code = "import sys, costal.frames.read, costal.frames.grid, costal.frames.normalise; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "tifffile", "PIL", "napari", "skimage", "qtpy"} & set(loaded)


def test_a_circle_of_directories_is_refused(tmp_path):
    path = tmp_path / "circle.tif"
    path.write_bytes(b"II*\0" + (8).to_bytes(4, "little") + b"\0\0" + (8).to_bytes(4, "little"))
    with pytest.raises(FrameError, match="list of planes is circular"):
        read(path)


def test_missing_strips_are_not_made_up(tmp_path):
    path = tmp_path / "strips.tif"
    tifffile.imwrite(path, np.ones((64, 64), np.uint16), rowsperstrip=16)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages.first.tags["ImageLength"].overwrite(6400)
    with pytest.raises(FrameError, match="declares 400 strips or tiles in a plane but has 4"):
        read(path)


def test_lzw_files_are_read(tmp_path):
    path = tmp_path / "lzw.tif"
    pixels = np.random.default_rng(0).integers(0, 4000, (40, 50)).astype(np.uint16)
    tifffile.imwrite(path, pixels, compression="lzw")
    np.testing.assert_array_equal(read(path).pixels, pixels)
