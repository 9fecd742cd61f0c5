import sys

import numpy as np
import pytest
from pymmcore_plus.experimental.unicore import SimpleCameraDevice, UniMMCore
from useq import MDASequence

from costal.errors import FrameError
from costal.frames.camera import on_frames, running_core
from costal.frames.read import frame_from_array

THREE = MDASequence(time_plan={"interval": 0, "loops": 3})


class CountingCamera(SimpleCameraDevice):
    """A camera whose n-th image holds n everywhere."""

    def __init__(self, *shape):
        super().__init__()
        self._shape, self._count = shape, 0

    def get_exposure(self):
        return 1.0

    def set_exposure(self, exposure):
        pass

    def sensor_shape(self):
        return self._shape

    def dtype(self):
        return np.uint16

    def snap(self, buffer):
        self._count += 1
        buffer[:] = self._count
        return {}


@pytest.fixture
def core_with():
    """Return a function that starts a core with a camera of this shape."""

    def start(*shape):
        core = UniMMCore()
        core.loadPyDevice("Cam", CountingCamera(*shape))
        core.initializeDevice("Cam")
        core.setCameraDevice("Cam")
        return core

    return start


@pytest.fixture
def core(core_with):
    return core_with(16, 24)


def test_a_snapped_image_is_a_frame(core):
    taken = []
    on_frames(core, taken.append)
    core.snapImage()
    (frame,) = taken
    assert (frame.axes, frame.pixels.dtype, frame.pixel_um, frame.source) == ("YX", np.uint16, None, "camera:Cam")
    np.testing.assert_array_equal(frame.pixels, np.ones((16, 24)))
    assert frame.content_hash == frame_from_array(np.ones((16, 24), np.uint16), "YX", None, "").content_hash


def test_every_image_of_an_acquisition_is_a_frame_once_and_names_its_index(core):
    taken = []
    on_frames(core, taken.append)
    core.mda.run(THREE)
    assert [frame.source for frame in taken] == ["camera:Cam t 0", "camera:Cam t 1", "camera:Cam t 2"]
    assert [int(frame.pixels.max()) for frame in taken] == [1, 2, 3]
    assert len({frame.content_hash for frame in taken}) == 3
    core.snapImage()
    assert (len(taken), taken[-1].source) == (4, "camera:Cam")


def test_the_pixel_size_is_the_cores(core):
    taken = []
    on_frames(core, taken.append)
    core.definePixelSizeConfig("100x")
    core.setPixelSizeUm("100x", 0.065)
    core.setPixelSizeConfig("100x")
    core.snapImage()
    core.mda.run(THREE)
    assert [frame.pixel_um for frame in taken] == [0.065] * 4


def test_a_colour_camera_gives_channels(core_with):
    core, taken = core_with(16, 24, 3), []
    on_frames(core, taken.append)
    core.snapImage()
    assert (taken[0].axes, taken[0].pixels.shape) == ("YXC", (16, 24, 3))


def test_pixels_are_a_copy_of_the_cameras_buffer(core):
    taken = []
    on_frames(core, taken.append)
    core.snapImage()
    core.getImage()[:] = 99
    assert taken[0].pixels.max() == 1


def test_nothing_is_taken_after_the_end(core):
    taken = []
    end = on_frames(core, taken.append)
    end()
    core.snapImage()
    core.mda.run(THREE)
    assert taken == []


def test_the_running_core_is_shared():
    core = running_core()
    assert running_core() is core


def test_without_pymmcore_plus_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymmcore_plus", None)
    with pytest.raises(FrameError, match=r'Install it: pip install "napari-costal\[camera\]"'):
        running_core()


def test_a_saved_frame_is_complete_under_its_name_and_reads_back_as_it_was(tmp_path):
    from costal.frames.camera import save
    from costal.frames.read import frame_from_array, read

    pixels = np.arange(48, dtype=np.uint16).reshape(6, 8)
    path = save(tmp_path / "acquired", frame_from_array(pixels, "YX", 0.065, "camera:Cam"), 7)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    frame = read(path)
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert (frame.axes, frame.pixel_um) == ("YX", 0.065)


def test_a_frame_that_cannot_be_saved_is_said_to_be_lost(tmp_path):
    from costal.frames.camera import save
    from costal.frames.read import frame_from_array

    (tmp_path / "file").write_text("")
    with pytest.raises(FrameError, match="is lost"):
        save(tmp_path / "file", frame_from_array(np.ones((4, 4), np.uint8), "YX", None, "camera:Cam"), 7)
