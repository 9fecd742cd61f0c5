"""Images of several files, and several images in one: the pixels are those of the file that was named."""

import logging

import numpy as np
import pytest

from costal.applying.image_files import image_sources
from costal.errors import FrameError
from costal.frames.lazy import open_lazily
from costal.frames.parts import one_of_each, parts_of
from costal.frames.planes import planes_of
from costal.frames.read import plane, read
from costal.frames.watch import FolderWatch
from costal.frames.windows import read_window
from costal.types import PlaneRule
from tests.formats import layouts

STACK = layouts.ramp(3, 32, 40)


def lazily(path):
    """Return all pixels of a file that was opened lazily, its planes (T, Z) one after another."""
    frame = open_lazily(path)
    height, width = frame.size_of(0)
    each = planes_of(frame, PlaneRule("each", "each"))
    return np.stack([read_window(frame, planes, 0, height, 0, width) for planes in each])


def whole(path):
    frame = read(path)
    return np.stack([plane(frame, planes) for planes in planes_of(frame, PlaneRule("each", "each"))])


def states(folder, looks=3):
    now = [0.0]
    watch = FolderWatch(folder, settle_s=1.0, clock=lambda: now[0])
    for _ in range(looks):
        watch.look()
        now[0] += 1.5
    return {path: arrival.state for path, arrival in watch._reports.items()}


def test_each_file_of_an_ome_set_gives_its_own_position(tmp_path):
    stacks = [layouts.ramp(2, 32, 40, seed=at) for at in range(3)]
    for path, stack in zip(layouts.ome_positions(tmp_path, stacks), stacks, strict=True):
        np.testing.assert_array_equal(read(path).pixels, stack)
        np.testing.assert_array_equal(lazily(path)[:, 0], stack)
        assert parts_of(path) == (path,)
    assert set(states(tmp_path).values()) == {"ready"}
    assert len(image_sources([tmp_path], tmp_path / "out")) == 3


def test_a_renamed_file_of_an_ome_set_still_gives_its_own_position(tmp_path):
    stacks = [layouts.ramp(2, 32, 40, seed=at) for at in range(2)]
    path = layouts.ome_positions(tmp_path, stacks)[1].rename(tmp_path / "other.ome.tif")
    np.testing.assert_array_equal(read(path).pixels, stacks[1])


def test_files_whose_xml_shares_one_uuid_are_told_apart_by_their_names(tmp_path, monkeypatch):
    monkeypatch.setattr(layouts.uuid, "uuid4", lambda: "the same")
    stacks = [layouts.ramp(2, 32, 40, seed=at) for at in range(2)]
    for path, stack in zip(layouts.ome_positions(tmp_path, stacks), stacks, strict=True):
        np.testing.assert_array_equal(read(path).pixels, stack)


