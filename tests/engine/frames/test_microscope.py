import numpy as np
import pytest
import tifffile

from costal.errors import FrameError
from costal.frames.microscope import acquire, next_number, number_of, truth_of
from costal.frames.read import blank_planes, read
from costal.frames.simulate import CLASS_NAMES
from costal.frames.watch import FolderWatch
from costal.types import Progress, finish

SMALL = {"shape": (64, 64), "crop": 32}
BOTH_WAYS = pytest.mark.parametrize("preallocate", [False, True], ids=["appended", "preallocated"])


def acquired(folder, count, **options):
    return finish(acquire(folder, count, **SMALL | options))


@BOTH_WAYS
@pytest.mark.parametrize(("planes", "axis"), [(1, "Z"), (3, "Z"), (2, "T")])
def test_frames_are_ome_tiffs_with_axes_and_pixel_size(tmp_path, planes, axis, preallocate):
    paths = acquired(tmp_path, 2, planes=planes, axis=axis, preallocate=preallocate)
    assert paths == (tmp_path / "frame_00000.ome.tif", tmp_path / "frame_00001.ome.tif")
    for path in paths:
        frame = read(path)
        assert (frame.axes, frame.notes) == (f"{axis}YX" if planes > 1 else "YX", ())
        assert frame.pixels.shape == ((planes, 64, 64) if planes > 1 else (64, 64))
        assert (frame.pixels.dtype, frame.pixel_um) == (np.uint16, 0.02)
        with tifffile.TiffFile(path) as tiff:
            assert tiff.is_ome


@BOTH_WAYS
def test_plane_0_is_the_field_whose_truth_is_known(tmp_path, preallocate):
    for path in acquired(tmp_path, 2, planes=2, seed=7, first=5, preallocate=preallocate):
        truth = truth_of(7, number_of(path), (64, 64), 32)
        np.testing.assert_array_equal(read(path).pixels[0], truth.pixels_Y_X)
        assert sorted(truth.classes_N) == list(range(len(CLASS_NAMES)))


def test_frames_depend_on_seed_and_number_alone(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    one = [read(path).content_hash for path in acquired(tmp_path / "a", 2, planes=2)]
    same = [read(path).content_hash for path in acquired(tmp_path / "b", 1, planes=2, first=1, preallocate=True)]
    other = [read(path).content_hash for path in acquired(tmp_path / "c", 2, planes=2, seed=1)]
    assert same == one[1:]
    assert len({*one, *other}) == 4


@pytest.mark.parametrize("axis", ["Z", "T"])
def test_further_planes_are_dimmer_and_only_along_z_blurred(tmp_path, axis):
    (path,) = acquired(tmp_path, 1, planes=5, axis=axis)
    planes = read(path).pixels.astype(np.float64)
    np.testing.assert_allclose(planes.mean((1, 2)) / planes[0].mean(), 1 / (1 + np.arange(5) / 4), rtol=0.03)
    # The last plane times 2 has the noise of its own counts on top of what it shows of the first.
    shown = np.corrcoef(planes[0].ravel(), planes[4].ravel())[0, 1]
    assert (shown < 0.6) == (axis == "Z")


def test_no_plane_is_dark_even_at_the_end_of_a_long_stack(tmp_path):
    (path,) = acquired(tmp_path, 1, planes=100)
    assert blank_planes(read(path)) == (0, 100)


@BOTH_WAYS
def test_a_frame_is_incomplete_until_its_last_plane_is_written(tmp_path, preallocate):
    clock = [0.0]
    watch = FolderWatch(tmp_path, clock=lambda: clock[0])
    job = acquire(tmp_path, 1, planes=3, preallocate=preallocate, **SMALL)
    sizes, seen = [], []
    for _ in job:
        for _ in range(2):  # once to see the change, once to read
            clock[0] += 100
            seen += [one.state for one in watch.look()]
        sizes.append((tmp_path / "frame_00000.ome.tif").stat().st_size)
    clock[0] += 100
    watch.look()
    clock[0] += 100
    watch.look()
    assert seen == ["pending", "pending", *(["pending"] if preallocate else []), "ready"]
    assert (sizes[0] == sizes[2]) == preallocate


def test_it_pauses_between_planes_and_between_frames_and_reports_every_plane(tmp_path):
    slept = []
    job = acquire(tmp_path, 2, planes=3, pause_s=5, plane_pause_s=1, sleep=slept.append, **SMALL)
    progress = list(job)
    assert slept == [1, 1, 5, 1, 1]
    assert [(one.done, one.total) for one in progress] == [(done, 6) for done in range(1, 7)]
    assert progress[4] == Progress(5, 6, "frame_00001.ome.tif, plane 2")


@BOTH_WAYS
@pytest.mark.parametrize("way", ["closed", "interrupted"])
def test_a_frame_that_is_not_finished_is_removed(tmp_path, way, preallocate):
    def sleep(seconds):
        if way == "interrupted" and seconds == 1 and (tmp_path / "frame_00001.ome.tif").exists():
            raise KeyboardInterrupt

    job = acquire(tmp_path, 2, planes=2, plane_pause_s=1, sleep=sleep, preallocate=preallocate, **SMALL)
    for _ in range(3):
        next(job)
    assert len(list(tmp_path.iterdir())) == 2
    if way == "closed":
        job.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            next(job)
    assert [path.name for path in tmp_path.iterdir()] == ["frame_00000.ome.tif"]
    assert read(tmp_path / "frame_00000.ome.tif").notes == ()


@BOTH_WAYS
def test_a_frame_that_is_there_is_neither_overwritten_nor_removed(tmp_path, preallocate):
    path = tmp_path / "frame_00000.ome.tif"
    path.write_text("precious")
    with pytest.raises(FrameError, match=r"frame_00000\.ome\.tif exists already\. Choose another folder"):
        acquired(tmp_path, 1, preallocate=preallocate)
    assert path.read_text() == "precious"


@BOTH_WAYS
def test_a_folder_that_is_not_there_is_refused(tmp_path, preallocate):
    with pytest.raises(FrameError, match=r"cannot be written \(No such file or directory\)\. Choose a folder that"):
        acquired(tmp_path / "missing", 1, preallocate=preallocate)


def test_a_crop_that_cannot_show_rings_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(FrameError, match="too small to tell rings"):
        acquired(tmp_path, 1, crop=8)
    assert list(tmp_path.iterdir()) == []


def test_numbers_go_on_after_the_last_frame(tmp_path):
    assert next_number(tmp_path) == 0
    for name in ("frame_00002.ome.tif", "frame_00009.ome.tif", "frame_copy.ome.tif", "frame_00020.tif", "other.tif"):
        (tmp_path / name).touch()
    assert next_number(tmp_path) == 10


def test_the_name_of_no_frame_is_refused():
    assert number_of("somewhere/frame_00042.ome.tif") == 42
    with pytest.raises(FrameError, match=r"a\.tif is not a frame of the simulated microscope"):
        number_of("a.tif")
