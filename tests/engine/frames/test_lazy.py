"""Frames opened without their pixels: what is known of them, and windows that are what the whole plane would give."""

import os
import shutil

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

from costal.errors import FrameError
from costal.frames.grid import crop_at, crop_with_surroundings, tile
from costal.frames.lazy import open_lazily
from costal.frames.planes import planes_of
from costal.frames.read import Planes, frame_from_array, plane, read
from costal.frames.windows import LazyPlane, content_hash, missing_boxes, read_window
from costal.types import PlaneRule

PIXELS = np.random.default_rng(0).integers(0, 60_000, (2, 3, 4, 70, 90)).astype(np.uint16)  # T, Z, C, Y, X
CHOICES = [
    Planes(),
    Planes((2, 0), "mean", "max"),
    Planes((1,), 1, 1),
    Planes(None, "max", "mean"),
    Planes((3, 1, 3), "mean", "mean"),
]


@pytest.mark.parametrize("planes", CHOICES, ids=str)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_window_is_that_of_the_whole_plane(version, planes, tmp_path, write_zarr):
    frame = open_lazily(write_zarr(tmp_path / "a.zarr", PIXELS, "tzcyx", version))
    whole = plane(frame_from_array(PIXELS, "TZCYX", None, ""), planes)
    for y0, y1, x0, x1 in ((0, 70, 0, 90), (31, 65, 5, 33), (69, 70, 89, 90)):
        window = read_window(frame, planes, y0, y1, x0, x1)
        assert window.dtype == whole.dtype
        np.testing.assert_array_equal(window, whole[:, y0:y1, x0:x1])


def test_what_is_known_without_pixels(tmp_path, write_zarr):
    frame = open_lazily(write_zarr(tmp_path / "a.zarr", PIXELS[0], "zcyx", chunk=16, levels=3, um=0.25))
    assert (frame.axes, frame.shape, frame.dtype) == ("ZCYX", (3, 4, 70, 90), np.uint16)
    assert (frame.pixel_um, frame.chunk) == (0.25, (16, 16))
    assert [frame.size_of(level) for level in range(len(frame.levels))] == [(70, 90), (35, 45), (18, 23)]
    np.testing.assert_array_equal(read_window(frame, Planes((1,), 2), 0, 18, 0, 23, 2), PIXELS[0, 2, 1:2, ::4, ::4])
    assert len(planes_of(frame, PlaneRule(z="each"))) == 3


def test_shards_are_read_and_chunks_are_what_is_decoded(tmp_path, write_zarr):
    frame = open_lazily(write_zarr(tmp_path / "a.zarr", PIXELS[0, 0, 0, :64, :64], chunk=8, shards=(32, 32)))
    assert frame.chunk == (8, 8)
    np.testing.assert_array_equal(read_window(frame, Planes(), 5, 40, 3, 50)[0], PIXELS[0, 0, 0, 5:40, 3:50])


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (PIXELS[0, 0, 0], {"tile": (16, 16), "compression": "zlib"}),
        (PIXELS[0, 0, 0], {"rowsperstrip": 7, "compression": "zlib"}),
        (PIXELS[0, 0, 0], {}),
        (PIXELS[0, 0, 0], {"byteorder": ">"}),
        (PIXELS[0], {"ome": True, "metadata": {"axes": "ZCYX"}, "tile": (32, 32)}),
        (PIXELS[0], {"imagej": True, "metadata": {"axes": "ZCYX"}}),
        (PIXELS[0, 0, :3].transpose(1, 2, 0).astype(np.uint8), {"photometric": "rgb", "tile": (32, 32)}),
        (
            PIXELS[0, 0].transpose(1, 2, 0).astype(np.uint8),
            {"photometric": "rgb", "extrasamples": ["unassalpha"], "compression": "zlib"},
        ),
    ],
    ids=["tiles", "strips", "contiguous", "big-endian", "ome", "imagej", "rgb", "alpha"],
)
@pytest.mark.parametrize("planes", [Planes(), Planes((0,), "mean")], ids=str)
def test_a_tiff_gives_what_reading_it_whole_gives(pixels, options, planes, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, **options)
    frame, whole = open_lazily(path), read(path)
    assert (frame.axes, frame.shape, frame.pixel_um, frame.notes) == (
        whole.axes, whole.pixels.shape, whole.pixel_um, whole.notes,
    )  # fmt: skip
    height, width = frame.size_of(0)
    np.testing.assert_array_equal(read_window(frame, planes, 3, height, 7, width), plane(whole, planes)[:, 3:, 7:])


