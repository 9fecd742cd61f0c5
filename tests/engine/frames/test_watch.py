import os
import shutil
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile
from PIL import Image

from costal.errors import FrameError
from costal.frames import watch as module
from costal.frames.listing import listed
from costal.frames.read import blank_planes, frame_from_array, read
from costal.frames.tiff import NO_OME
from costal.frames.watch import FolderWatch, watch
from costal.types import Arrival, Stamp

STACK = np.arange(1, 1 + 3 * 16 * 16, dtype=np.uint16).reshape(3, 16, 16)
STEP_S = 1.0


class Clock:
    """A clock that stands still until it is told otherwise."""

    now = 0.0

    def __call__(self):
        return self.now


class Desk:
    """A watched folder, its clock, and all that its watch has reported."""

    def __init__(self, folder):
        self.folder, self.clock, self.reports = folder, Clock(), []
        self.watch = FolderWatch(folder, clock=self.clock)

    def look(self, **options):
        """Return what a look reports, as (path, state) and without the stamps."""
        changes = self.watch.look(**options)
        self.reports += changes
        return [(one.path, one.state) for one in changes]

    def later(self, seconds=STEP_S, **options):
        self.clock.now += seconds
        return self.look(**options)

    def restarted(self):
        """Go on with a new watch that knows what the last one reported of each file."""
        self.watch = FolderWatch(self.folder, self.known.values(), clock=self.clock)

    @property
    def known(self):
        return {one.path: one for one in self.reports}

    def reason(self, path):
        return self.known[path].reason

    def write(self, name, pixels=STACK, at=None, **options):
        """Write a TIFF, and set its modification time to so many seconds."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, pixels, photometric="minisblack", **options)
        if at is not None:
            os.utime(path, ns=(at * 10**9, at * 10**9))
        return path


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "watched").mkdir()
    return Desk(tmp_path / "watched")


# settling


def test_a_file_is_pending_until_two_looks_found_it_unchanged(desk):
    desk.write("a.tif")
    assert desk.look() == [("a.tif", "pending")]
    assert desk.later(0.5) == []
    assert desk.later(0.5) == [("a.tif", "ready")]
    assert desk.known["a.tif"].content_hash == read(desk.folder / "a.tif").content_hash
    assert desk.later(100) == []


def test_a_file_that_changes_has_to_settle_anew(desk):
    desk.write("a.tif", at=1)
    desk.look()
    desk.write("a.tif", at=2)
    assert desk.later() == []
    assert desk.later(0.9) == []
    assert desk.later(0.1) == [("a.tif", "ready")]


def test_a_change_between_listing_and_reading_is_noticed(desk, monkeypatch):
    path = desk.write("a.tif", at=1)
    desk.look()

    def written_meanwhile(path):
        frame = read(path)
        os.utime(path, ns=(2 * 10**9, 2 * 10**9))
        return frame

    monkeypatch.setattr(module, "read", written_meanwhile)
    assert desk.later() == []
    monkeypatch.setattr(module, "read", read)
    assert desk.later() == [("a.tif", "ready")]
    assert desk.known["a.tif"].stamp == Stamp(path.stat().st_size, 2 * 10**9)


def test_due_is_the_time_until_something_can_be_read(desk):
    assert desk.watch.due_s() == np.inf
    desk.write("a.tif")
    desk.look()
    desk.clock.now = 0.25
    assert desk.watch.due_s() == 0.75
    desk.clock.now = 3
    assert desk.watch.due_s() == 0
    desk.look()
    assert desk.watch.due_s() == np.inf


def test_files_are_offered_by_time_and_name_a_few_with_each_look(desk):
    for name, at in (("late.tif", 9), ("b.tif", 5), ("a.tif", 5), ("early.tif", 1)):
        desk.write(name, STACK + at, at=at)
    expected = ["early.tif", "a.tif", "b.tif", "late.tif"]
    assert desk.look() == [(name, "pending") for name in expected]
    assert desk.later(most=3) == [(name, "duplicate" if name == "b.tif" else "ready") for name in expected[:3]]
    assert desk.watch.due_s() == 0
    assert desk.look(most=3) == [("late.tif", "ready")]


def test_a_look_ends_early_when_it_is_enough(desk):
    for number in range(3):
        desk.write(f"{number}.tif", STACK + number)
    desk.look()
    answers = iter([False, True])
    assert desk.later(enough=lambda: next(answers)) == [("0.tif", "ready")]
    assert desk.look() == [("1.tif", "ready"), ("2.tif", "ready")]


def test_a_new_file_is_seen_while_others_wait_to_be_read(desk):
    for number in range(9):
        desk.write(f"{number}.tif", STACK + number)
    desk.look()
    desk.later(most=1)
    desk.write("new.tif", STACK + 99)
    assert desk.later(most=1)[0] == ("new.tif", "pending")


# completeness


def ome(folder, name, planes):
    """Write the first `planes` planes of a stack whose OME-XML declares them all."""
    xml = tifffile.OmeXml()
    xml.addimage(STACK.dtype, STACK.shape, (3, 1, 1, 16, 16, 1), axes="ZYX")
    with tifffile.TiffWriter(folder / name) as writer:
        for plane in range(planes):
            description = xml.tostring().encode() if plane == 0 else None
            writer.write(STACK[plane], description=description, contiguous=False, metadata=None)


def test_a_half_written_file_is_pending_with_its_reason_until_all_planes_are_there(desk):
    ome(desk.folder, "a.ome.tif", 2)
    assert desk.look() == [("a.ome.tif", "pending")]
    assert desk.later() == [("a.ome.tif", "pending")]
    assert "not written" in desk.reason("a.ome.tif")
    assert desk.later() == []
    ome(desk.folder, "a.ome.tif", 3)
    assert desk.later() == []
    assert desk.later() == [("a.ome.tif", "ready")]
    assert desk.reason("a.ome.tif") == ""


def test_an_ome_tiff_whose_xml_comes_last_is_pending_until_it_comes(desk):
    path = desk.folder / "a.ome.tif"
    with path.open("wb") as file, tifffile.TiffWriter(file, ome=True) as writer:
        writer.write(STACK, metadata={"axes": "ZYX"})
        file.flush()
        assert read(path).pixels.shape == (16, 16)  # of three planes: this is why
        desk.look()
        assert desk.later() == [("a.ome.tif", "pending")]
        assert desk.reason("a.ome.tif").startswith(NO_OME)
    desk.look()
    assert desk.later() == [("a.ome.tif", "ready")]
    assert read(path).pixels.shape == (3, 16, 16)


@pytest.mark.parametrize("kept", [0, 4, 300, -100], ids=["nothing", "signature", "directory", "all but the end"])
def test_a_truncated_tiff_is_pending_until_it_is_whole(desk, kept):
    whole = desk.write("a.tif").read_bytes()
    (desk.folder / "a.tif").write_bytes(whole[:kept])
    desk.look()
    assert desk.later() == [("a.tif", "pending")]
    assert "Wait until it is fully written" in desk.reason("a.tif")
    (desk.folder / "a.tif").write_bytes(whole)
    desk.later()
    assert desk.later() == [("a.tif", "ready")]


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "PNG"])
def test_a_truncated_picture_is_pending_until_it_is_whole(desk, suffix):
    path = desk.folder / f"a.{suffix}"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    desk.look()
    assert desk.later() == [(path.name, "pending")]
    path.write_bytes(whole)
    desk.later()
    assert desk.later() == [(path.name, "ready")]


def test_preallocated_planes_keep_a_file_pending_until_they_are_filled(desk):
    pixels = tifffile.memmap(desk.folder / "a.ome.tif", shape=STACK.shape, dtype=STACK.dtype, metadata={"axes": "ZYX"})
    desk.look()
    for plane in range(3):
        assert desk.later(100) == [("a.ome.tif", "pending")]
        assert desk.reason("a.ome.tif").startswith(f"{3 - plane} of 3 planes hold only zeros")
        pixels[plane] = STACK[plane]
        pixels.flush()
        os.utime(desk.folder / "a.ome.tif", ns=(plane, plane))  # the pages of so small a file may keep their time
        desk.look()
    assert desk.later() == [("a.ome.tif", "ready")]


def test_dark_pictures_are_complete_since_their_zeros_were_written(desk):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(desk.folder / "a.png")
    desk.look()
    assert desk.later() == [("a.png", "ready")]


def test_a_colour_image_without_red_has_no_blank_plane(desk):
    green = np.zeros((2, 16, 16, 3), np.uint8)
    green[..., 1] = 7
    tifffile.imwrite(desk.folder / "a.tif", green, photometric="rgb")
    assert read(desk.folder / "a.tif").axes[-1] == "C"
    assert blank_planes(read(desk.folder / "a.tif")) == (0, 2)
    desk.look()
    assert desk.later() == [("a.tif", "ready")]


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [("YX", (4, 5), (1, 1)), ("CYX", (3, 4, 5), (3, 3)), ("TZYX", (2, 3, 4, 5), (6, 6)), ("YXC", (4, 5, 3), (1, 1))],
)
def test_blank_planes_are_counted_as_they_are_written(axes, shape, expected):
    pixels = np.zeros(shape, np.uint8)
    assert blank_planes(frame_from_array(pixels, axes, None, "dark")) == expected
    pixels[(0,) * len(shape)] = 1
    assert blank_planes(frame_from_array(pixels, axes, None, "a star")) == (expected[0] - 1, expected[1])


def test_an_incomplete_file_is_read_again_after_pauses_that_double(desk, monkeypatch):
    ome(desk.folder, "a.ome.tif", 2)
    desk.look()
    read_at = []

    def noted(path):
        read_at.append(desk.clock.now)
        return read(path)

    monkeypatch.setattr(module, "read", noted)
    for _ in range(40):
        desk.later()
    assert read_at == [1, 2, 4, 8, 16, 32]


def test_an_incomplete_file_does_not_hold_up_new_ones(desk):
    ome(desk.folder, "a.ome.tif", 2)
    os.utime(desk.folder / "a.ome.tif", ns=(0, 0))
    desk.look()
    desk.later()
    desk.write("b.tif", at=5)
    desk.look()
    assert desk.later(most=1) == [("b.tif", "ready")]


# broken files


def test_what_is_no_image_is_broken_until_it_changes(desk):
    path = desk.folder / "a.tif"
    path.write_text("no image")
    desk.look()
    assert desk.later() == [("a.tif", "broken")]
    assert "is not a TIFF, PNG or JPEG image" in desk.reason("a.tif")
    assert desk.later(1000) == []
    desk.write("a.tif")
    assert desk.later() == []
    assert desk.later() == [("a.tif", "ready")]


def test_a_locked_file_is_pending_and_tried_again(desk, monkeypatch):
    desk.write("a.tif")
    desk.look()

    def locked(path):
        raise FrameError(f"{path} cannot be opened (Permission denied).") from PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "read", locked)
    assert desk.later() == [("a.tif", "pending")]
    assert "cannot be opened" in desk.reason("a.tif")
    monkeypatch.setattr(module, "read", read)
    assert desk.later() == [("a.tif", "ready")]


def test_a_file_that_does_not_fit_into_memory_is_no_end_of_the_watch(desk, monkeypatch):
    desk.write("a.tif")
    desk.look()

    def too_large(path):
        raise MemoryError

    monkeypatch.setattr(module, "read", too_large)
    assert desk.later() == [("a.tif", "pending")]
    assert "larger than the free memory" in desk.reason("a.tif")


# once by content


def test_the_same_pixels_under_another_name_are_a_duplicate(desk):
    desk.write("a.tif", at=1)
    desk.write("b.tif", at=2, compression="zlib")
    desk.look()
    assert desk.later() == [("a.tif", "ready"), ("b.tif", "duplicate")]
    assert desk.reason("b.tif") == "It has the same pixels as a.tif."
    assert desk.known["a.tif"].content_hash == desk.known["b.tif"].content_hash


def test_a_touched_file_is_not_ready_twice(desk):
    desk.write("a.tif", at=1)
    desk.look()
    desk.later()
    os.utime(desk.folder / "a.tif", ns=(5, 5))
    desk.look()
    assert desk.later() == []


def test_other_pixels_under_the_same_name_are_another_frame(desk):
    desk.write("a.tif", at=1)
    desk.look()
    desk.later()
    before = desk.known["a.tif"].content_hash
    desk.write("a.tif", STACK + 1, at=2)
    desk.look()
    assert desk.later() == [("a.tif", "ready")]
    assert desk.known["a.tif"].content_hash not in ("", before)


def test_a_duplicate_takes_the_place_of_a_file_that_was_overwritten(desk):
    desk.write("live.tif", at=1)
    desk.write("kept.tif", at=2)
    desk.look()
    desk.later()
    desk.write("live.tif", STACK + 1, at=3)
    desk.look()
    assert desk.later() == [("live.tif", "ready"), ("kept.tif", "ready")]
    assert desk.known["live.tif"].content_hash != desk.known["kept.tif"].content_hash


def test_a_frame_that_was_damaged_and_restored_is_ready_again(desk):
    path = desk.write("a.tif", at=1)
    whole = path.read_bytes()
    desk.look()
    desk.later()
    path.write_bytes(whole[:100])
    desk.look()
    assert desk.later() == [("a.tif", "pending")]
    path.write_bytes(whole)
    desk.look()
    assert desk.later() == [("a.tif", "ready")]


# files that go


@pytest.mark.parametrize("content", ["ready", "broken", "pending"])
def test_a_file_that_is_taken_away_is_gone_and_only_a_ready_one_is_missed(desk, content):
    path = desk.write("a.tif")
    if content == "broken":
        path.write_text("no image")
    desk.look()
    if content != "pending":
        assert desk.later() == [("a.tif", content)]
    path.unlink()
    assert desk.later() == [("a.tif", "gone")]
    assert desk.reason("a.tif").startswith("The file is gone.") == (content == "ready")
    assert desk.later() == []


def test_a_renamed_file_is_ready_under_its_new_name(desk):
    desk.write("a.tif")
    desk.look()
    desk.later()
    (desk.folder / "done").mkdir()
    (desk.folder / "a.tif").rename(desk.folder / "done" / "b.tif")
    assert desk.look() == [("done/b.tif", "pending"), ("a.tif", "gone")]
    assert desk.later() == [("done/b.tif", "ready")]
    assert desk.known["a.tif"].content_hash == desk.known["done/b.tif"].content_hash


def test_a_duplicate_is_ready_when_the_other_file_goes(desk):
    desk.write("a.tif", at=1)
    desk.write("b.tif", at=2)
    desk.look()
    desk.later()
    (desk.folder / "a.tif").unlink()
    assert desk.look() == [("a.tif", "gone"), ("b.tif", "ready")]


def test_a_file_that_comes_back_as_it_was_is_ready_without_being_read(desk, monkeypatch):
    desk.write("a.tif")
    desk.write("b.tif")
    desk.look()
    desk.later()
    for name in "ab":
        (desk.folder / f"{name}.tif").rename(desk.folder.parent / f"{name}.tif")
    desk.look()
    monkeypatch.setattr(module, "read", None)
    for name in "ab":
        (desk.folder.parent / f"{name}.tif").rename(desk.folder / f"{name}.tif")
    assert desk.look() == [("a.tif", "ready"), ("b.tif", "duplicate")]


# restarts


def test_nothing_is_read_or_reported_twice_after_a_restart(desk, monkeypatch):
    desk.write("a.tif", at=1)
    desk.write("b.tif", at=2)
    (desk.folder / "c.tif").write_text("no image")
    desk.look()
    desk.later()
    assert [desk.known[f"{name}.tif"].state for name in "abc"] == ["ready", "duplicate", "broken"]
    desk.restarted()
    monkeypatch.setattr(module, "read", None)
    assert desk.later() == []
    assert desk.later() == []


def test_what_changed_while_nobody_watched_is_noticed(desk):
    desk.write("same.tif", at=1)
    desk.write("other.tif", STACK + 1, at=1)
    desk.write("away.tif", STACK + 2, at=1)
    desk.write("late.tif", STACK + 3, at=1)
    desk.look()
    desk.later(most=3)
    assert desk.known["same.tif"].state == "pending"
    desk.write("other.tif", STACK + 4, at=2)
    desk.write("copy.tif", STACK + 3, at=3)
    (desk.folder / "away.tif").unlink()
    desk.restarted()
    assert desk.look() == [("copy.tif", "pending"), ("away.tif", "gone")]
    assert desk.later() == [("same.tif", "ready"), ("other.tif", "ready"), ("copy.tif", "duplicate")]


def test_a_gone_file_of_which_nothing_is_known_is_read_when_it_comes_back(desk):
    path = desk.write("a.tif", at=1)
    known = Arrival("a.tif", Stamp(path.stat().st_size, 10**9), "gone")
    desk.watch = FolderWatch(desk.folder, [known], clock=desk.clock)
    assert desk.look() == [("a.tif", "pending")]
    assert desk.later() == [("a.tif", "ready")]


# folders


def test_only_images_with_ordinary_names_are_listed(desk):
    names = ("a.tif", "b.TIFF", "c.ome.tif", "d.png", "e.jpg", "f.JPEG", "sub/g.tif", "sub/deep/h.tif", "μ σ.tif")
    others = (
        ".a.tif",
        "~b.tif",
        "$c.tif",
        "d.part.tif",
        "e.tmp.tif",
        "f.tif.tmp",
        "g.txt",
        "tif",
        ".sub/h.tif",
        "a-classes.tif",
    )
    for name in names + others:
        (desk.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (desk.folder / name).touch()
    assert sorted(path for path, _ in desk.look()) == sorted(names)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows needs a privilege to make links")
def test_a_circle_of_links_and_a_link_to_nothing_are_passed_over(desk):
    desk.write("sub/a.tif")
    (desk.folder / "sub" / "circle").symlink_to(desk.folder, target_is_directory=True)
    (desk.folder / "b.tif").symlink_to(desk.folder / "nothing")
    (desk.folder / "c.tif").symlink_to("c.tif")
    assert desk.look() == [("sub/a.tif", "pending")]


def test_a_folder_that_is_away_is_an_error_and_its_files_are_not_gone(desk):
    desk.write("a.tif")
    desk.look()
    desk.later()
    desk.folder.rename(desk.folder.with_name("unplugged"))
    for _ in range(2):
        with pytest.raises(FrameError, match=r"watched cannot be read \(.+\)\. Connect it again"):
            desk.later()
    desk.folder.with_name("unplugged").rename(desk.folder)
    assert desk.later() == []


def test_a_folder_below_that_cannot_be_listed_is_broken_and_its_files_are_not_gone(desk, monkeypatch):
    desk.write("sub/a.tif", at=1)
    desk.write("subway.tif", STACK + 1, at=2)
    desk.look()
    assert desk.later() == [("sub/a.tif", "ready"), ("subway.tif", "ready")]
    scandir = os.scandir

    def refused(path):
        if os.fspath(path).rstrip("/").endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    (desk.folder / "subway.tif").unlink()
    assert desk.later() == [("sub", "broken"), ("subway.tif", "gone")]
    assert desk.reason("sub") == "The folder cannot be listed (Permission denied). Check its permissions."
    assert desk.later() == []
    monkeypatch.undo()
    assert desk.later() == [("sub", "gone")]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_name_that_is_no_text_is_broken_and_its_path_can_be_stored(desk):
    (desk.folder / os.fsdecode(b"a\xff.tif")).touch()
    assert desk.look() == [("a\\udcff.tif", "broken")]
    assert desk.reason("a\\udcff.tif") == "The name is not valid text. Rename the file."


# very many


@pytest.mark.slow
def test_ten_thousand_files_at_once_are_all_seen_and_all_ready(desk):
    expected = {f"{number:05}.png" for number in range(10_000)}
    for number, name in enumerate(sorted(expected)):
        Image.fromarray(np.full((2, 2), number, np.uint16)).save(desk.folder / name, compress_level=0)
    begun = time.perf_counter()
    assert {path for path, state in desk.look() if state == "pending"} == expected
    seen_s = time.perf_counter() - begun
    assert len(desk.later()) == 20  # the first are offered before the others are read
    while desk.watch.due_s() == 0:
        desk.look()
    ready = [one.path for one in desk.reports if one.state == "ready"]
    assert (len(ready), set(ready)) == (10_000, expected)
    assert seen_s < 5


# on a thread


@contextmanager
def watching(folder, **options):
    """Give the lists of what was reported by a watch on a thread, and its stop; leave no thread."""
    changes, errors, stop = [], [], threading.Event()
    before = set(threading.enumerate())
    options = {"settle_s": 0.2, "rescan_s": 0.3} | options
    thread = threading.Thread(target=watch, args=(folder, changes.append, errors.append, stop), kwargs=options)
    thread.start()
    try:
        yield changes, errors, stop
    finally:
        stop.set()
        begun = time.perf_counter()
        thread.join(10)
        took = time.perf_counter() - begun
    assert not thread.is_alive()
    assert took < 1
    assert set(threading.enumerate()) == before


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)


def states(changes):
    return [(one.path, one.state) for change in changes for one in change]


def test_a_file_is_reported_pending_and_then_ready(desk):
    with watching(desk.folder) as (changes, errors, _):
        desk.write("a.tif")
        until(lambda: ("a.tif", "ready") in states(changes))
        desk.write("sub/b.tif", STACK + 1)
        until(lambda: ("sub/b.tif", "ready") in states(changes))
    assert states(changes) == [(name, state) for name in ("a.tif", "sub/b.tif") for state in ("pending", "ready")]
    assert errors == []


def test_events_wake_the_watch_long_before_the_next_rescan(desk):
    with watching(desk.folder, rescan_s=60) as (changes, errors, _):
        until(lambda: len(threading.enumerate()) > 2)
        time.sleep(0.5)
        desk.write("a.tif")
        until(lambda: ("a.tif", "ready") in states(changes))
    assert errors == []


def test_reading_files_does_not_wake_the_watch(desk, monkeypatch):
    looks = []
    look = FolderWatch.look
    monkeypatch.setattr(FolderWatch, "look", lambda self, **options: looks.append(0) or look(self, **options))
    path = desk.write("a.tif")
    with watching(desk.folder, rescan_s=60) as (changes, _, _):
        until(lambda: ("a.tif", "ready") in states(changes))
        time.sleep(0.5)
        before = len(looks)
        for _ in range(5):
            read(path)
            time.sleep(0.1)
        assert len(looks) == before


def test_lost_events_do_no_harm(desk, monkeypatch):
    monkeypatch.setattr(module._Stirred, "on_any_event", lambda self, event: None)
    with watching(desk.folder) as (changes, _, _):
        time.sleep(0.3)
        desk.write("a.tif")
        until(lambda: ("a.tif", "ready") in states(changes))


@pytest.mark.parametrize("method", ["__init__", "start"])
def test_without_events_the_watch_says_so_once_and_rescans(desk, monkeypatch, method):
    def refuse(self):
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(module.Observer, method, refuse)
    with watching(desk.folder) as (changes, errors, _):
        desk.write("a.tif")
        until(lambda: ("a.tif", "ready") in states(changes))
    assert errors == [
        f"The system reports no changes in {desk.folder} ([Errno 28] inotify watch limit reached): new files are found "
        "a little later."
    ]


def test_an_unplugged_folder_is_told_once_and_followed_again_when_it_is_back(desk):
    away = desk.folder.with_name("unplugged")
    with watching(desk.folder) as (changes, errors, _):
        desk.write("a.tif")
        until(lambda: ("a.tif", "ready") in states(changes))
        desk.folder.rename(away)
        until(lambda: errors)
        time.sleep(1)
        assert (len(errors), len(changes)) == (1, 2)
        assert "cannot be read" in errors[0]
        away.rename(desk.folder)
        until(lambda: len(changes) == 3)
        desk.write("b.tif", STACK + 1)
        until(lambda: ("b.tif", "ready") in states(changes))
    assert changes[2] == []
    assert states(changes)[2:] == [("b.tif", "pending"), ("b.tif", "ready")]


def test_an_emptied_and_refilled_folder_has_its_frames_back(desk):
    away = desk.folder.with_name("unplugged")
    with watching(desk.folder) as (changes, _, _):
        desk.write("a.tif")
        until(lambda: ("a.tif", "ready") in states(changes))
        desk.folder.rename(away)
        desk.folder.mkdir()  # an empty mount point
        until(lambda: ("a.tif", "gone") in states(changes))
        shutil.rmtree(desk.folder)
        away.rename(desk.folder)
        until(lambda: states(changes)[-1] == ("a.tif", "ready"))


def test_the_watch_ends_within_a_second_while_many_files_wait(desk, monkeypatch):
    for number in range(60):
        desk.write(f"{number}.tif", STACK + number)

    def slow(path):
        time.sleep(0.2)
        return read(path)

    monkeypatch.setattr(module, "read", slow)
    with watching(desk.folder) as (changes, _, _):
        until(lambda: len(states(changes)) == 60)
        time.sleep(0.5)
    assert len(states(changes)) < 90


def test_a_watch_that_is_stopped_before_it_begins_does_nothing(desk):
    stop = threading.Event()
    stop.set()
    watch(desk.folder / "missing", pytest.fail, pytest.fail, stop)


def test_a_failing_caller_leaves_no_thread(desk):
    before = set(threading.enumerate())
    desk.write("a.tif")
    states = []

    def on_change(changed):
        states.append(changed[0].state)
        if changed[0].state == "ready":
            raise RuntimeError("the caller failed")

    with pytest.raises(RuntimeError, match="the caller failed"):
        watch(desk.folder, on_change, pytest.fail, threading.Event(), settle_s=0.1)
    assert states == ["pending", "ready"]
    assert set(threading.enumerate()) == before


def test_the_listing_of_a_file_that_is_no_folder_is_refused(desk):
    with pytest.raises(FrameError, match="cannot be read"):
        listed(desk.write("a.tif"))