@pytest.mark.parametrize("companion", [False, True], ids=["xml in each", "companion"])
def test_an_image_of_one_file_per_plane_is_one_frame_whichever_is_named(companion, tmp_path):
    paths = layouts.ome_planes(tmp_path, STACK, companion)
    frames = [read(path) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        np.testing.assert_array_equal(frame.pixels, STACK)
        np.testing.assert_array_equal(lazily(path)[:, 0], STACK)
        assert (frame.axes, frame.pixel_um) == ("ZYX", 0.5)
        assert parts_of(path) == tuple(paths)
    assert len({frame.content_hash for frame in frames}) == 1
    assert one_of_each(paths) == paths[:1]
    assert image_sources([tmp_path], tmp_path / "out") == [str(each) for each in paths[:1]]


def test_a_split_image_is_listed_once_and_only_when_all_its_files_are_there(tmp_path):
    paths = layouts.ome_planes(tmp_path, STACK)
    last = paths[2].read_bytes()
    paths[2].unlink()
    with pytest.raises(FrameError, match=r"other files are missing \(1: plane_2\.ome\.tif\)\. Wait"):
        read(paths[0])
    assert set(states(tmp_path).values()) == {"pending"}
    paths[2].write_bytes(last)
    assert sorted(states(tmp_path).values()) == ["duplicate", "duplicate", "ready"]


def test_a_part_that_is_cut_short_makes_the_image_wait(tmp_path):
    paths = layouts.ome_planes(tmp_path, STACK)
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    with pytest.raises(FrameError, match="Wait until it is fully written"):
        read(paths[0])


def outside(tmp_path):
    """Return a folder for an image, beside which lies a file that no image may make us read."""
    inner = tmp_path / "inner"
    inner.mkdir()
    layouts.write_planes(tmp_path / "secret.ome.tif", STACK[1:2], "")
    return inner


@pytest.mark.parametrize("name", ["../secret.ome.tif", "..\\secret.ome.tif", "{}/secret.ome.tif", "C:\\secret.ome.tif"])
@pytest.mark.parametrize("opened", [read, open_lazily], ids=["read", "lazily"])
def test_no_file_outside_the_image_s_folder_is_read(name, opened, tmp_path):
    inner = outside(tmp_path)
    name = name.format(tmp_path)
    mark = [(0, "a.ome.tif", "urn:a", 0), (1, name, "urn:b", 0)]
    xml = layouts.ome_root(layouts.ome_image(0, (2, 32, 40), mark), "urn:a")
    layouts.write_planes(inner / "a.ome.tif", STACK[:1], xml)
    with pytest.raises(FrameError, match="refers to a file outside its folder"):
        opened(inner / "a.ome.tif")


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path):
    inner = outside(tmp_path)
    paths = layouts.ome_planes(inner, STACK[:2])
    paths[1].unlink()
    try:
        paths[1].symlink_to(tmp_path / "secret.ome.tif")
    except OSError:
        pytest.skip("this system makes no links here")
    with pytest.raises(FrameError, match="refers to a file outside its folder"):
        read(paths[0])


def test_a_companion_outside_the_folder_is_not_read(tmp_path):
    inner = outside(tmp_path)
    xml = layouts.ome_root('<BinaryOnly MetadataFile="../set.companion.ome" UUID="urn:0"/>', "urn:a")
    layouts.write_planes(inner / "a.ome.tif", STACK[:1], xml)
    with pytest.raises(FrameError, match="refers to a file outside its folder"):
        read(inner / "a.ome.tif")


# Micro-Manager