def test_a_pyramidal_tiff_has_its_levels(tmp_path):
    path, pixels = tmp_path / "a.ome.tif", PIXELS[0, 0, 0, :64, :64]
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(pixels, subifds=1, tile=(16, 16))
        writer.write(pixels[::2, ::2], subfiletype=1, tile=(16, 16))
    frame = open_lazily(path)
    assert [frame.size_of(level) for level in (0, 1)] == [(64, 64), (32, 32)]
    np.testing.assert_array_equal(read_window(frame, Planes(), 2, 9, 3, 20, 1)[0], pixels[::2, ::2][2:9, 3:20])


def test_a_png_is_read_at_once(tmp_path):
    from PIL import Image

    Image.fromarray(PIXELS[0, 0, 0].astype(np.uint8)).save(tmp_path / "a.png")
    frame = open_lazily(tmp_path / "a.png")
    assert (frame.shape, frame.axes) == ((70, 90), "YX")


@pytest.mark.parametrize("planes", CHOICES[:3], ids=str)
def test_a_plane_is_known_by_the_same_hash_as_in_memory(planes, tmp_path, write_zarr, monkeypatch):
    monkeypatch.setattr("costal.frames.windows.STRIP_BYTES", 90 * 2 * 40)
    frame = open_lazily(write_zarr(tmp_path / "a.zarr", PIXELS, "tzcyx"))
    pixels = plane(frame_from_array(PIXELS, "TZCYX", None, ""), planes)
    assert content_hash(frame, planes) == frame_from_array(pixels, "CYX", None, "").content_hash


def test_a_large_plane_is_known_by_its_store(tmp_path, write_zarr, monkeypatch):
    monkeypatch.setattr("costal.frames.windows.HASHED_BYTES", 0)
    path = write_zarr(tmp_path / "a.zarr", PIXELS[0, 0], "cyx")
    one, other = (content_hash(open_lazily(path), Planes(channels)) for channels in ((0,), (1,)))
    assert one != other
    assert one == content_hash(open_lazily(path), Planes((0,)))
    chunk = path / "0" / "c" / "0" / "1" / "1"
    os.utime(chunk, ns=(1, 1))
    assert one != content_hash(open_lazily(path), Planes((0,)))


# chunks that are not there


def sparse(path, version="0.5", **options):
    """Write 96 x 96 pixels of 5 in chunks of 32, of which the middle one is not written; 7 is what fills it."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    array = group.create_array("0", shape=(96, 96), dtype="uint16", fill_value=7, **({"chunks": (32, 32)} | options))
    for y, x in np.ndindex(3, 3):
        if (y, x) != (1, 1):
            array[32 * y : 32 * y + 32, 32 * x : 32 * x + 32] = 5
    scales = {"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]}
    group.attrs.update(scales if version == "0.4" else {"ome": scales})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_missing_chunk_is_told_where_a_window_touches_it_and_reads_as_the_fill_value(version, tmp_path):
    frame = open_lazily(sparse(tmp_path / "a.zarr", version))
    assert missing_boxes(frame, Planes(), (0, 96, 0, 96)) == [(32, 64, 32, 64)]
    assert missing_boxes(frame, Planes(), (0, 33, 0, 33)) == [(32, 64, 32, 64)]
    assert missing_boxes(frame, Planes(), (0, 32, 0, 96)) == []
    assert set(np.unique(read_window(frame, Planes(), 0, 96, 0, 96)[0, 32:64, 32:64])) == {7}
    assert frame.pixel_um is None


def test_a_missing_shard_counts_as_one_chunk(tmp_path):
    frame = open_lazily(sparse(tmp_path / "a.zarr", chunks=(8, 8), shards=(32, 32)))
    assert missing_boxes(frame, Planes(), (30, 50, 30, 50)) == [(32, 64, 32, 64)]


def test_only_the_chosen_channels_can_lack_chunks(tmp_path, write_zarr):
    path = write_zarr(tmp_path / "a.zarr", PIXELS[0, 0], "cyx")
    (path / "0" / "c" / "2" / "0" / "1").unlink()
    frame = open_lazily(path)
    assert missing_boxes(frame, Planes((0, 1, 3)), (0, 70, 0, 90)) == []
    assert missing_boxes(frame, Planes((0, 2)), (0, 70, 0, 90)) == [(0, 32, 32, 64)]


def test_a_sparse_tiff_is_refused_unless_chunks_may_be_missing(tmp_path):
    path = tmp_path / "a.tif"

    def tiles():
        yield from (None if at == 1 else np.full((16, 16), 5, np.uint8) for at in range(4))

    tifffile.imwrite(path, tiles(), shape=(32, 32), dtype="uint8", tile=(16, 16), compression="zlib")
    with pytest.raises(FrameError, match="planes that are not written"):
        open_lazily(path)
    assert missing_boxes(open_lazily(path, "skip"), Planes(), (0, 32, 0, 32)) == [(0, 16, 16, 32)]


# what is no image


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, r"without OME metadata: it contains 0\. Write it as OME-Zarr"),
        ({"ome": {"plate": {"wells": [{"path": "A/1"}, {"path": "A/2"}]}}}, r"plate of 2 wells \(A/1, A/2 .*A/1/0"),
        ({"well": {"images": [{"path": "0"}, {"path": "1"}]}}, r"well of 2 images\. Name one: .*/0"),
        ({"multiscales": []}, r"multiscales is \[\]"),
        ({"multiscales": [{"axes": [{"name": "y"}, {"name": "q"}], "datasets": [{"path": "0"}]}]}, "has axes y, q"),
        ({"multiscales": [{"datasets": [{"path": "0"}]}]}, r"multiscales\[0\]\.axes is missing"),
        ({"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "1"}]}]}, "names a level '1' that is missing"),
        (
            {"multiscales": [{"axes": ["c", "y", "x"], "datasets": [{"path": "0"}]}]},
            r"shape \(32, 32\) .* for axes CYX",
        ),
    ],
)
def test_a_group_that_is_no_image_is_refused_with_what_it_is(attributes, message, tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("0", shape=(32, 32), chunks=(16, 16), dtype="uint8")[...] = 1
    group.attrs.update(attributes)
    with pytest.raises(FrameError, match=message):
        open_lazily(tmp_path / "a.zarr")


def test_what_is_not_there_and_bare_arrays_are_refused(tmp_path):
    with pytest.raises(FrameError, match="cannot be opened"):
        open_lazily(tmp_path / "nowhere.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(FrameError, match="is not a zarr group"):
        open_lazily(tmp_path / "empty.zarr")
    zarr.create_array(str(tmp_path / "bare.zarr"), shape=(4, 4), dtype="uint8")
    with pytest.raises(FrameError, match=r"bare zarr array of shape \(4, 4\)"):
        open_lazily(tmp_path / "bare.zarr")
    with pytest.raises(FrameError, match="cannot be opened"):
        open_lazily(tmp_path / "nowhere.tif")


def test_of_several_images_in_a_conversion_the_first_is_read(tmp_path, write_zarr):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    for name in ("0", "1"):
        write_zarr(tmp_path / "a.zarr" / name, PIXELS[0, 0, 0] + int(name), version="0.4")
    frame = open_lazily(tmp_path / "a.zarr")
    assert frame.notes == ("Only the first image was read.",)
    np.testing.assert_array_equal(read_window(frame, Planes(), 0, 9, 0, 9)[0], PIXELS[0, 0, 0, :9, :9])


def test_a_url_gives_what_the_folder_gives_and_notices_changes(tmp_path, write_zarr):
    import fsspec

    path = write_zarr(tmp_path / "a.zarr", PIXELS[0, 0, 0])
    memory = fsspec.filesystem("memory")
    memory.put(str(path), "/test_lazy/a.zarr", recursive=True)
    try:
        frame = open_lazily("memory://test_lazy/a.zarr")
        assert (frame.shape, frame.pixel_um) == ((70, 90), 0.1)
        np.testing.assert_array_equal(read_window(frame, Planes(), 0, 70, 0, 90)[0], PIXELS[0, 0, 0])
        assert frame.identity == open_lazily("memory://test_lazy/a.zarr").identity
        memory.rm("/test_lazy/a.zarr/0/c/1/1")
        changed = open_lazily("memory://test_lazy/a.zarr")
        assert frame.identity != changed.identity
        assert missing_boxes(changed, Planes(), (0, 70, 0, 90)) == [(32, 64, 32, 64)]
    finally:
        memory.rm("/test_lazy", recursive=True)
    with pytest.raises(FrameError, match=r"is not the address of an OME-Zarr"):
        open_lazily("memory://test_lazy/a.tif")


def test_a_damaged_chunk_is_named_with_its_rows(tmp_path, write_zarr):
    path = write_zarr(tmp_path / "a.zarr", PIXELS[0, 0, 0])
    (path / "0" / "c" / "1" / "1").write_bytes(b"no chunk")
    frame = open_lazily(path)
    with pytest.raises(FrameError, match=r"cannot be read at rows 40 to 50 .* copy it again"):
        read_window(frame, Planes(), 40, 50, 0, 90)
    shutil.rmtree(path)


def test_a_plane_that_is_not_there_is_refused(tmp_path, write_zarr):
    frame = open_lazily(write_zarr(tmp_path / "a.zarr", PIXELS[0, 0], "cyx"))
    for planes, message in ((Planes((4,)), "no C 4"), (Planes(z=1), "no Z 1"), (Planes(t=2), "no T 2")):
        with pytest.raises(FrameError, match=message):
            read_window(frame, planes, 0, 9, 0, 9)


@given(st.integers(8, 60), st.integers(1, 60), st.sampled_from(["drop", "pad"]), st.integers(0, 10**6))
def test_a_lazy_plane_is_cut_like_one_in_memory(lazy_and_whole, crop, stride, edge, at):
    lazy, whole = lazy_and_whole
    crop = crop if edge == "pad" else min(crop, 50)
    grid = tile((50, 61), crop, min(stride, crop), edge)
    index = at % len(grid)
    np.testing.assert_array_equal(crop_at(lazy, grid, index), crop_at(whole, grid, index))
    for one, other in zip(
        crop_with_surroundings(lazy, grid, index, crop // 2),
        crop_with_surroundings(whole, grid, index, crop // 2),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def lazy_and_whole(tmp_path_factory):
    """Return a plane that is read where it lies, and the same in memory."""
    pixels = np.random.default_rng(0).integers(0, 9999, (3, 50, 61)).astype(np.uint16)
    path = tmp_path_factory.mktemp("lazy") / "a.tif"
    tifffile.imwrite(
        path, pixels, tile=(16, 32), compression="zlib", photometric="minisblack", metadata={"axes": "CYX"}
    )
    plane = LazyPlane(open_lazily(path), Planes((2, 0)))
    assert plane.shape == (2, 50, 61)
    return plane, pixels[[2, 0]]