@pytest.fixture(autouse=True)
def quiet_tifffile():
    """Its remarks on what these small files leave out are no warnings of ours."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def acquired(channels=2, slices=3, times=2, positions=1):
    """Return planes by channel, Z, time and position, in the order that Micro-Manager takes them."""
    order = np.ndindex(positions, times, slices, channels)
    return {(c, z, t, p): layouts.ramp(16, 20, seed=c + 10 * z + 100 * t + 1000 * p) for p, t, z, c in order}


def summary(channels=2, slices=3, times=2, positions=1):
    return {"Channels": channels, "Slices": slices, "Frames": times, "Positions": positions}


def assert_is(frame, planes, position=0):
    assert frame.axes == "TZCYX"
    for (c, z, t, p), pixels in planes.items():
        if p == position:
            np.testing.assert_array_equal(frame.pixels[t, z, c], pixels)


@pytest.mark.parametrize("index", [True, False], ids=["index map", "tags alone"])
def test_a_micro_manager_stack_has_its_own_axes_and_pixel_size(index, tmp_path):
    planes = acquired()
    path = layouts.micro_manager(tmp_path / "run_1_MMStack_Pos0.ome.tif", planes, summary(), index)
    frame = read(path)
    assert_is(frame, planes)
    assert frame.pixels.shape == (2, 3, 2, 16, 20)
    assert frame.pixel_um == 0.11
    np.testing.assert_array_equal(lazily(path), whole(path))
    assert states(tmp_path) == {path.name: "ready" if index else "pending"}


def test_positions_in_one_file_are_never_channels(tmp_path):
    planes = acquired(positions=3)
    frame = read(layouts.micro_manager(tmp_path / "run_1_MMStack.ome.tif", planes, summary(positions=3)))
    assert_is(frame, planes)
    assert frame.pixels.shape == (2, 3, 2, 16, 20)
    assert frame.notes == ("Only the first of 3 stage positions was read.",)


def test_each_file_of_a_position_set_gives_its_own_position(tmp_path):
    planes = acquired(positions=2)
    for position in (0, 1):
        own = {place: pixels for place, pixels in planes.items() if place[3] == position}
        path = layouts.micro_manager(tmp_path / f"run_1_MMStack_Pos{position}.ome.tif", own, summary(positions=2))
        assert_is(read(path), planes, position)
        assert read(path).pixels.shape == (2, 3, 2, 16, 20)


def test_a_position_that_is_split_over_files_is_one_frame(tmp_path):
    planes = acquired()
    names = ("run_1_MMStack_Pos0.ome.tif", "run_1_MMStack_Pos0_1.ome.tif")
    paths = [
        layouts.micro_manager(tmp_path / name, {each: planes[each] for each in planes if each[2] == t}, summary())
        for t, name in enumerate(names)
    ]
    for path in paths:
        assert_is(read(path), planes)
        np.testing.assert_array_equal(lazily(path), whole(path))
        assert parts_of(path) == tuple(paths)
    assert sorted(states(tmp_path).values()) == ["duplicate", "ready"]


def test_an_acquisition_that_was_stopped_is_read_with_a_note_and_waits_in_a_watched_folder(tmp_path):
    planes = acquired()
    path = layouts.micro_manager(tmp_path / "run_1_MMStack_Pos0.ome.tif", planes, summary(times=5))
    assert_is(read(path), planes)
    assert read(path).notes == ("The acquisition has fewer planes than planned: 2 of 5 along T.",)
    assert states(tmp_path) == {path.name: "pending"}


def test_a_stack_that_lacks_a_plane_is_refused(tmp_path):
    planes = acquired()
    del planes[1, 2, 1, 0]
    with pytest.raises(FrameError, match="has 11 of 12 planes; the others are missing"):
        read(layouts.micro_manager(tmp_path / "run_1_MMStack_Pos0.ome.tif", planes, summary()))


@pytest.mark.parametrize("files", [1, 2], ids=["one file", "two files"])
def test_ndtiff_has_the_axes_of_its_index(files, tmp_path):
    names = ("DAPI", "FITC")
    order = [(t, z, c) for t in range(8) for z in range(16) for c in range(2)]
    planes = [
        ({"z": z, "time": t, "channel": names[c]}, layouts.ramp(16, 20, seed=c + 10 * z + 1000 * t))
        for t, z, c in order
    ]
    for path in layouts.ndtiff(tmp_path, planes, files):
        frame = read(path)
        assert (frame.axes, frame.pixels.shape, frame.pixel_um) == ("TZCYX", (8, 16, 2, 16, 20), 0.2)
        for (t, z, c), (_, pixels) in zip(order, planes, strict=True):
            np.testing.assert_array_equal(frame.pixels[t, z, c], pixels)


def test_positions_of_ndtiff_are_never_channels(tmp_path):
    planes = [({"position": p, "z": z}, layouts.ramp(16, 20, seed=z + 10 * p)) for p in range(2) for z in range(3)]
    (path,) = layouts.ndtiff(tmp_path, planes)
    frame = read(path)
    assert frame.axes == "ZYX"
    np.testing.assert_array_equal(frame.pixels, np.stack([pixels for _, pixels in planes[:3]]))
    assert "Only the first of 2 stage positions was read." in frame.notes


def test_an_ndtiff_index_that_names_a_file_outside_is_refused(tmp_path):
    (path,) = layouts.ndtiff(tmp_path, [({"z": z}, STACK[z]) for z in range(2)])
    index = tmp_path / "NDTiff.index"
    index.write_bytes(index.read_bytes().replace(b"NDTiffStack.tif", b"../../../secret"))
    with pytest.raises(FrameError, match="refers to a file outside its folder"):
        read(path)


def test_a_split_image_is_read_once_in_a_watched_folder(tmp_path, monkeypatch):
    layouts.ome_planes(tmp_path, STACK)
    count = []
    monkeypatch.setattr("costal.frames.watch.read", lambda path: count.append(path) or read(path))
    assert sorted(states(tmp_path).values()) == ["duplicate", "duplicate", "ready"]
    assert len(count) == 1
